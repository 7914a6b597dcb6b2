//! Who is known and who is shut out.

use crate::plane::tests::certified::{Certified, Key, peer_of};
use crate::plane::tests::trial::manifest;
use axum::body::Body;
use axum::http::{Request, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::time::Duration;
use tower::ServiceExt;

const DISPATCH: (&str, &str) = ("GET", "/v1/agent/dispatch");

async fn identities(certified: &Certified) -> Vec<Value> {
    let (status, page) = certified.ask(&certified.peer("admin/root"), ("GET", "/v1/identities"), None).await;
    assert_eq!(status, 200, "{page}");
    page["items"].as_array().unwrap().clone()
}

/// Waits for what is written beside requests.
async fn known(certified: &Certified, who: &str) -> Value {
    for _ in 0..10_000 {
        if let Some(found) = identities(certified).await.into_iter().find(|item| item["identity"] == who) {
            return found;
        }
        tokio::task::yield_now().await;
    }
    panic!("{who} was never written down");
}

#[tokio::test]
async fn who_comes_with_a_certificate_from_elsewhere_is_written_down_once() {
    let certified = Certified::new().await;
    let alice = certified.peer("viewer/alice");
    for _ in 0..3 {
        assert_eq!(certified.ask(&alice, ("GET", "/v1/fleet"), None).await.0, 200);
    }
    let found = known(&certified, "viewer/alice").await;
    assert_eq!((&found["issuedHere"], &found["revoked"]), (&json!(false), &Value::Null));
    let commits = certified.store.mark().commit_count;
    for _ in 0..3 {
        assert_eq!(certified.ask(&alice, ("GET", "/v1/fleet"), None).await.0, 200);
    }
    assert_eq!(certified.store.mark().commit_count, commits, "requests write nothing");
}

#[tokio::test]
async fn a_revoked_identity_is_out_with_its_next_request_and_after_a_restart() {
    let certified = Certified::new().await;
    let alice = certified.peer("operator/alice");
    assert_eq!(certified.ask(&alice, ("GET", "/v1/fleet"), None).await.0, 200);
    known(&certified, "operator/alice").await;
    certified.revoke("operator/alice").await;
    let (status, answer) = certified.ask(&alice, ("GET", "/v1/fleet"), None).await;
    assert_eq!((status, &answer["code"]), (403, &json!("revoked")));
    let certified = certified.restart().await;
    assert_eq!(certified.ask(&alice, ("GET", "/v1/fleet"), None).await.0, 403);
    // A new certificate for a new key, made later than the revocation, is let in; the old one stays out.
    certified.clock.pass(Duration::from_secs(301));
    let new = certified.peer("operator/alice");
    for _ in 0..2 {
        assert_eq!(certified.ask(&new, ("GET", "/v1/fleet"), None).await.0, 200);
        known(&certified, "operator/alice").await;
        assert_eq!(certified.ask(&alice, ("GET", "/v1/fleet"), None).await.0, 403);
    }
}

#[tokio::test]
async fn who_never_came_can_be_shut_out_too() {
    let certified = Certified::new().await;
    let mallory = certified.peer("admin/mallory");
    certified.revoke("admin/mallory").await;
    assert_eq!(certified.ask(&mallory, ("GET", "/v1/fleet"), None).await.0, 403);
}

#[tokio::test]
async fn a_dry_run_shuts_nobody_out() {
    let certified = Certified::new().await;
    let (key, issued) = certified.enrolled("a").await;
    let asked = json!({ "dryRun": true });
    let admin = certified.peer("admin/root");
    let (status, answer) = certified.ask(&admin, ("POST", "/v1/identities/agent/a/revoke"), Some(&asked)).await;
    assert!(status == 200 && answer["dryRun"] == true, "{answer}");
    assert_eq!(certified.ask(&peer_of(&issued.certificate), DISPATCH, None).await.0, 200);
    assert!(certified.enroll(&key.asking(None)).await.is_ok());
}

#[tokio::test]
async fn a_revoked_host_needs_a_new_token_and_its_open_ones_are_gone() {
    let certified = Certified::new().await;
    let (key, issued) = certified.enrolled("a").await;
    let open = certified.token("a").await;
    let answer = certified.revoke("agent/a").await;
    assert!(answer["done"].to_string().contains("convoy token create --host a"), "{answer}");
    let (status, refused) = certified.ask(&peer_of(&issued.certificate), DISPATCH, None).await;
    assert_eq!((status, &refused["code"]), (403, &json!("revoked")));
    assert!(refused["message"].as_str().unwrap().contains("convoy token create --host a"));
    assert_eq!(certified.enroll(&Key::new("a").asking(Some(&open))).await.unwrap_err().1, "token_revoked");
    let token = certified.token("a").await;
    let again = certified.enroll(&key.asking(Some(&token))).await.unwrap();
    assert_eq!(certified.ask(&peer_of(&again.certificate), DISPATCH, None).await.0, 200);
}

#[tokio::test]
async fn a_long_poll_ends_when_its_host_is_revoked() {
    let certified = Certified::new().await;
    let (_, issued) = certified.enrolled("a").await;
    let path = "/v1/agent/dispatch?wait=60&seen=none";
    let agent = peer_of(&issued.certificate);
    let poll = certified.ask(&agent, ("GET", path), None);
    let revoke = async {
        while certified.plane.wakes.count() == 0 {
            tokio::task::yield_now().await;
        }
        certified.revoke("agent/a").await;
    };
    let ((status, answer), ()) = tokio::join!(poll, revoke);
    assert_eq!((status, &answer["code"]), (403, &json!("revoked")));
}

#[tokio::test]
async fn an_event_feed_ends_when_its_reader_is_revoked() {
    let certified = Certified::new().await;
    let request = Request::get("/v1/events").header(header::ACCEPT, "text/event-stream");
    let request = request.extension(certified.peer("viewer/eve")).body(Body::empty()).unwrap();
    let response = certified.app.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    certified.revoke("viewer/eve").await;
    let mut text = String::new();
    while let Some(frame) = body.frame().await {
        text.push_str(&String::from_utf8_lossy(frame.unwrap().data_ref().unwrap()));
    }
    assert!(text.contains("event: end") && !text.contains("identityRevoked"), "{text}");
}

#[tokio::test]
async fn why_and_the_view_of_a_host_tell_how_its_identity_stands() {
    let certified = Certified::new().await;
    let admin = certified.peer("admin/root");
    let signed = certified.sign(&manifest("stable@1", json!([{ "name": "all", "hosts": ["a"] }]), json!({})));
    let body = serde_json::to_value(&signed).unwrap();
    assert_eq!(certified.ask(&admin, ("POST", "/v1/releases"), Some(&body)).await.0, 201);
    let why = async || certified.ask(&admin, ("GET", "/v1/hosts/a/why"), None).await.1;
    let said = why().await;
    assert!(said["summary"].as_str().unwrap().contains("convoy token create --host a"), "{said}");
    certified.enrolled("a").await;
    assert!(why().await["summary"].as_str().unwrap().contains("certificate counts until"));
    let (_, view) = certified.ask(&admin, ("GET", "/v1/hosts/a"), None).await;
    assert!(view["identity"]["issuedHere"] == true && view["identity"]["expires"].is_string(), "{view}");
    certified.revoke("agent/a").await;
    let said = why().await;
    let hold = said["holds"].as_array().unwrap().iter().find(|hold| hold["gate"] == "revoked").unwrap().clone();
    assert_eq!(hold["clearedBy"], "operator");
    assert!(hold["hint"].as_str().unwrap().starts_with("convoy token create --host a"), "{hold}");
    let (_, view) = certified.ask(&admin, ("GET", "/v1/hosts/a"), None).await;
    assert!(view["identity"]["revoked"].is_string() && view["identity"]["reason"] == "stolen", "{view}");
}

#[tokio::test]
async fn metrics_count_identities_and_tokens() {
    let certified = Certified::new().await;
    certified.enrolled("a").await;
    certified.token("b").await;
    certified.revoke("agent/a").await;
    let (_, text) = certified.ask(&certified.peer("viewer/grafana"), ("GET", "/metrics"), None).await;
    let text = text.as_str().unwrap();
    let lines = ["convoy_tokens_open 1", "convoy_identities{state=\"revoked\"} 1", "convoy_credentials_stale 0"];
    let more = ["convoy_server_certificate_expires_seconds ", "convoy_tls_handshakes_total{result=\"ok\"} 0"];
    for line in lines.into_iter().chain(more) {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn the_history_tells_of_tokens_enrollments_and_revocations() {
    let certified = Certified::new().await;
    certified.enrolled("a").await;
    certified.revoke("agent/a").await;
    let (_, page) = certified.ask(&certified.peer("viewer/v"), ("GET", "/v1/events?host=a"), None).await;
    let kinds: Vec<_> = page["items"].as_array().unwrap().iter().map(|item| item["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["tokensMade", "hostEnrolled", "identityRevoked"]);
    assert!(page["items"].as_array().unwrap().iter().all(|item| item.to_string().contains("admin/root")), "{page}");
}
