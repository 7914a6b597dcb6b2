//! `convoy init`: what it makes, what it takes from elsewhere, and that it never overwrites or leaves halves behind.

use crate::process::{CONVOY, Ended, run, shown};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

/// A folder that `convoy init` made.
pub(crate) struct Fleet {
    pub(crate) dir: TempDir,
}

impl Fleet {
    pub(crate) fn new(more: &[&str]) -> Self {
        let fleet = Self { dir: tempfile::tempdir().unwrap() };
        let made = fleet.init("", more);
        assert_eq!(made.code(), 0, "{made:?}");
        fleet
    }

    /// Runs `init` into a folder below.
    fn init(&self, below: &str, more: &[&str]) -> Ended {
        let dir = shown(&self.dir.path().join(below));
        run(CONVOY, &[&["init", &dir, "--name", "127.0.0.1"], more].concat())
    }

    pub(crate) fn path(&self, name: &str) -> String {
        shown(&self.dir.path().join(name))
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&fs::read_to_string(self.path(name)).unwrap()).unwrap()
    }
}

/// Lists the files below a folder with their modes.
fn files(dir: &Path) -> BTreeSet<(String, u32)> {
    let mut found = BTreeSet::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                todo.push(entry);
                continue;
            }
            let mode = fs::metadata(&entry).unwrap().permissions().mode() & 0o777;
            found.insert((entry.strip_prefix(dir).unwrap().display().to_string(), mode));
        }
    }
    found
}

fn names(dir: &Path) -> BTreeSet<String> {
    files(dir).into_iter().map(|(name, _)| name).collect()
}

fn fails(ended: &Ended, says: &[&str]) {
    assert_eq!(ended.code(), 2, "{ended:?}");
    for word in says {
        assert!(ended.stderr.contains(word), "{word:?} is not in {}", ended.stderr);
    }
}

#[test]
fn one_step_makes_all_that_a_small_fleet_needs_and_secrets_are_private() {
    let fleet = Fleet::new(&["--host", "web1", "--host", "web2"]);
    let secret = |name: &str| (name.to_owned(), 0o600);
    let public = |name: &str| (name.to_owned(), 0o644);
    let expected: BTreeSet<(String, u32)> = [
        secret("release.key"),
        public("release.pub"),
        public("trust.json"),
        public("ca.pem"),
        secret("ca.key"),
        public("server.pem"),
        secret("server.key"),
        public("admin.pem"),
        secret("admin.key"),
        public("control-plane.json"),
        public("convoy.json"),
        public("first-tokens.json"),
        secret("hosts/web1.token"),
        public("hosts/web1.json"),
        secret("hosts/web2.token"),
        public("hosts/web2.json"),
        public("hosts/ca.pem"),
    ]
    .into_iter()
    .collect();
    assert_eq!(files(fleet.dir.path()), expected);
    let secret = fs::read_to_string(fleet.path("hosts/web1.token")).unwrap();
    let tokens = fleet.json("first-tokens.json");
    assert_eq!((tokens[0]["host"].as_str(), tokens[1]["host"].as_str()), (Some("web1"), Some("web2")));
    let id = tokens[0]["id"].as_str().unwrap();
    assert!(secret.contains(id) && !tokens.to_string().contains(secret.trim().rsplit(':').next().unwrap()));
}

#[test]
fn settings_name_each_other_and_the_certificates_are_what_they_should_be() {
    let fleet = Fleet::new(&["--host", "web1"]);
    let plane = fleet.json("control-plane.json");
    for (setting, file) in [
        ("tlsCertificate", "server.pem"),
        ("tlsKey", "server.key"),
        ("clientAuthorities", "ca.pem"),
        ("issuerCertificate", "ca.pem"),
        ("issuerKey", "ca.key"),
        ("trustFile", "trust.json"),
        ("firstTokens", "first-tokens.json"),
    ] {
        assert_eq!(plane[setting], json!(file), "{setting}");
    }
    let own = fleet.json("convoy.json");
    assert_eq!(own["controlPlane"], json!("https://127.0.0.1:7600"));
    assert_eq!((&own["certificate"], &own["releaseKey"]), (&json!("admin.pem"), &json!("release.key")));
    let agent = fleet.json("hosts/web1.json");
    assert_eq!(agent, json!({"host": "web1", "ca": "ca.pem", "tokenFile": "web1.token"}));
    let show = |name: &str| run(CONVOY, &["cert", "show", &fleet.path(name), "--json"]).json();
    assert_eq!(show("admin.pem")[0]["names"], json!(["convoy://admin/admin"]));
    assert_eq!(show("server.pem")[0]["names"], json!(["127.0.0.1"]));
    assert_eq!((&show("ca.pem")[0]["authority"], &show("admin.pem")[0]["authority"]), (&json!(true), &json!(false)));
    let text = run(CONVOY, &["cert", "show", &fleet.path("admin.pem")]).stdout;
    assert!(text.contains("convoy://admin/admin") && text.contains("expires:"), "{text}");
}

#[test]
fn the_next_steps_are_told_in_order_and_for_the_shell() {
    let dir = tempfile::tempdir().unwrap();
    let at = shown(&dir.path().join("my fleet"));
    let made = run(CONVOY, &["init", &at, "--host", "web1"]);
    assert_eq!(made.code(), 0, "{made:?}");
    let steps = ["convoy-cp run --config", "convoy-agent run --config", "release publish --manifest", "status"];
    let places: Vec<usize> = steps.iter().map(|step| made.stdout.find(step).expect(step)).collect();
    assert!(places.is_sorted(), "{}", made.stdout);
    assert!(made.stdout.contains("my fleet/'/control-plane.json"), "{}", made.stdout);
    assert!(made.stdout.contains("release.key  (secret)"), "{}", made.stdout);
}

#[test]
fn nothing_is_overwritten_and_a_failure_leaves_nothing() {
    let fleet = Fleet::new(&[]);
    let before = fs::read_to_string(fleet.path("ca.key")).unwrap();
    fails(&fleet.init("", &[]), &["there already"]);
    assert_eq!(fs::read_to_string(fleet.path("ca.key")).unwrap(), before);
    // One file alone is there, the last to be written.
    fs::create_dir(fleet.path("second")).unwrap();
    fs::write(fleet.path("second/convoy.json"), "mine").unwrap();
    fails(&fleet.init("second", &["--host", "web1"]), &["convoy.json", "there already"]);
    assert_eq!(names(&fleet.dir.path().join("second")), BTreeSet::from(["convoy.json".to_owned()]));
    // A file where a folder has to be: this shows only once others were written.
    fs::create_dir(fleet.path("third")).unwrap();
    fs::write(fleet.path("third/hosts"), "mine").unwrap();
    assert_eq!(fleet.init("third", &["--host", "web1"]).code(), 1);
    assert_eq!(names(&fleet.dir.path().join("third")), BTreeSet::from(["hosts".to_owned()]));
    let missing = fleet.path("missing.pem");
    let none = fleet.init("fourth", &["--ca-certificate", &missing, "--ca-key", &missing]);
    fails(&none, &[&missing]);
    assert!(!Path::new(&fleet.path("fourth")).exists());
}

#[test]
fn each_secret_can_come_from_elsewhere_and_is_not_copied() {
    let old = Fleet::new(&[]);
    let path = |name: &str| old.path(name);
    let (ca, ca_key) = (path("ca.pem"), path("ca.key"));
    let authority = ["--ca-certificate", &ca, "--ca-key", &ca_key];
    let made = old.init("new", &authority);
    assert_eq!(made.code(), 0, "{made:?}");
    let new = old.dir.path().join("new");
    assert!(!names(&new).contains("ca.key"));
    let plane = old.json("new/control-plane.json");
    assert_eq!(plane["issuerKey"], json!(ca_key));
    let all = [
        "--release-public",
        &path("release.pub"),
        "--server-certificate",
        &path("server.pem"),
        "--server-key",
        &path("server.key"),
        "--admin-certificate",
        &path("admin.pem"),
        "--admin-key",
        &path("admin.key"),
        "--ca-certificate",
        &ca,
    ];
    let made = old.init("bare", &all);
    assert_eq!(made.code(), 0, "{made:?}");
    let bare = old.dir.path().join("bare");
    let expected = ["trust.json", "ca.pem", "control-plane.json", "convoy.json"].map(str::to_owned);
    assert_eq!(names(&bare), BTreeSet::from(expected));
    assert!(files(&bare).iter().all(|(_, mode)| *mode == 0o644), "a secret was copied");
    let plane = old.json("bare/control-plane.json");
    assert_eq!((&plane["tlsKey"], &plane["issuerKey"]), (&json!(path("server.key")), &Value::Null));
    assert_eq!(old.json("bare/convoy.json")["key"], json!(path("admin.key")));
    assert_eq!(old.json("bare/trust.json"), old.json("trust.json"));
}

#[test]
fn what_comes_from_elsewhere_has_to_fit() {
    let (ours, theirs) = (Fleet::new(&[]), Fleet::new(&[]));
    let (ca, ca_key) = (ours.path("ca.pem"), ours.path("ca.key"));
    let with = |below: &str, more: &[&str]| {
        ours.init(below, &[&["--ca-certificate", &ca, "--ca-key", &ca_key], more].concat())
    };
    let (admin, key) = (theirs.path("admin.pem"), theirs.path("admin.key"));
    fails(&with("a", &["--admin-certificate", &admin, "--admin-key", &key]), &["admin.pem", "--ca-certificate"]);
    let own_key = ours.path("admin.key");
    fails(&with("b", &["--admin-certificate", &admin, "--admin-key", &own_key]), &["is not the private key of"]);
    let (server, key) = (theirs.path("server.pem"), theirs.path("server.key"));
    fails(&with("c", &["--server-certificate", &server, "--server-key", &key]), &["append its own authority's"]);
    let (server, key) = (ours.path("server.pem"), ours.path("server.key"));
    let other_name = ["--name", "cp.example.org", "--server-certificate", &server, "--server-key", &key];
    fails(&with("d", &other_name), &["cp.example.org"]);
    fails(&ours.init("e", &["--ca-certificate", &ca]), &["--server-certificate is needed"]);
    for below in ["a", "b", "c", "d", "e"] {
        assert!(!Path::new(&ours.path(below)).exists(), "{below} was left behind");
    }
}

#[test]
fn a_server_of_another_authority_brings_what_verifies_it() {
    let (ours, public) = (Fleet::new(&[]), Fleet::new(&[]));
    let chain =
        fs::read_to_string(public.path("server.pem")).unwrap() + &fs::read_to_string(public.path("ca.pem")).unwrap();
    fs::write(public.path("chain.pem"), chain).unwrap();
    let (chain, key) = (public.path("chain.pem"), public.path("server.key"));
    let made = ours.init("new", &["--host", "web1", "--server-certificate", &chain, "--server-key", &key]);
    assert_eq!(made.code(), 0, "{made:?}");
    let read = |name: &str| fs::read_to_string(name).unwrap();
    assert_eq!(read(&ours.path("new/server-ca.pem")), read(&public.path("ca.pem")));
    assert_eq!(read(&ours.path("new/hosts/ca.pem")), read(&public.path("ca.pem")));
    assert_eq!(ours.json("new/convoy.json")["ca"], json!("server-ca.pem"));
    assert_eq!(ours.json("new/control-plane.json")["clientAuthorities"], json!("ca.pem"));
}

#[test]
fn addresses_that_nobody_would_find_are_refused() {
    let fleet = Fleet::new(&[]);
    fails(&fleet.init("a", &["--listen", "0.0.0.0:0"]), &["port 0"]);
    let dir = fleet.path("b");
    fails(
        &run(CONVOY, &["init", &dir, "--name", "cp.example.org", "--listen", "127.0.0.1:7600"]),
        &["--name 127.0.0.1"],
    );
    let made = run(CONVOY, &["init", &dir, "--listen", "[::1]:7601", "--json"]);
    assert_eq!(made.json()["controlPlane"], json!("https://[::1]:7601"));
}
