//! A release on the wire: the manifest as the exact bytes that were signed, its signatures, and its lease.

use crate::model::id::{Digest, RolloutId};
use crate::model::time::Timestamp;
use crate::wire::text;
pub use crate::wire::v1::manifest::ManifestBody;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The largest signed release that is read, in bytes: 100,000 hosts of about 250 bytes, doubled.
pub const MAX_RELEASE: usize = 64 * 1024 * 1024;
/// The deepest nesting of JSON that is read in a manifest or lease.
pub const MAX_DEPTH: usize = 16;

/// `POST /v1/releases`, `GET /v1/releases/{channel}/{ref}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedRelease {
    /// The canonical JSON (RFC 8785) of the manifest: the very bytes that are signed.
    pub manifest: String,
    /// Signatures over the manifest.
    pub signatures: Vec<SignatureBody>,
    /// The current lease.
    pub lease: SignedLease,
}

/// One detached ed25519 signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignatureBody {
    /// The key's name in the trust file.
    pub key: String,
    /// 64 bytes in base 64.
    pub signature: String,
}

/// A lease and its signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedLease {
    /// The canonical JSON of a [`LeaseBody`]: the very bytes that are signed.
    pub statement: String,
    /// Signatures over it.
    pub signatures: Vec<SignatureBody>,
}

/// Says until when a manifest may be started, and its place in the fleet's sequence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LeaseBody {
    /// The manifest's digest.
    #[serde(with = "text")]
    pub manifest_digest: Digest,
    /// The release that the manifest is.
    #[serde(with = "text")]
    pub release: RolloutId,
    /// The place in the one sequence of the fleet; only grows from release to release.
    pub sequence: u64,
    /// When it was signed.
    pub issued: DateTime<Utc>,
    /// After this, no host starts it.
    pub expires: DateTime<Utc>,
}

/// The first and the last wall time that RFC 3339 can write, in milliseconds since 1970: the years 0000 to 9999.
const WALL_RANGE: (i64, i64) = (-62_167_219_200_000, 253_402_300_799_999);

/// Gives a wall time as the wire writes it; one outside the years 0000 to 9999 becomes the nearest inside.
#[must_use]
pub fn date(at: Timestamp) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at.0.clamp(WALL_RANGE.0, WALL_RANGE.1)).unwrap_or_default()
}

/// Reads a wall time; one outside the years 0000 to 9999 becomes the nearest inside.
#[must_use]
pub fn timestamp(at: DateTime<Utc>) -> Timestamp {
    Timestamp(at.timestamp_millis().clamp(WALL_RANGE.0, WALL_RANGE.1))
}
