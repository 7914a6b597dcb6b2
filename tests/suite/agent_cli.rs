//! `convoy-agent` as a process: settings, and two agents on one state directory.

use crate::ctl_init::Fleet;
use crate::process::{CONVOY, CONVOY_AGENT, PATIENCE, Process, run, shown, until};
use crate::sim_world::{Disk, good, quick_machine};
use nix::sys::signal::Signal;
use serde_json::json;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

fn settings(dir: &Path, body: &serde_json::Value) -> PathBuf {
    let path = dir.join("agent.json");
    std::fs::write(&path, body.to_string()).unwrap();
    path
}

fn check(dir: &Path, body: &serde_json::Value) -> (i32, String) {
    let path = settings(dir, body);
    let ended = run(CONVOY_AGENT, &["check-config", "--config", path.to_str().unwrap()]);
    (ended.code(), format!("{}{}", ended.stdout, ended.stderr))
}

#[test]
fn settings_are_checked_whole() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(check(dir.path(), &json!({"host": "web1"})), (0, "the settings are valid\n".to_owned()));
    let (code, said) = check(dir.path(), &json!({"host": "-", "stateDir": "here"}));
    assert_eq!(code, 2);
    assert!(said.contains("host:") && said.contains("stateDir:"), "{said}");
    let missing = run(CONVOY_AGENT, &["check-config", "--config", "/nowhere/agent.json"]);
    assert_eq!(missing.code(), 2);
    assert!(missing.stderr.contains("/nowhere/agent.json"), "{}", missing.stderr);
}

#[test]
fn what_is_wrong_with_the_identitys_files_is_told_with_all_else() {
    let fleet = Fleet::new(&["--host", "web1"]);
    let config = fleet.path("hosts/web1.json");
    let checked = run(CONVOY_AGENT, &["check-config", "--config", &config]);
    assert_eq!(checked.code(), 0, "{checked:?}");
    std::fs::write(fleet.path("hosts/ca.pem"), "no certificate").unwrap();
    std::fs::set_permissions(fleet.path("hosts/web1.token"), Permissions::from_mode(0o644)).unwrap();
    let checked = run(CONVOY_AGENT, &["check-config", "--config", &config]);
    assert_eq!(checked.code(), 2, "{checked:?}");
    for words in ["ca: ", "tokenFile: ", "chmod 600"] {
        assert!(checked.stderr.contains(words), "{words:?} is not in {}", checked.stderr);
    }
}

#[test]
fn an_identity_is_shown_without_its_secret() {
    let fleet = Fleet::new(&[]);
    let (ca, key) = (fleet.path("ca.pem"), fleet.path("ca.key"));
    let out = fleet.path("made");
    let issue = ["cert", "issue", "--role", "agent", "--name", "web1", "--ca-certificate", &ca, "--ca-key", &key];
    let issued = run(CONVOY, &[&issue[..], &["--out", &out]].concat());
    assert_eq!(issued.code(), 0, "{issued:?}");
    let pair = json!({"host": "web1", "ca": ca, "certificate": "made/web1.pem", "key": "made/web1.key"});
    let path = settings(fleet.dir.path(), &pair);
    let text = run(CONVOY_AGENT, &["identity", "--config", &shown(&path)]);
    assert_eq!(text.code(), 0, "{text:?}");
    for words in ["web1", "good", "others", "made/web1.key"] {
        assert!(text.stdout.contains(words), "{words:?} is not in {}", text.stdout);
    }
    let json = run(CONVOY_AGENT, &["identity", "--json", "--config", &shown(&path)]).json();
    assert_eq!((&json["state"], &json["managedByAgent"]), (&json!("good"), &json!(false)));
    assert!(!json.to_string().contains("PRIVATE"));
    let own = settings(fleet.dir.path(), &json!({"host": "web1", "ca": ca, "identityDir": fleet.path("id")}));
    let json = run(CONVOY_AGENT, &["identity", "--json", "--config", &shown(&own)]).json();
    assert_eq!(json["state"], json!("none"));
    std::fs::create_dir(fleet.path("id")).unwrap();
    std::fs::copy(fleet.path("made/web1.key"), fleet.path("id/key.pem")).unwrap();
    std::fs::copy(fleet.path("admin.pem"), fleet.path("id/certificate.pem")).unwrap();
    let json = run(CONVOY_AGENT, &["identity", "--json", "--config", &shown(&own)]).json();
    assert_eq!(json["state"], json!("key-only"));
    assert!(json["why"].as_str().unwrap().contains("admin/admin"), "{json}");
}

#[test]
fn a_real_host_has_to_know_its_control_plane() {
    let dir = tempfile::tempdir().unwrap();
    let path = settings(dir.path(), &json!({"host": "web1", "stateDir": dir.path().join("state")}));
    let ended = run(CONVOY_AGENT, &["run", "--config", path.to_str().unwrap()]);
    assert_eq!(ended.code(), 1);
    assert!(ended.stderr.contains("controlPlane"), "{}", ended.stderr);
}

/// A simulated host without an agent of its own, and the settings of one.
fn host() -> (Disk, PathBuf) {
    let mut disk = Disk::new(quick_machine(), &[good("web1-0", "http://127.0.0.1:9")], None);
    disk.boot();
    let state = disk.dir.path().join("state");
    let path = settings(disk.dir.path(), &json!({"host": "web1", "simulate": disk.home(), "stateDir": state}));
    (disk, path)
}

fn agent(config: &Path) -> Process {
    Process::start(CONVOY_AGENT, &["run", "--config", &shown(config)])
}

/// Waits until the agent has its journal, and returns its first line.
fn journal(disk: &Disk) -> String {
    let path = disk.dir.path().join("state/journal");
    until("journal", PATIENCE, || {
        let text = std::fs::read_to_string(&path).ok()?;
        text.lines().next().map(str::to_owned)
    })
}

#[test]
fn a_second_agent_on_one_state_directory_is_refused_and_the_first_goes_on() {
    let (disk, config) = host();
    let mut first = agent(&config);
    journal(&disk);
    let second = agent(&config).ended_within(PATIENCE);
    assert_eq!(second.code(), 1);
    assert!(second.stderr.contains("another agent uses the state directory"), "{}", second.stderr);
    assert!(first.is_running());
}

#[test]
fn a_killed_agent_goes_on_in_its_journal_and_one_that_is_told_to_end_does() {
    let (disk, config) = host();
    let mut first = agent(&config);
    let line = journal(&disk);
    first.kill();
    let second = agent(&config);
    until("second agent", PATIENCE, || second.stderr().contains("recovering without").then_some(()));
    assert_eq!(journal(&disk), line);
    second.signal(Signal::SIGTERM);
    let ended = second.ended_within(PATIENCE);
    assert_eq!(ended.code(), 0, "{ended:?}");
}

#[test]
fn a_journal_of_a_newer_format_is_left_alone() {
    let (disk, config) = host();
    let state = disk.dir.path().join("state");
    std::fs::create_dir_all(&state).unwrap();
    // The checksum of format 2 over `{}`, as a newer agent would write it.
    let line = "2 5039d871 {}\n";
    std::fs::write(state.join("journal"), line).unwrap();
    let ended = agent(&config).ended_within(PATIENCE);
    assert_eq!(ended.code(), 1);
    assert!(ended.stderr.contains("format 2"), "{}", ended.stderr);
    assert_eq!(std::fs::read_to_string(state.join("journal")).unwrap(), line);
}
