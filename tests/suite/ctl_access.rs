//! Tokens, identities and certificates by the operator's command; settings; signers that are not here.

use crate::ctl_fake::Fake;
use crate::ctl_init::Fleet;
use crate::ctl_offline::Workshop;
use crate::process::{CONVOY, Ended, Process, convoy, run, shown};
use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

fn fails(ended: &Ended, code: i32, says: &[&str]) {
    assert_eq!(ended.code(), code, "{ended:?}");
    for word in says {
        assert!(ended.stderr.contains(word), "{word:?} is not in {}", ended.stderr);
    }
}

/// Makes a token for each host that is asked for.
fn token_maker() -> Fake {
    Fake::start(|asked| {
        let request: Value = serde_json::from_str(&asked.body).unwrap();
        let hosts = request["hosts"].as_array().unwrap();
        let made = hosts.iter().enumerate().map(|(at, host)| {
            json!({ "host": host, "id": format!("{at:016x}"), "token": format!("convoy-token:v1:{at:016x}:secret"),
                "expires": "2099-01-01T00:00:00Z" })
        });
        (200, json!({ "tokens": made.collect::<Vec<_>>() }).to_string())
    })
}

#[test]
fn tokens_are_made_for_hosts_of_every_source_once_each() {
    let workshop = Workshop::new();
    fs::write(workshop.path("hosts"), "# the rest\nweb3\n\n web4 \n").unwrap();
    let fake = token_maker();
    let (manifest, hosts) = (workshop.path("manifest.json"), workshop.path("hosts"));
    let more = ["--manifest", &manifest, "--hosts-file", &hosts, "--lasts", "2d", "--label", "rack-7"];
    let made = convoy(&fake.url, &[&["token", "create", "--host", "web9", "--host", "web1"], &more[..]].concat());
    assert_eq!(made.code(), 0, "{made:?}");
    let asked: Value = serde_json::from_str(&fake.asked()[0].body).unwrap();
    let hosts = ["web1", "web2", "web3", "web4", "web9"];
    assert_eq!(asked, json!({ "hosts": hosts, "lastsSecs": 172_800, "labels": ["rack-7"] }));
    assert!(made.stdout.contains("web9\tconvoy-token:v1:"), "{}", made.stdout);
}

#[test]
fn secrets_go_to_private_files_and_never_over_others() {
    let dir = tempfile::tempdir().unwrap();
    let out = shown(&dir.path().join("tokens"));
    let fake = token_maker();
    let create = ["token", "create", "--host", "web1", "--out", &out];
    let made = convoy(&fake.url, &[&create[..], &["--json"]].concat());
    assert_eq!(made.code(), 0, "{made:?}");
    assert!(!made.stdout.contains("secret"), "{}", made.stdout);
    let file = dir.path().join("tokens/web1.token");
    assert_eq!(fs::read_to_string(&file).unwrap(), "convoy-token:v1:0000000000000000:secret\n");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    fails(&convoy(&fake.url, &create), 2, &["web1.token", "there already"]);
    assert_eq!(fake.asked().len(), 1, "a token was made whose secret has no place");
}

#[test]
fn a_dry_run_makes_no_token_and_mistakes_are_told_first() {
    let fake = token_maker();
    let would = convoy(&fake.url, &["token", "create", "--host", "web1", "--dry-run"]);
    assert_eq!((would.code(), would.stdout.contains("would: make 1 token for web1")), (0, true), "{would:?}");
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("hosts"), "web1\nnot a host\n").unwrap();
    let hosts = shown(&dir.path().join("hosts"));
    fails(&convoy(&fake.url, &["token", "create", "--hosts-file", &hosts]), 2, &["line 2"]);
    fails(&convoy(&fake.url, &["token", "create"]), 2, &["--host"]);
    assert!(fake.asked().is_empty());
}

#[test]
fn lists_and_revocations_speak_to_the_right_places() {
    let fake = Fake::start(|asked| {
        let body = match asked.path.split('?').next().unwrap() {
            "/v1/tokens" => json!({ "items": [{ "id": "00000000000000aa", "host": "web1", "state": "open",
                "created": "2026-01-01T00:00:00Z", "createdBy": "admin/ann", "expires": "2099-01-01T00:00:00Z" }] }),
            "/v1/identities" => json!({ "items": [{ "identity": "agent/web1", "key": "ab", "issuedHere": true,
                "issued": "2026-01-01T00:00:00Z", "expires": "2099-01-01T00:00:00Z" }] }),
            _ => json!({ "done": ["shut it out"], "dryRun": false }),
        };
        (200, body.to_string())
    });
    let list = convoy(&fake.url, &["token", "list"]);
    assert!(list.stdout.contains("00000000000000aa") && list.stdout.contains("admin/ann"), "{list:?}");
    let list = convoy(&fake.url, &["cert", "list"]);
    assert!(list.stdout.contains("agent/web1") && list.stdout.contains("control plane"), "{list:?}");
    let acts: [(&[&str], &str); 3] = [
        (&["token", "revoke", "00000000000000aa"], "/v1/tokens/00000000000000aa/revoke"),
        (&["host", "revoke", "web1"], "/v1/identities/agent/web1/revoke"),
        (&["cert", "revoke", "operator/bob"], "/v1/identities/operator/bob/revoke"),
    ];
    for (verb, path) in acts {
        let done = convoy(&fake.url, &[verb, &["--reason", "stolen", "--dry-run"]].concat());
        assert_eq!((done.code(), done.stdout.as_str()), (0, "shut it out\n"), "{done:?}");
        let asked = fake.asked().pop().unwrap();
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", path));
        let body: Value = serde_json::from_str(&asked.body).unwrap();
        assert_eq!(body, json!({ "reason": "stolen", "dryRun": true }));
    }
    fails(&convoy(&fake.url, &["cert", "revoke", "bob"]), 2, &["agent/web1"]);
}

#[test]
fn certificates_for_people_and_servers_are_made_offline() {
    let fleet = Fleet::new(&[]);
    let (ca, key, out) = (fleet.path("ca.pem"), fleet.path("ca.key"), fleet.path("people"));
    let by = ["--ca-certificate", &ca, "--ca-key", &key, "--out", &out];
    let issue = |more: &[&str]| run(CONVOY, &[&["cert", "issue"], more, &by[..]].concat());
    let bob = ["--role", "operator", "--name", "bob"];
    assert_eq!(issue(&bob).code(), 0);
    let show = |file: &str| run(CONVOY, &["cert", "show", file, "--json"]).json();
    assert_eq!(show(&fleet.path("people/bob.pem"))[0]["names"], json!(["convoy://operator/bob"]));
    let mode = fs::metadata(fleet.path("people/bob.key")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    fails(&issue(&bob), 2, &["bob.key", "there already"]);
    fails(&issue(&["--role", "king", "--name", "bob"]), 2, &["role"]);
    fails(&issue(&["--role", "viewer", "--name", "../bob"]), 2, &["user name"]);
    let before = fs::read_to_string(fleet.path("server.key")).unwrap();
    let dir = shown(fleet.dir.path());
    let server = ["cert", "server", "--name", "cp", "--ca-certificate", &ca, "--ca-key", &key, "--out", &dir];
    fails(&run(CONVOY, &server), 2, &["server.key", "there already"]);
    assert_eq!(run(CONVOY, &[&server[..], &["--replace"]].concat()).code(), 0);
    assert_ne!(fs::read_to_string(fleet.path("server.key")).unwrap(), before);
    assert_eq!(show(&fleet.path("server.pem"))[0]["names"], json!(["cp"]));
}

#[test]
fn settings_come_from_a_file_and_flags_are_stronger() {
    let fake = Fake::start(|_| (200, json!({ "items": [] }).to_string()));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("convoy/config.json");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, json!({ "controlPlane": fake.url }).to_string()).unwrap();
    let file = shown(&path);
    let list = |args: &[&str], env: &[(&str, &str)]| {
        let args = [&["host", "list"], args].concat();
        Process::start_with(CONVOY, &args, env).ended_within(Duration::from_secs(20))
    };
    let home = shown(dir.path());
    assert_eq!(list(&["--config", &file], &[]).code(), 0);
    assert_eq!(list(&[], &[("CONVOY_CONFIG", &file)]).code(), 0);
    assert_eq!(list(&[], &[("XDG_CONFIG_HOME", &home)]).code(), 0);
    fails(&list(&["--config", &file, "--control-plane", "http://127.0.0.1:9"], &[]), 3, &["127.0.0.1:9"]);
    fails(&list(&["--config", "/nowhere.json"], &[]), 2, &["/nowhere.json"]);
    fs::write(&path, "{").unwrap();
    fails(&list(&["--config", &file], &[]), 2, &["config.json", "JSON"]);
}

#[test]
fn half_an_identity_and_a_missing_authority_are_told_before_anything_is_sent() {
    let fleet = Fleet::new(&[]);
    let (ca, admin, key) = (fleet.path("ca.pem"), fleet.path("admin.pem"), fleet.path("admin.key"));
    let status = |more: &[&str]| convoy("https://127.0.0.1:9", &[&["status"], more].concat());
    fails(&status(&[]), 2, &["https needs the fleet's authority"]);
    fails(&status(&["--ca", &ca, "--certificate", &admin]), 2, &["go together", "--certificate-key"]);
    fails(&status(&["--ca", &key]), 2, &["no certificate"]);
    fails(&status(&["--ca", &ca, "--certificate", &admin, "--certificate-key", &key]), 3, &["refused"]);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let exposed = status(&["--ca", &ca, "--certificate", &admin, "--certificate-key", &key]);
    fails(&exposed, 2, &["admin.key", "chmod 600"]);
}

/// Signs what a script puts into a folder, as somebody with a hardware key would.
fn with_a_signer(dir: &Path, secret: [u8; 32], work: impl FnOnce(&str)) {
    let script = dir.join("signer");
    let at = dir.display();
    let text = format!(
        "#!/bin/sh\ncat > {at}/$$.new; mv {at}/$$.new {at}/$$.msg\n\
         while [ ! -f {at}/$$.sig ]; do sleep 0.02; done; cat {at}/$$.sig\n"
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let signer = thread::spawn({
        let (dir, done) = (dir.to_owned(), Arc::clone(&done));
        move || {
            let key = SigningKey::from_bytes(&secret);
            while !done.load(Ordering::SeqCst) {
                for entry in fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()) {
                    let signature = entry.with_extension("sig");
                    if entry.extension().is_some_and(|end| end == "msg") && !signature.exists() {
                        let made = STANDARD.encode(key.sign(&fs::read(&entry).unwrap()).to_bytes());
                        fs::write(entry.with_extension("half"), made).unwrap();
                        fs::rename(entry.with_extension("half"), signature).unwrap();
                    }
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
    });
    work(&shown(&script));
    done.store(true, Ordering::SeqCst);
    signer.join().unwrap();
}

fn secret_of(workshop: &Workshop) -> [u8; 32] {
    let text = fs::read_to_string(workshop.path("ci.key")).unwrap();
    STANDARD.decode(text.trim().rsplit(':').next().unwrap()).unwrap().try_into().unwrap()
}

#[test]
fn a_key_that_is_elsewhere_signs_through_a_command() {
    let workshop = Workshop::new();
    let secret = secret_of(&workshop);
    fs::remove_file(workshop.path("ci.key")).unwrap();
    let (manifest, public) = (workshop.path("manifest.json"), workshop.path("ci.pub"));
    let (out, trust) = (workshop.path("release.json"), workshop.path("trust.json"));
    with_a_signer(workshop.dir.path(), secret, |signer| {
        let by = ["--signer", signer, "--public", &public];
        let signed = run(CONVOY, &[&["release", "sign", "--manifest", &manifest, "--out", &out], &by[..]].concat());
        assert_eq!(signed.code(), 0, "{signed:?}");
        let renewed = run(CONVOY, &[&["release", "renew", &out, "--valid-for", "30d"], &by[..]].concat());
        assert_eq!(renewed.code(), 0, "{renewed:?}");
    });
    let verified = run(CONVOY, &["release", "verify", &out, "--trust", &trust]);
    assert_eq!(verified.code(), 0, "{verified:?}");
}

#[test]
fn a_signature_of_another_key_is_refused_and_nothing_is_written() {
    let workshop = Workshop::new();
    let (manifest, public, out) = (workshop.path("manifest.json"), workshop.path("ci.pub"), workshop.path("out.json"));
    let sign = ["release", "sign", "--manifest", &manifest, "--out", &out];
    with_a_signer(workshop.dir.path(), [7; 32], |signer| {
        let signed = run(CONVOY, &[&sign[..], &["--signer", signer, "--public", &public]].concat());
        fails(&signed, 2, &["does not fit the public key ci"]);
    });
    let failing = run(CONVOY, &[&sign[..], &["--signer", "false", "--public", &public]].concat());
    fails(&failing, 2, &["`false` ended with exit status 1"]);
    fails(&run(CONVOY, &[&sign[..], &["--signer", "false"]].concat()), 2, &["--public"]);
    fails(&run(CONVOY, &sign), 2, &["nothing was given to sign with", "--key"]);
    assert!(!Path::new(&out).exists());
}

#[test]
fn a_manifest_is_signed_and_published_in_one_step_with_the_settings_key() {
    let workshop = Workshop::new();
    let fake = Fake::start(|_| (409, json!({ "code": "seen", "message": "it came", "requestId": "r" }).to_string()));
    let settings = json!({ "controlPlane": fake.url, "releaseKey": "ci.key" });
    fs::write(workshop.path("convoy.json"), settings.to_string()).unwrap();
    let (config, manifest) = (workshop.path("convoy.json"), workshop.path("manifest.json"));
    let publish = ["--config", &config, "release", "publish", "--manifest", &manifest];
    fails(&run(CONVOY, &publish), 4, &["it came"]);
    fs::write(workshop.path("release.json"), &fake.asked()[0].body).unwrap();
    let verified =
        run(CONVOY, &["release", "verify", &workshop.path("release.json"), "--trust", &workshop.path("trust.json")]);
    assert_eq!(verified.code(), 0, "{verified:?}");
    let key = workshop.path("ci.key");
    fails(&run(CONVOY, &[&publish[..], &["release.json"]].concat()), 2, &["cannot be used with"]);
    fails(&run(CONVOY, &[&publish[..], &["--key", &key, "--sequence", "7"]].concat()), 4, &["it came"]);
    let body: Value = serde_json::from_str(&fake.asked()[1].body).unwrap();
    assert!(body["lease"]["statement"].as_str().unwrap().contains("\"sequence\":7"));
}
