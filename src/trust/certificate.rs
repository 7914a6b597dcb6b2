//! Reading certificates: who, which key, until when. Must not decide whether one is believed: TLS verifies chains.

use crate::model::id::Digest;
use crate::model::identity::{Identity, Presented};
use crate::model::time::Timestamp;
use crate::trust::TrustError;
use crate::trust::error::certificate_error;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest as _, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// The most certificates of one file; a chain has two or three, a bundle of authorities during a change some more.
const MAX_CHAIN: usize = 32;

/// Returns the digest that names a public key: SHA-256 of its SubjectPublicKeyInfo.
#[must_use]
pub fn key_digest(subject_public_key_info: &[u8]) -> Digest {
    let hex: String = Sha256::digest(subject_public_key_info).iter().map(|byte| format!("{byte:02x}")).collect();
    Digest::new(hex).expect("64 hexadecimal digits are a digest")
}

/// Reads a certificate whose chain was verified.
///
/// # Errors
/// [`TrustError::Certificate`] when it does not carry exactly one Convoy identity.
pub fn presented(der: &[u8]) -> Result<Presented, TrustError> {
    let certificate = parse(der)?;
    let validity = certificate.validity();
    let seconds = |time: i64| Timestamp(time.saturating_mul(1000));
    Ok(Presented {
        identity: identity(&certificate)?,
        key: key_digest(certificate.public_key().raw),
        issued: seconds(validity.not_before.timestamp()),
        expires: seconds(validity.not_after.timestamp()),
    })
}

/// Returns from when until when a certificate of any kind counts.
///
/// # Errors
/// [`TrustError::Certificate`] when it can't be read.
pub fn validity(der: &[u8]) -> Result<(Timestamp, Timestamp), TrustError> {
    let certificate = parse(der)?;
    let validity = certificate.validity();
    let seconds = |time: i64| Timestamp(time.saturating_mul(1000));
    Ok((seconds(validity.not_before.timestamp()), seconds(validity.not_after.timestamp())))
}

/// Reads every certificate of a PEM text, at least one.
///
/// # Errors
/// [`TrustError::Certificate`] for text that is not PEM, and for none or too many certificates.
pub fn chain(what: &'static str, pem: &str) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).take(MAX_CHAIN + 1).collect();
    let read = read.map_err(|error| certificate_error(what, format!("it is not PEM: {error}")))?;
    match read.len() {
        0 => Err(certificate_error(what, "it holds no certificate (-----BEGIN CERTIFICATE-----)")),
        n if n > MAX_CHAIN => Err(certificate_error(what, format!("it holds more than {MAX_CHAIN} certificates"))),
        _ => Ok(read),
    }
}

/// Returns the digest of the key that a certificate is for.
pub(super) fn digest_of_key(der: &[u8]) -> Result<Digest, TrustError> {
    Ok(key_digest(parse(der)?.public_key().raw))
}

/// Tells whether a certificate signed itself: the top of a chain.
pub(super) fn is_root(der: &[u8]) -> bool {
    parse(der).is_ok_and(|certificate| certificate.subject() == certificate.issuer())
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, TrustError> {
    let parsed = X509Certificate::from_der(der);
    parsed.map(|(_, certificate)| certificate).map_err(|error| certificate_error("certificate", error.to_string()))
}

fn identity(certificate: &X509Certificate<'_>) -> Result<Identity, TrustError> {
    let wrong = |detail: &str| certificate_error("certificate", detail.to_owned());
    let names = certificate.subject_alternative_name();
    let names = names.map_err(|_| wrong("its alternative names can't be read"))?;
    // Names of other kinds say who a server is, which is not asked here.
    let uri = |name: &GeneralName<'_>| if let GeneralName::URI(uri) = name { Identity::from_uri(uri) } else { None };
    let mut found = names.iter().flat_map(|names| &names.value.general_names).filter_map(uri);
    let first = found.next();
    if found.next().is_some() {
        return Err(wrong("it carries more than one URI convoy://ROLE/NAME: issue it with one"));
    }
    let said = "it carries no role: its alternative names need one URI such as convoy://operator/alice";
    let identity = first.ok_or_else(|| wrong(said))?;
    identity.map_err(|error| certificate_error("certificate", error.to_string()))
}
