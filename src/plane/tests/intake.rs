//! Events: once, in order; what contradicts fences, what can't apply is kept and blocks nothing.

use crate::model::facts::{Activation, Closures};
use crate::model::host_rollout::{Event, HostRollout, Observed, Terms};
use crate::model::id::{Attempt, Closure};
use crate::model::time::Timestamp;
use crate::plane::tests::host::Host;
use crate::plane::tests::trial::{Trial, closure, rollout};
use crate::wire::v1::event::EventBody;
use serde_json::json;
use std::time::Duration;

async fn soaking(trial: &Trial) -> Host {
    trial.publish_simple("stable@1", &["a", "b"]).await;
    let mut a = Host::up("a", trial).await;
    a.start(trial, "stable@1").await;
    a
}

#[tokio::test]
async fn a_host_goes_the_whole_way_and_every_event_is_in_the_history() {
    let trial = Trial::new().await;
    let mut a = soaking(&trial).await;
    a.finish(&trial, "stable@1").await;
    assert_eq!(trial.attempt("stable@1", "a").await.state, "Converged");
    let kinds = trial.kinds().await;
    let wanted = ["staged", "dispatchAcked", "activationStarted", "activationCompleted", "committed", "converged"];
    for kind in wanted {
        assert!(kinds.contains(&kind.to_owned()), "{kind} is not in {kinds:?}");
    }
    assert!(kinds.iter().all(|kind| !kind.starts_with('!')), "{kinds:?}");
}

#[tokio::test]
async fn a_repeated_batch_is_answered_alike_and_stored_once() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a"]).await;
    let mut a = Host::up("a", &trial).await;
    let events = vec![a.next(&trial, "stable@1", &Event::Staged), a.next(&trial, "stable@1", &Event::DispatchAcked)];
    let batch = a.batch(events);
    let first = a.post(&trial, &batch).await;
    let stored = trial.kinds().await;
    let again = a.post(&trial, &batch).await;
    assert!(first.permits[0].granted);
    assert_eq!((first.last_seq, &first.permits), (again.last_seq, &again.permits));
    assert_eq!(trial.kinds().await, stored);
    assert_eq!(trial.rollout("stable@1").await.waves[0].in_flight, 1);
}

#[tokio::test]
async fn events_from_the_future_are_not_stored_and_the_missing_ones_are_asked_for() {
    let trial = Trial::new().await;
    let mut a = soaking(&trial).await;
    let held = a.seq;
    let lost = a.next(&trial, "stable@1", &Event::Committed);
    let early = a.next(&trial, "stable@1", &Event::Converged);
    let answer = a.post(&trial, &a.batch(vec![early.clone()])).await;
    assert_eq!((answer.last_seq, answer.send_from), (held, Some(held + 1)));
    assert_eq!(a.beat(&trial).await.send_from, Some(held + 1), "the heartbeat asks for them too");
    let answer = a.post(&trial, &a.batch(vec![lost, early])).await;
    assert_eq!((answer.last_seq, answer.send_from), (held + 2, None));
    assert_eq!(trial.attempt("stable@1", "a").await.state, "Converged");
}

#[tokio::test]
async fn the_same_number_with_another_body_fences_the_journal() {
    let trial = Trial::new().await;
    let mut a = soaking(&trial).await;
    a.seq -= 1;
    let other = a.next(&trial, "stable@1", &Event::Committed);
    let answer = a.post(&trial, &a.batch(vec![other])).await;
    assert!(answer.fenced.unwrap().contains("something else"));
    assert_eq!(trial.attempt("stable@1", "a").await.state, "Soaking");
    let fenced = a.say(&trial, "stable@1", &[Event::Committed]).await;
    assert!(fenced.fenced.is_some(), "nothing more is taken from it");
    assert!(a.beat(&trial).await.fenced.is_some());
}

#[tokio::test]
async fn a_journal_that_ends_before_what_is_held_is_fenced() {
    let trial = Trial::new().await;
    let mut a = soaking(&trial).await;
    a.seq -= 2;
    trial.clock.pass(Duration::from_millis(1));
    let answer = a.beat(&trial).await;
    assert!(answer.fenced.unwrap().contains("older copy"));
    assert_eq!(answer.bootstrap_rollouts.len(), 1, "and it gets what it lost");
}

#[tokio::test]
async fn a_heartbeat_that_a_batch_overtook_fences_nothing() {
    let trial = Trial::new().await;
    let mut a = soaking(&trial).await;
    let late = serde_json::to_value(a.beat_body(&trial)).unwrap();
    trial.clock.pass(Duration::from_secs(1));
    a.finish(&trial, "stable@1").await;
    let (status, answer) = trial.as_host("a", "/v1/agent/heartbeat", Some(&late)).await;
    assert_eq!((status, &answer["fenced"]), (200, &serde_json::Value::Null), "{answer}");
    assert_eq!(answer["acknowledgedSeq"], a.seq);
    assert_eq!(a.beat(&trial).await.fenced, None);
}

#[tokio::test]
async fn a_new_journal_takes_over_and_marks_what_may_be_missing() {
    let trial = Trial::new().await;
    let mut a = soaking(&trial).await;
    let committed = a.next(&trial, "stable@1", &Event::Committed);
    let old = a.batch(vec![committed]);
    a.lose_state();
    let answer = a.beat(&trial).await;
    assert_eq!((answer.acknowledged_seq, answer.fenced), (0, None));
    assert!(trial.kinds().await.contains(&"historyLost".to_owned()));
    let answer = a.post(&trial, &old).await;
    assert!(answer.fenced.unwrap().contains("took its place"));
    let journal = a.say(&trial, "stable@1", &[Event::Committed, Event::Converged]).await;
    assert_eq!((journal.last_seq, journal.refused), (2, vec![]));
    assert_eq!(trial.attempt("stable@1", "a").await.state, "Converged");
}

#[tokio::test]
async fn a_base_beyond_what_is_held_marks_the_loss_and_its_state_is_taken_over() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a"]).await;
    let mut a = Host::up("a", &trial).await;
    let loaded = trial.plane.look(|desk| desk.release(&rollout("stable@1"))).await.unwrap().unwrap();
    let terms = Terms::of(&loaded.release, &crate::plane::tests::trial::name("a")).unwrap();
    let mut state = HostRollout::open(Attempt::FIRST, terms, &a.stamp(&trial));
    let prior = crate::model::id::Closure::new(closure("0", "a")).unwrap();
    let path = [
        Event::Staged,
        Event::DispatchAcked,
        Event::ActivationStarted { prior },
        Event::ActivationCompleted { at: a.stamp(&trial), notes: vec![] },
    ];
    for event in path {
        match crate::model::host_rollout::step::step(&state, &event, &a.stamp(&trial)) {
            crate::model::host_rollout::Step::Moved(next, _) => state = *next,
            crate::model::host_rollout::Step::Ignored(why) => panic!("{why}"),
        }
    }
    a.seq = 40;
    let committed = a.next(&trial, "stable@1", &Event::Committed);
    let mut batch = a.batch(vec![committed]);
    batch.base = Some(a.base(40, &[(rollout("stable@1"), state)]));
    let answer = a.post(&trial, &batch).await;
    assert_eq!((answer.last_seq, answer.refused), (41, vec![]));
    let (_, page) = trial.get("/v1/events?limit=1000").await;
    let lost: Vec<_> = page["items"].as_array().unwrap().iter().filter(|e| e["kind"] == "historyLost").collect();
    assert_eq!((lost[0]["body"]["from"].as_u64(), lost[0]["body"]["to"].as_u64()), (Some(1), Some(40)), "{page}");
    let attempt = trial.attempt("stable@1", "a").await;
    assert_eq!((attempt.state.as_str(), attempt.in_flight), ("Soaking", true), "what runs counts, permit or not");
}

#[tokio::test]
async fn events_that_can_not_apply_are_kept_and_block_nothing() {
    let trial = Trial::new().await;
    let mut a = soaking(&trial).await;
    let mut unknown_kind = a.next(&trial, "stable@1", &Event::Staged);
    unknown_kind.event = serde_json::from_value::<EventBody>(json!({ "kind": "telepathy", "x": 1 })).unwrap();
    let unknown_rollout = a.next(&trial, "stable@77", &Event::Staged);
    let mut old_attempt = a.next(&trial, "stable@1", &Event::Committed);
    old_attempt.attempt = 0;
    let ignored = a.next(&trial, "stable@1", &Event::RollbackCompleted);
    let good = a.next(&trial, "stable@1", &Event::Committed);
    let last = good.seq;
    let answer = a.post(&trial, &a.batch(vec![unknown_kind, unknown_rollout, old_attempt, ignored, good])).await;
    assert_eq!((answer.last_seq, answer.refused.len()), (last, 4), "{answer:?}");
    let kinds = trial.kinds().await;
    for kind in ["!telepathy", "!staged", "!committed", "!rollbackCompleted", "committed"] {
        assert!(kinds.contains(&kind.to_owned()), "{kind} is not in {kinds:?}");
    }
}

#[tokio::test]
async fn three_new_journals_in_an_hour_are_a_clone_until_an_operator_resolves_it() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a"]).await;
    let mut a = Host::up("a", &trial).await;
    for _ in 0..2 {
        a.lose_state();
        a.beat(&trial).await;
    }
    assert_eq!(a.told(&trial).await, ["start stable@1"], "a machine may lose its state twice");
    a.lose_state();
    a.beat(&trial).await;
    assert!(a.told(&trial).await.is_empty());
    assert!(trial.why("a").await.to_string().contains("two machines"));
    trial.act("/v1/hosts/a/resolve", json!({ "by": "ann", "reason": "one is off now" })).await;
    assert_eq!(a.told(&trial).await, ["start stable@1"]);
    // The other machine had this one's journal fenced, so it opens one more.
    trial.clock.pass(Duration::from_secs(10));
    a.lose_state();
    a.beat(&trial).await;
    assert_eq!(a.told(&trial).await, ["start stable@1"], "what was seen before counts no more");
}

#[tokio::test]
async fn three_new_journals_over_days_are_no_clone() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a"]).await;
    let mut a = Host::up("a", &trial).await;
    for _ in 0..4 {
        trial.clock.pass(Duration::from_secs(86_400));
        a.lose_state();
        a.beat(&trial).await;
    }
    assert!(!trial.why("a").await.to_string().contains("two machines"));
}

#[tokio::test]
async fn a_boot_that_comes_back_is_a_clone() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a"]).await;
    let mut a = Host::up("a", &trial).await;
    for boot in ["second", "boot-a"] {
        assert!(!trial.why("a").await.to_string().contains("two machines"));
        a.boot = boot.to_owned();
        a.beat(&trial).await;
    }
    assert!(trial.why("a").await.to_string().contains("two machines"));
}

#[tokio::test]
async fn a_batch_that_is_too_long_is_refused_whole() {
    let trial = Trial::new().await;
    let mut a = Host::up("a", &trial).await;
    let events = (0..257).map(|_| a.next(&trial, "stable@1", &Event::Staged)).collect();
    let body = serde_json::to_value(a.batch(events)).unwrap();
    let (status, answer) = trial.as_host("a", "/v1/agent/events", Some(&body)).await;
    assert_eq!((status, answer["code"].as_str()), (400, Some("batch_too_long")));
}

/// What a host says of an activation by somebody else.
fn activated(path: &str, action: &str, who: &str) -> Event {
    let closure = Closure::new(path).unwrap();
    let closures = Closures { running: Some(closure.clone()), booted: None, default: None };
    let (action, boot, who, at) = (action.to_owned(), "boot-a".to_owned(), who.to_owned(), Timestamp(5_000));
    Event::ClosureObserved(Observed { closures, by: Some(Activation { closure, action, boot, who, at }) })
}

/// Who is shown to have activated what there.
async fn shown(trial: &Trial) -> (String, String) {
    let (_, host) = trial.get("/v1/hosts/a").await;
    let word = |key: &str| host["activated"][key].as_str().unwrap_or_default().to_owned();
    (word("who"), word("closure"))
}

#[tokio::test]
async fn who_switched_a_host_by_hand_is_shown_and_a_boot_into_it_changes_nothing() {
    let trial = Trial::new().await;
    let mut a = soaking(&trial).await;
    assert_eq!(shown(&trial).await, (String::new(), String::new()));
    let (by_hand, other) = (closure("7", "a"), closure("8", "a"));
    a.say(&trial, "stable@1", &[activated(&by_hand, "switch", "ada")]).await;
    assert_eq!(shown(&trial).await, ("ada".to_owned(), by_hand.clone()));
    a.say(&trial, "stable@1", &[activated(&by_hand, "boot", "the boot")]).await;
    assert_eq!(shown(&trial).await, ("ada".to_owned(), by_hand));
    a.say(&trial, "stable@1", &[activated(&other, "boot", "the boot")]).await;
    assert_eq!(shown(&trial).await, ("the boot".to_owned(), other));
}

#[tokio::test]
async fn who_switched_a_host_is_kept_also_when_the_attempt_is_over() {
    let trial = Trial::new().await;
    let mut a = soaking(&trial).await;
    let by_hand = closure("7", "a");
    let answer = a.say(&trial, "stable@99", &[activated(&by_hand, "test", "ada")]).await;
    assert_eq!(answer.refused.len(), 1);
    assert_eq!(shown(&trial).await, ("ada".to_owned(), by_hand));
}
