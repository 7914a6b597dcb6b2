//! The operator's command without a control plane: keys, signing, mistakes, and what they are told.

use crate::process::{CONVOY, Ended, Process, convoy, run, shown};
use serde_json::{Value, json};
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// Where nobody listens: a port that was free a moment ago.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn fails(ended: &Ended, code: i32, says: &[&str]) {
    assert_eq!(ended.code(), code, "{ended:?}");
    assert!(ended.stdout.is_empty(), "{ended:?}");
    assert!(ended.stderr.starts_with("error: "), "{ended:?}");
    for word in says {
        assert!(ended.stderr.contains(word), "{word:?} is not in {}", ended.stderr);
    }
}

/// A folder with a key, its trust file and a manifest of two waves.
pub(crate) struct Workshop {
    pub(crate) dir: TempDir,
}

impl Workshop {
    pub(crate) fn new() -> Self {
        let workshop = Self { dir: tempfile::tempdir().unwrap() };
        let (out, trust) = (shown(workshop.dir.path()), workshop.path("trust.json"));
        let made = run(CONVOY, &["keygen", "ci", "--out", &out, "--trust", &trust]);
        assert_eq!(made.code(), 0, "{made:?}");
        workshop.manifest("stable@1", 1);
        workshop
    }

    pub(crate) fn path(&self, name: &str) -> String {
        shown(&self.dir.path().join(name))
    }

    /// Writes `manifest.json`: host web1 alone, then web2 and web3.
    pub(crate) fn manifest(&self, id: &str, version: u32) {
        let closure = |host: &str| format!("/nix/store/{version:032}-nixos-system-{host}-26.05");
        let host = |host: &str| (host.to_owned(), json!({ "closure": closure(host) }));
        let hosts: serde_json::Map<_, _> = ["web1", "web2", "web3"].map(host).into_iter().collect();
        let manifest = json!({
            "schema": "convoy.release/1", "release": id, "hosts": hosts,
            "waves": [{ "name": "canary", "hosts": ["web1"] }, { "name": "rest", "hosts": ["web2", "web3"] }],
        });
        fs::write(self.path("manifest.json"), manifest.to_string()).unwrap();
    }

    pub(crate) fn sign(&self, more: &[&str]) -> Ended {
        let (manifest, key, out) = (self.path("manifest.json"), self.path("ci.key"), self.path("release.json"));
        let args = ["release", "sign", "--manifest", &manifest, "--key", &key, "--out", &out];
        run(CONVOY, &[&args, more].concat())
    }

    fn verify(&self) -> Ended {
        run(CONVOY, &["release", "verify", &self.path("release.json"), "--trust", &self.path("trust.json")])
    }
}

#[test]
fn a_key_signs_what_its_trust_file_verifies() {
    let workshop = Workshop::new();
    let mode = fs::metadata(workshop.path("ci.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let signed = workshop.sign(&["--sequence", "7", "--json"]);
    assert_eq!(signed.code(), 0, "{signed:?}");
    assert_eq!((signed.json()["id"].as_str(), signed.json()["sequence"].as_u64()), (Some("stable@1"), Some(7)));
    let verified = workshop.verify();
    assert_eq!(verified.code(), 0, "{verified:?}");
    assert!(verified.stdout.contains("sequence 7"), "{verified:?}");
}

#[test]
fn show_tells_waves_hosts_and_how_fast_a_host_is_back() {
    let workshop = Workshop::new();
    assert_eq!(workshop.sign(&[]).code(), 0);
    let text = run(CONVOY, &["release", "show", &workshop.path("release.json")]);
    for word in ["stable@1", "canary", "web1", "brings itself back", "after the start of its switch"] {
        assert!(text.stdout.contains(word), "{word:?} is not in {}", text.stdout);
    }
    let json = run(CONVOY, &["release", "show", &workshop.path("release.json"), "--json"]).json();
    let limits = &json["selfRollback"];
    assert!(limits["backByMs"].as_u64() > limits["absoluteEndMs"].as_u64(), "{json}");
    assert_eq!(json["waves"][1]["hosts"], json!(["web2", "web3"]));
}

#[test]
fn show_promises_no_way_back_where_policy_keeps_what_failed() {
    let workshop = Workshop::new();
    let path = workshop.path("manifest.json");
    let mut manifest: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    manifest["policy"] = json!({ "onFailure": "keep" });
    fs::write(&path, manifest.to_string()).unwrap();
    assert_eq!(workshop.sign(&[]).code(), 0);
    let release = workshop.path("release.json");
    let text = run(CONVOY, &["release", "show", &release]).stdout;
    assert!(text.contains("No host brings itself back") && !text.contains("within"), "{text}");
    assert!(run(CONVOY, &["release", "show", &release, "--json"]).json()["selfRollback"].is_null());
}

#[test]
fn a_dry_run_of_signing_writes_nothing() {
    let workshop = Workshop::new();
    let signed = workshop.sign(&["--dry-run"]);
    assert_eq!(signed.code(), 0, "{signed:?}");
    assert!(!Path::new(&workshop.path("release.json")).exists());
}

#[test]
fn a_renewed_lease_keeps_manifest_and_sequence() {
    let workshop = Workshop::new();
    workshop.sign(&["--sequence", "7", "--valid-for", "1d"]);
    let show = || run(CONVOY, &["release", "show", &workshop.path("release.json"), "--json"]).json();
    let before = show();
    let args = ["release", "renew", &workshop.path("release.json"), "--key", &workshop.path("ci.key")];
    assert_eq!(run(CONVOY, &[&args[..], &["--valid-for", "30d"]].concat()).code(), 0);
    let after = show();
    assert_eq!((&before["digest"], &before["sequence"]), (&after["digest"], &after["sequence"]));
    assert!(before["expires"].as_str() < after["expires"].as_str());
    assert_eq!(workshop.verify().code(), 0);
}

#[test]
fn a_changed_release_does_not_verify() {
    let workshop = Workshop::new();
    workshop.sign(&[]);
    let text = fs::read_to_string(workshop.path("release.json")).unwrap();
    fs::write(workshop.path("release.json"), text.replace("web2", "web9")).unwrap();
    fails(&workshop.verify(), 6, &["0 good signature(s)"]);
}

#[test]
fn a_truncated_or_foreign_file_is_no_release() {
    let workshop = Workshop::new();
    workshop.sign(&[]);
    let text = fs::read_to_string(workshop.path("release.json")).unwrap();
    for bad in [&text[..text.len() / 2], "", "{}", "\0\0", &"[".repeat(100_000)] {
        fs::write(workshop.path("release.json"), bad).unwrap();
        fails(&workshop.verify(), 2, &["release.json"]);
    }
}

#[test]
fn a_key_is_never_overwritten_and_must_be_private() {
    let workshop = Workshop::new();
    let before = fs::read(workshop.path("ci.key")).unwrap();
    let out = shown(workshop.dir.path());
    fails(&run(CONVOY, &["keygen", "ci", "--out", &out]), 2, &["ci.key", "there already"]);
    assert_eq!(fs::read(workshop.path("ci.key")).unwrap(), before);
    fs::set_permissions(workshop.path("ci.key"), fs::Permissions::from_mode(0o644)).unwrap();
    fails(&workshop.sign(&[]), 2, &["ci.key", "chmod 600"]);
    fails(&run(CONVOY, &["keygen", "../evil", "--out", &out]), 2, &["name"]);
}

#[test]
fn keys_join_a_trust_file_and_a_broken_one_is_left_alone() {
    let workshop = Workshop::new();
    let (out, trust) = (shown(workshop.dir.path()), workshop.path("trust.json"));
    let second = run(CONVOY, &["keygen", "ops", "--out", &out, "--trust", &trust]);
    assert!(second.stdout.contains("1 of 2 keys"), "{second:?}");
    fs::write(&trust, "{").unwrap();
    fails(&run(CONVOY, &["keygen", "third", "--out", &out, "--trust", &trust]), 2, &["trust file"]);
    assert_eq!(fs::read_to_string(&trust).unwrap(), "{");
    assert!(!Path::new(&workshop.path("third.key")).exists(), "a key was left behind by a command that failed");
}

#[test]
fn every_mistake_of_a_manifest_is_told_at_once() {
    let workshop = Workshop::new();
    let text = fs::read_to_string(workshop.path("manifest.json")).unwrap();
    let text = text.replace("[\"web1\"]", "[\"web1\",\"web7\",\"web8\"]");
    fs::write(workshop.path("manifest.json"), text).unwrap();
    fails(&workshop.sign(&[]), 2, &["manifest.json", "web7", "web8"]);
    assert!(!Path::new(&workshop.path("release.json")).exists());
}

#[test]
fn missing_files_are_named() {
    let workshop = Workshop::new();
    let missing = workshop.path("missing");
    let key = workshop.path("ci.key");
    fails(&run(CONVOY, &["release", "show", &missing]), 2, &[&missing]);
    fails(&run(CONVOY, &["release", "sign", "--manifest", &missing, "--key", &key, "--out", "x"]), 2, &[&missing]);
    workshop.sign(&[]);
    let release = workshop.path("release.json");
    fails(&run(CONVOY, &["release", "verify", &release, "--trust", &missing]), 2, &[&missing]);
    fails(&run(CONVOY, &["release", "show", "nonsense"]), 2, &["neither a file nor a release id"]);
}

#[test]
fn wrong_flags_exit_with_2_and_show_the_usage() {
    for args in
        [&["rollout", "show"][..], &["rollout", "show", "no-at-sign"], &["nonsense"], &["events", "--after", "-1"]]
    {
        let ended = run(CONVOY, args);
        assert_eq!(ended.code(), 2, "{ended:?}");
        assert!(ended.stderr.starts_with("error: ") && ended.stdout.is_empty(), "{ended:?}");
    }
}

#[test]
fn nobody_listening_is_exit_3_with_a_hint_for_every_verb_that_asks() {
    let nobody = nobody();
    let verbs: [&[&str]; 10] = [
        &["status"],
        &["rollout", "list"],
        &["rollout", "show", "stable@1"],
        &["rollout", "pause", "stable@1"],
        &["host", "list"],
        &["why", "web1"],
        &["events"],
        &["events", "--follow"],
        &["watch"],
        &["watch", "stable@1"],
    ];
    for verb in verbs {
        fails(&convoy(&nobody, verb), 3, &[&nobody, "hint: ", "--control-plane"]);
    }
}

#[test]
fn an_address_off_loopback_is_refused_before_anything_is_sent() {
    fails(&convoy("http://192.0.2.1:7600", &["status"]), 2, &["192.0.2.1", "loopback"]);
    fails(&convoy("ftp://127.0.0.1", &["status"]), 2, &["http://"]);
}

#[test]
fn something_else_on_the_port_is_told_apart_from_a_control_plane() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut head = [0_u8; 1024];
        let _ = socket.read(&mut head).unwrap();
        std::io::Write::write_all(&mut socket, b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>").unwrap();
    });
    fails(&convoy(&url, &["status"]), 1, &["can't be read", "same version"]);
    server.join().unwrap();
}

#[test]
fn a_silent_control_plane_can_be_left_with_ctrl_c() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // A shell's background jobs ignore SIGINT, and so would all that these tests start there.
    let process = Process::start("env", &["--default-signal=INT", CONVOY, "status", "--control-plane", &url]);
    let (mut socket, _) = listener.accept().unwrap();
    let mut head = [0_u8; 1024];
    assert!(socket.read(&mut head).unwrap() > 0);
    process.signal(nix::sys::signal::Signal::SIGINT);
    let ended = process.ended_within(Duration::from_secs(10));
    assert_eq!(ended.code(), -1, "ended by the signal itself: {ended:?}");
}

#[test]
fn nobody_reading_the_output_is_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended =
        Process::start_writing_to(CONVOY, &["completions", "bash"], writer).ended_within(Duration::from_secs(20));
    assert_eq!((ended.code(), ended.stderr.as_str()), (0, ""));
}

#[test]
fn completions_are_there_for_each_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(CONVOY, &["completions", shell]);
        assert!(script.code() == 0 && script.stdout.contains("rollout"), "{shell}: {script:?}");
    }
}

#[test]
fn a_full_disk_leaves_the_old_release_and_says_so() {
    let workshop = Workshop::new();
    workshop.sign(&[]);
    let before = fs::read(workshop.path("release.json")).unwrap();
    let out: PathBuf = workshop.dir.path().join("release.json");
    let script = format!("ulimit -f 0; exec {CONVOY} release renew {} --key {}", shown(&out), workshop.path("ci.key"));
    let ended = run("/bin/sh", &["-c", &script]);
    fails(&ended, 1, &["release.json", "make room"]);
    assert_eq!(fs::read(&out).unwrap(), before);
}
