//! Real sockets with real TLS: who gets a connection, who is told why not, and what happens to open ones.

use crate::plane::serve;
use crate::plane::tests::certified::{Certified, DAY, fresh_authority, peer_of, put, server_pair, term};
use crate::runtime::clock::Clock;
use crate::runtime::entropy::generator;
use crate::runtime::signals::{Shutdown, ShutdownTrigger};
use crate::trust::authority::Pair;
use crate::trust::tls;
use rustls::pki_types::ServerName;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The most that anything awaited may take: only a failure uses it up.
const PATIENCE: Duration = Duration::from_secs(30);

struct Served {
    certified: Certified,
    address: SocketAddr,
    trigger: ShutdownTrigger,
    server: JoinHandle<Result<(), crate::plane::serve::ServeError>>,
}

async fn serving() -> Served {
    let certified = Certified::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (trigger, shutdown) = Shutdown::manual();
    let server = tokio::spawn(serve(listener, certified.plane.clone(), shutdown));
    Served { certified, address, trigger, server }
}

type Open = BufReader<TlsStream<TcpStream>>;

impl Served {
    fn ca(&self) -> String {
        std::fs::read_to_string(self.certified.path("ca.pem")).unwrap()
    }

    async fn connect(&self, own: Option<&Pair>) -> std::io::Result<Open> {
        self.connect_trusting(&self.ca(), own).await
    }

    async fn connect_trusting(&self, ca: &str, own: Option<&Pair>) -> std::io::Result<Open> {
        let own = own.map(|pair| tls::Credentials { certificate: &pair.certificate, key: &pair.key });
        let config = tls::client(ca, own).unwrap();
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        Ok(BufReader::new(TlsConnector::from(Arc::new(config)).connect(name, stream).await?))
    }

    /// Makes a connection and a request; the error is the one that the client sees.
    async fn get_as(&self, own: Option<&Pair>, path: &str) -> std::io::Result<(u16, Value)> {
        get(&mut self.connect(own).await?, path).await
    }

    async fn metric(&self, result: &str) -> u64 {
        let viewer = self.certified.peer("viewer/v");
        let (_, text) = self.certified.ask(&viewer, ("GET", "/metrics"), None).await;
        let name = format!("convoy_tls_handshakes_total{{result=\"{result}\"}} ");
        let text = text.as_str().unwrap().to_owned();
        text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
    }
}

/// Sends a request on an open connection and reads its answer; the connection stays open.
async fn get(open: &mut Open, path: &str) -> std::io::Result<(u16, Value)> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    open.write_all(request.as_bytes()).await?;
    open.flush().await?;
    tokio::time::timeout(PATIENCE, answer(open)).await.unwrap()
}

async fn answer(from: &mut (impl AsyncRead + AsyncBufReadExt + Unpin)) -> std::io::Result<(u16, Value)> {
    let (mut status, mut length, mut line) = (0, 0, String::new());
    while from.read_line(&mut line).await? > 0 {
        if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
            status = rest[..3].parse().unwrap();
        }
        if let Some(rest) = line.to_lowercase().strip_prefix("content-length:") {
            length = rest.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
        line.clear();
    }
    if status == 0 {
        return Err(std::io::Error::other("closed without an answer"));
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).await?;
    Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

fn refused(answer: std::io::Result<(u16, Value)>, says: &str) {
    let error = format!("{:?}", answer.unwrap_err());
    assert!(error.contains(says), "{says} is not in {error}");
}

#[tokio::test]
async fn who_has_a_good_certificate_is_served_and_who_has_none_is_told_what_to_do() {
    let served = serving().await;
    let viewer = served.certified.pair("viewer/v", DAY);
    assert_eq!(served.get_as(Some(&viewer), "/v1/fleet").await.unwrap().0, 200);
    assert_eq!(served.get_as(None, "/healthz").await.unwrap().0, 200);
    let (status, body) = served.get_as(None, "/v1/fleet").await.unwrap();
    assert_eq!((status, body["code"].as_str()), (401, Some("no_certificate")));
    let (status, body) = served.get_as(Some(&viewer), "/v1/tokens").await.unwrap();
    assert_eq!((status, body["code"].as_str()), (403, Some("wrong_role")));
    // A server's certificate is none of a client; one without a role gets a connection and the reason.
    refused(
        served.get_as(Some(&server_pair(&served.certified.authority, served.certified.clock.wall())), "/").await,
        "AlertReceived",
    );
}

#[tokio::test]
async fn foreign_self_signed_and_expired_certificates_are_refused_with_an_alert_that_arrives() {
    let served = serving().await;
    let now = served.certified.clock.wall();
    let (foreign, own) = fresh_authority("elsewhere", now);
    let (namesake, _) = fresh_authority("fleet", now);
    let who = "admin/root".parse().unwrap();
    let foreign = foreign.issue_client(&who, term(now, DAY), &mut generator().unwrap()).unwrap();
    let false_friend = namesake.issue_client(&who, term(now, DAY), &mut generator().unwrap()).unwrap();
    let past = term(now.minus(DAY * 3), DAY);
    let expired = served.certified.authority.issue_client(&who, past, &mut generator().unwrap()).unwrap();
    for _ in 0..5 {
        refused(served.get_as(Some(&foreign), "/v1/fleet").await, "UnknownCA");
        refused(served.get_as(Some(&own), "/v1/fleet").await, "AlertReceived");
        refused(served.get_as(Some(&false_friend), "/v1/fleet").await, "AlertReceived");
        refused(served.get_as(Some(&expired), "/v1/fleet").await, "CertificateExpired");
    }
    assert_eq!(served.metric("certificate_expired").await, 5);
    assert!(served.metric("unknown_authority").await >= 5);
}

#[tokio::test]
async fn plain_http_on_the_port_is_answered_in_plain_http() {
    let served = serving().await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(b"GET /v1/fleet HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let (status, body) = answer(&mut BufReader::new(stream)).await.unwrap();
    assert_eq!((status, body["code"].as_str()), (400, Some("plain_http")));
    assert!(body["message"].as_str().unwrap().contains("https://"));
}

/// A greeting of TLS 1.2 without the extension that offers 1.3.
fn old_greeting() -> Vec<u8> {
    let mut hello = vec![0x03, 0x03];
    hello.extend([7; 32]);
    // No session, two suites, no compression, one group and one signature scheme.
    hello.extend([0, 0, 4, 0xc0, 0x2b, 0xc0, 0x2f, 1, 0]);
    let extensions = [0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0, 0, 13, 0, 4, 0, 2, 4, 3];
    hello.extend((extensions.len() as u16).to_be_bytes());
    hello.extend(extensions);
    let length = hello.len() as u16;
    let mut record = vec![0x16, 0x03, 0x01];
    record.extend((length + 4).to_be_bytes());
    record.extend([1, 0]);
    record.extend(length.to_be_bytes());
    record.extend(hello);
    record
}

#[tokio::test]
async fn tls_1_2_is_refused_with_its_own_alert() {
    let served = serving().await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(&old_greeting()).await.unwrap();
    let mut said = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut said)).await.unwrap().unwrap();
    // An alert record, fatal: protocol version.
    assert_eq!((said[0], &said[said.len() - 2..]), (0x15, [2, 70].as_slice()));
    assert_eq!(served.metric("incompatible").await, 1);
}

#[tokio::test]
async fn a_revocation_counts_on_an_open_connection() {
    let served = serving().await;
    let alice = served.certified.pair("operator/alice", DAY);
    let mut open = served.connect(Some(&alice)).await.unwrap();
    assert_eq!(get(&mut open, "/v1/fleet").await.unwrap().0, 200);
    served.certified.revoke("operator/alice").await;
    let (status, body) = get(&mut open, "/v1/fleet").await.unwrap();
    assert_eq!((status, body["code"].as_str()), (403, Some("revoked")));
}

#[tokio::test]
async fn the_end_of_a_certificate_counts_on_an_open_connection() {
    let served = serving().await;
    let alice = served.certified.pair("operator/alice", DAY);
    let mut open = served.connect(Some(&alice)).await.unwrap();
    assert_eq!(get(&mut open, "/v1/fleet").await.unwrap().0, 200);
    served.certified.clock.pass(DAY);
    let (status, body) = get(&mut open, "/v1/fleet").await.unwrap();
    assert_eq!((status, body["code"].as_str()), (401, Some("certificate_expired")));
}

#[tokio::test]
async fn new_certificates_count_for_new_connections_and_broken_ones_change_nothing() {
    let served = serving().await;
    let viewer = served.certified.pair("viewer/v", DAY);
    let mut open = served.connect(Some(&viewer)).await.unwrap();
    let now = served.certified.clock.wall();
    let (authority, own) = fresh_authority("next", now);
    let server = server_pair(&authority, now);
    // Half of a set, then rubbish: the old one stays, and a metric tells.
    for half in [server.certificate.as_str(), "rubbish"] {
        put(&served.certified.path("server.pem"), half);
        served.certified.plane.look_at_files().await;
        assert!(served.certified.plane.credentials.is_stale());
        assert_eq!(served.get_as(Some(&viewer), "/v1/fleet").await.unwrap().0, 200);
    }
    // A key that others can read is none.
    put(&served.certified.path("server.pem"), &server.certificate);
    put(&served.certified.path("server.key"), &server.key);
    let exposed = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(served.certified.path("server.key"), exposed).unwrap();
    served.certified.plane.look_at_files().await;
    assert!(served.certified.plane.credentials.is_stale());
    // The whole new set.
    put(&served.certified.path("server.key"), &server.key);
    served.certified.plane.look_at_files().await;
    assert!(!served.certified.plane.credentials.is_stale());
    let error = served.connect(Some(&viewer)).await.map(drop).unwrap_err();
    assert!(error.to_string().contains("UnknownIssuer"), "the new server certificate is of another authority: {error}");
    let mut new = served.connect_trusting(&own.certificate, Some(&viewer)).await.unwrap();
    assert_eq!(get(&mut new, "/v1/fleet").await.unwrap().0, 200);
    assert_eq!(get(&mut open, "/v1/fleet").await.unwrap().0, 200, "open connections stay");
}

#[tokio::test]
async fn a_new_authority_of_clients_and_a_new_trust_file_count_without_a_restart() {
    let served = serving().await;
    let now = served.certified.clock.wall();
    let (authority, own) = fresh_authority("next", now);
    let who = "viewer/v".parse().unwrap();
    let viewer = authority.issue_client(&who, term(now, DAY), &mut generator().unwrap()).unwrap();
    assert!(served.get_as(Some(&viewer), "/v1/fleet").await.is_err());
    let old = served.ca();
    put(&served.certified.path("ca.pem"), &(old.clone() + &own.certificate));
    let key = crate::trust::SigningKey::generate("new", &mut generator().unwrap()).unwrap();
    let trust = crate::trust::TrustFile::new(1, [key.public()]).unwrap();
    put(&served.certified.path("trust.json"), &trust.to_json());
    served.certified.plane.look_at_files().await;
    let mut open = served.connect_trusting(&old, Some(&viewer)).await.unwrap();
    assert_eq!(get(&mut open, "/v1/fleet").await.unwrap().0, 200);
    assert_eq!(*served.certified.plane.credentials.set().trust, trust);
}

#[tokio::test]
async fn clients_that_say_nothing_hold_nobody_up_and_the_end_waits_for_none() {
    let served = serving().await;
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(TcpStream::connect(served.address).await.unwrap());
    }
    let viewer = served.certified.pair("viewer/v", DAY);
    let asked = tokio::time::timeout(Duration::from_secs(5), served.get_as(Some(&viewer), "/v1/fleet")).await;
    assert_eq!(asked.unwrap().unwrap().0, 200);
    let mut open = served.connect(Some(&viewer)).await.unwrap();
    assert_eq!(get(&mut open, "/v1/fleet").await.unwrap().0, 200);
    served.trigger.ask();
    let ended = tokio::time::timeout(PATIENCE, served.server).await;
    assert!(ended.unwrap().unwrap().is_ok());
    assert_eq!(open.read(&mut [0; 1]).await.unwrap(), 0, "an idle connection is closed with the proper farewell");
}

#[tokio::test]
async fn a_certificate_without_a_role_gets_the_reason() {
    let served = serving().await;
    let nameless = crate::plane::http::peer::Peer::of_chain(Some(&[vec![1, 2, 3].into()]));
    let (status, body) = served.certified.ask(&nameless, ("GET", "/v1/fleet"), None).await;
    assert_eq!((status, body["code"].as_str()), (401, Some("no_identity")));
    let (key, issued) = served.certified.enrolled("a").await;
    let pair = Pair { certificate: issued.certificate.clone(), key: key.pem };
    let (status, _) = served.get_as(Some(&pair), "/v1/agent/dispatch?wait=0").await.unwrap();
    assert_eq!(status, 200, "what was issued here opens the door");
    assert_eq!(served.certified.ask(&peer_of(&issued.certificate), ("GET", "/v1/fleet"), None).await.0, 403);
}
