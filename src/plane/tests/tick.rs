//! The work that no request starts: waits, windows, dates, retention, the feed, the socket.

use crate::model::id::{Digest, HostName, TokenId};
use crate::model::time::Timestamp;
use crate::plane::serve::{ServeError, serve};
use crate::plane::tests::host::Host;
use crate::plane::tests::trial::{HandClock, Trial, manifest, name};
use crate::runtime::clock::Clock as _;
use crate::runtime::signals::Shutdown;
use crate::store::rows::TokenRow;
use axum::body::Body;
use axum::http::{Request, header};
use http_body_util::BodyExt;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tower::ServiceExt;

/// Moves both clocks: the control plane's, and tokio's, on which timers run.
async fn pass(clock: &HandClock, span: Duration) {
    let step = Duration::from_secs(5);
    let mut left = span;
    while !left.is_zero() {
        let now = left.min(step);
        clock.pass(now);
        tokio::time::sleep(now).await;
        left -= now;
    }
}

#[tokio::test(start_paused = true)]
async fn the_wait_between_waves_ends_by_itself_and_not_before() {
    let trial = Trial::new().await;
    let waves = json!([{ "name": "one", "hosts": ["a"], "waitMs": 600_000 }, { "name": "two", "hosts": ["b"] }]);
    trial.publish("stable@1", waves, json!({})).await;
    let (mut a, mut b) = (Host::up("a", &trial).await, Host::up("b", &trial).await);
    let (trigger, shutdown) = Shutdown::manual();
    let plane = trial.plane.clone();
    let run = tokio::spawn(async move { plane.run(shutdown).await });
    a.converge(&trial, "stable@1").await;
    pass(&trial.clock, Duration::from_secs(590)).await;
    let view = trial.rollout("stable@1").await;
    assert_eq!(view.wave, Some(1));
    assert!(view.waves[0].waits_for.as_ref().unwrap().contains("the wait after it"), "{view:?}");
    b.beat(&trial).await;
    assert_eq!(b.told(&trial).await, ["stage stable@1"]);
    pass(&trial.clock, Duration::from_secs(15)).await;
    assert_eq!(trial.rollout("stable@1").await.wave, Some(2));
    assert_eq!(b.told(&trial).await, ["start stable@1"]);
    trigger.ask();
    run.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_window_and_a_date_wake_their_hosts_when_they_come() {
    let trial = Trial::new().await;
    // The clock stands at 2027-01-15 08:00 UTC, a Friday.
    let waves = json!([
        { "name": "all", "hosts": ["a"], "notBefore": "2027-01-15T08:05:00Z",
          "windows": [{ "days": ["fri"], "from": "08:10", "minutes": 30 }] },
    ]);
    trial.publish("stable@1", waves, json!({})).await;
    let mut a = Host::up("a", &trial).await;
    let (trigger, shutdown) = Shutdown::manual();
    let plane = trial.plane.clone();
    let run = tokio::spawn(async move { plane.run(shutdown).await });
    for _ in 0..9 {
        pass(&trial.clock, Duration::from_secs(55)).await;
        a.beat(&trial).await;
        assert_eq!(a.told(&trial).await, ["stage stable@1"]);
    }
    let seen = a.orders(&trial).await.tag;
    let (plane, clock) = (trial.plane.clone(), trial.clock.clone());
    let poll = tokio::spawn(async move {
        plane.dispatch(&name("a"), Some(&seen), Duration::from_secs(60)).await.unwrap().map(|_| clock.as_ref().at())
    });
    pass(&trial.clock, Duration::from_secs(60)).await;
    let at = poll.await.unwrap().expect("woken by the window, not by the end of the wait");
    assert!(at.0 <= Timestamp(1_800_000_000_000 + 620_000).0, "{at}");
    assert_eq!(a.told(&trial).await, ["start stable@1"]);
    trigger.ask();
    run.await.unwrap();
}

impl HandClock {
    fn at(&self) -> Timestamp {
        crate::runtime::clock::Clock::wall(self)
    }
}

#[tokio::test]
async fn old_events_go_but_those_of_open_attempts_stay() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a"]).await;
    trial.publish_simple("edge@2", &["b"]).await;
    let mut a = Host::up("a", &trial).await;
    a.converge(&trial, "stable@1").await;
    trial.clock.pass(Duration::from_secs(91 * 86_400));
    trial.plane.prune().await.unwrap();
    let (_, page) = trial.get("/v1/events?limit=1000").await;
    let left: Vec<_> = page["items"].as_array().unwrap().iter().map(|event| event["rollout"].clone()).collect();
    assert!(!left.is_empty() && left.iter().all(|rollout| rollout == "edge@2"), "{page}");
    let again = a.batch(vec![]);
    assert_eq!(a.post(&trial, &again).await.last_seq, a.seq, "positions stay");
}

#[tokio::test]
async fn rollouts_that_ended_long_ago_go_whole_but_the_ten_newest_stay() {
    let trial = Trial::new().await;
    let first = trial.sign(&manifest("stable@1", json!([{ "name": "all", "hosts": ["a"] }]), json!({})));
    assert_eq!(trial.post_release(&first).await.0, 201);
    for n in 2..=12 {
        trial.publish_simple(&format!("stable@{n}"), &["a"]).await;
    }
    trial.publish_simple("edge@1", &["b"]).await;
    trial.plane.prune().await.unwrap();
    assert_eq!(trial.get("/v1/rollouts/stable@1").await.0, 200, "it is young");
    trial.clock.pass(Duration::from_secs(91 * 86_400));
    trial.plane.prune().await.unwrap();
    for n in 1..=12 {
        let status = trial.get(&format!("/v1/rollouts/stable@{n}")).await.0;
        assert_eq!(status, if n <= 2 { 404 } else { 200 }, "stable@{n}");
    }
    assert_eq!(trial.get("/v1/rollouts/edge@1").await.0, 200, "the newest of its channel");
    let (status, said) = trial.post_release(&first).await;
    assert!((400..500).contains(&status), "what was deleted does not come back as new: {status} {said}");
}

#[tokio::test]
async fn tokens_go_once_they_ended_before_the_retention_and_never_while_one_can_be_spent() {
    let trial = Trial::new().await;
    let day = Duration::from_secs(86_400);
    let row = |n: u8, expires: Timestamp| TokenRow {
        id: TokenId::new(format!("{n:016x}")).unwrap(),
        host: HostName::new("web1").unwrap(),
        digest: Digest::new("a".repeat(64)).unwrap(),
        created: expires.minus(day),
        created_by: "test".to_owned(),
        expires,
        spent: None,
        revoked: None,
        labels: Vec::new(),
    };
    let now = trial.clock.wall();
    let rows = [row(1, now.plus(day)), row(2, now.plus(day * 365))];
    let put = move |desk: &mut crate::plane::desk::Desk<'_>| {
        for row in &rows {
            desk.tx.put_token(row)?;
        }
        Ok(())
    };
    trial.plane.transact(put).await.unwrap();
    let left = async || trial.plane.list_tokens(None, 10).await.unwrap().items.len();
    trial.clock.pass(day * 90);
    trial.plane.prune().await.unwrap();
    assert_eq!(left().await, 2, "one that ended 89 days ago is still known");
    trial.clock.pass(day * 2);
    trial.plane.prune().await.unwrap();
    assert_eq!(left().await, 1);
}

async fn feed(trial: &Trial, last: Option<u64>) -> axum::body::BodyDataStream {
    let mut request = Request::get("/v1/events").header(header::ACCEPT, "text/event-stream");
    if let Some(last) = last {
        request = request.header("last-event-id", last.to_string());
    }
    let response = trial.app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    response.into_body().into_data_stream()
}

async fn frame(stream: &mut axum::body::BodyDataStream) -> Option<String> {
    use futures_util::StreamExt;
    let next = tokio::time::timeout(Duration::from_secs(5), stream.next()).await.ok()??;
    Some(String::from_utf8(next.unwrap().to_vec()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_feed_follows_and_resumes_after_the_last_id() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a"]).await;
    let mut stream = feed(&trial, None).await;
    let first = frame(&mut stream).await.unwrap();
    assert!(first.contains("id: 1") && first.contains("releasePublished"), "{first}");
    assert!(frame(&mut stream).await.unwrap().contains("rolloutAdvancing"));
    assert_eq!(frame(&mut stream).await, None, "it waits");
    let mut a = Host::up("a", &trial).await;
    a.ask(&trial, "stable@1").await;
    assert!(frame(&mut stream).await.unwrap().contains("\"kind\":\"staged\""));
    assert!(frame(&mut stream).await.unwrap().contains("\"kind\":\"dispatchAcked\""));
    let mut resumed = feed(&trial, Some(3)).await;
    assert!(frame(&mut resumed).await.unwrap().contains("\"kind\":\"dispatchAcked\""));
    trial.plane.drain();
    let last = frame(&mut resumed).await.unwrap();
    assert!(last.contains("event: end") && last.contains("ending"), "{last}");
}

#[tokio::test]
async fn a_filtered_feed_that_catches_up_is_not_called_slow() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a"]).await;
    // Much happened to others since.
    trial.plane.places.send_replace(1_000_000);
    let request = Request::get("/v1/events?rollout=stable@1").header(header::ACCEPT, "text/event-stream");
    let response = trial.app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let mut stream = response.into_body().into_data_stream();
    assert!(frame(&mut stream).await.unwrap().contains("releasePublished"));
    let second = frame(&mut stream).await.unwrap();
    assert!(second.contains("rolloutAdvancing"), "{second}");
    assert_eq!(frame(&mut stream).await, None, "it waits");
}

#[tokio::test]
async fn only_so_many_feeds_are_open_at_once() {
    let trial = Trial::new().await;
    let mut open = Vec::new();
    for _ in 0..trial.plane.config().max_feeds {
        open.push(feed(&trial, None).await);
    }
    let request = Request::get("/v1/events").header(header::ACCEPT, "text/event-stream").body(Body::empty()).unwrap();
    let (status, answer) = trial.send(request).await;
    assert_eq!((status, answer["code"].as_str()), (503, Some("busy")));
    open.pop();
    let request = Request::get("/v1/events").header(header::ACCEPT, "text/event-stream").body(Body::empty()).unwrap();
    let response = trial.app.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    drop(response.into_body().frame());
}

#[tokio::test]
async fn a_socket_on_a_network_is_refused() {
    let trial = Trial::new().await;
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let (_trigger, shutdown) = Shutdown::manual();
    let refused = serve(listener, trial.plane.clone(), shutdown).await;
    assert!(matches!(refused, Err(ServeError::Address(_))), "{refused:?}");
}

#[tokio::test]
async fn the_end_answers_polls_and_lets_the_server_go() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let trial = Arc::new(Trial::new().await);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (trigger, shutdown) = Shutdown::manual();
    let server = tokio::spawn(serve(listener, trial.plane.clone(), shutdown));
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = "GET /v1/agent/dispatch?wait=60&seen=none HTTP/1.1\r\nhost: x\r\nx-convoy-host: a\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    while trial.plane.wakes.count() == 0 {
        tokio::task::yield_now().await;
    }
    trigger.ask();
    let ended = tokio::time::timeout(Duration::from_secs(5), server).await;
    assert!(ended.unwrap().unwrap().is_ok());
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
}
