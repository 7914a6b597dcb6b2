//! What the store keeps, a struct for each kind of row. Bodies are JSON of `wire::stored`; the store does not
//! look into them.

use crate::model::host_rollout::HostRolloutState;
use crate::model::id::{Attempt, Author, Channel, Closure, Digest, HostName, JournalId, RolloutId, Tag, TokenId};
use crate::model::identity::{Identity, Origin};
use crate::model::time::Timestamp;

/// A host: everything but its attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRow {
    /// The host.
    pub name: HostName,
    /// When it was last heard, as last flushed; the newest is in the control plane's memory.
    pub heard: Option<Timestamp>,
    /// `wire::stored::HostBody`.
    pub body: String,
}

/// One journal of a host's agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRow {
    /// The host.
    pub host: HostName,
    /// The journal.
    pub journal: JournalId,
    /// The last number that is held without a hole (counting marked losses as held).
    pub last_seq: u64,
    /// When it was first seen.
    pub opened: Timestamp,
    /// Why nothing more is taken from it.
    pub fenced: Option<String>,
}

/// One event of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// Its place in the whole history; 0 before it is appended.
    pub place: u64,
    /// The host; `None` for events of a whole rollout.
    pub host: Option<HostName>,
    /// The rollout; `None` for what concerns a host outside of any (an operator's hold, a lost history).
    pub rollout: Option<RolloutId>,
    /// The attempt; 0 for events of a whole rollout or outside of any.
    pub attempt: Attempt,
    /// Who wrote it.
    pub author: Author,
    /// The author's number for it, at most `i64::MAX`. For the control plane whatever is given becomes the place.
    pub seq: u64,
    /// SHA-256 of the body.
    pub digest: Digest,
    /// When the control plane received or made it.
    pub received: Timestamp,
    /// The event's name.
    pub kind: String,
    /// `wire::v1::agent::EventEnvelope`: the event with its author's stamp, so that it can be applied later.
    pub body: String,
    /// Why it could not be applied.
    pub refused: Option<String>,
}

/// Which events to list; empty means all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventFilter {
    /// Only of this host.
    pub host: Option<HostName>,
    /// Only of this rollout.
    pub rollout: Option<RolloutId>,
    /// Only refused ones.
    pub refused_only: bool,
}

/// Where a record counts in its wave's tally.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    /// Not started.
    Waiting,
    /// Holds a permit and is not final.
    InFlight,
    /// Converged after activating this release.
    Succeeded,
    /// Converged without activating.
    Unchanged,
    /// Failed, counting, and not final yet: counts as failed and as in flight, since the release may still run.
    Failing,
    /// Failed or reverted, counting. Final.
    Failed,
    /// Ended without counting.
    Neutral,
}

impl Bucket {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Waiting, Self::InFlight, Self::Succeeded, Self::Unchanged, Self::Failing, Self::Failed, Self::Neutral];
}

/// A host's current attempt of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRow {
    /// The host.
    pub host: HostName,
    /// The rollout.
    pub rollout: RolloutId,
    /// Which try.
    pub attempt: Attempt,
    /// The wave, from 0.
    pub wave: u32,
    /// The state, for listing.
    pub state: HostRolloutState,
    /// Whether nothing more will happen by itself.
    pub is_final: bool,
    /// Whether this release changes the host's closure, as known when the attempt was opened.
    pub changed: bool,
    /// Where it counts.
    pub bucket: Bucket,
    /// The budgets (tags) it counts in while in flight, once in each.
    pub budgets: Vec<Tag>,
    /// When the row last changed, on the control plane's clock.
    pub updated: Timestamp,
    /// `wire::stored::RecordBody`: the machine's state, permit, orders.
    pub body: String,
}

/// Which records to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordFilter {
    /// Only of this rollout.
    pub rollout: Option<RolloutId>,
    /// Only of this wave.
    pub wave: Option<u32>,
    /// Only in these buckets; empty is all.
    pub buckets: Vec<Bucket>,
    /// Only not final ones.
    pub open_only: bool,
}

/// A stored release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseRow {
    /// Which.
    pub id: RolloutId,
    /// The manifest's digest.
    pub digest: Digest,
    /// The sequence of its newest lease.
    pub sequence: u64,
    /// When it was published.
    pub published: Timestamp,
    /// `wire::v1::SignedRelease`, as it was received, its lease replaced when renewed.
    pub body: String,
}

/// A stored rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutRow {
    /// Which.
    pub id: RolloutId,
    /// Whether it is neither Completed nor ended.
    pub open: bool,
    /// When it was opened.
    pub opened: Timestamp,
    /// When the row last changed.
    pub updated: Timestamp,
    /// `wire::stored::RolloutBody`.
    pub body: String,
}

/// The answer given to a request for a permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermitRow {
    /// The host.
    pub host: HostName,
    /// The rollout.
    pub rollout: RolloutId,
    /// The attempt.
    pub attempt: Attempt,
    /// The journal that asked.
    pub journal: JournalId,
    /// The number of its `DispatchAcked`.
    pub seq: u64,
    /// Yes or no.
    pub granted: bool,
    /// The holds of a refusal, in words, as JSON.
    pub holds: String,
    /// When it was answered.
    pub at: Timestamp,
}

/// A closure that a channel does not start any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineRow {
    /// The channel.
    pub channel: Channel,
    /// The closure.
    pub closure: Closure,
    /// Why.
    pub why: String,
    /// Since when.
    pub at: Timestamp,
}

/// What is known of an identity: who may come in, with which key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityRow {
    /// Who.
    pub identity: Identity,
    /// SHA-256 of its newest public key; all zeros when it was shut out before it showed one.
    pub key: Digest,
    /// Where its certificate comes from.
    pub origin: Origin,
    /// When the newest certificate was issued.
    pub issued: Timestamp,
    /// Until when it counts.
    pub expires: Timestamp,
    /// The newest certificate that was issued here, as PEM with those above it, to repeat an answer.
    pub certificate: Option<String>,
    /// The token that it came by.
    pub token: Option<TokenId>,
    /// Since when it is shut out.
    pub revoked: Option<Timestamp>,
    /// Why.
    pub reason: Option<String>,
    /// Words that came with its token.
    pub labels: Vec<Tag>,
}

/// An enrollment token without its secret. Its host and digest never change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Names it.
    pub id: TokenId,
    /// For which host.
    pub host: HostName,
    /// The digest of the secret.
    pub digest: Digest,
    /// When it was made.
    pub created: Timestamp,
    /// By whom.
    pub created_by: String,
    /// Until when it can be spent.
    pub expires: Timestamp,
    /// What it was spent on.
    pub spent: Option<Spent>,
    /// When it was taken back.
    pub revoked: Option<Timestamp>,
    /// Words to find it by.
    pub labels: Vec<Tag>,
}

/// What a token was spent on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spent {
    /// SHA-256 of the public key that got the certificate.
    pub key: Digest,
    /// When.
    pub at: Timestamp,
}
