//! Power cuts under a real agent and control plane, files that are older than they were, two machines with one memory,
//! and clocks that jump or outlive a kill.

use crate::process::{CONVOY_AGENT, PATIENCE, Process, run, until};
use crate::recovery_fleet::{Change, Draft, Fleet, Release, SOAK, UNIT, millis, uptime_ms};
use convoy::client::operator::HostAct;
use convoy::model::host_rollout::HostRolloutState::{Activating, Converged, Pending, Reverted};
use convoy::model::root_record::RootState;
use convoy::system::sim::closure::{SimClosure, UnitState};
use convoy::system::sim::log::{Act, By};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Three hours in milliseconds.
const THREE_HOURS: i64 = 3 * 3_600_000;

/// Cuts the power once `moment` has come; the prior boots, and the release is carried out all the same.
fn power_cut(change: Change, moment: fn(&Fleet, &Release)) {
    let mut fleet = Fleet::start(1);
    let host = fleet.hosts[0].clone();
    let release = fleet.publish("stable@1", change);
    moment(&fleet, &release);
    fleet.cut_power(&host);
    fleet.boot(&host);
    let prior = fleet.initial[&host].clone();
    assert_eq!(fleet.state(&host).booted, prior, "what was not committed does not boot");
    fleet.is(&host, &release, Converged);
    let state = fleet.state(&host);
    let target = &release.targets[&host];
    assert_eq!((&state.running, &state.profile, &state.loader), (target, target, target));
    assert_eq!(fleet.switches(&release), 2, "once before the cut and once after it");
    let cut = fleet.acts(&host).iter().filter(|entry| entry.act == Act::PowerCut).count();
    assert_eq!(cut, 1);
    fleet.end();
}

fn slow_switch(closure: &mut SimClosure) {
    (closure.behaviour.switch_ms, closure.behaviour.activate_at_ms) = (2_000, 300);
}

fn slow_commit(closure: &mut SimClosure) {
    closure.behaviour.commit_ms = 1_500;
}

#[test]
fn a_power_cut_in_mid_switch_is_a_rollback_and_the_release_comes_again() {
    power_cut(slow_switch, |fleet, release| {
        let host = &fleet.hosts[0];
        fleet.is(host, release, Activating);
        until("activation", PATIENCE, || {
            let activated = |act: &Act| matches!(act, Act::Activated { by: By::Forward, .. });
            fleet.acts(host).iter().any(|entry| activated(&entry.act)).then_some(())
        });
    });
}

#[test]
fn a_power_cut_in_mid_soak_is_a_rollback_and_the_soak_begins_with_the_next_switch() {
    power_cut(|_| (), |fleet, release| fleet.mid_soak(&fleet.hosts[0], release));
}

#[test]
fn a_power_cut_in_mid_commit_is_a_rollback_until_the_loader_is_written() {
    power_cut(slow_commit, |fleet, _| {
        until("profile before the loader", PATIENCE, || {
            let state = fleet.state(&fleet.hosts[0]);
            (state.profile != state.loader).then_some(())
        });
    });
}

#[test]
fn a_power_cut_after_the_loader_was_written_ends_converged_without_another_switch() {
    let mut fleet = Fleet::start(1);
    let host = fleet.hosts[0].clone();
    let release = fleet.publish("stable@1", slow_commit);
    until("loader", PATIENCE, || {
        let state = fleet.state(&host);
        (state.loader == release.targets[&host]).then_some(())
    });
    fleet.cut_power(&host);
    assert_eq!(fleet.state(&host).records[0].state, RootState::Committing);
    fleet.boot(&host);
    fleet.is(&host, &release, Converged);
    assert_eq!(fleet.switches(&release), 1);
    assert_eq!(fleet.state(&host).running, release.targets[&host]);
    fleet.end();
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn an_agents_files_rewound_to_an_earlier_copy_are_fenced_and_nothing_starts_again() {
    let mut fleet = Fleet::start(1);
    let host = fleet.hosts[0].clone();
    let first = fleet.publish("stable@1", |_| ());
    fleet.is(&host, &first, Converged);
    let (state, copy) = (fleet.place.agent_state(&host), fleet.place.root().join("copy"));
    let second = fleet.publish("stable@2", slow_switch);
    // As it was before the second release was started.
    fleet.journal_is(&host, &second, Pending);
    copy_dir(&state, &copy);
    fleet.mid_soak(&host, &second);
    let before = fleet.book(&host).unwrap().journal;
    fleet.all_delivered();
    let machine = fleet.kill_agent(&host);
    fleet.wipe(&host);
    copy_dir(&copy, &state);
    fleet.go_on(machine);
    fleet.is(&host, &second, Converged);
    let after = until("journal", PATIENCE, || fleet.book(&host)).journal;
    assert_ne!(before, after, "the old journal's numbers are taken");
    assert_eq!((fleet.switches(&first), fleet.switches(&second)), (1, 1));
    let (evidence, _) = fleet.end();
    let fenced = evidence.journals.iter().find(|journal| journal.journal == before);
    assert!(fenced.is_some_and(|journal| journal.fenced.is_some()), "{:?}", evidence.journals);
}

#[test]
fn a_second_agent_on_the_same_state_directory_is_refused() {
    let fleet = Fleet::start(1);
    let host = &fleet.hosts[0];
    until("journal", PATIENCE, || fleet.book(host));
    let settings = fleet.place.host(host).with_extension("json");
    let second = run(CONVOY_AGENT, &["run", "--config", settings.to_str().unwrap()]);
    assert_eq!(second.code(), 1, "{second:?}");
    assert!(second.stderr.contains("another agent uses the state directory"), "{second:?}");
    fleet.heard(host, 2);
}

#[test]
fn two_machines_with_one_memory_start_nothing_until_one_is_gone_and_an_operator_has_said_so() {
    let mut fleet = Fleet::start(1);
    let host = fleet.hosts[0].clone();
    let first = fleet.publish("stable@1", |_| ());
    fleet.is(&host, &first, Converged);
    let (home, state) = (fleet.place.root().join("hosts/clone"), fleet.place.root().join("agents/clone"));
    copy_dir(&fleet.place.agent_state(&host), &state);
    fleet.make_machine(&host, &home, &state);
    let clone: Process = fleet.boot_at(&home);
    until("the clone is noticed", PATIENCE, || fleet.view(&host).filter(|view| view.cloned.is_some()));
    let second = fleet.publish("stable@2", |_| ());
    let why =
        until("hold", PATIENCE, || fleet.why(&host).filter(|why| why.holds.iter().any(|hold| hold.gate == "clone")));
    assert!(why.holds.iter().any(|hold| hold.gate == "clone" && hold.cleared_by == "operator"), "{why:?}");
    fleet.heard(&host, 4);
    assert_eq!(fleet.switches(&second), 0);
    assert_eq!(run(CONVOY_AGENT, &["simulate", "stop", home.to_str().unwrap()]).code(), 0);
    assert!(clone.ended_within(PATIENCE).status.success());
    let other = convoy::system::sim::log::read(&home).unwrap();
    assert!(!other.iter().any(|entry| matches!(entry.act, Act::SwitchStarted { .. })), "{other:?}");
    fleet.act_on_host(&host, HostAct::Resolve);
    fleet.is(&host, &second, Converged);
    assert_eq!(fleet.switches(&second), 1);
    // The clone's journal went with it.
    fleet.shut_down();
}

/// Its service fails half a second after the activation.
fn failing(closure: &mut SimClosure) {
    closure.behaviour.units.insert(UNIT.to_owned(), UnitState::FailsAfterMs(500));
}

/// A failure clock of four seconds runs; `blow` strikes when more than a half of it is over. It fires when it would have
/// fired without.
fn failure_clock_survives(blow: fn(&Fleet)) {
    let limit = Duration::from_secs(4);
    let mut fleet = Fleet::start(1);
    let host = fleet.hosts[0].clone();
    let draft = Draft {
        change: failing,
        policy: json!({ "failureAfterMs": millis(limit), "soakMs": 60_000 }),
        waves: fleet.one_wave(),
    };
    let release = fleet.publish_as("stable@1", draft);
    let since = fleet.good_since(&host, &release);
    let failing_since = until("failure clock", PATIENCE, || fleet.failing_since(&host, &release));
    assert!(failing_since >= since + 400);
    fleet.all_delivered();
    until("half of the failure time", PATIENCE, || (uptime_ms() > failing_since + millis(limit) / 2).then_some(()));
    let struck = uptime_ms();
    blow(&fleet);
    fleet.is(&host, &release, Reverted);
    let begun = fleet
        .acts(&host)
        .into_iter()
        .find_map(|entry| matches!(entry.act, Act::SwitchStarted { by: By::Rollback, .. }).then_some(entry.uptime_ms));
    let begun = begun.unwrap();
    let due = failing_since + millis(limit);
    // A clock that began anew would fire a whole failure time after the blow.
    assert!(begun >= due && begun < struck + millis(limit), "due {due}, struck {struck}, reverted {begun}");
    fleet.end();
}

#[test]
fn a_failure_clock_fires_at_its_time_although_the_agent_was_killed() {
    failure_clock_survives(|fleet| fleet.go_on(fleet.kill_agent(&fleet.hosts[0])));
}

#[test]
fn a_failure_clock_fires_at_its_time_although_the_agent_lost_its_memory() {
    failure_clock_survives(|fleet| {
        let machine = fleet.kill_agent(&fleet.hosts[0]);
        fleet.wipe(&fleet.hosts[0]);
        fleet.go_on(machine);
    });
}

#[test]
fn a_failure_clock_fires_at_its_time_although_wall_time_jumps() {
    failure_clock_survives(|fleet| {
        let host = &fleet.hosts[0];
        fleet.disk(host).set_wall_offset(THREE_HOURS).unwrap();
        let machine = fleet.kill_agent(host);
        fleet.wipe(host);
        fleet.disk(host).set_wall_offset(-THREE_HOURS).unwrap();
        fleet.go_on(machine);
    });
}

/// The host's wall time jumps in mid-soak, and its agent is killed or robbed; `end` sees that no soak was cut short or
/// began anew.
fn soak_ignores(offset: i64, lost: bool) {
    let mut fleet = Fleet::start(1);
    let host = fleet.hosts[0].clone();
    let release = fleet.publish_soaking_for("stable@1", 2 * SOAK);
    let since = fleet.good_since(&host, &release);
    fleet.mid_soak(&host, &release);
    fleet.disk(&host).set_wall_offset(offset).unwrap();
    fleet.heard(&host, 1);
    let machine = fleet.kill_agent(&host);
    if lost {
        fleet.wipe(&host);
    }
    fleet.go_on(machine);
    fleet.is(&host, &release, Converged);
    let acts = fleet.acts(&host);
    let commit = acts.iter().find(|entry| matches!(entry.act, Act::Committed { .. })).unwrap();
    assert!(commit.uptime_ms >= since + millis(2 * SOAK));
    assert_eq!(fleet.switches(&release), 1);
    fleet.end();
}

#[test]
fn wall_time_three_hours_ahead_ends_no_soak() {
    soak_ignores(THREE_HOURS, false);
    soak_ignores(THREE_HOURS, true);
}

#[test]
fn wall_time_three_hours_behind_prolongs_no_soak() {
    soak_ignores(-THREE_HOURS, false);
    soak_ignores(-THREE_HOURS, true);
}
