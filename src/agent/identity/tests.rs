//! A host that is let in, renews, recovers and is shut out, over real TLS.

mod plane;

use crate::agent::identity::board::Board;
use crate::agent::identity::files::{Files, Held};
use crate::agent::identity::keeper::{Dial, Keeper, KeeperParts};
use crate::agent::identity::tests::plane::{FakePlane, spare_pair};
use crate::agent::identity::{IdentitySettings, Source};
use crate::client::http::HttpTransport;
use crate::client::{ClientError, Request, Transport, send};
use crate::model::id::HostName;
use crate::model::time::Timestamp;
use crate::runtime::clock::{Clock, SystemClock};
use crate::trust::authority::new_key;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(30 * 86_400);

fn web1() -> HostName {
    HostName::new("web1").unwrap()
}

/// A clock that a test moves.
#[derive(Default, Clone)]
struct Moved(Arc<Mutex<Duration>>);

impl Clock for Moved {
    fn wall(&self) -> Timestamp {
        SystemClock.wall().plus(*self.0.lock().unwrap())
    }
    fn uptime(&self) -> Duration {
        SystemClock.uptime()
    }
}

/// A host's disk, its clock, and what it shows.
struct Host {
    dir: TempDir,
    clock: Moved,
    shown: Arc<Mutex<Vec<String>>>,
}

impl Host {
    /// A host that knows the authority of a fleet and has a token.
    fn new(plane: &FakePlane) -> Self {
        let host = Self { dir: tempfile::tempdir().unwrap(), clock: Moved::default(), shown: Arc::default() };
        fs::write(host.path("ca.pem"), plane.ca()).unwrap();
        host.secret("token", &plane.token());
        host
    }

    /// Moves the host's clock to so much after now.
    fn later(&self, span: Duration) {
        *self.clock.0.lock().unwrap() = span;
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn secret(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn files(&self) -> Files {
        Files::of_own(&self.path("ca.pem"), &self.path("id"))
    }

    /// Starts the agent's identity anew, as a process would.
    fn start(&self, plane: &FakePlane) -> Arc<dyn Transport> {
        let source = Source::Own { dir: self.path("id"), token: Some(self.path("token")) };
        self.start_with(plane, source)
    }

    fn start_with(&self, plane: &FakePlane, source: Source) -> Arc<dyn Transport> {
        let dial: Dial = Arc::new(|address, tls| {
            let made = HttpTransport::new(address, Some(tls)).map_err(|why| why.to_string())?;
            Ok(Arc::new(made) as Arc<dyn Transport>)
        });
        let shown = Arc::clone(&self.shown);
        let board = Arc::new(Board::new(web1(), Box::new(move |line| shown.lock().unwrap().push(line.to_owned()))));
        let rng = Box::new(ChaCha20Rng::seed_from_u64(1));
        let parts = KeeperParts { host: web1(), clock: Arc::new(self.clock.clone()), rng, dial, board };
        let settings = IdentitySettings { ca: Some(self.path("ca.pem")), source };
        Keeper::new(settings, parts).unwrap().connect(&plane.url)
    }

    fn shown(&self) -> Vec<String> {
        self.shown.lock().unwrap().clone()
    }
}

async fn speak(over: &Arc<dyn Transport>) -> Result<String, ClientError> {
    let answer = send(over.as_ref(), Request::get("/v1/agent/dispatch")).await?;
    Ok(String::from_utf8(answer.body).unwrap())
}

fn refused(answer: &Result<String, ClientError>, expected: &str) {
    let Err(ClientError::Refused { code, .. }) = answer else { panic!("{answer:?}") };
    assert_eq!(code, expected);
}

#[tokio::test]
async fn a_host_with_a_token_is_let_in_once_for_many_exchanges_at_once() {
    let plane = FakePlane::start(LONG).await;
    let host = Host::new(&plane);
    let over = host.start(&plane);
    let many = (0..8).map(|_| {
        let over = Arc::clone(&over);
        tokio::spawn(async move { speak(&over).await })
    });
    for one in many.collect::<Vec<_>>() {
        assert_eq!(one.await.unwrap(), Ok("agent/web1".to_owned()));
    }
    assert_eq!(plane.lock().enrolled, 1);
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&host.files().key), mode(&host.path("id"))), (0o600, 0o700));
    assert!(!host.path("id/key.new").exists() && !host.path("id/certificate.new").exists());
}

#[tokio::test]
async fn after_a_restart_neither_token_nor_enrollment_is_needed() {
    let plane = FakePlane::start(LONG).await;
    let host = Host::new(&plane);
    speak(&host.start(&plane)).await.unwrap();
    fs::remove_file(host.path("token")).unwrap();
    assert_eq!(speak(&host.start(&plane)).await, Ok("agent/web1".to_owned()));
    assert_eq!(plane.lock().enrolled, 1);
}

#[tokio::test]
async fn a_crash_at_any_step_of_enrolling_leaves_what_the_next_start_goes_on_from() {
    let plane = FakePlane::start(LONG).await;
    let host = Host::new(&plane);
    // While the key was written.
    host.secret("id/key.new", "-----BEGIN PRIV");
    // After the answer was lost, and before the certificate was written: the key is known to the control plane.
    plane.lock().lose = 1;
    assert!(matches!(speak(&host.start(&plane)).await, Err(ClientError::Unreachable { .. })));
    let key = fs::read_to_string(host.files().key).unwrap();
    assert!(!host.files().certificate.exists());
    // While the certificate was written.
    fs::write(host.path("id/certificate.new"), "-----BEGIN CERT").unwrap();
    assert_eq!(speak(&host.start(&plane)).await, Ok("agent/web1".to_owned()));
    assert_eq!(fs::read_to_string(host.files().key).unwrap(), key);
    assert_eq!(plane.lock().keys.len(), 1, "a second key was let in");
    // Half a certificate, and one of another key, are none.
    for text in ["-----BEGIN CERTIFICATE-----\nMIIB", "", &spare_pair(&plane).certificate] {
        fs::write(host.files().certificate, text).unwrap();
        assert_eq!(speak(&host.start(&plane)).await, Ok("agent/web1".to_owned()));
    }
    assert_eq!(plane.lock().keys.len(), 1);
}

#[tokio::test]
async fn a_key_without_anything_else_is_known_again() {
    let plane = FakePlane::start(LONG).await;
    let host = Host::new(&plane);
    speak(&host.start(&plane)).await.unwrap();
    fs::remove_file(host.path("token")).unwrap();
    fs::remove_file(host.files().certificate).unwrap();
    assert_eq!(speak(&host.start(&plane)).await, Ok("agent/web1".to_owned()));
}

#[tokio::test]
async fn an_expired_host_recovers_with_its_key_though_its_token_is_spent() {
    let plane = FakePlane::start(LONG).await;
    let host = Host::new(&plane);
    let over = host.start(&plane);
    speak(&over).await.unwrap();
    let key = fs::read_to_string(host.files().key).unwrap();
    fs::write(host.files().certificate, plane.over(&key)).unwrap();
    assert_eq!(speak(&over).await, Ok("agent/web1".to_owned()));
    assert_eq!(plane.lock().by_key, 1);
    let Ok(Held::Whole(whole)) = host.files().held(&web1()) else { panic!() };
    assert!(whole.presented.expires > SystemClock.wall());
}

#[tokio::test]
async fn an_aging_certificate_is_renewed_once_and_used_from_then_on() {
    let plane = FakePlane::start(LONG).await;
    let host = Host::new(&plane);
    let over = host.start(&plane);
    speak(&over).await.unwrap();
    let before = fs::read_to_string(host.files().certificate).unwrap();
    host.later(LONG.mul_f64(0.49));
    speak(&over).await.unwrap();
    assert_eq!(plane.lock().renewed, 0);
    host.later(LONG.mul_f64(0.7));
    for _ in 0..3 {
        speak(&over).await.unwrap();
    }
    assert_eq!(plane.lock().renewed, 1, "by this clock the new one is over half as well, and has to rest");
    assert_eq!(plane.lock().enrolled, 1);
    assert_ne!(fs::read_to_string(host.files().certificate).unwrap(), before);
}

#[tokio::test]
async fn a_revoked_host_says_so_once_and_comes_back_with_a_new_token() {
    let plane = FakePlane::start(LONG).await;
    let host = Host::new(&plane);
    let over = host.start(&plane);
    speak(&over).await.unwrap();
    plane.lock().revoked = true;
    refused(&speak(&over).await, "revoked");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    tokio::time::resume();
    for _ in 0..5 {
        refused(&speak(&over).await, "revoked");
    }
    let told = host.shown().iter().filter(|line| line.contains("revoked")).count();
    assert_eq!(told, 1, "{:?}", host.shown());
    assert!(plane.lock().asked <= 4, "asked {} times within the pause", plane.lock().asked);
    let token = plane.new_token();
    host.secret("token", &token);
    assert_eq!(speak(&over).await, Ok("agent/web1".to_owned()));
    assert_eq!(host.shown().last().unwrap(), "");
}

#[tokio::test]
async fn without_a_token_the_host_is_told_where_to_put_one() {
    let plane = FakePlane::start(LONG).await;
    let host = Host::new(&plane);
    fs::remove_file(host.path("token")).unwrap();
    let over = host.start(&plane);
    let answer = speak(&over).await;
    refused(&answer, "not_enrolled");
    let said = answer.unwrap_err().to_string();
    assert!(said.contains("convoy token create") && said.contains("token (`tokenFile`)"), "{said}");
    assert!(host.shown()[0].contains("not known to the control plane"), "{:?}", host.shown());
    host.secret("token", &plane.token());
    assert_eq!(speak(&over).await, Ok("agent/web1".to_owned()), "a new token waits for no pause");
}

#[tokio::test]
async fn secrets_that_others_can_read_and_broken_ones_are_refused_and_left_alone() {
    let plane = FakePlane::start(LONG).await;
    let host = Host::new(&plane);
    let over = host.start(&plane);
    let says = |answer: Result<String, ClientError>, words: &[&str]| {
        let Err(error @ ClientError::NoIdentity { .. }) = answer else { panic!("{answer:?}") };
        assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
    };
    fs::set_permissions(host.path("token"), fs::Permissions::from_mode(0o644)).unwrap();
    says(speak(&over).await, &["token", "chmod 600"]);
    host.secret("token", "convoy-token:v1:no");
    says(speak(&host.start(&plane)).await, &["token", "convoy token create"]);
    host.secret("id/key.pem", "no key");
    says(speak(&host.start(&plane)).await, &["key.pem", "remove the file"]);
    assert_eq!(fs::read_to_string(host.files().key).unwrap(), "no key");
    host.secret("id/key.pem", &new_key().unwrap());
    fs::set_permissions(host.files().key, fs::Permissions::from_mode(0o640)).unwrap();
    says(speak(&host.start(&plane)).await, &["key.pem", "chmod 600"]);
    fs::write(host.path("ca.pem"), "").unwrap();
    host.secret("id/key.pem", &new_key().unwrap());
    host.secret("token", &plane.token());
    says(speak(&host.start(&plane)).await, &["ca.pem", "no certificate"]);
    assert_eq!(plane.lock().asked, 0);
}

#[tokio::test]
async fn files_of_others_are_read_again_when_they_change_and_half_changes_are_waited_out() {
    let plane = FakePlane::start(LONG).await;
    let host = Host::new(&plane);
    let source = Source::Elsewhere { certificate: host.path("tls.crt"), key: host.path("tls.key") };
    let over = host.start_with(&plane, source);
    let Err(ClientError::NoIdentity { detail }) = speak(&over).await else { panic!() };
    assert!(detail.contains("tls.key is not there"), "{detail}");
    let put = |pair: &crate::trust::authority::Pair, both: bool| {
        if both {
            fs::write(host.path("tls.crt"), &pair.certificate).unwrap();
        }
        host.secret("tls.key", &pair.key);
    };
    put(&plane.pair(), true);
    assert_eq!(speak(&over).await, Ok("agent/web1".to_owned()));
    let first = plane.lock().seen.last().cloned();
    let next = plane.pair();
    put(&next, false);
    assert_eq!(speak(&over).await, Ok("agent/web1".to_owned()));
    assert_eq!(plane.lock().seen.last().cloned(), first, "half a change was used");
    put(&next, true);
    assert_eq!(speak(&over).await, Ok("agent/web1".to_owned()));
    assert_ne!(plane.lock().seen.last().cloned(), first, "the change was not taken up");
    assert_eq!(plane.lock().asked, 0);
}

#[tokio::test]
async fn another_fleets_control_plane_is_not_spoken_to() {
    let (ours, theirs) = (FakePlane::start(LONG).await, FakePlane::start(LONG).await);
    let host = Host::new(&ours);
    let over = host.start(&theirs);
    let answer = speak(&over).await;
    assert!(matches!(answer, Err(ClientError::Insecure { .. })), "{answer:?}");
    assert!(host.shown()[0].contains("another fleet"), "{:?}", host.shown());
    assert_eq!(theirs.lock().asked, 0);
}
