//! Signs releases and verifies them.

use crate::model::fleet::{Release, Target};
use crate::model::id::{Digest, HostName};
use crate::trust::canonical::{self, Document};
use crate::trust::lease::{self, Lease};
use crate::trust::signature::{self, Domain};
use crate::trust::{SigningKey, TrustError, TrustFile};
use crate::wire::Invalid;
use crate::wire::v1::manifest::ManifestBody;
use crate::wire::v1::release::{MAX_RELEASE, SignedRelease};
use sha2::{Digest as _, Sha256};

const MANIFEST: Document = Document { what: "manifest", limit: MAX_RELEASE };

/// A release that is signed by enough trusted keys, and its lease; neither says that it may start now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The release.
    pub release: Release,
    /// Its lease.
    pub lease: Lease,
}

/// A verified release as one host sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedFor {
    /// The release and its lease.
    pub verified: Verified,
    /// What the host gets.
    pub target: Target,
    /// The host's wave, from 0.
    pub wave: usize,
}

/// Reads a manifest as a person wrote it (any spelling, defaults left out) and gives the release with the digest
/// that its canonical form has.
///
/// # Errors
/// [`TrustError::Invalid`] with every mistake, one a line.
pub fn draft(json: &str) -> Result<Release, TrustError> {
    canonical::check_size(MANIFEST, json)?;
    let release = ManifestBody::parse(json)?.into_model(digest_of(""))?;
    let (_, digest) = manifest_of(&release)?;
    Ok(Release { digest, ..release })
}

/// Signs a release and its first lease; `release.digest` is not looked at. What the signed manifest says is
/// checked like one that was received, so that nothing is signed that nobody would accept.
///
/// # Errors
/// [`TrustError::Invalid`] with every mistake of the release, [`TrustError::Signers`], [`TrustError::BadLease`].
pub fn sign_release(release: &Release, keys: &[SigningKey], lease: &Lease) -> Result<SignedRelease, TrustError> {
    let (manifest, read) = written(release)?;
    let signatures = signature::sign(Domain::Release, &manifest, keys)?;
    let lease = lease::sign((&read.id, &read.digest), lease, keys)?;
    Ok(SignedRelease { manifest, signatures, lease })
}

/// Writes a manifest, and reads it as whoever receives it will.
pub(super) fn written(release: &Release) -> Result<(String, Release), TrustError> {
    let (manifest, digest) = manifest_of(release)?;
    let read = read(&manifest)?;
    if read != (Release { digest, ..release.clone() }) {
        let detail = "something in it can't be written down, such as a part of a millisecond".to_owned();
        return Err(Invalid { what: "manifest", detail }.into());
    }
    Ok((manifest, read))
}

/// Gives a release a new lease and leaves manifest and signatures as they are.
///
/// # Errors
/// As [`sign_release`]; also when the manifest can't be read.
pub fn renew_lease(signed: &SignedRelease, keys: &[SigningKey], lease: &Lease) -> Result<SignedRelease, TrustError> {
    let release = read(&signed.manifest)?;
    let lease = lease::sign((&release.id, &release.digest), lease, keys)?;
    Ok(SignedRelease { lease, ..signed.clone() })
}

/// Reads the JSON of a signed release, without believing it.
///
/// # Errors
/// [`TrustError::TooLarge`] and [`TrustError::Invalid`].
pub fn parse_signed(json: &[u8]) -> Result<SignedRelease, TrustError> {
    if json.len() > MAX_RELEASE {
        return Err(TrustError::TooLarge { what: "signed release", size: json.len(), limit: MAX_RELEASE });
    }
    let read = serde_json::from_slice(json);
    read.map_err(|error| Invalid { what: "signed release", detail: error.to_string() }.into())
}

/// Verifies manifest and lease. The signatures are checked before anything is parsed.
///
/// # Errors
/// [`TrustError`] with what is wrong and what to do.
pub fn verify(signed: &SignedRelease, trust: &TrustFile) -> Result<Verified, TrustError> {
    canonical::check_size(MANIFEST, &signed.manifest)?;
    signature::verify(Domain::Release, &signed.manifest, &signed.signatures, trust)?;
    let release = read(&signed.manifest)?;
    let lease = lease::verify(&signed.lease, trust, (&release.id, &release.digest))?;
    Ok(Verified { release, lease })
}

/// Verifies a release and finds what it has for one host.
///
/// # Errors
/// As [`verify`], and [`TrustError::NotForThisHost`].
pub fn verify_for_host(signed: &SignedRelease, trust: &TrustFile, host: &HostName) -> Result<VerifiedFor, TrustError> {
    let verified = verify(signed, trust)?;
    let release = &verified.release;
    let found = release.hosts.get(host).cloned().zip(release.wave_of(host));
    let Some((target, wave)) = found else {
        return Err(TrustError::NotForThisHost { host: host.clone(), release: release.id.clone() });
    };
    Ok(VerifiedFor { verified, target, wave })
}

fn manifest_of(release: &Release) -> Result<(String, Digest), TrustError> {
    let manifest = canonical::write(MANIFEST, &ManifestBody::from(release))?;
    let digest = digest_of(&manifest);
    Ok((manifest, digest))
}

pub(super) fn read(manifest: &str) -> Result<Release, TrustError> {
    canonical::check(MANIFEST, manifest)?;
    Ok(ManifestBody::parse(manifest)?.into_model(digest_of(manifest))?)
}

fn digest_of(text: &str) -> Digest {
    let hex = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    Digest::new(hex).expect("32 bytes are 64 hexadecimal digits")
}
