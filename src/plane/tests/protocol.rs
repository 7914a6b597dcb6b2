//! What every request meets: who may do what, bad input, errors.

use crate::plane::tests::host::Host;
use crate::plane::tests::trial::{Trial, manifest};
use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};

fn is_error(answer: &Value, code: &str) {
    assert_eq!(answer["code"], code, "{answer}");
    assert!(!answer["message"].as_str().unwrap().is_empty() && !answer["requestId"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn asking_whether_it_is_ready_commits_only_now_and_then() {
    let trial = Trial::new().await;
    let before = trial.store.mark().commit_count;
    for _ in 0..50 {
        assert_eq!(trial.get("/readyz").await.0, 200);
    }
    assert_eq!(trial.store.mark().commit_count, before + 1);
    trial.clock.pass(std::time::Duration::from_secs(5));
    trial.get("/readyz").await;
    assert_eq!(trial.store.mark().commit_count, before + 2);
}

#[tokio::test]
async fn what_is_not_there_is_an_error_body_too() {
    let trial = Trial::new().await;
    let (status, answer) = trial.get("/v1/nothing").await;
    assert_eq!(status, 404);
    is_error(&answer, "no_such_place");
    let (status, answer) = trial.post("/v1/fleet", &json!({})).await;
    assert_eq!(status, 405);
    is_error(&answer, "wrong_method");
    let (status, answer) = trial.get("/v1/rollouts/stable@9").await;
    assert_eq!(status, 404);
    is_error(&answer, "not_found");
    let (status, answer) = trial.get("/v1/hosts/nobody/why").await;
    assert_eq!(status, 404);
    is_error(&answer, "not_found");
    let (status, answer) = trial.get("/v1/rollouts/nonsense").await;
    assert_eq!(status, 400);
    is_error(&answer, "invalid_name");
}

#[tokio::test]
async fn an_agent_without_a_name_is_not_let_in() {
    let trial = Trial::new().await;
    for path in ["/v1/agent/dispatch?wait=0", "/v1/agent/dispatch"] {
        let (status, answer) = trial.get(path).await;
        assert_eq!(status, 401, "{path}");
        is_error(&answer, "no_host");
    }
    let (status, _) = trial.as_host("../etc", "/v1/agent/dispatch", None).await;
    assert_eq!(status, 401);
}

#[tokio::test]
async fn a_host_can_not_speak_as_another() {
    let trial = Trial::new().await;
    trial.publish_simple("stable@1", &["a", "b"]).await;
    let mut b = Host::up("b", &trial).await;
    let beat = serde_json::to_value(b.beat_body(&trial)).unwrap();
    let (status, answer) = trial.as_host("a", "/v1/agent/heartbeat", Some(&beat)).await;
    assert_eq!(status, 403);
    is_error(&answer, "wrong_host");
    let event = b.next(&trial, "stable@1", &crate::model::host_rollout::Event::Staged);
    let batch = serde_json::to_value(b.batch(vec![event])).unwrap();
    let (status, answer) = trial.as_host("a", "/v1/agent/events", Some(&batch)).await;
    assert_eq!(status, 403);
    is_error(&answer, "wrong_host");
    assert!(!trial.kinds().await.contains(&"staged".to_owned()));
}

#[tokio::test]
async fn json_that_is_broken_deep_or_large_is_refused_clearly() {
    let trial = Trial::new().await;
    let send = |body: String| {
        let request = Request::post("/v1/agent/heartbeat").header("x-convoy-host", "a");
        let request = request.header(header::CONTENT_TYPE, "application/json");
        trial.send(request.body(Body::from(body)).unwrap())
    };
    let (status, answer) = send("{".to_owned()).await;
    assert_eq!(status, 400);
    is_error(&answer, "invalid_json");
    let (status, answer) = send("[".repeat(100_000)).await;
    assert!(status == 400 || status == 422, "{status}");
    is_error(&answer, "invalid_json");
    let (status, answer) = send("{}".to_owned()).await;
    assert_eq!(status, 422);
    is_error(&answer, "invalid_json");
    let (status, answer) = send(format!("\"{}\"", "x".repeat(2 << 20))).await;
    assert_eq!(status, 413);
    is_error(&answer, "too_large");
    let request = Request::post("/v1/agent/heartbeat").header("x-convoy-host", "a").body(Body::from("{}")).unwrap();
    let (status, answer) = trial.send(request).await;
    assert_eq!(status, 415);
    is_error(&answer, "not_json");
}

#[tokio::test]
async fn a_web_page_can_not_act_for_the_operator() {
    let trial = Trial::new().await;
    let request = Request::post("/v1/rollouts/stable@1/cancel").header(header::ORIGIN, "https://evil.example");
    let request = request.header(header::CONTENT_TYPE, "application/json").body(Body::from("{}")).unwrap();
    let (status, answer) = trial.send(request).await;
    assert_eq!(status, 403);
    is_error(&answer, "from_a_browser");
}

#[tokio::test]
async fn an_unsigned_or_broken_release_is_refused_and_nothing_is_stored() {
    let trial = Trial::new().await;
    let good = trial.sign(&manifest("stable@1", json!([{ "name": "all", "hosts": ["a"] }]), json!({})));
    let mut unsigned = good.clone();
    unsigned.signatures.clear();
    let (status, answer) = trial.post_release(&unsigned).await;
    assert_eq!(status, 422);
    is_error(&answer, "release_refused");
    let mut cut = good.clone();
    cut.manifest.truncate(cut.manifest.len() / 2);
    assert_eq!(trial.post_release(&cut).await.0, 422);
    let mut other_lease = good.clone();
    other_lease.lease = trial.sign(&manifest("stable@2", json!([{ "name": "all", "hosts": ["a"] }]), json!({}))).lease;
    assert_eq!(trial.post_release(&other_lease).await.0, 422);
    let (_, rollouts) = trial.get("/v1/rollouts").await;
    assert_eq!(rollouts["items"], json!([]));
    assert_eq!(trial.post_release(&good).await.0, 201);
}

#[tokio::test]
async fn health_readiness_and_metrics_speak() {
    let trial = Trial::on(crate::plane::tests::trial::fresh_store('a')).await;
    assert_eq!(trial.get("/healthz").await.0, 200);
    let (status, answer) = trial.get("/readyz").await;
    assert_eq!(status, 503, "within the grace after the start");
    is_error(&answer, "not_ready");
    trial.clock.pass(crate::plane::tests::trial::BEAT);
    assert_eq!(trial.get("/readyz").await.0, 200);
    trial.publish_simple("stable@1", &["a"]).await;
    let (status, text) = trial.get("/metrics").await;
    assert_eq!(status, 200);
    let text = text.as_str().unwrap();
    for line in [
        "convoy_hosts{state=\"Pending\"} 1",
        "convoy_rollouts{channel=\"stable\",rollout=\"stable@1\",state=\"Advancing\"} 1",
        "convoy_holds{gate=\"freshness\"}",
        "convoy_store_commits_total",
        "convoy_hosts_online 0",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}
