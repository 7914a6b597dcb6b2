//! Acts of operators: tried, done, repeated, and written down.

use crate::model::host_rollout::Event;
use crate::plane::tests::host::Host;
use crate::plane::tests::trial::Trial;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_dry_run_says_what_would_happen_and_changes_nothing() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a", "b"]).await;
    let before = trial.kinds().await;
    for (verb, said) in [("pause", "paused by ann"), ("cancel", "2 hosts that had not started are cancelled")] {
        let answer = trial.act(&format!("/v1/rollouts/stable@1/{verb}"), json!({ "by": "ann", "dryRun": true })).await;
        assert_eq!(answer["dryRun"], true);
        assert!(answer["done"].to_string().contains(said), "{answer}");
    }
    Host::up("a", &trial).await;
    let answer = trial.act("/v1/hosts/a/hold", json!({ "by": "ann", "dryRun": true })).await;
    assert!(answer["done"].to_string().contains("starts nothing"), "{answer}");
    assert_eq!(trial.kinds().await, before);
    assert_eq!(trial.rollout("stable@1").await.state, "Advancing");
    assert!(trial.get("/v1/hosts/a").await.1["operatorHold"].is_null());
}

#[tokio::test]
async fn an_act_repeated_changes_nothing_and_is_written_once() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a"]).await;
    for _ in 0..2 {
        trial.act("/v1/rollouts/stable@1/pause", json!({ "by": "ann", "reason": "lunch" })).await;
    }
    let kinds = trial.kinds().await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "rolloutPaused").count(), 1, "{kinds:?}");
    let (_, page) = trial.get("/v1/events?rollout=stable@1&limit=1000").await;
    let paused = page["items"].as_array().unwrap().iter().find(|event| event["kind"] == "rolloutPaused").unwrap();
    assert_eq!((paused["author"].as_str(), paused["body"]["by"].as_str()), (Some("cp"), Some("ann")));
    assert_eq!(paused["body"]["reason"], "lunch");
}

#[tokio::test]
async fn resume_of_a_halt_forgives_by_name_and_the_next_failure_halts_again() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a", "b", "c"]).await;
    let (mut a, mut b) = (Host::up("a", &trial).await, Host::up("b", &trial).await);
    a.start(&trial, "stable@1").await;
    b.start(&trial, "stable@1").await;
    a.fail(&trial, "stable@1").await;
    assert_eq!(trial.rollout("stable@1").await.state, "Halted");
    let answer = trial.act("/v1/rollouts/stable@1/resume", json!({ "by": "ann" })).await;
    assert!(answer["done"].to_string().contains("do not count any more: a"), "{answer}");
    a.go_back(&trial, "stable@1").await;
    let view = trial.rollout("stable@1").await;
    assert_eq!((view.state.as_str(), view.waves[0].failed, view.waves[0].neutral), ("Advancing", 0, 1));
    b.fail(&trial, "stable@1").await;
    assert_eq!(trial.rollout("stable@1").await.state, "Halted");
}

#[tokio::test]
async fn a_forgiven_host_that_fails_again_counts_again() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a", "b"]).await;
    let mut a = Host::up("a", &trial).await;
    a.start(&trial, "stable@1").await;
    a.fail(&trial, "stable@1").await;
    a.go_back(&trial, "stable@1").await;
    trial.act("/v1/rollouts/stable@1/resume", json!({ "by": "ann" })).await;
    trial.act("/v1/rollouts/stable@1/retry", json!({ "by": "ann", "hosts": ["a"] })).await;
    a.attempt = 2;
    a.start(&trial, "stable@1").await;
    a.fail(&trial, "stable@1").await;
    a.go_back(&trial, "stable@1").await;
    let view = trial.rollout("stable@1").await;
    assert_eq!((view.state.as_str(), view.waves[0].failed), ("Halted", 1));
}

#[tokio::test]
async fn retry_opens_the_next_attempt_lifts_the_quarantine_and_goes_through_all_gates() {
    let trial = Trial::new().await;
    let waves = json!([{ "name": "all", "hosts": ["a", "b"], "maxFailures": 1 }]);
    trial.publish("stable@1", waves, json!({})).await;
    let (mut a, mut b) = (Host::up("a", &trial).await, Host::up("b", &trial).await);
    a.start(&trial, "stable@1").await;
    a.fail(&trial, "stable@1").await;
    a.go_back(&trial, "stable@1").await;
    b.converge(&trial, "stable@1").await;
    assert_eq!(trial.rollout("stable@1").await.state, "Completed");
    let answer = trial.act("/v1/rollouts/stable@1/retry", json!({ "by": "ann" })).await;
    assert!(answer["done"].to_string().contains("a: attempt 2"), "{answer}");
    assert!(!answer["done"].to_string().contains("b:"), "{answer}");
    let mut body = a.beat_body(&trial);
    body.quarantined = vec![a.target("stable@1")];
    trial.as_host("a", "/v1/agent/heartbeat", Some(&serde_json::to_value(body).unwrap())).await;
    assert_eq!(a.told(&trial).await, ["retry stable@1"], "the agent may not know it is lifted yet");
    let old = a.say(&trial, "stable@1", &[Event::Staged]).await;
    assert!(old.refused[0].reason.contains("attempt 1 is over"), "{old:?}");
    a.attempt = 2;
    a.converge(&trial, "stable@1").await;
    let attempt = trial.attempt("stable@1", "a").await;
    assert_eq!((attempt.attempt, attempt.state.as_str()), (2, "Converged"));
    assert_eq!(trial.rollout("stable@1").await.waves[0].succeeded, 2);
    let answer = trial.act("/v1/rollouts/stable@1/retry", json!({ "by": "ann", "hosts": ["b", "z"] })).await;
    assert!(answer["done"].to_string().contains("nothing to retry") && answer["done"].to_string().contains("not in"));
}

#[tokio::test]
async fn a_retry_frees_a_host_that_waits_behind_its_own_quarantine() {
    let trial = Trial::new().await;
    let waves = json!([{ "name": "all", "hosts": ["a", "b"], "maxFailures": 1 }]);
    trial.publish("stable@1", waves.clone(), json!({})).await;
    let (mut a, mut b) = (Host::up("a", &trial).await, Host::up("b", &trial).await);
    a.start(&trial, "stable@1").await;
    a.fail(&trial, "stable@1").await;
    a.go_back(&trial, "stable@1").await;
    b.converge(&trial, "stable@1").await;
    // The next but three gives each host the same closure again.
    assert_eq!(a.target("stable@5"), a.target("stable@1"));
    trial.publish("stable@5", waves, json!({})).await;
    b.say(&trial, "stable@5", &[Event::Converged]).await;
    let failed = vec![a.target("stable@1")];
    a.beat_quarantined(&trial, failed.clone()).await;
    let why = trial.why("a").await;
    assert_eq!(why["holds"][0]["hint"], "convoy rollout retry stable@5 --host a", "{why}");
    let answer = trial.act("/v1/rollouts/stable@5/retry", json!({ "by": "ann", "hosts": ["a"] })).await;
    assert!(answer["done"].to_string().contains("a: attempt 2 of stable@5"), "{answer}");
    a.beat_quarantined(&trial, failed).await;
    assert_eq!(a.told(&trial).await, ["retry stable@5"]);
    let answer = trial.act("/v1/rollouts/stable@5/retry", json!({ "by": "ann", "hosts": ["a"] })).await;
    assert!(answer["done"].to_string().contains("nothing to retry, it is Pending"), "{answer}");
    a.attempt = 2;
    a.converge(&trial, "stable@5").await;
    assert_eq!(trial.rollout("stable@5").await.state, "Completed");
}

#[tokio::test]
async fn an_ended_or_older_rollout_takes_no_acts() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a"]).await;
    trial.publish_simple("stable@2", &["a"]).await;
    for verb in ["pause", "resume", "cancel", "promote", "retry"] {
        let (status, answer) = trial.post(&format!("/v1/rollouts/stable@1/{verb}"), &json!({ "by": "ann" })).await;
        assert_eq!(status, 409, "{verb}: {answer}");
    }
    trial.act("/v1/rollouts/stable@2/cancel", json!({ "by": "ann" })).await;
    let again = trial.act("/v1/rollouts/stable@2/cancel", json!({ "by": "ann" })).await;
    assert!(again["done"].to_string().contains("nothing to do"), "{again}");
    let (status, _) = trial.post("/v1/rollouts/stable@2/explode", &json!({ "by": "ann" })).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn cancel_tells_waiting_hosts_and_sends_those_in_flight_back_when_asked() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a", "b"]).await;
    let (mut a, mut b) = (Host::up("a", &trial).await, Host::up("b", &trial).await);
    a.start(&trial, "stable@1").await;
    b.say(&trial, "stable@1", &[Event::Staged]).await;
    trial.act("/v1/rollouts/stable@1/cancel", json!({ "by": "ann", "revert": true })).await;
    assert_eq!(a.told(&trial).await, ["revert stable@1"]);
    assert_eq!(b.told(&trial).await, ["cancel stable@1"]);
    assert!(trial.why("a").await["summary"].to_string().contains("told to go back"));
    a.go_back(&trial, "stable@1").await;
    assert!(a.told(&trial).await.is_empty());
    b.beat(&trial).await;
    assert!(b.told(&trial).await.is_empty(), "it does not hold it any more");
}

#[tokio::test]
async fn promote_approves_for_a_while_and_only_what_was_looked_at() {
    let trial = Trial::new().await;
    trial.publish("stable@1", json!([{ "name": "all", "hosts": ["a"], "approval": true }]), json!({})).await;
    let a = Host::up("a", &trial).await;
    let view = trial.rollout("stable@1").await;
    assert!(view.waves[0].waits_for.as_ref().unwrap().contains("approval"), "{view:?}");
    assert_eq!(a.told(&trial).await, ["stage stable@1"]);
    let other = json!({ "by": "ann", "digest": "0".repeat(64) });
    assert_eq!(trial.post("/v1/rollouts/stable@1/promote", &other).await.0, 409);
    assert_eq!(trial.post("/v1/rollouts/stable@1/promote", &json!({ "wave": 2 })).await.0, 400);
    let this = json!({ "by": "ann", "digest": view.digest, "wave": 1, "expiresInSecs": 600 });
    trial.act("/v1/rollouts/stable@1/promote", this).await;
    assert_eq!(a.told(&trial).await, ["start stable@1"]);
    trial.clock.pass(Duration::from_secs(601));
    assert_eq!(a.told(&trial).await, ["stage stable@1"], "it expired");
}

#[tokio::test]
async fn a_held_host_starts_nothing_until_it_is_released() {
    let trial = Trial::new().await;
    let mut a = Host::up("a", &trial).await;
    trial.act("/v1/hosts/a/hold", json!({ "by": "ann", "reason": "new disk" })).await;
    trial.publish_simple("stable@1", &["a"]).await;
    assert!(a.told(&trial).await.is_empty());
    assert!(!a.ask(&trial, "stable@1").await);
    let why = trial.why("a").await;
    assert!(why["holds"][0]["text"].as_str().unwrap().contains("new disk (ann)"), "{why}");
    assert_eq!(why["holds"][0]["hint"], "convoy host release a");
    assert!(trial.kinds().await.contains(&"hostHeld".to_owned()), "also outside of any rollout");
    trial.act("/v1/hosts/a/release", json!({ "by": "ann" })).await;
    assert_eq!(a.told(&trial).await, ["start stable@1"]);
    assert_eq!(trial.post("/v1/hosts/nobody/hold", &json!({})).await.0, 404);
    let long = json!({ "by": "x".repeat(129) });
    assert_eq!(trial.post("/v1/hosts/a/hold", &long).await.0, 400);
}

#[tokio::test]
async fn a_wave_names_the_hosts_that_something_holds() {
    let trial = Trial::new().await;
    let hosts = ["a", "b", "c", "d", "e", "f", "g"];
    trial.publish_simple("stable@1", &hosts).await;
    let mut one = Host::up("a", &trial).await;
    Host::up("b", &trial).await;
    for host in &hosts[2..] {
        Host::up(host, &trial).await;
        trial.act(&format!("/v1/hosts/{host}/hold"), json!({ "by": "ann", "reason": "new disk" })).await;
    }
    one.converge(&trial, "stable@1").await;
    let waits = trial.rollout("stable@1").await.waves[0].waits_for.clone().unwrap();
    assert_eq!(waits, "hosts that something holds: c, d, e, f, g; `convoy why c` says what, and who can clear it");
    for host in &hosts[2..] {
        trial.act(&format!("/v1/hosts/{host}/release"), json!({ "by": "ann" })).await;
    }
    assert_eq!(trial.rollout("stable@1").await.waves[0].waits_for, None, "b is only slow");
}

#[tokio::test]
async fn why_counts_the_soak_down_on_the_hosts_own_clock() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a"]).await;
    let mut a = Host::up("a", &trial).await;
    a.start(&trial, "stable@1").await;
    let probe = crate::model::id::ProbeName::new("http").unwrap();
    let summary = trial.why("a").await["summary"].to_string();
    assert!(summary.contains("waits for the first result of http"), "{summary}");
    let outcome = crate::model::facts::ProbeOutcome::Pass;
    a.say(&trial, "stable@1", &[Event::ProbeResult { probe, outcome }]).await;
    trial.clock.pass(Duration::from_secs(120));
    a.beat(&trial).await;
    trial.clock.step_wall(3 * 3600 * 1000);
    trial.clock.pass(Duration::from_secs(60));
    let summary = trial.why("a").await["summary"].to_string();
    assert!(summary.contains("soaking for 2 min"), "{summary}");
}

#[tokio::test]
async fn holds_are_listed_the_first_to_clear_first() {
    let trial = Trial::new().await;
    let waves = json!([
        { "name": "one", "hosts": ["a"] },
        { "name": "two", "hosts": ["b"], "approval": true, "notBefore": "2027-01-16T00:00:00Z" },
    ]);
    trial.publish("stable@1", waves, json!({})).await;
    Host::up("b", &trial).await;
    let why = trial.why("b").await;
    let cleared: Vec<_> = why["holds"].as_array().unwrap().iter().map(|hold| hold["clearedBy"].clone()).collect();
    assert_eq!(cleared, ["time", "progress", "operator"], "{why}");
    assert_eq!(why["holds"][0]["clearsAt"], "2027-01-16T00:00:00Z");
}
