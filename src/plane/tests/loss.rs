//! A database that was lost, or replaced by an older copy: nothing starts until an operator looked, nothing is missing.

use crate::model::host_rollout::Event;
use crate::model::id::StoreId;
use crate::plane::tests::host::Host;
use crate::plane::tests::trial::{BEAT, Trial, fresh_store, manifest};
use crate::wire::v1::agent::StoreMarkBody;
use serde_json::json;
use std::sync::Arc;

fn release() -> serde_json::Value {
    manifest("stable@1", json!([{ "name": "all", "hosts": ["a", "b"] }]), json!({}))
}

#[tokio::test]
async fn an_older_copy_pauses_everything_until_an_operator_resumes_and_agents_fill_it_up() {
    let store = fresh_store('a');
    let trial = Trial::on(store.clone()).await;
    trial.clock.pass(BEAT);
    trial.post_release(&trial.sign(&release())).await;
    let (mut a, mut b) = (Host::up("a", &trial).await, Host::up("b", &trial).await);
    let backup = Arc::new(store.copy());
    let old = a.say(&trial, "stable@1", &[Event::Staged, Event::DispatchAcked]).await;
    assert!(old.permits[0].granted);
    a.switch(&trial, "stable@1").await;
    a.beat(&trial).await;

    let trial = trial.restart_on(backup).await;
    trial.clock.pass(BEAT);
    let answer = a.beat(&trial).await;
    assert_eq!(answer.send_from, Some(1), "the agent has what was lost");
    let view = trial.rollout("stable@1").await;
    assert_eq!((view.state.as_str(), view.why.as_deref()), ("Paused", Some("paused by restored")));
    b.beat(&trial).await;
    assert!(!b.ask(&trial, "stable@1").await);
    assert!(trial.why("b").await.to_string().contains("restored from an older copy"));
    let (_, text) = trial.get("/metrics").await;
    assert!(text.as_str().unwrap().contains("convoy_store_restored 1"));
    assert!(trial.plane.status_line().contains("RESTORED"));

    let wave = trial.rollout("stable@1").await.waves.remove(0);
    assert_eq!(wave.in_flight, 0, "not replayed yet");
    replay(&mut a, &trial).await;
    let attempt = trial.attempt("stable@1", "a").await;
    assert_eq!((attempt.state.as_str(), attempt.in_flight), ("Soaking", true));

    trial.act("/v1/rollouts/stable@1/resume", json!({ "by": "ann" })).await;
    trial.look().await;
    assert_eq!(trial.rollout("stable@1").await.state, "Advancing");
    a.beat(&trial).await;
    assert_eq!(trial.rollout("stable@1").await.state, "Advancing", "the same loss is not found twice");
    assert!(!trial.plane.status_line().contains("RESTORED"));
    b.say(&trial, "stable@1", &[Event::PermitLapsed("refused".to_owned())]).await;
    assert!(b.say(&trial, "stable@1", &[Event::DispatchAcked]).await.permits[0].granted);
}

/// Sends the whole journal of a host that staged, asked, and switched.
async fn replay(host: &mut Host, trial: &Trial) {
    let (seq, running) = (host.seq, host.running.clone());
    host.seq = 0;
    host.running = crate::plane::tests::trial::closure("0", &host.name);
    host.say(trial, "stable@1", &[Event::Staged, Event::DispatchAcked]).await;
    host.switch(trial, "stable@1").await;
    assert_eq!((host.seq, host.running.clone()), (seq, running));
}

#[tokio::test]
async fn a_lost_database_takes_the_events_first_and_the_release_later() {
    let trial = Trial::new().await;
    let signed = trial.sign(&release());
    trial.post_release(&signed).await;
    let (mut a, mut b) = (Host::up("a", &trial).await, Host::up("b", &trial).await);
    a.start(&trial, "stable@1").await;
    b.beat(&trial).await;

    let trial = trial.restart_on(fresh_store('b')).await;
    trial.clock.pass(BEAT);
    assert_eq!(a.beat(&trial).await.send_from, Some(1));
    b.beat(&trial).await;
    let seq = a.seq;
    a.seq = 0;
    a.running = crate::plane::tests::trial::closure("0", "a");
    let answer = a.say(&trial, "stable@1", &[Event::Staged, Event::DispatchAcked]).await;
    assert_eq!((answer.last_seq, answer.refused.len(), answer.permits[0].granted), (2, 2, false));
    let prior = crate::model::id::Closure::new(a.running.clone()).unwrap();
    let completed = Event::ActivationCompleted { at: a.stamp(&trial), notes: Vec::new() };
    let probes = Event::ProbeTopologyDeclared(std::collections::BTreeMap::new());
    a.say(&trial, "stable@1", &[Event::ActivationStarted { prior }, completed, probes]).await;
    assert_eq!(a.seq, seq);

    let (status, answer) = trial.post_release(&signed).await;
    assert_eq!(status, 201, "{answer}");
    assert!(answer["notes"].to_string().contains("starts paused by restored"), "{answer}");
    let attempt = trial.attempt("stable@1", "a").await;
    assert_eq!((attempt.state.as_str(), attempt.in_flight), ("Soaking", true));
    assert!(trial.kinds().await.iter().all(|kind| !kind.starts_with('!')), "{:?}", trial.kinds().await);
    assert!(b.told(&trial).await.is_empty());
    trial.act("/v1/rollouts/stable@1/resume", json!({ "by": "ann" })).await;
    trial.look().await;
    assert_eq!(b.told(&trial).await, ["start stable@1"]);
    a.finish(&trial, "stable@1").await;
    b.converge(&trial, "stable@1").await;
    assert_eq!(trial.rollout("stable@1").await.state, "Completed");
}

#[tokio::test]
async fn after_a_loss_hosts_not_heard_from_count_as_in_flight() {
    let store = fresh_store('a');
    let trial = Trial::on(store.clone()).await;
    trial.clock.pass(BEAT);
    let waves = json!([{ "name": "all", "hosts": ["a", "b"], "maxInFlight": 1 }]);
    trial.publish("stable@1", waves, json!({})).await;
    let (mut a, mut b) = (Host::up("a", &trial).await, Host::up("b", &trial).await);
    trial.plane.flush().await.unwrap();
    let backup = Arc::new(store.copy());
    a.start(&trial, "stable@1").await;
    b.beat(&trial).await;
    let trial = trial.restart_on(backup).await;
    trial.clock.pass(BEAT);
    b.beat(&trial).await;
    trial.act("/v1/rollouts/stable@1/resume", json!({ "by": "ann" })).await;
    trial.look().await;
    assert_eq!(trial.rollout("stable@1").await.waves[0].in_flight, 1, "a may hold a permit that nobody remembers");
    assert!(!b.ask(&trial, "stable@1").await);
    assert!(trial.why("a").await["summary"].to_string().contains("counted as in flight"));
    a.seq = 0;
    a.running = crate::plane::tests::trial::closure("0", "a");
    a.beat(&trial).await;
    trial.look().await;
    assert_eq!(trial.rollout("stable@1").await.waves[0].in_flight, 0);
    b.say(&trial, "stable@1", &[Event::PermitLapsed("refused".to_owned())]).await;
    assert!(b.say(&trial, "stable@1", &[Event::DispatchAcked]).await.permits[0].granted);
}

#[tokio::test]
async fn after_a_loss_hosts_not_heard_from_take_from_their_budgets_too() {
    let store = fresh_store('a');
    let trial = Trial::on(store.clone()).await;
    trial.clock.pass(BEAT);
    let waves = json!([{ "name": "all", "hosts": ["db-1", "db-2"] }]);
    trial.publish("stable@1", waves, json!({ "budgets": { "db": 1 } })).await;
    let (mut one, mut two) = (Host::up("db-1", &trial).await, Host::up("db-2", &trial).await);
    trial.plane.flush().await.unwrap();
    let backup = Arc::new(store.copy());
    one.start(&trial, "stable@1").await;
    two.beat(&trial).await;
    let trial = trial.restart_on(backup).await;
    // Long enough for the other one to be judged before anybody notices the loss.
    trial.clock.pass(std::time::Duration::from_secs(15 * 60));
    trial.look().await;
    assert_eq!(trial.rollout("stable@1").await.waves[0].set_aside, 2);
    two.seen = Some(StoreMarkBody { store_id: StoreId::new("f".repeat(32)).unwrap(), commit_count: 1 });
    two.beat(&trial).await;
    trial.act("/v1/rollouts/stable@1/resume", json!({ "by": "ann" })).await;
    assert!(trial.why("db-2").await.to_string().contains("just started"), "before anybody was judged anew");
    trial.look().await;
    let why = trial.why("db-2").await.to_string();
    assert!(why.contains("budget db has 1 hosts in flight") && !why.contains("just started"), "{why}");
    assert!(!two.ask(&trial, "stable@1").await);
}

#[tokio::test]
async fn a_later_attempt_that_the_copy_does_not_know_goes_on_and_counts() {
    let store = fresh_store('a');
    let trial = Trial::on(store.clone()).await;
    trial.clock.pass(BEAT);
    trial.post_release(&trial.sign(&release())).await;
    let mut a = Host::up("a", &trial).await;
    a.start(&trial, "stable@1").await;
    a.fail(&trial, "stable@1").await;
    a.go_back(&trial, "stable@1").await;
    let backup = Arc::new(store.copy());
    trial.act("/v1/rollouts/stable@1/resume", json!({ "by": "ann" })).await;
    trial.act("/v1/rollouts/stable@1/retry", json!({ "by": "ann", "hosts": ["a"] })).await;
    let known = a.seq;
    a.attempt = 2;
    a.start(&trial, "stable@1").await;
    let trial = trial.restart_on(backup).await;
    trial.clock.pass(BEAT);
    assert_eq!(a.beat(&trial).await.send_from, Some(known + 1));
    a.seq = known;
    a.running = crate::plane::tests::trial::closure("0", "a");
    a.say(&trial, "stable@1", &[Event::Staged, Event::DispatchAcked]).await;
    a.switch(&trial, "stable@1").await;
    let attempt = trial.attempt("stable@1", "a").await;
    assert_eq!((attempt.attempt, attempt.state.as_str(), attempt.in_flight), (2, "Soaking", true));
}
