//! The control plane killed for long, its database lost or older than it was, also together with an agent's memory:
//! hosts go on by themselves, and nobody starts until an operator has looked.

use crate::process::{CONVOY_CP, PATIENCE, run, shown, until};
use crate::recovery_fleet::{Draft, FAILURE_AFTER, Fleet, Release, SOAK, millis, uptime_ms};
use convoy::client::operator::RolloutAct;
use convoy::ctl::demo::evidence::Evidence;
use convoy::ctl::demo::figures::Figures;
use convoy::model::host_rollout::HostRolloutState::{Converged, Soaking};
use convoy::model::host_rollout::{Event, Memory};
use convoy::model::id::HostName;
use convoy::model::root_record::RootState;
use convoy::system::sim::log::Act;
use serde_json::json;
use std::fs;

/// Publishes a release with the first host alone in its first wave.
fn canary_first(fleet: &mut Fleet) -> Release {
    let names: Vec<&str> = fleet.hosts.iter().map(HostName::as_str).collect();
    let waves = json!([{ "name": "canary", "hosts": names[..1] }, { "name": "rest", "hosts": names[1..] }]);
    fleet.publish_as("stable@1", Draft { change: |_| (), policy: json!({}), waves })
}

fn reverts(fleet: &Fleet) -> usize {
    let of = |host| fleet.acts(host).into_iter().filter(|entry| matches!(entry.act, Act::Reverted { .. })).count();
    fleet.hosts.iter().map(of).sum()
}

fn delete_database(fleet: &Fleet) {
    for name in ["convoy.db", "convoy.db-wal", "convoy.db-shm"] {
        let _ = fs::remove_file(fleet.place.control_plane().join(name));
    }
    assert!(!fleet.place.database().exists());
}

/// Waits until the rollout waits for an operator because of the restored store; nothing but the canary has started.
fn waits_for_an_operator(fleet: &Fleet, release: &Release) {
    let view = until("pause after the loss", PATIENCE, || {
        fleet.rollout(release).filter(|view| view.state == "Paused" && view.why.is_some())
    });
    assert!(view.why.as_ref().is_some_and(|why| why.contains("restored")), "{view:?}");
    // The canary ends its soak and reports; in the time of these heartbeats nobody else starts.
    fleet.is(&fleet.hosts[0], release, Converged);
    for host in &fleet.hosts[1..] {
        fleet.heard(host, 3);
        assert_eq!(fleet.switches_to(host, &release.targets[host]), 0);
        let why = until("why", PATIENCE, || fleet.why(host));
        assert!(why.holds.iter().any(|hold| hold.cleared_by == "operator"), "{why:?}");
    }
    assert_eq!(fleet.rollout(release).unwrap().state, "Paused");
}

fn goes_on_after_resume(fleet: Fleet, release: &Release) -> (Evidence, Figures) {
    fleet.act(release, RolloutAct::Resume);
    fleet.rollout_is(release, "Completed");
    fleet.all_are(release, Converged);
    assert_eq!(fleet.switches(release), fleet.hosts.len());
    fleet.end()
}

#[test]
fn a_control_plane_killed_in_mid_soak_is_back_before_the_commit() {
    let mut fleet = Fleet::start(2);
    let release = fleet.publish("stable@1", |_| ());
    fleet.mid_soak(&fleet.hosts[0], &release);
    fleet.kill_plane();
    fleet.start_plane();
    fleet.all_are(&release, Converged);
    fleet.rollout_is(&release, "Completed");
    assert_eq!((fleet.switches(&release), reverts(&fleet)), (2, 0));
    fleet.end();
}

#[test]
fn a_control_plane_away_for_longer_than_the_failure_time_makes_none_of_twenty_hosts_revert() {
    let mut fleet = Fleet::start(20);
    let release = fleet.publish_soaking_for("stable@1", 3 * SOAK);
    for host in fleet.hosts.clone() {
        fleet.good_since(&host, &release);
    }
    fleet.kill_plane();
    let gone = uptime_ms();
    // The soaks end in this time too; commits wait for an answer.
    let long = millis(3 * SOAK).max(4 * millis(FAILURE_AFTER));
    until("end of the outage", PATIENCE, || (uptime_ms() >= gone + long).then_some(()));
    for host in &fleet.hosts {
        assert_eq!(fleet.state(host).records[0].state, RootState::Soaking, "{host}");
        fleet.journal_is(host, &release, Soaking);
    }
    fleet.start_plane();
    fleet.all_are(&release, Converged);
    assert_eq!((fleet.switches(&release), reverts(&fleet)), (20, 0));
    fleet.end();
}

#[test]
fn a_deleted_database_pauses_what_is_published_again_until_an_operator_resumes() {
    let mut fleet = Fleet::start(3);
    let release = canary_first(&mut fleet);
    fleet.mid_soak(&fleet.hosts[0], &release);
    fleet.kill_plane();
    delete_database(&fleet);
    fleet.start_plane();
    fleet.publish_again(&release);
    waits_for_an_operator(&fleet, &release);
    goes_on_after_resume(fleet, &release);
}

#[test]
fn an_older_copy_of_the_database_pauses_its_rollouts_until_an_operator_resumes() {
    let mut fleet = Fleet::start(3);
    let release = canary_first(&mut fleet);
    let copy = shown(&fleet.place.root().join("copy.db"));
    let database = shown(&fleet.place.database());
    let taken = run(CONVOY_CP, &["backup", "--database", &database, "--to", &copy]);
    assert_eq!(taken.code(), 0, "{taken:?}");
    fleet.mid_soak(&fleet.hosts[0], &release);
    fleet.kill_plane();
    delete_database(&fleet);
    fs::copy(&copy, fleet.place.database()).unwrap();
    fleet.start_plane();
    waits_for_an_operator(&fleet, &release);
    goes_on_after_resume(fleet, &release);
}

#[test]
fn with_memory_and_database_lost_the_root_record_decides() {
    let mut fleet = Fleet::start(3);
    let release = canary_first(&mut fleet);
    let canary = fleet.hosts[0].clone();
    fleet.mid_soak(&canary, &release);
    let machine = fleet.kill_agent(&canary);
    fleet.kill_plane();
    // Nobody is left who ever knew this journal, so its end can't be marked either: that the state was taken over
    // from the root record is what says so.
    fs::remove_dir_all(fleet.place.agent_state(&canary)).unwrap();
    delete_database(&fleet);
    fleet.go_on(machine);
    fleet.start_plane();
    // Nobody has told the control plane of the release; the host finishes what the root record says.
    fleet.record(&canary, "commit", |record| record.state == RootState::Committed);
    fleet.publish_again(&release);
    waits_for_an_operator(&fleet, &release);
    let (evidence, _) = goes_on_after_resume(fleet, &release);
    let from_root = |event: &Event| matches!(event, Event::Adopted(adoption) if adoption.source == Memory::RootRecord);
    assert!(
        evidence
            .events
            .iter()
            .any(|stored| { stored.host.as_ref() == Some(&canary) && stored.event.as_ref().is_some_and(from_root) })
    );
}
