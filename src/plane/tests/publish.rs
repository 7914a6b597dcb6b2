//! Publishing: the sequence only grows, the same release again changes nothing, records are all there or none.

use crate::plane::tests::host::Host;
use crate::plane::tests::trial::{Trial, closure, manifest};
use serde_json::json;
use std::time::Duration;

fn one(id: &str) -> serde_json::Value {
    manifest(id, json!([{ "name": "all", "hosts": ["a"] }]), json!({}))
}

#[tokio::test]
async fn the_same_release_again_changes_nothing() {
    let trial = Trial::new().await;
    let signed = trial.sign(&one("stable@1"));
    assert_eq!(trial.post_release(&signed).await.0, 201);
    let before = trial.kinds().await;
    let (status, answer) = trial.post_release(&signed).await;
    assert_eq!((status, answer["new"].as_bool()), (200, Some(false)), "{answer}");
    assert_eq!(trial.kinds().await, before);
}

#[tokio::test]
async fn a_known_name_with_another_content_is_refused() {
    let trial = Trial::new().await;
    assert_eq!(trial.post_release(&trial.sign(&one("stable@1"))).await.0, 201);
    let other = manifest("stable@1", json!([{ "name": "all", "hosts": ["a", "b"] }]), json!({}));
    let (status, answer) = trial.post_release(&trial.sign(&other)).await;
    assert_eq!((status, answer["code"].as_str()), (409, Some("release_known")), "{answer}");
}

#[tokio::test]
async fn an_older_sequence_is_refused_in_every_channel() {
    let trial = Trial::new().await;
    assert_eq!(trial.post_release(&trial.sign_as(&one("stable@1"), 7)).await.0, 201);
    for sequence in [6, 7] {
        let (status, answer) = trial.post_release(&trial.sign_as(&one("edge@1"), sequence)).await;
        assert_eq!(status, 422, "{answer}");
    }
    assert_eq!(trial.post_release(&trial.sign_as(&one("edge@1"), 8)).await.0, 201);
}

#[tokio::test]
async fn a_lease_is_renewed_without_touching_the_rollout() {
    let trial = Trial::new().await;
    trial.post_release(&trial.sign_as(&one("stable@1"), 1)).await;
    let before = trial.rollout("stable@1").await;
    trial.clock.pass(Duration::from_secs(3600));
    let (status, answer) = trial.post_release(&trial.sign_as(&one("stable@1"), 1)).await;
    assert_eq!((status, answer["new"].as_bool()), (200, Some(false)), "{answer}");
    let after = trial.rollout("stable@1").await;
    assert!(after.lease_expires_at > before.lease_expires_at);
    assert_eq!((after.state, after.opened_at), (before.state, before.opened_at));
    let (_, body) = trial.get("/v1/releases/stable/1").await;
    assert!(body["lease"]["statement"].as_str().unwrap().contains("2027-01-15T09"), "{body}");
}

#[tokio::test]
async fn an_expired_lease_and_a_clock_behind_are_refused() {
    let trial = Trial::new().await;
    let signed = trial.sign(&one("stable@1"));
    trial.clock.pass(Duration::from_secs(86400));
    let (status, answer) = trial.post_release(&signed).await;
    assert_eq!(status, 422);
    assert!(answer["message"].as_str().unwrap().contains("expired"), "{answer}");
    let signed = trial.sign(&one("stable@2"));
    trial.clock.step_wall(-3_600_000);
    assert_eq!(trial.post_release(&signed).await.0, 422);
}

#[tokio::test]
async fn waves_without_changes_and_unknown_hosts_are_said() {
    let trial = Trial::new().await;
    let mut same = Host::new("a");
    same.running = closure("1", "a");
    same.beat(&trial).await;
    let waves = json!([{ "name": "first", "hosts": ["a"] }, { "name": "second", "hosts": ["b"] }]);
    let answer = trial.publish("stable@1", waves, json!({})).await;
    let notes = answer["notes"].to_string();
    assert!(notes.contains("wave first has no host that changes"), "{notes}");
    assert!(notes.contains("1 hosts were never heard from (b)"), "{notes}");
    assert_eq!(trial.rollout("stable@1").await.wave, Some(2), "the first wave is not waited for");
}

#[tokio::test]
async fn more_hosts_than_one_transaction_takes_get_their_records_and_pages() {
    let trial = Trial::new().await;
    let names: Vec<String> = (0..600).map(|n| format!("host{n:04}")).collect();
    trial.publish("stable@1", json!([{ "name": "all", "hosts": names }]), json!({})).await;
    assert_eq!(trial.rollout("stable@1").await.waves[0].waiting, 600);
    let (_, page) = trial.get("/v1/rollouts/stable@1/hosts?limit=500").await;
    assert_eq!(page["items"].as_array().unwrap().len(), 500);
    let next = page["next"].as_str().unwrap();
    let (_, rest) = trial.get(&format!("/v1/rollouts/stable@1/hosts?limit=500&after={next}")).await;
    assert_eq!(rest["items"].as_array().unwrap().len(), 100);
}

#[tokio::test]
async fn a_newer_release_takes_over_and_what_has_not_started_is_cancelled() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a", "b"]).await;
    let (mut a, b) = (Host::up("a", &trial).await, Host::up("b", &trial).await);
    a.start(&trial, "stable@1").await;
    trial.publish_simple("stable@2", &["a", "b"]).await;
    let old = trial.rollout("stable@1").await;
    assert_eq!((old.state.as_str(), old.why.as_deref()), ("Superseded", Some("superseded by stable@2")));
    assert_eq!(trial.attempt("stable@1", "b").await.state, "Cancelled");
    assert_eq!(trial.attempt("stable@1", "a").await.state, "Soaking", "permitted hosts finish");
    assert_eq!(b.told(&trial).await, ["cancel stable@1", "start stable@2"]);
    assert_eq!(a.told(&trial).await, ["stage stable@2"], "one rollout per host at a time");
    a.finish(&trial, "stable@1").await;
    assert_eq!(a.told(&trial).await, ["start stable@2"]);
}

#[tokio::test]
async fn a_newer_release_sends_hosts_in_flight_back_where_policy_says() {
    let trial = Trial::new().await;
    let waves = json!([{ "name": "all", "hosts": ["a"] }]);
    trial.publish("stable@1", waves, json!({ "onSupersede": "revert" })).await;
    let mut a = Host::up("a", &trial).await;
    a.start(&trial, "stable@1").await;
    trial.publish_simple("stable@2", &["a"]).await;
    assert_eq!(a.told(&trial).await, ["revert stable@1", "stage stable@2"]);
}

#[tokio::test]
async fn a_straggler_that_returns_after_two_releases_gets_only_the_newest() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a", "late"]).await;
    trial.publish_simple("stable@2", &["a", "late"]).await;
    trial.publish_simple("stable@3", &["a", "late"]).await;
    let late = Host::up("late", &trial).await;
    let told = late.told(&trial).await;
    let starts: Vec<_> = told.iter().filter(|order| !order.starts_with("cancel")).collect();
    assert_eq!(starts, ["start stable@3"]);
}

#[tokio::test]
async fn what_comes_back_to_wait_in_an_ended_rollout_is_cancelled() {
    use crate::model::host_rollout::Event;
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a", "b", "c"]).await;
    let (mut a, mut b) = (Host::up("a", &trial).await, Host::up("b", &trial).await);
    let mut c = Host::up("c", &trial).await;
    assert!(a.ask(&trial, "stable@1").await && b.ask(&trial, "stable@1").await);
    c.start(&trial, "stable@1").await;
    trial.publish_simple("stable@2", &["a", "b", "c"]).await;
    assert_eq!(trial.attempt("stable@1", "a").await.state, "Pending", "permitted hosts finish");
    a.say(&trial, "stable@1", &[Event::PermitLapsed("too late".to_owned())]).await;
    let prior = crate::model::id::Closure::new(b.running.clone()).unwrap();
    let deferred = [Event::ActivationStarted { prior }, Event::ActivationDeferred("kernel".to_owned())];
    b.say(&trial, "stable@1", &deferred).await;
    c.boot = "again".to_owned();
    let prior = crate::model::id::Closure::new(closure("0", "c")).unwrap();
    c.say(&trial, "stable@1", &[Event::Rebooted { into: prior, clean: true }]).await;
    for host in [&a, &b, &c] {
        assert_eq!(trial.attempt("stable@1", &host.name).await.state, "Cancelled", "{}", host.name);
        assert_eq!(host.told(&trial).await, ["cancel stable@1", "start stable@2"]);
    }
}

#[tokio::test]
async fn a_clock_that_was_ahead_once_does_not_make_an_older_release_the_newest() {
    let trial = Trial::new().await;
    let signed = trial.sign(&one("stable@1"));
    trial.clock.step_wall(3_600_000);
    assert_eq!(trial.post_release(&signed).await.0, 201);
    trial.clock.step_wall(-3_600_000);
    trial.publish_simple("stable@2", &["a"]).await;
    let a = Host::up("a", &trial).await;
    assert_eq!(a.told(&trial).await, ["start stable@2"]);
    let (_, fleet) = trial.get("/v1/fleet").await;
    assert_eq!(fleet["rollouts"][0]["id"], "stable@2", "{fleet}");
}

/// Publishes in part, as a full disk would leave it: the release and the first of its records.
async fn publish_in_part(trial: &Trial, id: &str, hosts: &[String]) {
    let signed = trial.sign(&manifest(id, json!([{ "name": "all", "hosts": hosts }]), json!({})));
    let verified = crate::trust::verify(&signed, &trial.plane.credentials.set().trust).unwrap();
    let body = serde_json::to_string(&signed).unwrap();
    let id = crate::plane::tests::trial::rollout(id);
    let taken = trial.plane.transact(move |desk| {
        desk.take_release(&verified, body, "ci")?;
        desk.make_records(&id, None)
    });
    taken.await.unwrap();
    trial.plane.unfinished.store(true, std::sync::atomic::Ordering::Release);
}

fn many() -> Vec<String> {
    (0..600).map(|n| format!("host{n:04}")).collect()
}

#[tokio::test]
async fn a_release_published_in_part_holds_nothing_back_and_is_finished_by_itself() {
    let trial = Trial::new().await;
    trial.publish("stable@1", json!([{ "name": "all", "hosts": many() }]), json!({})).await;
    let mut host = Host::up("host0000", &trial).await;
    publish_in_part(&trial, "stable@2", &many()).await;
    assert_eq!(host.told(&trial).await, ["start stable@1"], "the older one goes on");
    assert!(host.ask(&trial, "stable@1").await);
    let store_id = crate::model::id::StoreId::new("f".repeat(32)).unwrap();
    host.seen = Some(crate::wire::v1::agent::StoreMarkBody { store_id, commit_count: 1 });
    host.beat(&trial).await;
    assert_eq!(trial.rollout("stable@1").await.why.as_deref(), Some("paused by restored"));
    trial.plane.go_on_publishing().await;
    let view = trial.rollout("stable@2").await;
    assert_eq!((view.why.as_deref(), view.waves[0].waiting), (Some("paused by restored"), 600));
    assert_eq!(trial.rollout("stable@1").await.state, "Superseded");
}

#[tokio::test]
async fn a_release_published_in_part_does_not_supersede_a_newer_one() {
    let trial = Trial::new().await;
    publish_in_part(&trial, "stable@1", &many()).await;
    trial.clock.pass(Duration::from_secs(1));
    trial.publish_simple("stable@2", &["host0000"]).await;
    trial.plane.go_on_publishing().await;
    trial.look().await;
    assert_eq!(trial.rollout("stable@2").await.state, "Advancing");
    let older = trial.rollout("stable@1").await;
    assert_eq!((older.state.as_str(), older.waves[0].waiting), ("Superseded", 0));
}

#[tokio::test]
async fn publishing_goes_on_when_the_caller_hangs_up() {
    use futures_util::FutureExt;
    let trial = Trial::new().await;
    let signed = trial.sign(&manifest("stable@1", json!([{ "name": "all", "hosts": many() }]), json!({})));
    assert!(
        trial.plane.publish(signed, "ci".to_owned()).now_or_never().is_none(),
        "it was begun and the caller is gone"
    );
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    let view = trial.rollout("stable@1").await;
    assert_eq!((view.state.as_str(), view.waves[0].waiting), ("Advancing", 600));
}

#[tokio::test]
async fn a_busy_channel_hides_nothing_of_a_quiet_one() {
    let trial = Trial::new().await;
    trial.publish("stable@1", json!([{ "name": "all", "hosts": ["a", "b"] }]), json!({})).await;
    let (mut a, mut b) = (Host::up("a", &trial).await, Host::up("b", &trial).await);
    a.converge(&trial, "stable@1").await;
    for n in 1..=70 {
        trial.publish_simple(&format!("dev@{n}"), &["d"]).await;
    }
    let (_, fleet) = trial.get("/v1/fleet").await;
    let shown: Vec<_> = fleet["rollouts"].as_array().unwrap().iter().map(|view| view["id"].clone()).collect();
    assert_eq!(shown, ["dev@70", "stable@1"]);
    assert!(trial.why("a").await["summary"].to_string().contains("converged in stable@1"));
    a.running = crate::plane::tests::trial::closure("3", "a");
    a.beat(&trial).await;
    assert!(trial.kinds().await.contains(&"drifted".to_owned()));
    let trial = trial.restart().await;
    let (_, fleet) = trial.get("/v1/fleet").await;
    assert_eq!(fleet["byState"]["Converged"], 1, "{fleet}");
    let store_id = crate::model::id::StoreId::new("f".repeat(32)).unwrap();
    b.seen = Some(crate::wire::v1::agent::StoreMarkBody { store_id, commit_count: 1 });
    b.beat(&trial).await;
    assert_eq!(trial.rollout("stable@1").await.why.as_deref(), Some("paused by restored"));
    trial.publish_simple("stable@2", &["a", "b"]).await;
    assert_eq!(trial.rollout("stable@1").await.state, "Superseded");
}
