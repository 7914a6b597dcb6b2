//! Heartbeats: snapshots for what was lost, nothing for what is known, nothing written when nothing is new.

use crate::model::facts::{HostHold, ProbeOutcome};
use crate::model::host_rollout::{Event, HostRolloutState};
use crate::model::id::ProbeName;
use crate::plane::tests::host::Host;
use crate::plane::tests::trial::{Trial, rollout};
use crate::wire::v1::agent::RolloutReport;
use crate::wire::v1::event::HostHoldBody;
use serde_json::json;
use std::time::Duration;

fn report(id: &str, state: HostRolloutState, host: &Host) -> RolloutReport {
    RolloutReport { rollout_id: rollout(id), attempt: host.attempt, state, last_event_seq: host.seq }
}

#[tokio::test]
async fn an_agent_that_lists_nothing_gets_a_snapshot_of_each_started_record_of_its_own() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a", "b", "c"]).await;
    let (mut a, mut b) = (Host::up("a", &trial).await, Host::up("b", &trial).await);
    let mut c = Host::up("c", &trial).await;
    a.start(&trial, "stable@1").await;
    b.start(&trial, "stable@1").await;
    assert!(c.ask(&trial, "stable@1").await);
    let fail = Event::ProbeResult { probe: ProbeName::new("http").unwrap(), outcome: ProbeOutcome::Fail("502".into()) };
    a.say(&trial, "stable@1", &[fail]).await;
    a.lose_state();
    let snapshots = a.beat(&trial).await.bootstrap_rollouts;
    assert_eq!(snapshots.len(), 1);
    let got = &snapshots[0];
    assert_eq!((got.hostname.as_str(), got.channel.as_str(), got.state), ("a", "stable", HostRolloutState::Soaking));
    assert_eq!(got.target_closure, a.target("stable@1").to_string());
    assert!(got.current_closure_at_dispatch.is_some() && got.dispatch_acked_at.is_some());
    assert!(got.activation_started_at.is_some() && got.probe_failure_first_at.is_some());
    let soaks = got.soak_due_at.unwrap() - got.activation_completed_at.unwrap();
    assert_eq!(soaks.num_seconds(), 300);
    assert!(c.beat(&trial).await.bootstrap_rollouts.is_empty(), "permitted is not started");
}

#[tokio::test]
async fn an_agent_that_lists_its_rollouts_gets_none_and_neither_after_the_end() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a"]).await;
    let mut a = Host::up("a", &trial).await;
    a.start(&trial, "stable@1").await;
    a.reports = vec![report("stable@1", HostRolloutState::Soaking, &a)];
    assert!(a.beat(&trial).await.bootstrap_rollouts.is_empty());
    a.finish(&trial, "stable@1").await;
    a.reports.clear();
    assert!(a.beat(&trial).await.bootstrap_rollouts.is_empty());
}

#[tokio::test]
async fn a_heartbeat_with_nothing_new_writes_nothing() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a"]).await;
    let mut a = Host::up("a", &trial).await;
    a.start(&trial, "stable@1").await;
    a.reports = vec![report("stable@1", HostRolloutState::Soaking, &a)];
    a.beat(&trial).await;
    let before = trial.store.mark();
    for _ in 0..5 {
        trial.clock.pass(Duration::from_secs(60));
        let answer = a.beat(&trial).await;
        assert_eq!((answer.acknowledged_seq, answer.send_from), (a.seq, None));
        assert!((54_000..=60_000).contains(&answer.next_delay_ms), "{}", answer.next_delay_ms);
    }
    assert_eq!(trial.store.mark(), before);
    let (_, host) = trial.get("/v1/hosts/a").await;
    assert_eq!(host["heardAt"], json!("2027-01-15T08:06:00Z"), "and it was heard all the same");
}

#[tokio::test]
async fn what_memory_answers_is_what_the_rows_say_after_every_change() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a"]).await;
    let mut a = Host::up("a", &trial).await;
    a.beat(&trial).await;
    a.start(&trial, "stable@1").await;
    assert_eq!(a.beat(&trial).await.bootstrap_rollouts.len(), 1, "it lists nothing");
    assert_eq!(a.beat(&trial).await.bootstrap_rollouts.len(), 1, "and still lists nothing");
    a.reports = vec![report("stable@1", HostRolloutState::Soaking, &a)];
    a.beat(&trial).await;
    a.beat(&trial).await;
    a.reports.clear();
    assert_eq!(a.beat(&trial).await.bootstrap_rollouts.len(), 1, "it lost it between two heartbeats");
    let ahead = a.seq;
    a.seq += 3;
    assert_eq!(a.beat(&trial).await.send_from, Some(ahead + 1));
}

#[tokio::test]
async fn a_host_that_holds_itself_back_gets_no_permit_and_why_says_so() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a"]).await;
    let a = Host::up("a", &trial).await;
    let mut body = a.beat_body(&trial);
    body.holds = vec![HostHoldBody::from(&HostHold::Disk("12 MiB free on /nix/store".to_owned()))];
    let (status, _) = trial.as_host("a", "/v1/agent/heartbeat", Some(&serde_json::to_value(body).unwrap())).await;
    assert_eq!(status, 200);
    assert_eq!(a.told(&trial).await, ["stage stable@1"]);
    let why = trial.why("a").await;
    assert!(why["holds"][0]["text"].as_str().unwrap().contains("12 MiB"), "{why}");
    assert_eq!((why["holds"][0]["gate"].as_str(), why["holds"][0]["clearedBy"].as_str()), (Some("host"), Some("host")));
}

#[tokio::test]
async fn a_host_on_which_very_much_failed_is_heard_all_the_same() {
    let trial = Trial::new().await;
    let a = Host::up("a", &trial).await;
    let failed = |n: usize| format!("/nix/store/{n:032}-nixos-system-a").parse().unwrap();
    a.beat_quarantined(&trial, (0..200).map(failed).collect()).await;
    a.beat_quarantined(&trial, (100..300).map(failed).collect()).await;
    let (_, host) = trial.get("/v1/hosts/a").await;
    let known: Vec<_> =
        host["quarantined"].as_array().unwrap().iter().map(|closure| closure.as_str().unwrap()).collect();
    assert_eq!(known.len(), 128, "{known:?}");
    assert!(known.last().unwrap().contains("299-nixos"), "the newest are kept: {known:?}");
    let before = trial.store.mark();
    a.beat_quarantined(&trial, (100..300).map(failed).collect()).await;
    assert_eq!(trial.store.mark(), before, "and nothing is written again");
}

#[tokio::test]
async fn drift_is_reported_held_or_reconciled_as_policy_says() {
    for (policy, told, history) in [
        ("report", vec![], "drifted"),
        ("hold", vec![], "drifted"),
        ("reconcile", vec!["start stable@1".to_owned()], "attemptOpened"),
    ] {
        let trial = Trial::new().await;
        let waves = json!([{ "name": "all", "hosts": ["a"] }]);
        trial.publish("stable@1", waves, json!({ "onDrift": policy })).await;
        let mut a = Host::up("a", &trial).await;
        a.converge(&trial, "stable@1").await;
        a.beat(&trial).await;
        a.running = crate::plane::tests::trial::closure("3", "a");
        a.beat(&trial).await;
        assert_eq!(a.told(&trial).await, told, "{policy}");
        assert!(trial.kinds().await.contains(&history.to_owned()), "{policy}");
        let (_, host) = trial.get("/v1/hosts/a").await;
        assert_eq!(host["operatorHold"].is_string(), policy == "hold", "{host}");
        if policy == "hold" {
            trial.act("/v1/hosts/a/resolve", json!({ "by": "ann" })).await;
            assert!(trial.get("/v1/hosts/a").await.1["operatorHold"].is_null());
        }
    }
}

#[tokio::test]
async fn a_manual_switch_in_the_middle_of_a_soak_is_held_once_and_stays_resolved() {
    use crate::model::id::Closure;
    let trial = Trial::new().await;
    let waves = json!([{ "name": "all", "hosts": ["a"], "maxFailures": 1 }]);
    trial.publish("stable@1", waves.clone(), json!({ "onDrift": "hold" })).await;
    let mut a = Host::up("a", &trial).await;
    a.start(&trial, "stable@1").await;
    a.running = crate::plane::tests::trial::closure("3", "a");
    a.beat(&trial).await;
    assert!(trial.get("/v1/hosts/a").await.1["operatorHold"].is_null(), "the attempt is not over");
    a.say(&trial, "stable@1", &[Event::Overtaken(Closure::new(a.running.clone()).unwrap())]).await;
    a.beat(&trial).await;
    assert!(trial.get("/v1/hosts/a").await.1["operatorHold"].as_str().unwrap().starts_with("drift"));
    trial.publish("stable@2", waves, json!({})).await;
    assert!(a.told(&trial).await.is_empty());
    trial.act("/v1/hosts/a/resolve", json!({ "by": "ann" })).await;
    let trial = trial.restart().await;
    trial.clock.pass(crate::plane::tests::trial::BEAT);
    a.beat(&trial).await;
    assert_eq!(a.told(&trial).await, ["start stable@2"]);
}
