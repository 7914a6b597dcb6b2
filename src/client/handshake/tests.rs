//! Each reason, provoked over real sockets.

use super::*;
use crate::client::http::HttpTransport;
use crate::client::{Answer, ClientError, Request, Transport};
use crate::model::identity::Identity;
use crate::runtime::clock::{Clock, SystemClock};
use crate::trust::authority::{Authority, Pair, Term};
use crate::trust::tls::{self, Credentials};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use rustls::ServerConfig;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const DAY: Duration = Duration::from_secs(86_400);
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(1)
}

fn term() -> Term {
    Term { from: SystemClock.wall(), lasts: DAY }
}

fn long_ago() -> Term {
    Term { from: SystemClock.wall().minus(DAY * 3), lasts: DAY }
}

fn authority() -> Authority {
    Authority::generate("a fleet", term(), &mut rng()).unwrap().0
}

fn server_pair(by: &Authority, name: &str, term: Term) -> Pair {
    by.issue_server(&[name.to_owned()], term, &mut rng()).unwrap()
}

fn person(by: &Authority, term: Term) -> Pair {
    let alice: Identity = "operator/alice".parse().unwrap();
    by.issue_client(&alice, term, &mut rng()).unwrap()
}

fn credentials(pair: &Pair) -> Credentials<'_> {
    Credentials { certificate: &pair.certificate, key: &pair.key }
}

/// Serves TLS with these settings; every request is answered `ok`. Returns the port.
async fn secure(config: ServerConfig) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut stream = acceptor.accept(socket).await?;
                let _ = stream.read(&mut [0; 4096]).await?;
                stream.write_all(ANSWER).await?;
                stream.shutdown().await
            });
        }
    });
    port
}

/// Serves plain HTTP. Returns the port.
async fn plain() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 4096]).await;
            let bad = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = socket.write_all(bad).await;
        }
    });
    port
}

async fn ask(port: u16, by: &Authority, own: Option<&Pair>) -> Result<Answer, ClientError> {
    let settings = tls::client(by.bundle(), own.map(credentials)).unwrap();
    let transport = HttpTransport::new(&format!("https://127.0.0.1:{port}"), Some(settings)).unwrap();
    transport.send(Request::get("/healthz")).await
}

#[track_caller]
fn fails_as(answer: &Result<Answer, ClientError>, expected: Handshake, words: &[&str]) {
    let Err(error @ ClientError::Insecure { why, .. }) = answer else { panic!("{answer:?}") };
    assert_eq!(*why, expected, "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "{word:?} is not in {error}");
    }
}

#[tokio::test]
async fn a_certificate_of_the_fleet_is_answered() {
    let ours = authority();
    let port = secure(tls::server(credentials(&server_pair(&ours, "127.0.0.1", term())), ours.bundle()).unwrap()).await;
    let answer = ask(port, &ours, Some(&person(&ours, term()))).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"ok"[..]));
}

#[tokio::test]
async fn a_certificate_that_is_over_or_foreign_is_told_apart() {
    let (ours, foreign) = (authority(), authority());
    let port = secure(tls::server(credentials(&server_pair(&ours, "127.0.0.1", term())), ours.bundle()).unwrap()).await;
    let over = ask(port, &ours, Some(&person(&ours, long_ago()))).await;
    fails_as(&over, Handshake::OwnExpired, &["convoy cert issue", "by itself"]);
    let strange = ask(port, &ours, Some(&person(&foreign, term()))).await;
    fails_as(&strange, Handshake::OwnForeign, &["not issued by this control plane's authorities"]);
    let servers = ask(port, &ours, Some(&server_pair(&ours, "web1", term()))).await;
    fails_as(&servers, Handshake::OwnForeign, &["for something else"]);
}

#[tokio::test]
async fn a_server_of_another_fleet_name_or_time_is_told_apart() {
    let (ours, foreign) = (authority(), authority());
    let port = secure(tls::server(credentials(&server_pair(&ours, "127.0.0.1", term())), ours.bundle()).unwrap()).await;
    fails_as(&ask(port, &foreign, None).await, Handshake::ServerForeign, &["another fleet"]);
    let port = secure(tls::server(credentials(&server_pair(&ours, "10.9.8.7", term())), ours.bundle()).unwrap()).await;
    fails_as(&ask(port, &ours, None).await, Handshake::ServerName, &["convoy cert server --name"]);
    let old = server_pair(&ours, "127.0.0.1", long_ago());
    let port = secure(tls::server(credentials(&old), ours.bundle()).unwrap()).await;
    fails_as(&ask(port, &ours, None).await, Handshake::ServerDates, &["convoy cert server", "clock"]);
}

#[tokio::test]
async fn plain_and_secure_ends_that_meet_are_told_which_address_to_use() {
    let ours = authority();
    fails_as(&ask(plain().await, &ours, None).await, Handshake::PlainServer, &["http://"]);
    let port = secure(tls::server(credentials(&server_pair(&ours, "127.0.0.1", term())), ours.bundle()).unwrap()).await;
    let transport = HttpTransport::new(&format!("http://127.0.0.1:{port}"), None).unwrap();
    fails_as(&transport.send(Request::get("/healthz")).await, Handshake::SecureServer, &["https://"]);
}

#[test]
fn every_reason_has_one_line_of_advice_and_every_alert_a_reason() {
    for (reason, advice) in ADVICE {
        assert_eq!(reason.advice(), advice);
        assert_eq!(ADVICE.iter().filter(|(other, _)| *other == reason).count(), 1);
        assert!(advice.len() > 40 && !advice.ends_with('.'), "{advice}");
    }
    for (alert, reason) in ALERTS {
        let wrapped = io::Error::new(io::ErrorKind::InvalidData, Tls::AlertReceived(alert));
        assert_eq!(Handshake::among(&wrapped), Some(reason), "{alert:?}");
    }
    assert_eq!(Handshake::among(&io::Error::from(io::ErrorKind::ConnectionRefused)), None);
}
