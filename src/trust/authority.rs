//! The fleet's certificate authority: makes itself, and issues certificates for servers, hosts and people. Must not
//! decide who gets one.

use crate::model::id::Digest;
use crate::model::identity::Identity;
use crate::model::time::Timestamp;
use crate::trust::certificate::{chain, is_root, key_digest};
use crate::trust::error::certificate_error;
use crate::trust::{TrustError, key};
use rand::RngCore;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use std::path::Path;
use std::time::Duration;
use time::OffsetDateTime;

/// The largest request for a certificate that is read, in bytes: real ones have about 500.
pub const MAX_REQUEST: usize = 16 * 1024;
/// How far certificates are dated back, so that hosts whose clocks are a little slow take them.
pub const BACKDATE: Duration = Duration::from_secs(5 * 60);
/// The random bytes of a serial number; the first bit stays 0, since the number is signed.
const SERIAL: usize = 16;

/// An authority that can issue.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// What an issued certificate is followed by, as PEM: the authority's own chain without its root.
    above: String,
    /// Everything that verifies what this one issues, as PEM.
    bundle: String,
}

/// A certificate with its private key, both as PEM.
pub struct Pair {
    /// The certificate and those above it.
    pub certificate: String,
    /// The private key (PKCS#8).
    pub key: String,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

/// From when on a certificate counts, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// Now.
    pub from: Timestamp,
    /// How long.
    pub lasts: Duration,
}

/// A host's request for a certificate: its key is proven by its own signature, everything else in it is ignored.
#[derive(Debug)]
pub struct CertificateRequest(CertificateSigningRequestParams);

impl CertificateRequest {
    /// Reads a PKCS#10 request as PEM and checks that it was signed with its own key.
    ///
    /// # Errors
    /// [`TrustError::Certificate`], [`TrustError::TooLarge`].
    pub fn parse(pem: &str) -> Result<Self, TrustError> {
        if pem.len() > MAX_REQUEST {
            let (what, size, limit) = ("request for a certificate", pem.len(), MAX_REQUEST);
            return Err(TrustError::TooLarge { what, size, limit });
        }
        let read = CertificateSigningRequestParams::from_pem(pem);
        read.map(Self).map_err(|error| certificate_error("request for a certificate", error))
    }

    /// Returns the digest of the key that the request is for.
    #[must_use]
    pub fn key(&self) -> Digest {
        key_digest(&self.0.public_key.subject_public_key_info())
    }
}

/// Makes a private key (ECDSA P-256), as PEM. Its randomness is the operating system's.
///
/// # Errors
/// [`TrustError::Certificate`] when there is none.
pub fn new_key() -> Result<String, TrustError> {
    Ok(generated("private key")?.serialize_pem())
}

/// Returns the digest that names the public half of a private key in PEM.
///
/// # Errors
/// [`TrustError::Certificate`] when the key can't be used.
pub fn public_digest(key_pem: &str) -> Result<Digest, TrustError> {
    Ok(key_digest(&key_pair("private key", key_pem)?.subject_public_key_info()))
}

/// Writes a request for a certificate of a private key, as PEM; the identity in it is for people to read.
///
/// # Errors
/// [`TrustError::Certificate`] when the key can't be used.
pub fn request(key_pem: &str, identity: &Identity) -> Result<String, TrustError> {
    let key = key_pair("private key", key_pem)?;
    let mut params = named(&identity.to_string());
    params.subject_alt_names = vec![uri(identity)?];
    let made = params.serialize_request(&key).and_then(|request| request.pem());
    made.map_err(|error| certificate_error("request for a certificate", error))
}

impl Authority {
    /// Makes a new authority for a fleet. Returns it with its certificate and private key.
    ///
    /// # Errors
    /// [`TrustError::Certificate`].
    pub fn generate(name: &str, term: Term, rng: &mut dyn RngCore) -> Result<(Self, Pair), TrustError> {
        let key = generated("authority")?;
        let mut params = dated(named(name), term, rng);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let made = params.self_signed(&key).map_err(|error| certificate_error("authority", error))?;
        let pair = Pair { certificate: made.pem(), key: key.serialize_pem() };
        Ok((Self::from_pem(&pair.certificate, &pair.key)?, pair))
    }

    /// Reads an authority: its certificate, then those above it, and its private key.
    ///
    /// # Errors
    /// [`TrustError::Certificate`], also when the two don't belong together.
    pub fn from_pem(certificate: &str, key_pem: &str) -> Result<Self, TrustError> {
        const WHAT: &str = "authority";
        let links = chain(WHAT, certificate)?;
        let key = key_pair(WHAT, key_pem)?;
        let mut above = String::new();
        for link in links.iter().filter(|link| !is_root(link)) {
            above.push_str(&pem_of(link));
        }
        if !holds_key(&links[0], &key)? {
            return Err(certificate_error(WHAT, "certificate and private key don't belong together"));
        }
        let issuer = Issuer::from_ca_cert_der(&links[0], key).map_err(|error| certificate_error(WHAT, error))?;
        Ok(Self { issuer, above, bundle: links.iter().map(|link| pem_of(link)).collect() })
    }

    /// Reads an authority from two files; the private key must be readable by its owner only.
    ///
    /// # Errors
    /// As [`Authority::from_pem`], and when a file can't be read.
    pub fn load(certificate: &Path, key_file: &Path) -> Result<Self, TrustError> {
        Self::from_pem(&key::read_pem(certificate)?, &key::read_secret_pem(key_file)?)
    }

    /// Returns what verifies this authority's certificates, as PEM.
    #[must_use]
    pub fn bundle(&self) -> &str {
        &self.bundle
    }

    /// Issues a certificate to a host or person for the key of its request, as PEM with the chain above it.
    ///
    /// # Errors
    /// [`TrustError::Certificate`].
    pub fn issue(
        &self,
        request: &CertificateRequest,
        (identity, term): (&Identity, Term),
        rng: &mut dyn RngCore,
    ) -> Result<String, TrustError> {
        self.sign(client(identity, term, rng)?, &request.0.public_key)
    }

    /// Makes a key and a certificate for a person.
    ///
    /// # Errors
    /// [`TrustError::Certificate`].
    pub fn issue_client(&self, identity: &Identity, term: Term, rng: &mut dyn RngCore) -> Result<Pair, TrustError> {
        let key = generated("private key")?;
        let certificate = self.sign(client(identity, term, rng)?, &key)?;
        Ok(Pair { certificate, key: key.serialize_pem() })
    }

    /// Makes a key and a certificate for a server under these names and addresses.
    ///
    /// # Errors
    /// [`TrustError::Certificate`] also for a name that can't stand in a certificate.
    pub fn issue_server(&self, names: &[String], term: Term, rng: &mut dyn RngCore) -> Result<Pair, TrustError> {
        let key = generated("private key")?;
        let first = names.first().ok_or_else(|| certificate_error("server certificate", "it needs a name"))?;
        let wrong = |error| certificate_error("server certificate", format!("a name can't be used: {error}"));
        let alternative = CertificateParams::new(names.to_vec()).map_err(wrong)?.subject_alt_names;
        let mut params = dated(named(first), term, rng);
        params.subject_alt_names = alternative;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = self.sign(params, &key)?;
        Ok(Pair { certificate, key: key.serialize_pem() })
    }

    fn sign(&self, params: CertificateParams, key: &impl PublicKeyData) -> Result<String, TrustError> {
        let made = params.signed_by(key, &self.issuer).map_err(|error| certificate_error("certificate", error))?;
        Ok(made.pem() + &self.above)
    }
}

fn client(identity: &Identity, term: Term, rng: &mut dyn RngCore) -> Result<CertificateParams, TrustError> {
    let mut params = dated(named(&identity.to_string()), term, rng);
    params.subject_alt_names = vec![uri(identity)?];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

fn uri(identity: &Identity) -> Result<SanType, TrustError> {
    let uri = identity.uri().try_into().map_err(|error| certificate_error("identity", error))?;
    Ok(SanType::URI(uri))
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    // X.520 allows 64 characters of a common name; the alternative name carries all of it.
    params.distinguished_name.push(DnType::CommonName, name.chars().take(64).collect::<String>());
    params
}

fn dated(mut params: CertificateParams, term: Term, rng: &mut dyn RngCore) -> CertificateParams {
    let mut serial = [0_u8; SERIAL];
    rng.fill_bytes(&mut serial);
    serial[0] = (serial[0] & 0x7f) | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.not_before = date(term.from.minus(BACKDATE));
    params.not_after = date(term.from.plus(term.lasts));
    params.use_authority_key_identifier_extension = true;
    params
}

fn date(at: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at.0.div_euclid(1000)).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn generated(what: &'static str) -> Result<KeyPair, TrustError> {
    KeyPair::generate().map_err(|error| certificate_error(what, error))
}

fn key_pair(what: &'static str, pem: &str) -> Result<KeyPair, TrustError> {
    // The error is the library's and never quotes the key.
    KeyPair::from_pem(pem).map_err(|error| certificate_error(what, format!("its private key can't be used: {error}")))
}

fn holds_key(certificate: &[u8], key: &KeyPair) -> Result<bool, TrustError> {
    let digest = crate::trust::certificate::digest_of_key(certificate)?;
    Ok(digest == key_digest(&key.subject_public_key_info()))
}

/// Writes a certificate as PEM.
pub fn pem_of(der: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let body = STANDARD.encode(der);
    let lines: Vec<&str> = body.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests;
