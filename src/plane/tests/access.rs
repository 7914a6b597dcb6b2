//! Every route for every role, and what an agent may not see.

use crate::plane::http::access::{Needs, TABLE};
use crate::plane::http::peer::Peer;
use crate::plane::tests::certified::Certified;
use crate::plane::tests::host::Host;
use crate::wire::v1::agent::HOST_HEADER;
use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The routes as the router's own text has them: method and path.
fn routes() -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    let text = include_str!("../http/mod.rs");
    for part in text.split(".route(").skip(1) {
        let path = part.split('"').nth(1).unwrap().to_owned();
        let handlers = part.split_once(',').unwrap().1.split("\n").next().unwrap();
        for (word, method) in [("get(", "GET"), ("post(", "POST"), ("put(", "PUT"), ("delete(", "DELETE")] {
            if handlers.contains(word) {
                found.insert((method.to_owned(), path.clone()));
            }
        }
        assert!(!handlers.contains("any(") && !handlers.contains("on("), "{handlers}");
    }
    found
}

#[test]
fn the_table_holds_every_route_of_the_router_once() {
    let table: Vec<_> = TABLE.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(table.iter().cloned().collect::<BTreeSet<_>>(), routes());
    assert_eq!(table.len(), routes().len());
}

#[test]
fn without_a_certificate_only_these_are_open() {
    let open: Vec<_> =
        TABLE.iter().filter(|(_, _, needs)| *needs == Needs::Nothing).map(|(_, path, _)| *path).collect();
    assert_eq!(open, ["/v1/enroll", "/healthz", "/readyz"]);
}

fn filled(path: &str) -> String {
    let path = path.replace("{channel}", "stable").replace("{reference}", "1").replace("{host}", "a");
    let path = path.replace("{id}/revoke", "0123456789abcdef/revoke").replace("{id}", "stable@1");
    path.replace("{role}", "viewer").replace("{name}", "x").replace("{verb}", "hold")
}

/// What a role gets: nothing when it is let in, else the code of the refusal.
fn expected(needs: Needs, who: &str) -> Option<&'static str> {
    let rank = ["viewer", "operator", "admin"].iter().position(|role| who.starts_with(role));
    let enough = match needs {
        Needs::Nothing => return None,
        Needs::Agent => who.starts_with("agent"),
        Needs::AgentOrViewer => who.starts_with("agent") || rank.is_some(),
        Needs::Viewer => rank.is_some(),
        Needs::Operator => rank >= Some(1),
        Needs::Admin => rank >= Some(2),
    };
    match who {
        "nobody" => Some("no_certificate"),
        "nameless" => Some("no_identity"),
        _ if enough => None,
        _ => Some("wrong_role"),
    }
}

#[tokio::test]
async fn every_route_takes_every_role_that_it_should_and_no_other() {
    let certified = Certified::new().await;
    let roles = ["agent/a", "viewer/v", "operator/o", "admin/root"];
    let mut peers: Vec<_> = roles.iter().map(|who| (*who, certified.peer(who))).collect();
    peers.push(("nobody", Peer::Nobody));
    peers.push(("nameless", Peer::Nameless("it carries no role".into())));
    for (method, path, needs) in TABLE {
        for (who, peer) in &peers {
            let body = (method == "POST").then(|| json!({}));
            let (status, answer) = certified.ask(peer, (method, &filled(path)), body.as_ref()).await;
            let refused = [401, 403].contains(&status);
            let code = answer["code"].as_str().filter(|_| refused);
            assert_eq!(code, expected(needs, who), "{who}: {method} {path}: {status} {answer}");
            assert_ne!(status, 405, "{who}: {method} {path}");
        }
    }
}

#[tokio::test]
async fn a_refusal_names_the_role_needed_and_the_one_shown() {
    let certified = Certified::new().await;
    let (_, answer) = certified.ask(&certified.peer("viewer/v"), ("POST", "/v1/releases"), Some(&json!({}))).await;
    let said = answer["message"].as_str().unwrap();
    assert!(said.contains("an operator or an admin") && said.contains("viewer/v"), "{said}");
    let (_, answer) = certified.ask(&Peer::Nobody, ("GET", "/v1/fleet"), None).await;
    assert!(answer["message"].as_str().unwrap().contains("convoy token create --host"), "{answer}");
}

#[tokio::test]
async fn a_head_counts_as_a_get_and_other_methods_are_refused() {
    let certified = Certified::new().await;
    assert_eq!(certified.ask(&Peer::Nobody, ("HEAD", "/v1/fleet"), None).await.0, 401);
    assert_eq!(certified.ask(&certified.peer("viewer/v"), ("HEAD", "/v1/fleet"), None).await.0, 200);
    for peer in [Peer::Nobody, certified.peer("admin/root")] {
        assert_eq!(certified.ask(&peer, ("DELETE", "/v1/tokens"), None).await.0, 405);
        assert_eq!(certified.ask(&peer, ("GET", "/v1/nothing"), None).await.0, 404);
    }
}

async fn as_agent(certified: &Certified, (who, named): (&str, &str), path: &str, body: Option<&Value>) -> (u16, Value) {
    let request = Request::builder().uri(path).header(HOST_HEADER, named).extension(certified.peer(who));
    let request = request.method(if body.is_some() { "POST" } else { "GET" });
    let request = request.header(header::CONTENT_TYPE, "application/json");
    certified.send(request.body(body.map_or_else(Body::empty, |body| Body::from(body.to_string()))).unwrap()).await
}

#[tokio::test]
async fn an_agent_speaks_for_its_own_host_only_and_reads_nothing_of_others() {
    let certified = Certified::new().await;
    let admin = certified.peer("admin/root");
    for (id, host) in [("stable@1", "a"), ("edge@1", "b")] {
        let waves = json!([{ "name": "all", "hosts": [host] }]);
        let signed = certified.sign(&crate::plane::tests::trial::manifest(id, waves, json!({})));
        let body = serde_json::to_value(&signed).unwrap();
        assert_eq!(certified.ask(&admin, ("POST", "/v1/releases"), Some(&body)).await.0, 201);
    }
    let agent = certified.peer("agent/a");
    assert_eq!(certified.ask(&agent, ("GET", "/v1/releases/stable/1"), None).await.0, 200);
    let others = certified.ask(&agent, ("GET", "/v1/releases/edge/1"), None).await;
    let nothing = certified.ask(&agent, ("GET", "/v1/releases/edge/9"), None).await;
    assert_eq!((others.0, nothing.0), (404, 404));
    let same = |answer: &Value| answer["message"].as_str().unwrap().replace("edge@9", "edge@1");
    assert_eq!(same(&others.1), same(&nothing.1), "another host's release looks like one that is not there");
    assert_eq!(certified.ask(&certified.peer("viewer/v"), ("GET", "/v1/releases/edge/1"), None).await.0, 200);
    let (status, answer) = as_agent(&certified, ("agent/a", "b"), "/v1/agent/dispatch", None).await;
    assert_eq!((status, &answer["code"]), (403, &json!("wrong_host")));
    let beat = serde_json::to_value(Host::new("b").beat_body(&certified)).unwrap();
    let (status, answer) = as_agent(&certified, ("agent/a", "a"), "/v1/agent/heartbeat", Some(&beat)).await;
    assert_eq!((status, &answer["code"]), (403, &json!("wrong_host")));
    let own = serde_json::to_value(Host::new("a").beat_body(&certified)).unwrap();
    assert_eq!(as_agent(&certified, ("agent/a", "a"), "/v1/agent/heartbeat", Some(&own)).await.0, 200);
    assert_eq!(certified.ask(&agent, ("POST", "/v1/agent/heartbeat"), Some(&own)).await.0, 200);
}

#[tokio::test]
async fn the_history_says_which_identity_did_what() {
    let certified = Certified::new().await;
    let operator = certified.peer("operator/alice");
    let waves = json!([{ "name": "all", "hosts": ["a"] }]);
    let signed = certified.sign(&crate::plane::tests::trial::manifest("stable@1", waves, json!({})));
    let body = serde_json::to_value(&signed).unwrap();
    assert_eq!(certified.ask(&operator, ("POST", "/v1/releases"), Some(&body)).await.0, 201);
    // What a request claims does not count beside a certificate.
    let claimed = json!({ "by": "mallory", "reason": "r" });
    for path in ["/v1/rollouts/stable@1/pause", "/v1/rollouts/stable@1/retry", "/v1/hosts/a/hold"] {
        assert_eq!(certified.ask(&operator, ("POST", path), Some(&claimed)).await.0, 200);
    }
    let (_, page) = certified.ask(&operator, ("GET", "/v1/events?limit=100"), None).await;
    let text = page.to_string();
    assert!(!text.contains("mallory"), "{text}");
    for kind in ["releasePublished", "rolloutPaused", "hostHeld"] {
        let found = page["items"]
            .as_array()
            .unwrap()
            .iter()
            .any(|event| event["kind"] == *kind && event.to_string().contains("operator/alice"));
        assert!(found, "no {kind} by operator/alice in {text}");
    }
}
