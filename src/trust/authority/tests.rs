//! Certificates made here are believed by real handshakes, and nothing else is.

use super::*;
use crate::model::identity::Role;
use crate::runtime::clock::{Clock, SystemClock};
use crate::trust::certificate::presented;
use crate::trust::tls::{self, Credentials};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use rustls::pki_types::ServerName;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const DAY: Duration = Duration::from_secs(86_400);

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(1)
}

fn term() -> Term {
    Term { from: SystemClock.wall(), lasts: DAY }
}

fn authority() -> Authority {
    Authority::generate("a fleet", term(), &mut rng()).unwrap().0
}

fn alice() -> Identity {
    Identity::new(Role::Operator, "alice").unwrap()
}

fn credentials(pair: &Pair) -> Credentials<'_> {
    Credentials { certificate: &pair.certificate, key: &pair.key }
}

/// Shakes hands between a server and a client of these authorities; returns who the client was, or what either
/// side said.
async fn shake(
    (server_by, client_by): (&Authority, &Authority),
    server: &Pair,
    client: Option<&Pair>,
) -> Result<Option<Identity>, String> {
    let accept = TlsAcceptor::from(Arc::new(tls::server(credentials(server), client_by.bundle()).unwrap()));
    let connect = tls::client(server_by.bundle(), client.map(credentials)).unwrap();
    let (here, there) = tokio::io::duplex(64 * 1024);
    let name = ServerName::try_from("cp.example.org").unwrap();
    let served = async {
        let mut stream = accept.accept(here).await?;
        let peer = stream.get_ref().1.peer_certificates().map(|chain| presented(&chain[0]).unwrap().identity);
        stream.write_all(b"x").await?;
        stream.shutdown().await?;
        Ok::<_, io::Error>(peer)
    };
    let asked = async {
        let mut stream = TlsConnector::from(Arc::new(connect)).connect(name, there).await?;
        stream.read_exact(&mut [0]).await.map(drop)
    };
    let (peer, seen) = tokio::join!(served, asked);
    seen.map_err(|error| error.to_string())?;
    peer.map_err(|error| error.to_string())
}

async fn with_client(client: Option<&Pair>, by: &Authority) -> Result<Option<Identity>, String> {
    let ours = authority();
    let server = ours.issue_server(&["cp.example.org".into(), "127.0.0.1".into()], term(), &mut rng()).unwrap();
    shake((&ours, by), &server, client).await
}

#[tokio::test]
async fn a_certificate_of_the_fleet_says_who_comes_and_none_is_nobody() {
    let ours = authority();
    let pair = ours.issue_client(&alice(), term(), &mut rng()).unwrap();
    assert_eq!(with_client(Some(&pair), &ours).await, Ok(Some(alice())));
    assert_eq!(with_client(None, &ours).await, Ok(None));
}

#[tokio::test]
async fn a_foreign_an_expired_and_a_servers_certificate_are_refused_by_the_handshake() {
    let ours = authority();
    let foreign = Authority::generate("a fleet", term(), &mut rng()).unwrap().0;
    let pair = foreign.issue_client(&alice(), term(), &mut rng()).unwrap();
    assert!(with_client(Some(&pair), &ours).await.is_err());

    let long_ago = Term { from: SystemClock.wall().minus(DAY * 2), lasts: DAY };
    let pair = ours.issue_client(&alice(), long_ago, &mut rng()).unwrap();
    let said = with_client(Some(&pair), &ours).await.unwrap_err();
    assert!(said.contains("Expired"), "{said}");

    let pair = ours.issue_server(&["web1".into()], term(), &mut rng()).unwrap();
    assert!(with_client(Some(&pair), &ours).await.is_err());
}

#[tokio::test]
async fn a_client_believes_only_servers_of_its_fleet_under_their_name() {
    let (ours, foreign) = (authority(), authority());
    let strange = foreign.issue_server(&["cp.example.org".into()], term(), &mut rng()).unwrap();
    assert!(shake((&ours, &ours), &strange, None).await.is_err());
    let other = ours.issue_server(&["other.example.org".into()], term(), &mut rng()).unwrap();
    assert!(shake((&ours, &ours), &other, None).await.unwrap_err().contains("not valid for name"));
    let agent = ours.issue_client(&Identity::new(Role::Agent, "cp.example.org").unwrap(), term(), &mut rng()).unwrap();
    assert!(shake((&ours, &ours), &agent, None).await.is_err());
}

#[test]
fn a_hosts_key_never_leaves_it_and_its_request_chooses_nothing_but_the_key() {
    let ours = authority();
    let key = new_key().unwrap();
    let text = request(&key, &"admin/mallory".parse().unwrap()).unwrap();
    assert!(text.contains("CERTIFICATE REQUEST") && !text.contains("PRIVATE"));
    let asked = CertificateRequest::parse(&text).unwrap();
    let web1 = Identity::new(Role::Agent, "web1").unwrap();
    let issued = ours.issue(&asked, (&web1, term()), &mut rng()).unwrap();
    let seen = presented(&chain("x", &issued).unwrap()[0]).unwrap();
    assert_eq!((seen.identity, seen.key), (web1, asked.key()));
    assert!(seen.expires.since(SystemClock.wall()) <= DAY);
}

#[test]
fn a_request_that_was_changed_is_refused() {
    let text = request(&new_key().unwrap(), &alice()).unwrap();
    for at in (60..text.len() - 60).step_by(29) {
        let mut changed = text.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        if changed != text && changed.lines().nth(1) != text.lines().nth(1) {
            assert!(CertificateRequest::parse(&changed).is_err(), "changed at {at}");
        }
    }
    assert!(CertificateRequest::parse("").is_err());
    assert!(matches!(CertificateRequest::parse(&"a".repeat(MAX_REQUEST + 1)), Err(TrustError::TooLarge { .. })));
}

#[test]
fn an_authority_and_a_key_that_do_not_belong_together_are_told() {
    let (_, one) = Authority::generate("one", term(), &mut rng()).unwrap();
    let (_, two) = Authority::generate("two", term(), &mut rng()).unwrap();
    let said = Authority::from_pem(&one.certificate, &two.key).unwrap_err().to_string();
    assert!(said.contains("belong together"), "{said}");
    let mixed = Credentials { certificate: &one.certificate, key: &two.key };
    assert!(tls::server(mixed, &one.certificate).is_err() && tls::client(&one.certificate, Some(mixed)).is_err());
}

#[test]
fn a_certificate_without_a_role_or_with_two_is_told() {
    let ours = authority();
    let server = ours.issue_server(&["web1".into()], term(), &mut rng()).unwrap();
    let said = presented(&chain("x", &server.certificate).unwrap()[0]).unwrap_err().to_string();
    assert!(said.contains("convoy://operator/alice"), "{said}");
    let mut params = client(&alice(), term(), &mut rng()).unwrap();
    params.subject_alt_names.push(uri(&"admin/alice".parse().unwrap()).unwrap());
    let both = ours.sign(params, &generated("x").unwrap()).unwrap();
    assert!(presented(&chain("x", &both).unwrap()[0]).unwrap_err().to_string().contains("more than one"));
}

#[test]
fn names_that_fit_no_certificate_are_told_and_long_ones_stay_whole() {
    let ours = authority();
    assert!(ours.issue_server(&["exämple".into()], term(), &mut rng()).is_err());
    assert!(ours.issue_server(&[], term(), &mut rng()).is_err());
    let long = Identity::new(Role::Agent, &"a".repeat(253)).unwrap();
    let pair = ours.issue_client(&long, term(), &mut rng()).unwrap();
    assert_eq!(presented(&chain("x", &pair.certificate).unwrap()[0]).unwrap().identity, long);
}
