//! Letting hosts in: tokens, enrollment, renewal, and every way in which it is refused.

use crate::plane::http::peer::Peer;
use crate::plane::tests::certified::{Certified, DAY, Key, peer_of, shown};
use crate::plane::tests::trial::fresh_store;
use crate::runtime::clock::Clock;
use crate::store::Store;
use crate::store::sqlite::{Options, SqliteStore};
use crate::trust::token::Token;
use crate::wire::stored::first_tokens::{FirstToken, read_first_tokens};
use crate::wire::v1::identity::CertificateIssued;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

fn code(answer: Result<CertificateIssued, (u16, String)>) -> String {
    let (status, code) = answer.unwrap_err();
    assert_eq!(status, 403, "{code}");
    code
}

async fn renew(certified: &Certified, key: &Key, certificate: &str) -> (u16, Value) {
    let body = json!({ "request": key.request() });
    certified.ask(&peer_of(certificate), ("POST", "/v1/agent/renew"), Some(&body)).await
}

#[tokio::test]
async fn a_token_gives_a_certificate_and_the_same_request_the_same_one_again() {
    let certified = Certified::new().await;
    let (key, token) = (Key::new("a"), certified.token("a").await);
    let issued = certified.enroll(&key.asking(Some(&token))).await.unwrap();
    let shown = shown(&issued.certificate);
    assert_eq!(shown.identity.to_string(), "agent/a");
    assert_eq!(certified.enroll(&key.asking(Some(&token))).await.unwrap(), issued);
    assert_eq!(certified.enroll(&key.asking(None)).await.unwrap(), issued);
    let (status, _) = certified.ask(&peer_of(&issued.certificate), ("GET", "/v1/agent/dispatch"), None).await;
    assert_eq!(status, 200);
    let certified = certified.restart().await;
    assert_eq!(certified.enroll(&key.asking(Some(&token))).await.unwrap(), issued, "also after a restart");
    // Long after, with the token long over, it is a new certificate for the same key.
    certified.clock.pass(DAY * 40);
    let later = certified.enroll(&key.asking(Some(&token))).await.unwrap();
    assert!(later.expires > issued.expires);
}

#[tokio::test]
async fn each_wrong_token_is_refused_with_its_own_code() {
    let certified = Certified::new().await;
    let (key, other) = (Key::new("a"), Key::new("a"));
    let token = certified.token("a").await;
    let unknown = Token::generate(&mut crate::runtime::entropy::seeded(99)).to_text();
    let wrong_secret = {
        let mut parts: Vec<&str> = token.split(':').collect();
        let secret = unknown.split(':').next_back().unwrap();
        parts[3] = secret;
        parts.join(":")
    };
    for bad in [unknown.as_str(), &wrong_secret, "nonsense", ""] {
        assert_eq!(code(certified.enroll(&key.asking(Some(bad))).await), "bad_token");
    }
    assert_eq!(code(certified.enroll(&Key::new("b").asking(Some(&token))).await), "token_for_another_host");
    certified.enroll(&key.asking(Some(&token))).await.unwrap();
    assert_eq!(code(certified.enroll(&other.asking(Some(&token))).await), "token_spent");
    let old = certified.token("a").await;
    certified.clock.pass(HOUR);
    assert_eq!(code(certified.enroll(&other.asking(Some(&old))).await), "token_expired");
    let taken = certified.token("a").await;
    let path = format!("/v1/tokens/{}/revoke", Token::parse(&taken).unwrap().id());
    let (status, _) = certified.ask(&certified.peer("admin/root"), ("POST", &path), Some(&json!({}))).await;
    assert_eq!(status, 200);
    assert_eq!(code(certified.enroll(&other.asking(Some(&taken))).await), "token_revoked");
}

#[tokio::test]
async fn without_a_token_only_a_known_key_is_let_in() {
    let certified = Certified::new().await;
    assert_eq!(code(certified.enroll(&Key::new("a").asking(None)).await), "not_enrolled");
    let (key, issued) = certified.enrolled("a").await;
    assert_eq!(code(certified.enroll(&Key::new("a").asking(None)).await), "not_enrolled");
    certified.clock.pass(DAY * 365);
    let (status, answer) = certified.ask(&peer_of(&issued.certificate), ("GET", "/v1/agent/dispatch"), None).await;
    assert_eq!((status, &answer["code"]), (401, &json!("certificate_expired")));
    let again = certified.enroll(&key.asking(None)).await.unwrap();
    assert_eq!(certified.ask(&peer_of(&again.certificate), ("GET", "/v1/agent/dispatch"), None).await.0, 200);
    certified.revoke("agent/a").await;
    assert_eq!(code(certified.enroll(&key.asking(None)).await), "revoked");
}

#[tokio::test]
async fn a_request_that_proves_no_key_is_refused() {
    let certified = Certified::new().await;
    let token = certified.token("a").await;
    let good = Key::new("a").asking(Some(&token));
    // Of another key than the one that signed it.
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (mut mixed, other) = (lines(&good.request), lines(&Key::new("a").request()));
    let last = mixed.len() - 2;
    mixed[last].clone_from(&other[last]);
    for request in [mixed.join("\n"), String::new(), "x".repeat(20_000)] {
        let asked = crate::wire::v1::identity::EnrollRequest { request, ..good.clone() };
        let (status, code) = certified.enroll(&asked).await.unwrap_err();
        assert_eq!((status, code.as_str()), (400, "bad_request_for_certificate"));
    }
    let huge = crate::wire::v1::identity::EnrollRequest { request: "x".repeat(40_000), ..good.clone() };
    assert_eq!(certified.enroll(&huge).await.unwrap_err().0, 413);
    certified.enroll(&good).await.unwrap();
}

async fn on_each_store(test: impl AsyncFn(Certified)) {
    test(Certified::on(fresh_store('a')).await).await;
    let dir = tempfile::tempdir().unwrap();
    let id = crate::model::id::StoreId::new("a".repeat(32)).unwrap();
    let store = SqliteStore::open(&dir.path().join("convoy.db"), Options { new_store_id: id }).unwrap();
    test(Certified::on(Arc::new(store) as Arc<dyn Store>).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_keys_at_the_same_instant_exactly_one_wins_the_token() {
    on_each_store(async |certified| {
        for round in 0..10 {
            let host = format!("h{round}");
            let token = certified.token(&host).await;
            let keys = [Key::new(&host), Key::new(&host), Key::new(&host)];
            let asked: Vec<_> = keys.iter().map(|key| key.asking(Some(&token))).collect();
            let answers = futures_util::future::join_all(asked.iter().map(|asked| certified.enroll(asked))).await;
            assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
            for lost in answers.into_iter().filter(Result::is_err) {
                assert_eq!(code(lost), "token_spent");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_at_the_same_instant_gets_the_same_certificate() {
    on_each_store(async |certified| {
        let (key, token) = (Key::new("a"), certified.token("a").await);
        let asked = key.asking(Some(&token));
        let answers = futures_util::future::join_all((0..8).map(|_| certified.enroll(&asked))).await;
        let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
        assert!(answers.iter().all(|answer| *answer == answers[0]));
    })
    .await;
}

#[tokio::test]
async fn a_certificate_is_renewed_at_half_of_its_life_for_the_same_key_only() {
    let certified = Certified::new().await;
    let (key, issued) = certified.enrolled("a").await;
    let (status, answer) = renew(&certified, &key, &issued.certificate).await;
    assert_eq!((status, serde_json::from_value::<CertificateIssued>(answer).unwrap()), (200, issued.clone()));
    certified.clock.pass(DAY * 16);
    let (status, answer) = renew(&certified, &key, &issued.certificate).await;
    assert_eq!(status, 200);
    let next: CertificateIssued = serde_json::from_value(answer).unwrap();
    assert!(next.expires > issued.expires && next.renew_after > issued.renew_after);
    let (_, answer) = renew(&certified, &key, &issued.certificate).await;
    assert_eq!(serde_json::from_value::<CertificateIssued>(answer).unwrap(), next, "repeated, it is the same");
    let (status, answer) = renew(&certified, &Key::new("a"), &issued.certificate).await;
    assert_eq!((status, &answer["code"]), (403, &json!("wrong_key")));
}

#[tokio::test]
async fn a_host_that_enrolls_with_a_new_key_puts_the_old_one_out_of_use() {
    let certified = Certified::new().await;
    let (_, old) = certified.enrolled("a").await;
    let (_, new) = certified.enrolled("a").await;
    let (status, answer) = certified.ask(&peer_of(&old.certificate), ("GET", "/v1/agent/dispatch"), None).await;
    assert_eq!((status, &answer["code"]), (403, &json!("replaced")));
    assert_eq!(certified.ask(&peer_of(&new.certificate), ("GET", "/v1/agent/dispatch"), None).await.0, 200);
}

#[tokio::test]
async fn many_tokens_are_made_at_once_listed_by_pages_and_never_shown_again() {
    let certified = Certified::new().await;
    let admin = certified.peer("admin/root");
    let hosts: Vec<_> = (0..250).map(|n| format!("h{n}")).collect();
    let asked = json!({ "hosts": hosts, "lastsSecs": 600, "labels": ["rack-7"] });
    let (status, made) = certified.ask(&admin, ("POST", "/v1/tokens"), Some(&asked)).await;
    assert_eq!((status, made["tokens"].as_array().unwrap().len()), (201, 250));
    let (mut seen, mut path) = (0, "/v1/tokens?limit=100".to_owned());
    loop {
        let (_, page) = certified.ask(&admin, ("GET", &path), None).await;
        let items = page["items"].as_array().unwrap();
        assert!(items.iter().all(|item| item["state"] == "open" && item["createdBy"] == "admin/root"));
        assert!(items.iter().all(|item| item["labels"] == json!(["rack-7"])));
        assert!(!page.to_string().contains("convoy-token:"));
        seen += items.len();
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/tokens?limit=100&after={next}");
    }
    assert_eq!(seen, 250);
    for (field, value) in [("hosts", json!([])), ("lastsSecs", json!(59)), ("lastsSecs", json!(31_536_001))] {
        let mut bad = json!({ "hosts": ["a"], "lastsSecs": 600 });
        bad[field] = value;
        assert_eq!(certified.ask(&admin, ("POST", "/v1/tokens"), Some(&bad)).await.0, 400);
    }
}

#[tokio::test]
async fn the_first_tokens_are_taken_over_once() {
    let certified = Certified::new().await;
    let token = Token::generate(&mut crate::runtime::entropy::seeded(5));
    let expires = crate::wire::v1::release::date(certified.clock.wall().plus(DAY));
    let first = FirstToken { id: token.id().clone(), host: "a".parse().unwrap(), digest: token.digest(), expires };
    let list = read_first_tokens(&serde_json::to_string(&[first]).unwrap()).unwrap();
    assert_eq!(certified.plane.take_first_tokens(list.clone()).await.unwrap(), 1);
    let key = Key::new("a");
    certified.enroll(&key.asking(Some(&token.to_text()))).await.unwrap();
    assert_eq!(certified.plane.take_first_tokens(list).await.unwrap(), 0, "spent, it is not made anew");
    assert_eq!(code(certified.enroll(&Key::new("a").asking(Some(&token.to_text()))).await), "token_spent");
}

#[tokio::test]
async fn without_an_issuer_nobody_enrolls_and_certificates_from_elsewhere_count() {
    let certified = Certified::with(fresh_store('a'), |mut raw| {
        raw.issuer_certificate = None;
        raw.issuer_key = None;
        raw
    })
    .await;
    assert_eq!(certified.enroll(&Key::new("a").asking(None)).await.unwrap_err(), (409, "no_issuer".to_owned()));
    let asked = json!({ "hosts": ["a"], "lastsSecs": 600 });
    let (status, answer) = certified.ask(&certified.peer("admin/root"), ("POST", "/v1/tokens"), Some(&asked)).await;
    assert_eq!((status, &answer["code"]), (409, &json!("no_issuer")));
    assert_eq!(certified.ask(&certified.peer("agent/a"), ("GET", "/v1/agent/dispatch"), None).await.0, 200);
    assert_eq!(certified.ask(&Peer::Nobody, ("GET", "/healthz"), None).await.0, 200);
}
