//! TLS settings for both ends: 1.3 only, one fleet's authorities, nobody else's. Must not open a connection.

use crate::model::time::Timestamp;
use crate::trust::TrustError;
use crate::trust::certificate::chain;
use crate::trust::error::certificate_error;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::sync::Arc;
use std::time::Duration;

/// HTTP/1.1 is all that is spoken.
const PROTOCOL: &[u8] = b"http/1.1";
/// Sessions that a client keeps to go on with: it speaks to one server over a few connections.
const CLIENT_SESSIONS: usize = 8;
/// Tickets for each handshake: one is enough, since a client comes back over one connection at a time.
const TICKETS: usize = 1;

/// A certificate with those above it and its private key, as PEM.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The chain, the own certificate first.
    pub certificate: &'a str,
    /// The private key.
    pub key: &'a str,
}

/// Makes the control plane's settings. A client without a certificate gets in, as nobody: enrollment and health need
/// none. A client with one that these authorities did not sign, or that is over, is refused by the handshake.
///
/// Sessions go on by encrypted tickets, so that a fleet of any size costs the server no memory; their key is new
/// with each call.
///
/// # Errors
/// [`TrustError::Certificate`] that says which file's content is wrong.
pub fn server(own: Credentials<'_>, client_authorities: &str) -> Result<ServerConfig, TrustError> {
    let provider = provider();
    let roots = Arc::new(roots("clients' authorities", client_authorities)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone()).allow_unauthenticated();
    let verifier = verifier.build().map_err(|error| certificate_error("clients' authorities", error))?;
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13]);
    let builder = builder.map_err(|error| certificate_error("TLS settings", error))?;
    let (certificates, key) = read("server certificate", own)?;
    let made = builder.with_client_cert_verifier(verifier).with_single_cert(certificates, key);
    let mut config = made.map_err(|error| mismatch("server certificate", &error))?;
    config.ticketer = ring::Ticketer::new().map_err(|error| certificate_error("TLS settings", error))?;
    config.send_tls13_tickets = TICKETS;
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(config)
}

/// Makes a client's settings: believes servers of these authorities only, and shows its own certificate if it has
/// one. Another certificate needs new settings, or an old session would go on as the old one.
///
/// # Errors
/// [`TrustError::Certificate`] that says which file's content is wrong.
pub fn client(authorities: &str, own: Option<Credentials<'_>>) -> Result<ClientConfig, TrustError> {
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]);
    let builder = builder.map_err(|error| certificate_error("TLS settings", error))?;
    let builder = builder.with_root_certificates(roots("authority of the control plane", authorities)?);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let (certificates, key) = read("client certificate", own)?;
            let made = builder.with_client_auth_cert(certificates, key);
            made.map_err(|error| mismatch("client certificate", &error))?
        }
    };
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.resumption = Resumption::in_memory_sessions(CLIENT_SESSIONS);
    Ok(config)
}

/// Checks that a server's certificate will be believed by clients of these authorities under a name or address.
///
/// # Errors
/// [`TrustError::Certificate`] that says why not.
pub fn check_server(authorities: &str, certificate: &str, (name, now): (&str, Timestamp)) -> Result<(), TrustError> {
    const WHAT: &str = "server certificate";
    let roots = Arc::new(roots("authority of the control plane", authorities)?);
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider()).build();
    let verifier = verifier.map_err(|error| certificate_error(WHAT, error))?;
    let server = ServerName::try_from(name.to_owned());
    let server =
        server.map_err(|error| certificate_error(WHAT, format!("the name {name:?} can't be used: {error}")))?;
    let links = chain(WHAT, certificate)?;
    let checked = verifier.verify_server_cert(&links[0], &links[1..], &server, &[], unix(now));
    checked.map(drop).map_err(|error| certificate_error(WHAT, error))
}

/// Checks that the certificate of a host or person will be believed by a server with these authorities.
///
/// # Errors
/// [`TrustError::Certificate`] that says why not.
pub fn check_client(authorities: &str, certificate: &str, now: Timestamp) -> Result<(), TrustError> {
    const WHAT: &str = "client certificate";
    let roots = Arc::new(roots("clients' authorities", authorities)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
    let verifier = verifier.map_err(|error| certificate_error(WHAT, error))?;
    let links = chain(WHAT, certificate)?;
    let checked = verifier.verify_client_cert(&links[0], &links[1..], unix(now));
    checked.map(drop).map_err(|error| certificate_error(WHAT, error))
}

fn unix(at: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_millis(u64::try_from(at.0).unwrap_or(0)))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn roots(what: &'static str, pem: &str) -> Result<RootCertStore, TrustError> {
    let mut store = RootCertStore::empty();
    for certificate in chain(what, pem)? {
        store.add(certificate).map_err(|error| certificate_error(what, error))?;
    }
    Ok(store)
}

type Read = (Vec<rustls::pki_types::CertificateDer<'static>>, PrivateKeyDer<'static>);

fn read(what: &'static str, own: Credentials<'_>) -> Result<Read, TrustError> {
    let certificates = chain(what, own.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes());
    let wrong = |error| certificate_error(what, format!("its private key is not PEM: {error}"));
    Ok((certificates, key.map_err(wrong)?))
}

fn mismatch(what: &'static str, error: &rustls::Error) -> TrustError {
    certificate_error(what, format!("certificate and private key don't go together: {error}"))
}
