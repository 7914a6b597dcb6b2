//! What the control plane wants of a host: the answer to the long poll.

use crate::model::id::{Digest, RolloutId};
use crate::wire::text;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// `GET /v1/agent/dispatch?wait=SECONDS&seen=TAG`: answered at once when the order is not the one tagged, else
/// after the wait with 204.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dispatch {
    /// Names this answer; give it back as `seen`.
    pub tag: String,
    /// What to do, one for each rollout that concerns the host, at most 8.
    pub orders: Vec<Order>,
}

/// What the control plane wants of a host in one rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Which rollout.
    #[serde(with = "text")]
    pub rollout_id: RolloutId,
    /// Which try.
    pub attempt: u32,
    /// The manifest's digest.
    #[serde(with = "text")]
    pub digest: Digest,
    /// When the attempt was opened.
    pub dispatched_at: DateTime<Utc>,
    /// What to do.
    pub act: Act,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Act {
    /// Fetch and verify ahead of time; do not ask for the permit yet.
    Stage,
    /// Stage, then ask for the permit (to switch, or out of Deferred to reboot).
    Start,
    /// The attempt ended before it started.
    Cancel {
        /// Why.
        why: String,
    },
    /// Go back to the prior, without quarantine.
    Revert {
        /// Why.
        why: String,
    },
    /// An operator lifted the host's quarantine of the target before this attempt.
    Retry,
    /// An act of a later version: nothing is done, and nothing else in the answer is spoiled.
    #[serde(other)]
    Unknown,
}
