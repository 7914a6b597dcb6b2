//! What the operator's command and the control plane say to each other. All views are read-only pictures.

pub use crate::wire::v1::host::{AttemptView, HostView};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most rows of one page.
pub const MAX_PAGE: usize = 1000;

/// The query of `hosts`, `rollouts` and `rollouts/{id}/hosts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// What the page before named as `next`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// At most so many rows; [`MAX_PAGE`] when missing or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// `rollouts`: only those that are neither Completed nor ended. `rollouts/{id}/hosts`: only attempts that
    /// are not final.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub open: bool,
}

/// The query of `events`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct EventsQuery {
    /// Only events after this place; 0 is from the beginning.
    #[serde(default)]
    pub after: u64,
    /// At most so many; [`MAX_PAGE`] when missing or more. A feed has no end and ignores it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only of this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Only of this rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<String>,
    /// Only those that could not be applied.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
}

/// `GET /v1/fleet`: counts, never a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct FleetView {
    /// Hosts known.
    pub hosts: u64,
    /// Hosts heard from within three heartbeat intervals.
    pub online: u64,
    /// Hosts for each state of their newest attempt (`Pending`, `Soaking`, …; also `Lost` and `SetAside`).
    pub by_state: BTreeMap<String, u64>,
    /// Rollouts that are open or newest in their channel.
    pub rollouts: Vec<RolloutView>,
    /// The control plane's version.
    pub version: String,
}

/// `GET /v1/rollouts/{id}`; also in lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RolloutView {
    /// `channel@ref`.
    pub id: String,
    /// `Opened`, `Advancing`, `Completed`, `Halted`, `Paused`, `Superseded`, `Cancelled`.
    pub state: String,
    /// The reason, in words, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The open wave, from 1; `None` before the first and after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<u32>,
    /// Each wave.
    pub waves: Vec<WaveView>,
    /// The manifest's digest.
    pub digest: String,
    /// Its place in the fleet's sequence.
    pub sequence: u64,
    /// When it was opened.
    pub opened_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// When its lease ends.
    pub lease_expires_at: DateTime<Utc>,
}

/// One wave of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WaveView {
    /// Its name.
    pub name: String,
    /// Hosts in it.
    pub hosts: u32,
    /// Those whose closure the release changes.
    pub changed: u32,
    /// Not started.
    pub waiting: u32,
    /// Permitted and not final.
    pub in_flight: u32,
    /// Converged after activating.
    pub succeeded: u32,
    /// Failed or reverted, counting; lost hosts included.
    pub failed: u32,
    /// Ended without counting.
    pub neutral: u32,
    /// Silent without a permit.
    pub set_aside: u32,
    /// Why it waits, where it does (wait, approval, window, notBefore).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
}

/// `GET /v1/hosts/{h}/why`: every hold, the first to clear first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WhyView {
    /// The host.
    pub host: String,
    /// One sentence: where it stands.
    pub summary: String,
    /// Every hold; empty when nothing holds it.
    pub holds: Vec<HoldView>,
}

/// One hold in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HoldView {
    /// The rollout it is about.
    pub rollout: String,
    /// The gate's name, `snake_case`, stable.
    pub gate: String,
    /// What holds, in words.
    pub text: String,
    /// Who can clear it: `time`, `progress`, `host`, `operator`, `release`.
    pub cleared_by: String,
    /// What to do, where something can be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// When it clears by itself, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clears_at: Option<DateTime<Utc>>,
}

/// `GET /v1/events` (server-sent events, or a page with `Accept: application/json`): one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventView {
    /// Its place in the history: give it back as `after`.
    pub place: u64,
    /// When the control plane received it.
    pub received_at: DateTime<Utc>,
    /// The host, unless it is about a whole rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The rollout; empty for what concerns a host outside of any.
    pub rollout: String,
    /// Which try.
    pub attempt: u32,
    /// A journal id, or `cp`.
    pub author: String,
    /// The author's number.
    pub seq: u64,
    /// The event's name.
    pub kind: String,
    /// The event as JSON.
    pub body: serde_json::Value,
    /// Why it was not applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// A page of anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Give it back as `after` for the next page; `None` at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `POST /v1/releases` answered: what publishing did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Published {
    /// The rollout.
    pub rollout: RolloutView,
    /// False when the very same release was there already.
    pub new: bool,
    /// What the publisher should know (waves without changed hosts, unknown hosts), one a line.
    pub notes: Vec<String>,
}

/// The body of `POST /v1/rollouts/{id}/{pause,resume,cancel,promote,retry}` and `hosts/{h}/{hold,release,resolve}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ActRequest {
    /// Who asks, for the history.
    #[serde(default)]
    pub by: String,
    /// Why, for the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// `promote`: the wave, from 1. `retry`: unused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<u32>,
    /// `promote`: the digest that was looked at; refused when it is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// `promote`: how long an approval is good for, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_secs: Option<u64>,
    /// `retry`: these hosts; empty is every failed host of the rollout.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// `cancel`: hosts in flight go back too.
    #[serde(default)]
    pub revert: bool,
    /// Only say what would happen.
    #[serde(default)]
    pub dry_run: bool,
}

/// What an act did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActResponse {
    /// In words, one a line.
    pub done: Vec<String>,
    /// Whether it was only said.
    pub dry_run: bool,
}
