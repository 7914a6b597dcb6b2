//! Why a release, a lease, a key or a trust file is not accepted, and what to do about it.

use crate::model::facts::HostHold;
use crate::model::id::{HostName, RolloutId};
use crate::model::time::Timestamp;
use crate::wire::Invalid;
use crate::wire::v1::release::date;
use std::io;
use std::path::PathBuf;

/// Why something is not trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// More bytes than are read.
    #[error(
        "the {what} has {size} bytes, more than the {limit} that are read: make it smaller, a release by splitting it over channels"
    )]
    TooLarge {
        /// What was read.
        what: &'static str,
        /// Its bytes.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// Nested deeper than anything that is meant.
    #[error("the {what} nests deeper than {limit} levels: it was not made by convoy, sign it again")]
    TooDeep {
        /// What was read.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// More signatures than are looked at.
    #[error("the {what} carries {count} signatures, more than the {limit} that are read: sign it again")]
    TooManySignatures {
        /// What was signed.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// Another spelling of the same JSON, or a key that is there twice.
    #[error(
        "the {what} is not canonical JSON (RFC 8785): another spelling, or a key that is there twice; \
         sign it again with `convoy release sign`"
    )]
    NotCanonical {
        /// What was read.
        what: &'static str,
    },
    /// The meaning is wrong.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// Too few good signatures by different trusted keys.
    #[error(
        "the {what} has {good} good signature(s) by trusted keys and needs {needed}{problems}; sign it with the keys \
         of the trust file, or add its keys there"
    )]
    BelowThreshold {
        /// What was signed.
        what: &'static str,
        /// Different trusted keys that signed it.
        good: usize,
        /// The trust file's threshold.
        needed: usize,
        /// What was wrong with the others, beginning with a colon; empty when there were none.
        problems: String,
    },
    /// A lease of another manifest.
    #[error(
        "the lease is for {named} and the manifest is {actual}: the two were mixed up; renew the lease of this release"
    )]
    ForeignLease {
        /// What the lease names.
        named: String,
        /// What it came with.
        actual: String,
    },
    /// A lease that makes no sense.
    #[error("the lease can't be used: {0}; sign it again")]
    BadLease(String),
    /// The lease is over.
    #[error("the lease expired at {}: renew it with `convoy release renew` and publish it", date(*expires))]
    Expired {
        /// When.
        expires: Timestamp,
    },
    /// The clock shows less than a signed date.
    #[error(
        "this machine's clock shows {} and a signed date says it is at least {}: set the clock",
        date(*now),
        date(*latest)
    )]
    ClockBehind {
        /// The clock.
        now: Timestamp,
        /// The signed date.
        latest: Timestamp,
    },
    /// An older release than one that was accepted before.
    #[error(
        "the release has sequence {sequence} and {floor} was accepted before: an older release can't come back; \
         to go back, sign a new release with a higher sequence"
    )]
    Replayed {
        /// Its sequence.
        sequence: u64,
        /// The highest that was accepted.
        floor: u64,
    },
    /// Another release with the number of one that was accepted before.
    #[error("sequence {sequence} was accepted before for another release: sign this one with a higher sequence")]
    SequenceTaken {
        /// The sequence.
        sequence: u64,
    },
    /// The release does not name the host.
    #[error("{release} has nothing for host {host}: add the host to the release, or give the host its own channel's")]
    NotForThisHost {
        /// The host.
        host: HostName,
        /// The release.
        release: RolloutId,
    },
    /// Signing without a key, or with one key twice.
    #[error("can't sign: {0}")]
    Signers(String),
    /// The text of a key is wrong.
    #[error("the {what} is not valid: {detail}")]
    KeyText {
        /// Which kind of key.
        what: &'static str,
        /// Which rule it breaks.
        detail: String,
    },
    /// A secret key that others can read.
    #[error(
        "the secret key {} can be read by others (mode {mode:o}): make a new one with `convoy keygen`, or `chmod 600` \
         it if nobody did",
        path.display()
    )]
    KeyExposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A key would be overwritten.
    #[error("{} is there already: keys are never overwritten, choose another name or move it away", path.display())]
    KeyExists {
        /// The file.
        path: PathBuf,
    },
    /// The trust file is wrong.
    #[error("the trust file is not valid: {0}")]
    TrustFile(String),
    /// A file can't be read or written.
    #[error("can't {act} {}: {source}", path.display())]
    File {
        /// `read` or `write`.
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A certificate, a private key or a request for one can't be used.
    #[error("the {what} can't be used: {detail}")]
    Certificate {
        /// Which.
        what: &'static str,
        /// Why, and what to do where that is known.
        detail: String,
    },
    /// The text of a token is wrong.
    #[error("the token is not valid: {0}")]
    Token(&'static str),
}

/// Says why a certificate or key can't be used.
pub(super) fn certificate_error(what: &'static str, detail: impl ToString) -> TrustError {
    TrustError::Certificate { what, detail: detail.to_string() }
}

impl TrustError {
    /// Returns what a host holds itself back for when a release is refused so.
    #[must_use]
    pub fn hold(&self) -> HostHold {
        let text = self.to_string();
        if matches!(self, Self::ClockBehind { .. }) {
            HostHold::ClockBehind
        } else if matches!(self, Self::Expired { .. }) {
            HostHold::Lease(text)
        } else {
            HostHold::Untrusted(text)
        }
    }
}
