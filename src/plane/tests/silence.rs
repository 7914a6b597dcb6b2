//! Silent hosts: set aside before their permit, lost after their limit, right again when they return.

use crate::model::host_rollout::Event;
use crate::plane::tests::host::Host;
use crate::plane::tests::trial::{BEAT, Trial};
use serde_json::json;
use std::time::Duration;

const GRACE: Duration = Duration::from_secs(15 * 60);
/// Past every limit of the default policy.
const LONG: Duration = Duration::from_secs(4 * 3600);

#[tokio::test]
async fn a_silent_host_without_a_permit_is_set_aside_and_catches_up_later() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a", "late"]).await;
    let (mut a, mut late) = (Host::up("a", &trial).await, Host::up("late", &trial).await);
    a.converge(&trial, "stable@1").await;
    trial.clock.pass(GRACE - Duration::from_secs(1));
    trial.look().await;
    assert_eq!(trial.rollout("stable@1").await.waves[0].set_aside, 0);
    trial.clock.pass(Duration::from_secs(1));
    trial.look().await;
    let view = trial.rollout("stable@1").await;
    assert_eq!((view.state.as_str(), view.waves[0].set_aside, view.waves[0].failed), ("Completed", 1, 0));
    assert!(trial.why("late").await["summary"].to_string().contains("set aside"));
    late.beat(&trial).await;
    trial.look().await;
    assert_eq!(late.told(&trial).await, ["start stable@1"], "also of a completed rollout");
    late.converge(&trial, "stable@1").await;
    let view = trial.rollout("stable@1").await;
    assert_eq!((view.waves[0].set_aside, view.waves[0].succeeded), (0, 2));
}

#[tokio::test]
async fn a_silent_host_in_flight_is_lost_only_after_its_limit_and_corrected_when_it_returns() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a", "b"]).await;
    let mut a = Host::up("a", &trial).await;
    a.start(&trial, "stable@1").await;
    trial.clock.pass(GRACE);
    trial.look().await;
    let wave = trial.rollout("stable@1").await.waves.remove(0);
    assert_eq!((wave.in_flight, wave.failed), (1, 0), "its own dead-man has time to end it");
    trial.clock.pass(LONG);
    trial.look().await;
    let view = trial.rollout("stable@1").await;
    assert_eq!((view.state.as_str(), view.waves[0].in_flight, view.waves[0].failed), ("Halted", 0, 1));
    let attempt = trial.attempt("stable@1", "a").await;
    assert_eq!((attempt.state.as_str(), attempt.lost), ("Soaking", true), "the row itself is not moved");
    let (_, fleet) = trial.get("/v1/fleet").await;
    assert_eq!(fleet["byState"]["Lost"], 1, "{fleet}");
    a.finish(&trial, "stable@1").await;
    trial.look().await;
    let wave = trial.rollout("stable@1").await.waves.remove(0);
    assert_eq!((wave.succeeded, wave.failed), (1, 0));
}

#[tokio::test]
async fn a_silent_host_that_may_be_on_its_way_through_a_trial_boot_is_waited_for_longer() {
    for (reboot, in_flight) in [("live", 0), ("trial", 1)] {
        let trial = Trial::new().await;
        let waves = json!([{ "name": "all", "hosts": ["a", "b"], "reboot": reboot }]);
        trial.publish("stable@1", waves, json!({ "rebootLimitMs": 90 * 60 * 1000 })).await;
        let mut a = Host::up("a", &trial).await;
        a.start(&trial, "stable@1").await;
        trial.clock.pass(LONG);
        trial.look().await;
        assert_eq!(trial.rollout("stable@1").await.waves[0].in_flight, in_flight, "{reboot}");
    }
}

#[tokio::test]
async fn a_permit_that_was_never_used_is_in_flight_until_the_host_speaks_or_is_lost() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a"]).await;
    let mut a = Host::up("a", &trial).await;
    assert!(a.ask(&trial, "stable@1").await);
    trial.clock.pass(GRACE * 2);
    trial.look().await;
    assert_eq!(trial.rollout("stable@1").await.waves[0].in_flight, 1);
    a.say(&trial, "stable@1", &[Event::PermitLapsed("too late".to_owned())]).await;
    trial.look().await;
    assert_eq!(trial.rollout("stable@1").await.waves[0].waiting, 1);
    assert_eq!(trial.rollout("stable@1").await.state, "Advancing");
}

#[tokio::test]
async fn nobody_is_lost_or_set_aside_in_the_grace_after_a_start() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a", "b"]).await;
    let mut a = Host::up("a", &trial).await;
    Host::up("b", &trial).await;
    a.start(&trial, "stable@1").await;
    trial.plane.flush().await.unwrap();
    let clock = trial.clock.clone();
    clock.pass(LONG * 10);
    let trial = trial.restart().await;
    trial.clock.pass(BEAT);
    trial.look().await;
    let wave = trial.rollout("stable@1").await.waves.remove(0);
    assert_eq!((wave.in_flight, wave.failed, wave.set_aside), (1, 0, 0), "nobody listened, so nobody was silent");
    trial.clock.pass(GRACE);
    trial.look().await;
    assert_eq!(trial.rollout("stable@1").await.waves[0].failed, 1);
}

#[tokio::test]
async fn a_wall_clock_that_jumps_makes_nobody_silent() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a", "b"]).await;
    let mut a = Host::up("a", &trial).await;
    let mut b = Host::up("b", &trial).await;
    a.start(&trial, "stable@1").await;
    trial.clock.step_wall(30 * 86_400_000);
    trial.clock.pass(BEAT);
    trial.look().await;
    let wave = trial.rollout("stable@1").await.waves.remove(0);
    assert_eq!((wave.in_flight, wave.failed, wave.set_aside), (1, 0, 0));
    b.beat(&trial).await;
    assert_eq!(trial.rollout("stable@1").await.state, "Advancing");
}

#[tokio::test]
async fn a_lost_host_frees_its_slot_and_its_budget_where_failures_are_allowed() {
    let trial = Trial::new().await;
    let waves = json!([{ "name": "all", "hosts": ["db-1", "db-2"], "maxInFlight": 1, "maxFailures": 1 }]);
    trial.publish("stable@1", waves, json!({ "budgets": { "db": 1 } })).await;
    let (mut one, mut two) = (Host::up("db-1", &trial).await, Host::up("db-2", &trial).await);
    one.start(&trial, "stable@1").await;
    trial.clock.pass(LONG);
    two.beat(&trial).await;
    trial.look().await;
    two.start(&trial, "stable@1").await;
    let wave = trial.rollout("stable@1").await.waves.remove(0);
    assert_eq!((wave.in_flight, wave.failed), (1, 1));
}

#[tokio::test]
async fn hosts_never_heard_of_get_the_grace_from_the_opening_on() {
    let trial = Trial::new().await;
    trial.clock.pass(LONG);
    trial.publish_simple("stable@1", &["a", "ghost"]).await;
    trial.look().await;
    assert_eq!(trial.rollout("stable@1").await.waves[0].set_aside, 0);
    trial.clock.pass(GRACE);
    trial.look().await;
    assert_eq!(trial.rollout("stable@1").await.waves[0].set_aside, 2);
}
