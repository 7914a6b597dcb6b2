//! The same answers after a restart on the same database, wherever it was stopped.

use crate::model::host_rollout::Event;
use crate::model::id::StoreId;
use crate::plane::tests::host::Host;
use crate::plane::tests::trial::{BEAT, Trial, manifest};
use crate::store::Store;
use crate::store::sqlite::{Options, SqliteStore};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

pub fn sqlite(dir: &Path) -> Arc<dyn Store> {
    Arc::new(
        SqliteStore::open(&dir.join("convoy.db"), Options { new_store_id: StoreId::new("d".repeat(32)).unwrap() })
            .unwrap(),
    )
}

/// Ends a trial with its store, and starts another on the same file.
async fn reopen(mut trial: Trial, dir: &Path) -> Trial {
    trial.store = crate::plane::tests::trial::fresh_store('c');
    let trial = trial.restart_on(crate::plane::tests::trial::fresh_store('c')).await;
    trial.restart_on(sqlite(dir)).await
}

#[tokio::test]
async fn a_restart_on_the_same_file_gives_the_same_answers_and_repeats_permits() {
    let dir = tempfile::tempdir().unwrap();
    let trial = Trial::on(sqlite(dir.path())).await;
    trial.clock.pass(BEAT);
    let waves = json!([{ "name": "all", "hosts": ["a", "b", "c"], "maxInFlight": 2 }]);
    trial.publish("stable@1", waves, json!({})).await;
    let (mut a, mut b) = (Host::up("a", &trial).await, Host::up("b", &trial).await);
    let mut c = Host::up("c", &trial).await;
    a.start(&trial, "stable@1").await;
    let events = vec![b.next(&trial, "stable@1", &Event::Staged), b.next(&trial, "stable@1", &Event::DispatchAcked)];
    let asked = b.batch(events);
    assert!(b.post(&trial, &asked).await.permits[0].granted);
    assert!(!c.ask(&trial, "stable@1").await);
    let (view, attempts) = (trial.rollout("stable@1").await, trial.get("/v1/rollouts/stable@1/hosts").await);
    let (kinds, mark) = (trial.kinds().await, trial.store.mark());

    let trial = reopen(trial, dir.path()).await;
    assert_eq!(trial.store.mark().store_id, mark.store_id);
    assert!(trial.store.mark().commit_count >= mark.commit_count);
    assert_eq!(trial.rollout("stable@1").await, view);
    assert_eq!(trial.get("/v1/rollouts/stable@1/hosts").await, attempts);
    assert_eq!(trial.kinds().await, kinds);
    assert!(b.post(&trial, &asked).await.permits[0].granted, "asked again, answered alike");
    assert_eq!(trial.rollout("stable@1").await.waves[0].in_flight, 2);
    trial.clock.pass(BEAT);
    for host in [&mut a, &mut b, &mut c] {
        let answer = host.beat(&trial).await;
        assert_eq!((answer.acknowledged_seq, answer.fenced), (host.seq, None));
    }
    assert_eq!(trial.rollout("stable@1").await.state, "Advancing", "its own store is not a lost one");
    let (_, fleet) = trial.get("/v1/fleet").await;
    assert_eq!(fleet["byState"]["Soaking"], 1, "{fleet}");
    a.finish(&trial, "stable@1").await;
    b.switch(&trial, "stable@1").await;
    b.finish(&trial, "stable@1").await;
    c.say(&trial, "stable@1", &[Event::PermitLapsed("refused".to_owned())]).await;
    assert!(c.say(&trial, "stable@1", &[Event::DispatchAcked]).await.permits[0].granted);
    c.switch(&trial, "stable@1").await;
    c.finish(&trial, "stable@1").await;
    assert_eq!(trial.rollout("stable@1").await.state, "Completed");
}

#[tokio::test]
async fn an_interrupted_publishing_is_invisible_to_hosts_and_finished_at_the_next_start() {
    let trial = Trial::new().await;
    let names: Vec<String> = (0..600).map(|n| format!("host{n:04}")).collect();
    let signed = trial.sign(&manifest("stable@1", json!([{ "name": "all", "hosts": names }]), json!({})));
    // The whole of publishing, cut after the first chunk of records.
    let verified = crate::trust::verify(&signed, &trial.plane.credentials.set().trust).unwrap();
    let body = serde_json::to_string(&signed).unwrap();
    trial.plane.transact(move |desk| desk.take_release(&verified, body, "admin/local").map(drop)).await.unwrap();
    let id = crate::plane::tests::trial::rollout("stable@1");
    trial.plane.transact(move |desk| desk.make_records(&id, None)).await.unwrap();
    let mut host = Host::up("host0000", &trial).await;
    assert!(host.told(&trial).await.is_empty());
    assert!(!host.ask(&trial, "stable@1").await, "no permit before all records are there");
    let trial = trial.restart().await;
    let view = trial.rollout("stable@1").await;
    assert_eq!((view.state.as_str(), view.waves[0].waiting), ("Advancing", 600));
    let (status, answer) = trial.post_release(&signed).await;
    assert_eq!((status, answer["new"].as_bool()), (200, Some(false)));
}

#[tokio::test]
async fn work_that_a_stop_interrupted_goes_on() {
    let trial = Trial::new().await;
    let names: Vec<String> = (0..600).map(|n| format!("host{n:04}")).collect();
    let waves = json!([{ "name": "all", "hosts": names }]);
    trial.publish("stable@1", waves, json!({})).await;
    let id = crate::plane::tests::trial::rollout("stable@1");
    // The decision alone is durable; the process ends before the first chunk.
    trial
        .plane
        .transact(move |desk| {
            let found = desk.known_rollout(&id)?;
            let event = crate::model::rollout::RolloutEvent::Cancelled { by: "ann".to_owned(), revert: false };
            desk.move_rollout(found, &event, crate::plane::advance::ITSELF).map(drop)
        })
        .await
        .unwrap();
    assert_eq!(trial.rollout("stable@1").await.waves[0].waiting, 600);
    let trial = trial.restart().await;
    let wave = trial.rollout("stable@1").await.waves.remove(0);
    assert_eq!((wave.waiting, wave.neutral), (0, 600));
}
