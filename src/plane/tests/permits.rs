//! Permits: decided with the event, repeated, never more than the limits allow.

use crate::model::facts::Verdict;
use crate::model::host_rollout::Event;
use crate::plane::tests::host::Host;
use crate::plane::tests::trial::Trial;
use serde_json::json;
use std::sync::Arc;

#[tokio::test]
async fn a_pause_between_invitation_and_permit_stops_the_switch() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a"]).await;
    let mut a = Host::up("a", &trial).await;
    assert_eq!(a.told(&trial).await, ["start stable@1"]);
    trial.act("/v1/rollouts/stable@1/pause", json!({ "by": "ann" })).await;
    let answer = a.say(&trial, "stable@1", &[Event::Staged, Event::DispatchAcked]).await;
    assert!(!answer.permits[0].granted);
    assert!(answer.permits[0].holds[0].contains("paused by ann"), "{answer:?}");
    assert_eq!(trial.rollout("stable@1").await.waves[0].in_flight, 0);
    assert!(a.told(&trial).await.is_empty());
    a.say(&trial, "stable@1", &[Event::PermitLapsed("refused".to_owned())]).await;
    trial.act("/v1/rollouts/stable@1/resume", json!({ "by": "ann" })).await;
    assert_eq!(a.told(&trial).await, ["start stable@1"]);
    let answer = a.say(&trial, "stable@1", &[Event::DispatchAcked]).await;
    assert!(answer.permits[0].granted);
}

#[tokio::test]
async fn a_granted_permit_is_repeated_even_after_a_pause() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a"]).await;
    let mut a = Host::up("a", &trial).await;
    let events = vec![a.next(&trial, "stable@1", &Event::Staged), a.next(&trial, "stable@1", &Event::DispatchAcked)];
    let batch = a.batch(events);
    assert!(a.post(&trial, &batch).await.permits[0].granted);
    trial.act("/v1/rollouts/stable@1/pause", json!({ "by": "ann" })).await;
    assert!(a.post(&trial, &batch).await.permits[0].granted, "the host may have begun on the first answer");
    let said = trial.why("a").await["summary"].to_string();
    assert!(said.contains("permitted to switch"), "{said}");
}

#[tokio::test]
async fn a_lapsed_permit_frees_its_slot() {
    let trial = Trial::new().await;
    let waves = json!([{ "name": "all", "hosts": ["a", "b"], "maxInFlight": 1 }]);
    trial.publish("stable@1", waves, json!({})).await;
    let (mut a, mut b) = (Host::up("a", &trial).await, Host::up("b", &trial).await);
    assert!(a.ask(&trial, "stable@1").await);
    assert!(!b.ask(&trial, "stable@1").await, "the wave is full");
    b.say(&trial, "stable@1", &[Event::PermitLapsed("refused".to_owned())]).await;
    a.say(&trial, "stable@1", &[Event::PermitLapsed("too late".to_owned())]).await;
    assert!(b.say(&trial, "stable@1", &[Event::DispatchAcked]).await.permits[0].granted);
}

#[tokio::test]
async fn a_deferred_host_gives_its_permit_back_and_needs_a_second_one() {
    let trial = Trial::new().await;
    let waves = json!([{ "name": "all", "hosts": ["a", "b"], "maxInFlight": 1 }]);
    trial.publish("stable@1", waves, json!({})).await;
    let (mut a, mut b) = (Host::up("a", &trial).await, Host::up("b", &trial).await);
    assert!(a.ask(&trial, "stable@1").await);
    let prior = crate::model::id::Closure::new(a.running.clone()).unwrap();
    let events = [Event::ActivationStarted { prior }, Event::ActivationDeferred("kernel".to_owned())];
    a.say(&trial, "stable@1", &events).await;
    assert_eq!(trial.rollout("stable@1").await.waves[0].in_flight, 0);
    assert!(b.ask(&trial, "stable@1").await, "its slot is free");
    assert!(!a.say(&trial, "stable@1", &[Event::DispatchAcked]).await.permits[0].granted);
    a.say(&trial, "stable@1", &[Event::PermitLapsed("refused".to_owned())]).await;
    b.switch(&trial, "stable@1").await;
    b.finish(&trial, "stable@1").await;
    assert_eq!(a.told(&trial).await, ["start stable@1"]);
    assert!(a.say(&trial, "stable@1", &[Event::DispatchAcked]).await.permits[0].granted);
    let boot = [Event::TrialBootStarted];
    assert!(a.say(&trial, "stable@1", &boot).await.refused.is_empty());
    a.boot = "next".to_owned();
    let booted = Event::Rebooted { into: a.target("stable@1"), clean: true };
    assert!(a.say(&trial, "stable@1", &[booted]).await.refused.is_empty());
    let attempt = trial.attempt("stable@1", "a").await;
    assert_eq!((attempt.state.as_str(), attempt.in_flight), ("Soaking", true));
}

#[tokio::test]
async fn a_failing_host_is_counted_at_once_and_stays_in_flight_until_it_is_back() {
    let trial = Trial::new().await;
    let waves = json!([{ "name": "all", "hosts": ["a", "b", "c"], "maxInFlight": 1, "maxFailures": 1 }]);
    trial.publish("stable@1", waves, json!({})).await;
    let (mut a, mut b) = (Host::up("a", &trial).await, Host::up("b", &trial).await);
    a.start(&trial, "stable@1").await;
    a.fail(&trial, "stable@1").await;
    let wave = trial.rollout("stable@1").await.waves.remove(0);
    assert_eq!((wave.failed, wave.in_flight), (1, 1));
    assert!(!b.ask(&trial, "stable@1").await, "the release may still run on the failing host");
    a.go_back(&trial, "stable@1").await;
    let wave = trial.rollout("stable@1").await.waves.remove(0);
    assert_eq!((wave.failed, wave.in_flight), (1, 0));
    assert_eq!(trial.rollout("stable@1").await.state, "Advancing");
}

#[tokio::test]
async fn one_failure_too_many_halts_with_the_very_event_that_tells_it() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a", "b"]).await;
    let (mut a, mut b) = (Host::up("a", &trial).await, Host::up("b", &trial).await);
    a.start(&trial, "stable@1").await;
    a.fail(&trial, "stable@1").await;
    assert_eq!(trial.rollout("stable@1").await.state, "Halted");
    assert!(!b.ask(&trial, "stable@1").await);
    let (_, host) = trial.get("/v1/hosts/a").await;
    assert_eq!(host["quarantined"].as_array().unwrap().len(), 1, "{host}");
    let why = trial.why("b").await.to_string();
    assert!(why.contains("halted in wave 1"), "{why}");
}

#[tokio::test]
async fn verdicts_that_do_not_count_do_not_halt() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a", "b"]).await;
    let mut a = Host::up("a", &trial).await;
    a.start(&trial, "stable@1").await;
    let isolated = [Event::RollbackStarted(Verdict::Isolated), Event::RollbackCompleted];
    a.say(&trial, "stable@1", &isolated).await;
    let view = trial.rollout("stable@1").await;
    assert_eq!((view.state.as_str(), view.waves[0].failed, view.waves[0].neutral), ("Advancing", 0, 1));
}

#[tokio::test]
async fn budgets_hold_over_waves_and_channels() {
    let trial = Trial::new().await;
    let policy = json!({ "budgets": { "db": 1 } });
    trial.publish("stable@1", json!([{ "name": "all", "hosts": ["db-1", "web-1"] }]), policy.clone()).await;
    trial.publish("edge@2", json!([{ "name": "all", "hosts": ["db-2"] }]), policy).await;
    let (mut one, mut two) = (Host::up("db-1", &trial).await, Host::up("db-2", &trial).await);
    let mut web = Host::up("web-1", &trial).await;
    assert!(one.ask(&trial, "stable@1").await);
    assert!(web.ask(&trial, "stable@1").await, "another tag");
    assert!(!two.ask(&trial, "edge@2").await);
    assert!(trial.why("db-2").await.to_string().contains("budget db has 1"));
}

#[tokio::test]
async fn hosts_wait_for_those_that_go_first() {
    let trial = Trial::new().await;
    let policy = json!({ "hostOrder": { "b": ["a"] } });
    trial.publish("stable@1", json!([{ "name": "all", "hosts": ["a", "b"] }]), policy).await;
    let (mut a, b) = (Host::up("a", &trial).await, Host::up("b", &trial).await);
    assert_eq!(b.told(&trial).await, ["stage stable@1"]);
    a.converge(&trial, "stable@1").await;
    assert_eq!(b.told(&trial).await, ["start stable@1"]);
}

#[tokio::test]
async fn no_permit_right_after_the_start_and_none_to_a_host_not_heard_from() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a"]).await;
    let mut a = Host::up("a", &trial).await;
    let trial = trial.restart().await;
    let answer = a.say(&trial, "stable@1", &[Event::Staged, Event::DispatchAcked]).await;
    let holds = answer.permits[0].holds.join("; ");
    assert!(holds.contains("has just started") && holds.contains("not been heard from since"), "{holds}");
    a.say(&trial, "stable@1", &[Event::PermitLapsed("refused".to_owned())]).await;
    trial.clock.pass(crate::plane::tests::trial::BEAT);
    let answer = a.say(&trial, "stable@1", &[Event::DispatchAcked]).await;
    assert!(!answer.permits[0].granted, "events are no heartbeat");
    a.say(&trial, "stable@1", &[Event::PermitLapsed("refused".to_owned())]).await;
    a.beat(&trial).await;
    assert!(a.say(&trial, "stable@1", &[Event::DispatchAcked]).await.permits[0].granted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_hold_when_a_whole_wave_asks_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = crate::plane::tests::restart::sqlite(dir.path());
    let trial = Arc::new(Trial::on(store).await);
    trial.clock.pass(crate::plane::tests::trial::BEAT);
    let names: Vec<String> = (0..64).map(|n| format!("host{n}")).collect();
    trial.publish("stable@1", json!([{ "name": "all", "hosts": names, "maxInFlight": 5 }]), json!({})).await;
    let asking = names.iter().map(|name| {
        let (trial, name) = (trial.clone(), name.clone());
        tokio::spawn(async move {
            let mut host = Host::up(&name, &trial).await;
            host.ask(&trial, "stable@1").await
        })
    });
    let tasks: Vec<_> = asking.collect();
    let mut granted = 0;
    for task in tasks {
        granted += u32::from(task.await.unwrap());
    }
    assert_eq!(granted, 5);
    assert_eq!(trial.rollout("stable@1").await.waves[0].in_flight, 5);
}

#[tokio::test]
async fn hosts_that_run_the_target_already_converge_without_being_switched_or_counted() {
    let trial = Trial::new().await;
    let mut a = Host::new("a");
    a.running = crate::plane::tests::trial::closure("1", "a");
    a.beat(&trial).await;
    let mut b = Host::up("b", &trial).await;
    trial.publish_simple("stable@1", &["a", "b"]).await;
    assert_eq!(a.told(&trial).await, ["start stable@1"]);
    assert!(a.ask(&trial, "stable@1").await);
    assert!(a.say(&trial, "stable@1", &[Event::Converged]).await.refused.is_empty());
    let view = trial.rollout("stable@1").await;
    assert_eq!((view.state.as_str(), view.waves[0].succeeded, view.waves[0].changed), ("Advancing", 0, 1));
    b.converge(&trial, "stable@1").await;
    assert_eq!(trial.rollout("stable@1").await.state, "Completed");
}
