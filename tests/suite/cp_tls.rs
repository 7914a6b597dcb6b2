//! A real control plane process with certificates: what it checks, what it says, and what a SIGKILL leaves of
//! enrollments and renewals.

use crate::process::{CONVOY_CP, Ended, PATIENCE, Process, run, shown, until};
use convoy::client::http::HttpTransport;
use convoy::client::{ClientError, Request, send_json};
use convoy::model::identity::Identity;
use convoy::model::time::Timestamp;
use convoy::runtime::clock::{Clock, SystemClock};
use convoy::runtime::entropy::{generator, seeded};
use convoy::trust::authority::{Authority, Pair, Term, new_key, request};
use convoy::trust::certificate::{chain, presented};
use convoy::trust::token::Token;
use convoy::trust::{SigningKey, TrustFile, tls};
use convoy::wire::stored::first_tokens::FirstToken;
use convoy::wire::v1::identity::{CertificateIssued, EnrollRequest, IdentityView, RenewRequest};
use convoy::wire::v1::operator::Page;
use convoy::wire::v1::release::date;
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(86_400);
/// Rounds of killing; each kills at another moment.
const ROUNDS: usize = 8;
/// Hosts that enroll at once in each round.
const HOSTS: usize = 12;

/// A directory with all that a control plane with certificates needs.
struct Fleet {
    dir: TempDir,
    authority: Authority,
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

fn now() -> Timestamp {
    SystemClock.wall()
}

impl Fleet {
    /// Makes one whose server certificate counts for so long.
    fn new(lasts: Duration) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut rng = generator().unwrap();
        let (authority, own) = Authority::generate("fleet", Term { from: now(), lasts: DAY * 3650 }, &mut rng).unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let from = now().minus(DAY * 2);
        let server = authority.issue_server(&names, Term { from, lasts: lasts + DAY * 2 }, &mut rng).unwrap();
        let key = SigningKey::generate("ci", &mut seeded(3)).unwrap();
        let fleet = Self { dir, authority };
        fleet.put("ca.pem", &own.certificate);
        fleet.put("ca.key", &own.key);
        fleet.put("server.pem", &server.certificate);
        fleet.put("server.key", &server.key);
        fleet.put("trust.json", &TrustFile::new(1, [key.public()]).unwrap().to_json());
        fleet.settings(|_| {});
        fleet
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        write(&self.path(name), text);
    }

    fn settings(&self, change: impl Fn(&mut Value)) {
        let mut settings = json!({
            "listen": "127.0.0.1:0", "database": "convoy.db", "trustFile": "trust.json", "tlsCertificate": "server.pem",
            "tlsKey": "server.key", "clientAuthorities": "ca.pem", "issuerCertificate": "ca.pem", "issuerKey": "ca.key",
        });
        change(&mut settings);
        self.put("control-plane.json", &settings.to_string());
    }

    fn check(&self) -> Ended {
        run(CONVOY_CP, &["check-config", "--config", &shown(&self.path("control-plane.json"))])
    }

    fn start(&self) -> (Process, String) {
        let (settings, port_file) = (shown(&self.path("control-plane.json")), self.path("port"));
        let _ = fs::remove_file(&port_file);
        let mut process = Process::start(CONVOY_CP, &["run", "--config", &settings, "--port-file", &shown(&port_file)]);
        let port = until("port file", PATIENCE, || {
            assert!(process.is_running(), "convoy-cp ended: {}", process.stderr());
            fs::read_to_string(&port_file).ok()?.trim().parse::<u16>().ok()
        });
        (process, format!("https://127.0.0.1:{port}"))
    }

    fn over(&self, url: &str, own: Option<&Pair>) -> HttpTransport {
        let own = own.map(|pair| tls::Credentials { certificate: &pair.certificate, key: &pair.key });
        let authorities = fs::read_to_string(self.path("ca.pem")).unwrap();
        HttpTransport::new(url, Some(tls::client(&authorities, own).unwrap())).unwrap()
    }

    fn admin(&self) -> Pair {
        let who: Identity = "admin/root".parse().unwrap();
        self.authority.issue_client(&who, Term { from: now(), lasts: DAY }, &mut generator().unwrap()).unwrap()
    }
}

fn fails(ended: &Ended, says: &[&str]) {
    assert_eq!(ended.code(), 2, "{ended:?}");
    for word in says {
        assert!(ended.stderr.contains(word), "{word:?} is not in {}", ended.stderr);
    }
}

#[test]
fn checking_says_until_when_certificates_count_and_warns_in_time() {
    let good = Fleet::new(DAY * 90).check();
    assert!(good.code() == 0 && good.stdout.contains("https") && good.stdout.contains("counts until"), "{good:?}");
    assert!(!good.stdout.contains("warning"), "{good:?}");
    let soon = Fleet::new(DAY * 20).check();
    assert!(soon.code() == 0 && soon.stdout.contains("warning: that is in 19 d"), "{soon:?}");
    fails(&Fleet::new(Duration::ZERO).check(), &["server certificate", "is over since"]);
}

#[test]
fn files_that_can_not_be_used_are_named_with_their_setting() {
    let fleet = Fleet::new(DAY * 90);
    let other = Fleet::new(DAY * 90);
    fs::set_permissions(fleet.path("server.key"), Permissions::from_mode(0o640)).unwrap();
    fails(&fleet.check(), &["tlsKey", "server.key", "can be read by others", "chmod 600"]);
    fleet.put("server.key", &fs::read_to_string(other.path("server.key")).unwrap());
    fails(&fleet.check(), &["tlsCertificate", "don't go together"]);
    fleet.put("server.key", "nothing");
    fails(&fleet.check(), &["private key"]);
    fs::remove_file(fleet.path("server.key")).unwrap();
    let later = fleet.check();
    assert!(later.code() == 0 && later.stdout.contains("tlsKey: ") && later.stdout.contains("not there"), "{later:?}");
    other.put("ca.key", &new_key().unwrap());
    fails(&other.check(), &["issuerCertificate", "don't belong together"]);
    let third = Fleet::new(DAY * 90);
    third.put("strangers.pem", &fs::read_to_string(fleet.path("ca.pem")).unwrap());
    third.settings(|settings| settings["clientAuthorities"] = json!("strangers.pem"));
    fails(&third.check(), &["clientAuthorities", "strangers.pem", "issuerCertificate", "no host could come in"]);
    let locked_out = run(CONVOY_CP, &["run", "--config", &shown(&third.path("control-plane.json"))]);
    fails(&locked_out, &["clientAuthorities"]);
    other.settings(|settings| drop(settings.as_object_mut().unwrap().remove("clientAuthorities")));
    fails(&other.check(), &["clientAuthorities", "go together", "convoy init"]);
    let started = run(CONVOY_CP, &["run", "--config", &shown(&fleet.path("control-plane.json"))]);
    fails(&started, &["tlsKey"]);
    assert!(!fleet.path("convoy.db").exists(), "a start that failed left a database behind");
}

/// Adds tokens for these hosts as `convoy init` does, without secrets; returns the tokens.
fn first_tokens(fleet: &Fleet, hosts: &[String]) -> BTreeMap<String, String> {
    let mut rng = generator().unwrap();
    let made: Vec<_> = hosts.iter().map(|host| (host.clone(), Token::generate(&mut rng))).collect();
    let list = made.iter().map(|(host, token)| FirstToken {
        id: token.id().clone(),
        host: host.parse().unwrap(),
        digest: token.digest(),
        expires: date(now().plus(DAY)),
    });
    fleet.put("first-tokens.json", &serde_json::to_string(&list.collect::<Vec<_>>()).unwrap());
    made.into_iter().map(|(host, token)| (host, token.to_text())).collect()
}

async fn enroll(over: &HttpTransport, asked: &EnrollRequest) -> Result<CertificateIssued, ClientError> {
    send_json(over, Request::post("/v1/enroll").json(asked).unwrap()).await
}

fn key_of(certificate: &str) -> String {
    presented(&chain("certificate", certificate).unwrap()[0]).unwrap().key.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_plane_killed_while_hosts_enroll_burns_no_token_and_makes_no_second_identity() {
    let fleet = Fleet::new(DAY * 90);
    let hosts: Vec<String> = (0..ROUNDS * HOSTS).map(|n| format!("host{n}")).collect();
    let tokens = first_tokens(&fleet, &hosts);
    fleet.settings(|settings| settings["firstTokens"] = json!("first-tokens.json"));
    let asked = |host: &String| {
        let key = new_key().unwrap();
        let identity: Identity = format!("agent/{host}").parse().unwrap();
        let (request, token) = (request(&key, &identity).unwrap(), Some(tokens[host].clone()));
        EnrollRequest { hostname: host.parse().unwrap(), request, token }
    };
    let asked: Vec<_> = hosts.iter().map(asked).collect();
    let mut answered: BTreeMap<usize, CertificateIssued> = BTreeMap::new();
    for round in 0..ROUNDS {
        let (mut process, url) = fleet.start();
        let over = fleet.over(&url, None);
        let each = round * HOSTS..(round + 1) * HOSTS;
        let all = join_all(each.clone().map(|n| enroll(&over, &asked[n])));
        // Each round is killed at another step of the same work.
        let pause = Duration::from_millis(3 + 4 * round as u64);
        let killed = async {
            tokio::time::sleep(pause).await;
            process.kill();
        };
        let (answers, ()) = tokio::join!(all, killed);
        answered.extend(each.zip(answers).filter_map(|(n, answer)| Some((n, answer.ok()?))));
    }
    let (_process, url) = fleet.start();
    let over = fleet.over(&url, None);
    for (n, asked) in asked.iter().enumerate() {
        let issued = enroll(&over, asked).await.unwrap_or_else(|error| panic!("{}: {error}", asked.hostname));
        if let Some(before) = answered.get(&n) {
            assert_eq!(issued, *before, "what was answered is there");
        }
    }
    let list: Page<IdentityView> =
        send_json(&fleet.over(&url, Some(&fleet.admin())), Request::get("/v1/identities?limit=1000")).await.unwrap();
    let agents = list.items.iter().filter(|item| item.identity.to_string().starts_with("agent/"));
    assert_eq!(agents.count(), hosts.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_plane_killed_while_hosts_renew_leaves_each_one_key_and_the_newest_certificate() {
    let fleet = Fleet::new(DAY * 90);
    let hosts: Vec<String> = (0..4).map(|n| format!("host{n}")).collect();
    let tokens = first_tokens(&fleet, &hosts);
    fleet.settings(|settings| {
        settings["firstTokens"] = json!("first-tokens.json");
        settings["testing"] = json!(true);
        settings["agentCertificateSecs"] = json!(6);
    });
    let (mut process, mut url) = fleet.start();
    let mut pairs = Vec::new();
    for host in &hosts {
        let key = new_key().unwrap();
        let request = request(&key, &format!("agent/{host}").parse().unwrap()).unwrap();
        let asked = EnrollRequest {
            hostname: host.parse().unwrap(),
            request: request.clone(),
            token: Some(tokens[host].clone()),
        };
        let issued = enroll(&fleet.over(&url, None), &asked).await.unwrap();
        pairs.push((asked, Pair { certificate: issued.certificate, key }));
    }
    for round in 0..3 {
        // Past the half of six seconds.
        tokio::time::sleep(Duration::from_millis(3200)).await;
        let transports: Vec<_> = pairs.iter().map(|(_, pair)| fleet.over(&url, Some(pair))).collect();
        let renewals = pairs.iter().zip(&transports).map(|((asked, _), over)| async move {
            let body = RenewRequest { request: asked.request.clone() };
            send_json::<CertificateIssued>(over, Request::post("/v1/agent/renew").json(&body).unwrap()).await
        });
        let renewals: Vec<_> = renewals.collect();
        let killed = async {
            tokio::time::sleep(Duration::from_millis(4 + 6 * round)).await;
            process.kill();
        };
        let (answers, ()) = tokio::join!(join_all(renewals), killed);
        drop(transports);
        (process, url) = fleet.start();
        for ((asked, pair), answer) in pairs.iter_mut().zip(answers) {
            // A host that got no answer asks again with its key; its certificate may be over by now.
            let again = EnrollRequest { token: None, ..asked.clone() };
            let issued = enroll(&fleet.over(&url, None), &again).await.unwrap();
            if let Ok(answer) = answer {
                assert!(issued.expires >= answer.expires);
            }
            assert_eq!(key_of(&issued.certificate), key_of(&pair.certificate));
            pair.certificate = issued.certificate;
        }
    }
}
