//! A control plane killed with SIGKILL in the middle of its own work goes on with it at the next start.

use crate::process::{CONVOY, ControlPlane, PATIENCE, Process, until};
use convoy::runtime::clock::{Clock, SystemClock};
use convoy::runtime::entropy::seeded;
use convoy::trust::{Lease, SigningKey, TrustFile, draft, sign_release};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::time::Duration;

/// More hosts than a control plane makes records for in one transaction, several times over.
const HOSTS: usize = 2000;

/// Writes a trust file and a signed release for many hosts; returns the path of the release.
fn prepare(dir: &Path) -> String {
    let key = SigningKey::generate("ci", &mut seeded(3)).unwrap();
    std::fs::write(dir.join("trust.json"), TrustFile::new(1, [key.public()]).unwrap().to_json()).unwrap();
    let names: Vec<String> = (0..HOSTS).map(|n| format!("host{n:05}")).collect();
    let target = |name: &String| {
        let closure = format!("/nix/store/{}-nixos-system-{name}", "a".repeat(32));
        (name.clone(), json!({ "closure": closure }))
    };
    let manifest = json!({
        "schema": "convoy.release/1",
        "release": "stable@1",
        "hosts": names.iter().map(target).collect::<Map<_, _>>(),
        "waves": [{ "name": "all", "hosts": names }],
    });
    let issued = SystemClock.wall();
    let lease = Lease { sequence: 1, issued, expires: issued.plus(Duration::from_secs(86_400)) };
    let signed = sign_release(&draft(&manifest.to_string()).unwrap(), &[key], &lease).unwrap();
    let release = dir.join("release.json");
    std::fs::write(&release, serde_json::to_vec(&signed).unwrap()).unwrap();
    release.to_str().unwrap().to_owned()
}

fn rollouts(plane: &ControlPlane) -> Vec<Value> {
    let listed = plane.convoy(&["rollout", "list", "--json"]);
    assert_eq!(listed.code(), 0, "{listed:?}");
    listed.json().as_array().unwrap().clone()
}

#[test]
fn a_publishing_that_was_killed_is_whole_after_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let release = prepare(dir.path());
    let trust = dir.path().join("trust.json");
    let mut first = ControlPlane::start(dir.path(), &trust, &[]);
    let _publisher = Process::start_with(CONVOY, &["release", "publish", &release], &first.variables());
    until("sign of the rollout", PATIENCE, || rollouts(&first).pop());
    first.process.kill();

    let second = ControlPlane::start(dir.path(), &trust, &[]);
    let shown = rollouts(&second).pop().unwrap();
    assert_eq!(shown["state"], "Advancing", "{shown}");
    assert_eq!((shown["waves"][0]["waiting"].as_u64(), shown["waves"][0]["hosts"].as_u64()), (Some(2000), Some(2000)));
    let again = second.convoy(&["release", "publish", &release]);
    assert_eq!(again.code(), 0, "{again:?}");
    assert!(again.stdout.contains("there already"), "{again:?}");
}
