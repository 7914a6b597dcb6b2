//! A release before it is signed, for keys that are not here: gives the bytes to sign, and takes the signatures. Must
//! not take one that does not fit.

use crate::model::fleet::Release;
use crate::model::id::RolloutId;
use crate::trust::lease::{self, Lease};
use crate::trust::release::{read, written};
use crate::trust::signature::{self, Domain, check_signers};
use crate::trust::{PublicKey, SigningKey, TrustError};
use crate::wire::v1::release::{SignatureBody, SignedLease, SignedRelease};
use base64::{Engine, engine::general_purpose::STANDARD};

/// A release whose manifest or lease still has to be signed.
#[derive(Debug)]
pub struct Unsigned {
    release: RolloutId,
    manifest: String,
    /// The manifest's signatures, where only the lease is new.
    kept: Option<Vec<SignatureBody>>,
    statement: String,
}

/// The signatures of a key that is somewhere else, one for each message, in their order.
#[derive(Debug, Clone)]
pub struct MadeElsewhere {
    /// The key.
    pub by: PublicKey,
    /// The bytes of each signature.
    pub signatures: Vec<Vec<u8>>,
}

impl Unsigned {
    /// Takes a release up that was not signed yet; checked like one that was received.
    ///
    /// # Errors
    /// As [`crate::trust::sign_release`].
    pub fn release(release: &Release, lease: &Lease) -> Result<Self, TrustError> {
        let (manifest, read) = written(release)?;
        let statement = lease::statement((&read.id, &read.digest), lease)?;
        Ok(Self { release: read.id, manifest, kept: None, statement })
    }

    /// Takes a signed release up that gets a new lease.
    ///
    /// # Errors
    /// As [`crate::trust::renew_lease`].
    pub fn renewal(signed: &SignedRelease, lease: &Lease) -> Result<Self, TrustError> {
        let read = read(&signed.manifest)?;
        let statement = lease::statement((&read.id, &read.digest), lease)?;
        let (manifest, kept) = (signed.manifest.clone(), Some(signed.signatures.clone()));
        Ok(Self { release: read.id, manifest, kept, statement })
    }

    /// Returns the exact bytes that have to be signed, each by every key.
    #[must_use]
    pub fn messages(&self) -> Vec<Vec<u8>> {
        self.texts().into_iter().map(|(domain, text)| domain.message(text)).collect()
    }

    /// Puts the signatures together: those of keys that are here, and those made elsewhere.
    ///
    /// # Errors
    /// [`TrustError::Signers`], also for a signature that does not fit its key.
    pub fn signed(self, keys: &[SigningKey], elsewhere: &[MadeElsewhere]) -> Result<SignedRelease, TrustError> {
        check_signers(keys.iter().map(SigningKey::public).chain(elsewhere.iter().map(|made| made.by.clone())))?;
        let mut sets = Vec::new();
        for (at, (domain, text)) in self.texts().into_iter().enumerate() {
            let mut signatures = if keys.is_empty() { Vec::new() } else { signature::sign(domain, text, keys)? };
            for made in elsewhere {
                let signature = made.signatures.get(at).map(|bytes| STANDARD.encode(bytes)).unwrap_or_default();
                if !made.by.verifies(&domain.message(text), &signature) {
                    let (what, key) = (domain.what(), made.by.name());
                    let detail = format!(
                        "the signature of the {what} of {} does not fit the public key {key}: it was made by another \
                         key, or over other bytes than those given",
                        self.release
                    );
                    return Err(TrustError::Signers(detail));
                }
                signatures.push(SignatureBody { key: made.by.name().to_owned(), signature });
            }
            sets.push(signatures);
        }
        let of_lease = sets.pop().unwrap_or_default();
        let signatures = self.kept.or_else(|| sets.pop()).unwrap_or_default();
        let lease = SignedLease { statement: self.statement, signatures: of_lease };
        Ok(SignedRelease { manifest: self.manifest, signatures, lease })
    }

    fn texts(&self) -> Vec<(Domain, &str)> {
        let lease = (Domain::Lease, self.statement.as_str());
        if self.kept.is_some() { vec![lease] } else { vec![(Domain::Release, self.manifest.as_str()), lease] }
    }
}
