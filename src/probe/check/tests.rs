use super::*;
use crate::probe::fake::{FakeMachine, FakeNet};
use crate::probe::net::RealNet;
use crate::probe::spec::parse;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn spec(fields: &str) -> Spec {
    let limit = if fields.contains("timeoutMs") { "" } else { "\"timeoutMs\":1000," };
    let text = format!(r#"{{"version":1,"probes":[{{"name":"p",{limit}{fields}}}]}}"#);
    parse(&text).unwrap().remove(0)
}

async fn fails_with(fields: &str, network: bool) -> Option<String> {
    match check(&spec(fields), &FakeMachine { network }, &FakeNet::default()).await {
        ProbeOutcome::Pass => None,
        ProbeOutcome::Fail(reason) => Some(reason),
    }
}

#[tokio::test(start_paused = true)]
async fn each_kind_passes_and_fails_for_its_own_reason() {
    for (fields, reason) in [
        (r#""kind":"tcp","address":"up:1""#, None),
        (r#""kind":"tcp","address":"down:1""#, Some("down:1 refused")),
        (r#""kind":"tcp","address":"hang:1""#, Some("no result within 1s")),
        (r#""kind":"http","url":"http://up/""#, None),
        (r#""kind":"http","url":"http://up/moved""#, Some("answered 302")),
        (r#""kind":"http","url":"http://up/moved","expectStatus":[302]"#, None),
        (r#""kind":"http","url":"http://up/","expectStatus":[201]"#, Some("answered 200")),
        (r#""kind":"http","url":"http://up/","bodyContains":"all ok""#, None),
        (r#""kind":"http","url":"http://up/","bodyContains":"fine""#, Some("does not contain")),
        (r#""kind":"unit","unit":"up.service""#, None),
        (r#""kind":"unit","unit":"d.service""#, Some("d.service is not active")),
        (r#""kind":"exec","program":"/up""#, None),
        (r#""kind":"exec","program":"/d""#, Some("/d refused")),
        (r#""kind":"reach","addresses":["hang:1","d:1","up:1"]"#, None),
        (r#""kind":"reach","addresses":["d:1","e:1"]"#, Some("none of d:1, e:1 answers")),
    ] {
        let got = fails_with(fields, true).await;
        match reason {
            None => assert_eq!(got, None, "{fields}"),
            Some(reason) => assert!(got.clone().unwrap().contains(reason), "{fields}: {got:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_network_fails_what_needs_it_and_nothing_else() {
    assert_eq!(fails_with(r#""kind":"tcp","address":"up:1""#, false).await.unwrap(), "this host's network is down");
    assert!(fails_with(r#""kind":"reach","addresses":["up:1"]"#, false).await.is_some());
    assert!(fails_with(r#""kind":"http","url":"http://up/""#, false).await.is_some());
    assert_eq!(fails_with(r#""kind":"unit","unit":"up.service""#, false).await, None);
    assert_eq!(fails_with(r#""kind":"exec","program":"/up""#, false).await, None);
}

async fn real(fields: &str) -> ProbeOutcome {
    check(&spec(fields), &FakeMachine { network: true }, &RealNet).await
}

fn failed(outcome: &ProbeOutcome, word: &str) -> bool {
    matches!(outcome, ProbeOutcome::Fail(reason) if reason.contains(word))
}

#[tokio::test]
async fn a_real_program_is_judged_by_its_exit_status_and_killed_at_its_limit() {
    assert_eq!(real(r#""kind":"exec","program":"/bin/sh","args":["-c","true"]"#).await, ProbeOutcome::Pass);
    let bad = real(r#""kind":"exec","program":"/bin/sh","args":["-c","echo no >&2; exit 3"]"#).await;
    assert!(failed(&bad, "exit status 3: no"), "{bad:?}");
    let long = real(r#""kind":"exec","program":"/bin/sh","args":["-c","sleep 60"],"timeoutMs":100"#).await;
    assert!(failed(&long, "longer than"), "{long:?}");
    assert!(failed(&real(r#""kind":"exec","program":"/nowhere/x""#).await, "/nowhere/x"));
}

#[tokio::test]
async fn a_real_server_is_asked_and_its_endless_body_is_cut() {
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = server.accept().await {
            tokio::spawn(async move {
                let mut asked = [0; 1024];
                let _ = stream.read(&mut asked).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello").await;
                while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
            });
        }
    });
    assert_eq!(real(&format!(r#""kind":"tcp","address":"{address}""#)).await, ProbeOutcome::Pass);
    let http = format!(r#""kind":"http","url":"http://{address}/","bodyContains":"hello""#);
    assert_eq!(real(&http).await, ProbeOutcome::Pass);
    assert!(failed(&real(r#""kind":"tcp","address":"127.0.0.1:1""#).await, "refused"));
    assert!(failed(&real(r#""kind":"http","url":"http://127.0.0.1:1/""#).await, "refused"));
}
