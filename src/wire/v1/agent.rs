//! What the agent and the control plane say to each other.

use crate::model::host_rollout::HostRolloutState;
use crate::model::id::{Attempt, Closure, HostName, JournalId, RolloutId, StoreId};
use crate::wire::text;
pub use crate::wire::v1::dispatch::{Act, Dispatch, Order};
use crate::wire::v1::event::{EventBody, ProgressBody, StampBody};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The most quarantined closures that a host keeps and reports, the newest: older ones are of releases long gone.
pub const MAX_QUARANTINED: usize = 64;
/// The most events in one batch.
pub const MAX_EVENTS: usize = 256;
/// The largest request body, in bytes, of an agent.
pub const MAX_AGENT_BODY: usize = 1024 * 1024;
/// The longest long poll, in seconds.
pub const MAX_WAIT_SECS: u64 = 60;
/// The header that names the host while identity is not there yet (loopback only).
pub const HOST_HEADER: &str = "x-convoy-host";

/// `POST /v1/agent/heartbeat`: the repair channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatRequest {
    /// Who speaks.
    #[serde(with = "text")]
    pub hostname: HostName,
    /// The agent's version.
    pub agent_version: String,
    /// Its journal.
    #[serde(with = "text")]
    pub journal_id: JournalId,
    /// The last number in it; 0 when it has no event.
    pub last_seq: u64,
    /// The machine's clocks and boot.
    pub now: StampBody,
    /// `/run/current-system`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    pub running_closure: Option<Closure>,
    /// `/run/booted-system`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    pub booted_closure: Option<Closure>,
    /// The boot default, where profile and loader agree.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    pub default_closure: Option<Closure>,
    /// What the host holds itself back for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<crate::wire::v1::event::HostHoldBody>,
    /// Every rollout whose final event is not acknowledged.
    #[serde(default)]
    pub rollouts: Vec<RolloutReport>,
    /// The highest store mark it ever saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_seen: Option<StoreMarkBody>,
    /// Closures that failed here and are not started again.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "text::list")]
    pub quarantined: Vec<Closure>,
}

/// How far an agent is with one rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RolloutReport {
    /// Which.
    #[serde(with = "text")]
    pub rollout_id: RolloutId,
    /// Which try.
    pub attempt: u32,
    /// Where it stands.
    #[serde(with = "text")]
    pub state: HostRolloutState,
    /// The number of its last event about it.
    pub last_event_seq: u64,
}

/// Which database, and how many commits it had made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreMarkBody {
    /// Its identity.
    #[serde(with = "text")]
    pub store_id: StoreId,
    /// Its durable commits.
    pub commit_count: u64,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatResponse {
    /// The control plane's wall time; for display only.
    pub server_time: DateTime<Utc>,
    /// When to come again: 5 000 to 900 000 ms (tests and the demo may go lower).
    pub next_delay_ms: u64,
    /// The last number held of the journal that was named.
    pub acknowledged_seq: u64,
    /// Send events from this number on (again).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_from: Option<u64>,
    /// Nothing more is taken from this journal: open a new one and merge the snapshots. The reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fenced: Option<String>,
    /// The store that answered.
    pub store: StoreMarkBody,
    /// One for each started, non-final record of this host that the request did not list.
    #[serde(default)]
    pub bootstrap_rollouts: Vec<HostRolloutSnapshot>,
}

/// The control plane's copy of a host's progress, given back to an agent that lost its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostRolloutSnapshot {
    /// Which rollout.
    #[serde(with = "text")]
    pub rollout_id: RolloutId,
    /// Which host.
    pub hostname: String,
    /// The release train.
    pub channel: String,
    /// Where the host stands.
    #[serde(with = "text")]
    pub state: HostRolloutState,
    /// The closure to reach.
    pub target_closure: String,
    /// The closure that ran when the attempt started: the prior.
    pub current_closure_at_dispatch: Option<String>,
    /// The closure that the host last said it runs.
    pub current_closure: Option<String>,
    /// When the attempt was opened.
    pub dispatched_at: DateTime<Utc>,
    /// When the agent took it.
    pub dispatch_acked_at: Option<DateTime<Utc>>,
    /// When the intent was written.
    pub activation_started_at: Option<DateTime<Utc>>,
    /// When the switch's good result was written: the soak counts from here.
    pub activation_completed_at: Option<DateTime<Utc>>,
    /// When the soak ends if all stays well.
    pub soak_due_at: Option<DateTime<Utc>>,
    /// The last number held of the host's journal.
    pub last_event_seq: u64,
    /// The start of the failure clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_failure_first_at: Option<DateTime<Utc>>,
    /// When the verdict fell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<DateTime<Utc>>,
    /// The verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<crate::wire::v1::event::VerdictBody>,
    /// Which try, when it is not the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
}

/// `POST /v1/agent/events`: a batch of one journal, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventsRequest {
    /// Whose.
    #[serde(with = "text")]
    pub hostname: HostName,
    /// The journal.
    #[serde(with = "text")]
    pub journal_id: JournalId,
    /// The journal's base; sent with a new journal's first batch and when asked for numbers before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseBody>,
    /// At most [`MAX_EVENTS`], numbers without a gap.
    pub events: Vec<EventEnvelope>,
}

/// What a journal starts with: the state at that point, events up to it are gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BaseBody {
    /// The last number that is only in the base; 0 for a journal that lost nothing of its own.
    pub seq: u64,
    /// The attempts known at that point.
    pub rollouts: Vec<BaseRollout>,
}

/// One attempt in a base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BaseRollout {
    /// Which rollout.
    #[serde(with = "text")]
    pub rollout_id: RolloutId,
    /// How far it is.
    pub progress: ProgressBody,
}

/// One event with its place in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventEnvelope {
    /// Its number, without gaps within the journal, from 1.
    pub seq: u64,
    /// Which rollout.
    #[serde(with = "text")]
    pub rollout_id: RolloutId,
    /// Which try.
    pub attempt: u32,
    /// The host's clocks when it happened.
    pub at: StampBody,
    /// What happened.
    pub event: EventBody,
}

/// The answer to a batch: made durable before it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventsResponse {
    /// The last number held.
    pub last_seq: u64,
    /// Send from this number on: earlier ones are missing here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_from: Option<u64>,
    /// Nothing more is taken from this journal, with the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fenced: Option<String>,
    /// The answers to each `DispatchAcked` of the batch, repeated when it is sent again.
    #[serde(default)]
    pub permits: Vec<PermitAnswer>,
    /// Events that were kept but could not be applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedEvent>,
    /// The store that answered.
    pub store: StoreMarkBody,
}

/// The answer to one `DispatchAcked`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PermitAnswer {
    /// Which rollout.
    #[serde(with = "text")]
    pub rollout_id: RolloutId,
    /// Which try.
    pub attempt: u32,
    /// The number of the `DispatchAcked`.
    pub seq: u64,
    /// Yes or no.
    pub granted: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<String>,
}

/// An event that could not be applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedEvent {
    /// Its number.
    pub seq: u64,
    /// Why.
    pub reason: String,
}

/// Gives the attempt as the model's number.
#[must_use]
pub fn attempt(number: u32) -> Attempt {
    Attempt(number)
}
