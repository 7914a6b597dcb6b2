//! `convoy demo` as a user runs it: real processes, one seed, and nothing left behind.

use crate::process::{CONVOY, Ended, PATIENCE, Process, until};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// The demo's own limits are far above what it needs; a busy machine may use some of it.
const DEMO_LIMIT: Duration = Duration::from_secs(240);

/// Starts the demo with its temporary files in `tmp`.
fn start(tmp: &Path, args: &[&str]) -> Process {
    let mut all = vec!["demo"];
    all.extend(args);
    Process::start_with(CONVOY, &all, &[("TMPDIR", tmp.to_str().unwrap())])
}

/// Lists the processes that have this directory in their arguments.
fn processes_of(dir: &Path) -> Vec<String> {
    let dir = dir.to_str().unwrap().as_bytes();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(argv) = fs::read(entry.path().join("cmdline")) else { continue };
        if argv.windows(dir.len()).any(|part| part == dir) {
            found.push(String::from_utf8_lossy(&argv).replace('\0', " "));
        }
    }
    found
}

fn nothing_is_left(dir: &Path) {
    until("end of every process of the demo", PATIENCE, || processes_of(dir).is_empty().then_some(()));
    let left: Vec<_> = fs::read_dir(dir).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

fn last_line(ended: &Ended) -> Value {
    let line = ended.stdout.lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or_else(|error| panic!("the last line is not JSON ({error}): {ended:?}"))
}

#[test]
fn the_main_job_survives_kills_and_a_lost_memory_and_undoes_a_bad_release() {
    let tmp = tempfile::tempdir().unwrap();
    let ended = start(tmp.path(), &["--json", "--hosts", "5", "--seed", "7"]).ended_within(DEMO_LIMIT);
    let report = last_line(&ended);
    assert_eq!((ended.code(), &report["ok"]), (0, &Value::Bool(true)), "{ended:?}");
    let figure = |name: &str| report[name].as_u64().unwrap_or_else(|| panic!("no figure {name}: {report}"));
    assert_eq!((figure("hosts"), figure("converged"), figure("failed"), figure("in_flight")), (5, 5, 0, 0));
    assert_eq!((figure("duplicate_activations"), figure("events_missing"), figure("soak_clock_resets")), (0, 0, 0));
    assert!(figure("reverted") >= 1 && figure("snapshots_applied") >= 1 && figure("state_wipes") == 1);
    assert!(figure("agent_kills") >= 3 && figure("cp_kills") >= 2);
    assert!((2..=figure("wave_limit")).contains(&figure("max_in_flight")));
    // Each host switched to release 1; those that the bad release reached switched there and back.
    assert_eq!(figure("activations"), 5 + 2 * figure("reverted"));
    nothing_is_left(tmp.path());
}

#[test]
fn an_interrupt_in_the_middle_leaves_nothing_behind() {
    let tmp = tempfile::tempdir().unwrap();
    let demo = start(tmp.path(), &["--hosts", "4", "--seed", "1", "--scenario", "good"]);
    until("the first host in its soak", PATIENCE, || demo.stdout().contains("its soak begins").then_some(()));
    demo.signal(Signal::SIGINT);
    let ended = demo.ended_within(PATIENCE);
    assert_eq!(ended.code(), 130, "{ended:?}");
    nothing_is_left(tmp.path());
}

#[test]
fn a_demo_that_is_killed_takes_its_processes_with_it() {
    let tmp = tempfile::tempdir().unwrap();
    let mut demo = start(tmp.path(), &["--hosts", "4", "--seed", "1", "--scenario", "good"]);
    until("the first host in its soak", PATIENCE, || demo.stdout().contains("its soak begins").then_some(()));
    demo.kill();
    until("end of every process of the demo", PATIENCE, || processes_of(tmp.path()).is_empty().then_some(()));
}

#[test]
fn too_few_hosts_and_a_directory_in_use_are_refused_before_anything_starts() {
    let tmp = tempfile::tempdir().unwrap();
    let few = start(tmp.path(), &["--hosts", "3"]).ended_within(PATIENCE);
    assert_eq!(few.code(), 2);
    assert!(few.stderr.contains("4 to 100"), "{few:?}");
    fs::write(tmp.path().join("mine"), "x").unwrap();
    let kept = start(tmp.path(), &["--keep", tmp.path().to_str().unwrap()]).ended_within(PATIENCE);
    assert_eq!(kept.code(), 2);
    assert!(kept.stderr.contains("not empty") && kept.stderr.contains("new directory"), "{kept:?}");
}
