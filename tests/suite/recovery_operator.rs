//! What operators and publishers do in the middle of a rollout: pause, go back, go over, come back late, switch by hand.

use crate::process::{PATIENCE, until};
use crate::recovery_fleet::{Draft, Fleet};
use crate::sim_world::good;
use convoy::client::operator::RolloutAct;
use convoy::model::host_rollout::HostRolloutState::{Cancelled, Converged, Failed, Pending};
use convoy::model::root_record::RootState;
use convoy::system::sim::closure;
use convoy::system::sim::log::{Act, By};
use serde_json::json;

#[test]
fn a_pause_between_invitation_and_permit_lets_no_switch_start() {
    let mut fleet = Fleet::start(2);
    // Invited hosts fetch for a while before they ask for their permit.
    let release = fleet.publish("stable@1", |closure| closure.behaviour.stage_ms = 1_500);
    for host in &fleet.hosts {
        fleet.journal_is(host, &release, Pending);
    }
    fleet.act(&release, RolloutAct::Pause);
    assert_eq!(fleet.switches(&release), 0, "the pause came in time");
    for host in &fleet.hosts {
        let target = &release.targets[host];
        until("staged closure", PATIENCE, || fleet.state(host).staged.contains(target).then_some(()));
        fleet.heard(host, 4);
        let why = until("why", PATIENCE, || fleet.why(host));
        assert!(why.holds.iter().any(|hold| hold.gate == "stopped"), "{why:?}");
    }
    assert_eq!(fleet.switches(&release), 0);
    fleet.act(&release, RolloutAct::Resume);
    fleet.all_are(&release, Converged);
    assert_eq!(fleet.switches(&release), 2);
    fleet.end();
}

#[test]
fn a_release_of_the_closure_before_goes_back_like_any_other() {
    let mut fleet = Fleet::start(2);
    let first = fleet.publish("stable@1", |_| ());
    fleet.all_are(&first, Converged);
    let back = fleet.initial.clone();
    let draft = Draft { change: |_| (), policy: json!({}), waves: fleet.one_wave() };
    let second = fleet.sign("stable@2", back.clone(), draft);
    fleet.publish_again(&second);
    fleet.all_are(&second, Converged);
    for (host, closure) in &back {
        let state = fleet.state(host);
        assert_eq!((&state.running, &state.profile, &state.loader), (closure, closure, closure));
        let rollback = |act: &Act| matches!(act, Act::SwitchStarted { by: By::Rollback, .. });
        assert!(!fleet.acts(host).iter().any(|entry| rollback(&entry.act)));
    }
    assert_eq!((fleet.switches(&first), fleet.switches(&second)), (2, 2));
    fleet.end();
}

#[test]
fn a_newer_release_lets_a_soaking_host_finish_and_takes_it_on() {
    let mut fleet = Fleet::start(1);
    let first = fleet.publish("stable@1", |_| ());
    fleet.mid_soak(&fleet.hosts[0], &first);
    let second = fleet.publish("stable@2", |_| ());
    fleet.rollout_is(&first, "Superseded");
    fleet.all_are(&second, Converged);
    fleet.all_are(&first, Converged);
    assert_eq!((fleet.switches(&first), fleet.switches(&second)), (1, 1));
    fleet.end();
}

#[test]
fn a_host_that_returns_after_two_releases_goes_to_the_latest_only() {
    let mut fleet = Fleet::start(2);
    let (stays, leaves) = (fleet.hosts[0].clone(), fleet.hosts[1].clone());
    fleet.heard(&leaves, 1);
    fleet.turn_off(&leaves);
    let mut release = |id: &str| {
        let draft = Draft { change: |_| (), policy: json!({ "offlineGraceMs": 1_000 }), waves: fleet.one_wave() };
        let release = fleet.publish_as(id, draft);
        fleet.is(&stays, &release, Converged);
        release
    };
    let (first, second) = (release("stable@1"), release("stable@2"));
    fleet.boot(&leaves);
    fleet.is(&leaves, &second, Converged);
    fleet.is(&leaves, &first, Cancelled);
    assert_eq!(fleet.switches_to(&leaves, &first.targets[&leaves]), 0);
    assert_eq!(fleet.switches_to(&leaves, &second.targets[&leaves]), 1);
    fleet.end();
}

#[test]
fn a_manual_switch_in_mid_soak_is_not_undone() {
    let mut fleet = Fleet::start(1);
    let host = fleet.hosts[0].clone();
    let release = fleet.publish("stable@1", |_| ());
    fleet.mid_soak(&host, &release);
    let own = good("by-hand", &fleet.url());
    closure::write(&fleet.place.store(), &own).unwrap();
    fleet.verb("switch", &host, &[own.path.as_str()]);
    fleet.record(&host, "end of the attempt", |record| record.state == RootState::Overtaken);
    fleet.is(&host, &release, Failed);
    fleet.heard(&host, 4);
    let state = fleet.state(&host);
    assert_eq!((&state.running, &state.profile, &state.loader), (&own.path, &own.path, &own.path));
    let after = fleet.acts(&host);
    let undone = |act: &Act| matches!(act, Act::SwitchStarted { by: By::Rollback, .. } | Act::Reverted { .. });
    assert!(!after.iter().any(|entry| undone(&entry.act)), "{after:?}");
    assert!(fleet.view(&host).unwrap().quarantined.is_empty(), "what an operator does says nothing of a closure");
    fleet.end();
}
