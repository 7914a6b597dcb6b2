//! Real processes that are killed and robbed of their memory in every state: each host ends where it should, nothing is
//! activated twice, no soak begins anew, no event is missing without a mark.

use crate::process::{PATIENCE, until};
use crate::recovery_fleet::{Fleet, Release, UNIT};
use convoy::ctl::demo::evidence::Evidence;
use convoy::ctl::demo::figures::Figures;
use convoy::model::host_rollout::HostRolloutState::{self, Activating, Converged, Failed, Pending, Reverted, Soaking};
use convoy::model::id::HostName;
use convoy::model::root_record::RootState;
use convoy::system::sim::closure::{SimClosure, UnitState};
use convoy::system::sim::log::Act;

/// What strikes a host's agent.
#[derive(Clone, Copy, PartialEq)]
enum Blow {
    /// It is killed.
    Kill,
    /// It is killed, and its state directory is lost.
    Wipe,
}

fn slow(closure: &mut SimClosure) {
    (closure.behaviour.stage_ms, closure.behaviour.switch_ms, closure.behaviour.activate_at_ms) = (900, 1_200, 600);
}

fn bad(closure: &mut SimClosure) {
    closure.behaviour.units.insert(UNIT.to_owned(), UnitState::FailsAfterMs(600));
}

/// Waits until the host is in the state, in the middle of what happens there.
fn reach(fleet: &Fleet, release: &Release, state: HostRolloutState) {
    let host = &fleet.hosts[0];
    match state {
        Soaking => fleet.mid_soak(host, release),
        Converged => {
            fleet.is(host, release, Converged);
            fleet.all_delivered();
        }
        Activating => {
            fleet.is(host, release, Activating);
            fleet.record(host, "launch", |record| record.state == RootState::Launched);
        }
        Failed => {
            fleet.journal_is(host, release, Failed);
            fleet.record(host, "rollback", |record| record.state == RootState::Reverting);
        }
        Pending | HostRolloutState::Deferred | Reverted | HostRolloutState::Cancelled => {
            fleet.journal_is(host, release, state)
        }
    }
}

/// Strikes the agent of a host in a state, and sees the host to its end.
fn struck(state: HostRolloutState, blow: Blow) -> (Evidence, Figures) {
    let mut fleet = Fleet::start_with(1, slow);
    let release = fleet.publish("stable@1", if state == Failed { bad } else { slow });
    reach(&fleet, &release, state);
    let host = fleet.hosts[0].clone();
    let starts = agent_starts(&fleet, &host);
    let machine = fleet.kill_agent(&host);
    if blow == Blow::Wipe {
        fleet.wipe(&host);
    }
    fleet.go_on(machine);
    let ends = if state == Failed { Reverted } else { Converged };
    fleet.is(&host, &release, ends);
    until("new agent", PATIENCE, || (agent_starts(&fleet, &host) > starts).then_some(()));
    fleet.heard(&host, 2);
    assert_eq!(fleet.switches(&release), 1);
    let seen = fleet.state(&host);
    let runs = if ends == Reverted { &fleet.initial[&host] } else { &release.targets[&host] };
    assert_eq!((&seen.running, &seen.profile, &seen.loader), (runs, runs, runs));
    fleet.end()
}

fn agent_starts(fleet: &Fleet, host: &HostName) -> usize {
    fleet.acts(host).iter().filter(|entry| entry.act == Act::AgentStarted).count()
}

/// A started attempt is taken over from the snapshot; and the lost journal's end is in the store or marked.
fn restored_from_the_snapshot(state: HostRolloutState) {
    let (_, figures) = struck(state, Blow::Wipe);
    assert_eq!(figures.snapshots_applied, 1, "{figures:#?}");
}

#[test]
fn an_agent_killed_before_its_switch_starts_it_once() {
    struck(Pending, Blow::Kill);
}

#[test]
fn an_agent_killed_in_mid_switch_finds_its_result() {
    struck(Activating, Blow::Kill);
}

#[test]
fn an_agent_killed_in_mid_soak_goes_on_with_the_same_soak() {
    struck(Soaking, Blow::Kill);
}

#[test]
fn an_agent_killed_while_its_host_goes_back_reports_the_rollback() {
    struck(Failed, Blow::Kill);
}

#[test]
fn an_agent_killed_after_its_commit_changes_nothing() {
    struck(Converged, Blow::Kill);
}

#[test]
fn a_state_directory_lost_before_the_switch_costs_nothing() {
    let (_, figures) = struck(Pending, Blow::Wipe);
    assert_eq!(figures.snapshots_applied, 0, "what has not started has no snapshot");
}

#[test]
fn a_state_directory_lost_in_mid_switch_is_restored() {
    restored_from_the_snapshot(Activating);
}

#[test]
fn a_state_directory_lost_in_mid_soak_is_restored_with_the_same_soak() {
    restored_from_the_snapshot(Soaking);
}

#[test]
fn a_state_directory_lost_while_the_host_goes_back_is_restored() {
    restored_from_the_snapshot(Failed);
}

#[test]
fn a_state_directory_lost_after_the_commit_switches_nothing_again() {
    let (_, figures) = struck(Converged, Blow::Wipe);
    assert_eq!(figures.snapshots_applied, 0, "what has ended has no snapshot");
}
