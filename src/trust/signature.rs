//! Signatures by several keys over one text, each kind of text with its own prefix, so that a signature over one
//! kind can never pass for another.

use crate::trust::{PublicKey, SigningKey, TrustError, TrustFile};
use crate::wire::v1::release::SignatureBody;
use base64::{Engine, engine::general_purpose::STANDARD};
use std::collections::BTreeSet;

/// The most signatures of one text; more are an attack or a mistake.
pub(super) const MAX_SIGNATURES: usize = 64;
/// How many characters of an unknown key's name are told.
const NAME_SHOWN: usize = 64;

/// What kind of text is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Domain {
    /// A manifest.
    Release,
    /// A lease's statement.
    Lease,
}

impl Domain {
    fn prefix(self) -> &'static [u8] {
        match self {
            Self::Release => b"convoy release v1\0",
            Self::Lease => b"convoy lease v1\0",
        }
    }

    /// Names it in errors.
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Release => "manifest",
            Self::Lease => "lease",
        }
    }

    /// The very bytes that are signed.
    pub(super) fn message(self, text: &str) -> Vec<u8> {
        [self.prefix(), text.as_bytes()].concat()
    }
}

/// Signs a text with every key.
pub(super) fn sign(domain: Domain, text: &str, keys: &[SigningKey]) -> Result<Vec<SignatureBody>, TrustError> {
    check_signers(keys.iter().map(SigningKey::public))?;
    let message = domain.message(text);
    let sign =
        |key: &SigningKey| SignatureBody { key: key.name().to_owned(), signature: STANDARD.encode(key.sign(&message)) };
    Ok(keys.iter().map(sign).collect())
}

/// Checks that there are signers, not too many of them, and none twice.
pub(super) fn check_signers(keys: impl Iterator<Item = PublicKey>) -> Result<(), TrustError> {
    let keys: Vec<[u8; 32]> = keys.map(|key| *key.bytes()).collect();
    let different: BTreeSet<&[u8; 32]> = keys.iter().collect();
    let wrong = |detail: &str| Err(TrustError::Signers(detail.to_owned()));
    match keys.len() {
        0 => wrong("no key was given, at least one is needed"),
        count if count > MAX_SIGNATURES => wrong("more keys were given than are read"),
        count if count != different.len() => wrong("one key was given twice"),
        _ => Ok(()),
    }
}

/// Checks that enough different trusted keys signed the text. Unknown keys and wrong signatures don't count and
/// are told in the error; for each name only the first signature is looked at, and none after the last one needed.
pub(super) fn verify(
    domain: Domain,
    text: &str,
    signatures: &[SignatureBody],
    trust: &TrustFile,
) -> Result<(), TrustError> {
    let (what, count) = (domain.what(), signatures.len());
    if count > MAX_SIGNATURES {
        return Err(TrustError::TooManySignatures { what, count, limit: MAX_SIGNATURES });
    }
    let message = domain.message(text);
    let (mut good, mut tried, mut problems) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for signature in signatures {
        let name: String = signature.key.chars().take(NAME_SHOWN).collect();
        match trust.key(&signature.key) {
            None => problems.push(format!("{name:?} is not in the trust file")),
            Some(_) if !tried.insert(&signature.key) => problems.push(format!("{name} signed twice")),
            Some(key) if key.verifies(&message, &signature.signature) => {
                good.insert(*key.bytes());
            }
            Some(_) => problems.push(format!("{name}'s signature does not fit")),
        }
        if good.len() >= trust.threshold() {
            return Ok(());
        }
    }
    let problems = if problems.is_empty() { String::new() } else { format!(": {}", problems.join(", ")) };
    Err(TrustError::BelowThreshold { what, good: good.len(), needed: trust.threshold(), problems })
}
