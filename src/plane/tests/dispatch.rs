//! Long polls: one host is woken, orders are level-triggered, a free slot calls as many hosts as it takes.

use crate::model::host_rollout::Event;
use crate::plane::tests::host::Host;
use crate::plane::tests::trial::{Trial, name};
use crate::wire::v1::agent::Dispatch;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

type Poll = JoinHandle<(Option<Dispatch>, Duration)>;

async fn poll(trial: &Trial, host: &str) -> Poll {
    let seen = trial.plane.orders(&name(host)).await.unwrap().tag;
    let (plane, host) = (trial.plane.clone(), name(host));
    let poll = tokio::spawn(async move {
        let began = Instant::now();
        let answer = plane.dispatch(&host, Some(&seen), Duration::from_secs(30)).await.unwrap();
        (answer, began.elapsed())
    });
    tokio::task::yield_now().await;
    poll
}

async fn outcome(poll: Poll) -> (Option<Dispatch>, Duration) {
    poll.await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_poll_without_news_waits_and_one_with_news_does_not() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a"]).await;
    let a = Host::up("a", &trial).await;
    let began = Instant::now();
    let orders = a.orders(&trial).await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    let path = format!("/v1/agent/dispatch?wait=30&seen={}", orders.tag);
    let (status, _) = trial.as_host("a", &path, None).await;
    assert_eq!((status, began.elapsed()), (204, Duration::from_secs(30)));
}

#[tokio::test(start_paused = true)]
async fn an_order_reaches_its_host_at_once_and_wakes_no_other() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a", "b"]).await;
    Host::up("a", &trial).await;
    Host::up("b", &trial).await;
    let (at_a, at_b) = (poll(&trial, "a").await, poll(&trial, "b").await);
    trial.act("/v1/hosts/a/hold", json!({ "by": "ann" })).await;
    let (woken, after) = outcome(at_a).await;
    assert_eq!((woken.map(|dispatch| dispatch.orders.len()), after), (Some(0), Duration::ZERO));
    let (other, after) = outcome(at_b).await;
    assert_eq!((other, after), (None, Duration::from_secs(30)));
}

#[tokio::test(start_paused = true)]
async fn a_free_slot_calls_one_host_and_not_the_whole_wave() {
    let trial = Trial::new().await;
    let names: Vec<String> = (0..20).map(|n| format!("h{n:02}")).collect();
    trial.publish("stable@1", json!([{ "name": "all", "hosts": names, "maxInFlight": 1 }]), json!({})).await;
    let mut hosts = Vec::new();
    for name in &names {
        hosts.push(Host::up(name, &trial).await);
    }
    hosts[0].start(&trial, "stable@1").await;
    let mut polls = Vec::new();
    for host in &hosts[1..] {
        polls.push(poll(&trial, &host.name).await);
    }
    hosts[0].finish(&trial, "stable@1").await;
    trial.plane.settle().await.unwrap();
    let mut woken = 0;
    for poll in polls {
        let (answer, after) = outcome(poll).await;
        woken += u32::from(after == Duration::ZERO);
        assert_eq!(answer.is_some(), after == Duration::ZERO, "a host is woken for news only");
    }
    assert_eq!(woken, 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_host_waits_for_its_turn_with_a_new_tag() {
    let trial = Trial::new().await;
    trial.publish("stable@1", json!([{ "name": "all", "hosts": ["a", "b"], "maxInFlight": 1 }]), json!({})).await;
    let (mut a, mut b) = (Host::up("a", &trial).await, Host::up("b", &trial).await);
    let before = b.orders(&trial).await;
    assert!(a.ask(&trial, "stable@1").await);
    assert!(!b.ask(&trial, "stable@1").await);
    let after = b.orders(&trial).await;
    assert_ne!(before.tag, after.tag);
    assert_eq!(b.told(&trial).await, ["stage stable@1"]);
    b.say(&trial, "stable@1", &[Event::PermitLapsed("refused".to_owned())]).await;
    let waits = poll(&trial, "b").await;
    a.switch(&trial, "stable@1").await;
    a.finish(&trial, "stable@1").await;
    trial.plane.settle().await.unwrap();
    let (answer, after) = outcome(waits).await;
    assert_eq!(after, Duration::ZERO);
    assert!(answer.is_some());
    assert_eq!(b.told(&trial).await, ["start stable@1"]);
}

#[tokio::test(start_paused = true)]
async fn an_invitation_that_nobody_answers_goes_to_the_next_host() {
    let trial = Trial::new().await;
    trial.publish("stable@1", json!([{ "name": "all", "hosts": ["dead", "next"], "maxInFlight": 1 }]), json!({})).await;
    let (dead, next) = (Host::up("dead", &trial).await, Host::up("next", &trial).await);
    assert_eq!(dead.told(&trial).await, ["start stable@1"]);
    assert_eq!(next.told(&trial).await, ["stage stable@1"]);
    trial.clock.pass(Duration::from_secs(16));
    assert_eq!(next.told(&trial).await, ["start stable@1"]);
}

#[tokio::test(start_paused = true)]
async fn the_next_wave_stages_ahead_and_the_one_after_does_not() {
    let trial = Trial::new().await;
    let wave = |name: &str| json!({ "name": name, "hosts": [name] });
    trial.publish("stable@1", json!([wave("one"), wave("two"), wave("three")]), json!({})).await;
    let mut one = Host::up("one", &trial).await;
    let (two, three) = (Host::up("two", &trial).await, Host::up("three", &trial).await);
    assert_eq!(two.told(&trial).await, ["stage stable@1"]);
    assert!(three.told(&trial).await.is_empty());
    let (at_two, at_three) = (poll(&trial, "two").await, poll(&trial, "three").await);
    one.converge(&trial, "stable@1").await;
    trial.plane.settle().await.unwrap();
    assert_eq!(outcome(at_two).await.1, Duration::ZERO);
    assert_eq!(outcome(at_three).await.1, Duration::ZERO);
    assert_eq!(two.told(&trial).await, ["start stable@1"]);
    assert_eq!(three.told(&trial).await, ["stage stable@1"]);
}

#[tokio::test(start_paused = true)]
async fn draining_answers_polls_at_once() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a"]).await;
    Host::up("a", &trial).await;
    let at_a = poll(&trial, "a").await;
    trial.plane.drain();
    assert_eq!(outcome(at_a).await, (None, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_host_may_not_open_polls_without_end() {
    let trial = Arc::new(Trial::new().await);
    let mut polls = Vec::new();
    for _ in 0..4 {
        polls.push(poll(&trial, "a").await);
    }
    let (status, answer) = trial.as_host("a", "/v1/agent/dispatch?wait=30&seen=none", None).await;
    assert_eq!((status, answer["code"].as_str()), (409, Some("too_many_polls")));
    drop(polls);
}
