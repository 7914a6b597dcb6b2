//! Leases: until when a release may be started, and its place in the one sequence of the fleet.

use crate::model::id::{Digest, RolloutId};
use crate::model::time::Timestamp;
use crate::trust::canonical::{self, Document};
use crate::trust::release::Verified;
use crate::trust::signature::{self, Domain};
use crate::trust::{SigningKey, TrustError, TrustFile};
use crate::wire::Invalid;
use crate::wire::v1::release::{LeaseBody, SignedLease, date, timestamp};

/// The largest statement, in bytes; real ones have about 300.
const MAX_STATEMENT: usize = 4096;
/// The highest sequence: the last whole number that every reader of JSON agrees on.
pub const MAX_SEQUENCE: u64 = (1 << 53) - 1;
const STATEMENT: Document = Document { what: "lease", limit: MAX_STATEMENT };

/// Until when a release may be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The place in the fleet's sequence, 1 to [`MAX_SEQUENCE`]; grows from release to release.
    pub sequence: u64,
    /// When it was signed.
    pub issued: Timestamp,
    /// From then on, no host starts the release.
    pub expires: Timestamp,
}

/// What was accepted before: kept durably by whoever starts releases, and only ever raised.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Floor {
    /// The highest sequence that was accepted; 0 before the first.
    pub sequence: u64,
    /// The manifest that it was; `None` only before the first.
    pub digest: Option<Digest>,
    /// The newest signed date that was accepted.
    pub latest_issued: Option<Timestamp>,
}

impl Floor {
    /// Returns the floor after a release was accepted; never lower than before.
    #[must_use]
    pub fn raised(&self, by: &Verified) -> Self {
        let latest_issued = self.latest_issued.max(Some(by.lease.issued));
        if by.lease.sequence > self.sequence {
            return Self { sequence: by.lease.sequence, digest: Some(by.release.digest.clone()), latest_issued };
        }
        Self { latest_issued, ..self.clone() }
    }
}

/// Tells whether a verified release may be started now: not older than one that was accepted, not expired, and by
/// a clock that is not behind a signed date.
///
/// # Errors
/// [`TrustError::Replayed`], [`TrustError::SequenceTaken`], [`TrustError::ClockBehind`], [`TrustError::Expired`].
pub fn check_lease(verified: &Verified, floor: &Floor, now: Timestamp) -> Result<(), TrustError> {
    let lease = verified.lease;
    if lease.sequence < floor.sequence {
        return Err(TrustError::Replayed { sequence: lease.sequence, floor: floor.sequence });
    }
    if lease.sequence == floor.sequence && floor.digest.as_ref() != Some(&verified.release.digest) {
        return Err(TrustError::SequenceTaken { sequence: lease.sequence });
    }
    let latest = lease.issued.max(floor.latest_issued.unwrap_or(lease.issued));
    if now < latest {
        return Err(TrustError::ClockBehind { now, latest });
    }
    if now >= lease.expires {
        return Err(TrustError::Expired { expires: lease.expires });
    }
    Ok(())
}

/// Signs a lease for one manifest.
pub(super) fn sign(of: (&RolloutId, &Digest), lease: &Lease, keys: &[SigningKey]) -> Result<SignedLease, TrustError> {
    let statement = statement(of, lease)?;
    let signatures = signature::sign(Domain::Lease, &statement, keys)?;
    Ok(SignedLease { statement, signatures })
}

/// Writes what a lease for one manifest says.
pub(super) fn statement((release, manifest): (&RolloutId, &Digest), lease: &Lease) -> Result<String, TrustError> {
    check_dates(lease)?;
    let body = LeaseBody {
        manifest_digest: manifest.clone(),
        release: release.clone(),
        sequence: lease.sequence,
        issued: date(lease.issued),
        expires: date(lease.expires),
    };
    canonical::write(STATEMENT, &body)
}

/// Verifies that a lease is signed and belongs to the manifest.
pub(super) fn verify(
    signed: &SignedLease,
    trust: &TrustFile,
    (release, manifest): (&RolloutId, &Digest),
) -> Result<Lease, TrustError> {
    canonical::check_size(STATEMENT, &signed.statement)?;
    signature::verify(Domain::Lease, &signed.statement, &signed.signatures, trust)?;
    canonical::check(STATEMENT, &signed.statement)?;
    let read = serde_json::from_str::<LeaseBody>(&signed.statement);
    let body = read.map_err(|error| Invalid { what: "lease", detail: error.to_string() })?;
    if body.manifest_digest != *manifest || body.release != *release {
        let named = format!("{} ({})", body.release, body.manifest_digest);
        return Err(TrustError::ForeignLease { named, actual: format!("{release} ({manifest})") });
    }
    let lease = Lease { sequence: body.sequence, issued: timestamp(body.issued), expires: timestamp(body.expires) };
    check_dates(&lease)?;
    Ok(lease)
}

fn check_dates(lease: &Lease) -> Result<(), TrustError> {
    if !(1..=MAX_SEQUENCE).contains(&lease.sequence) {
        return Err(TrustError::BadLease(format!("sequence {} is not within 1 and {MAX_SEQUENCE}", lease.sequence)));
    }
    if lease.issued >= lease.expires {
        return Err(TrustError::BadLease(format!(
            "it expires at {}, which is not after {}, when it was issued",
            date(lease.expires),
            date(lease.issued)
        )));
    }
    Ok(())
}
