//! The manifest as JSON (schema `convoy.release/1`): what a person writes and what is signed. Every knob of
//! `model::fleet` has its place here; spans are whole milliseconds. Must not let a knob pass that nobody enforces.

mod check;
mod mistakes;
mod order;
mod rules;
mod write;

use crate::model::fleet::Release;
use crate::model::id::Digest;
use crate::wire::v1::event::progress::{OnFailureJson, RebootJson};
use crate::wire::{Invalid, text};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The schema's name; it changes when an older reader would misunderstand a manifest.
pub const SCHEMA: &str = "convoy.release/1";
/// The most hosts of one release.
pub const MAX_HOSTS: usize = 100_000;
/// The most waves of one release.
pub const MAX_WAVES: usize = 1_000;
/// The most tags of one host.
pub const MAX_TAGS: usize = 64;
/// The most windows of one wave.
pub const MAX_WINDOWS: usize = 64;
/// The most budgets of one release.
pub const MAX_BUDGETS: usize = 256;
/// The most channels that a release may wait for.
pub const MAX_AFTER_CHANNELS: usize = 64;

/// A release as declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ManifestBody {
    /// [`SCHEMA`].
    pub schema: String,
    /// `channel@ref`.
    pub release: String,
    /// Lifts the quarantine of the closures that this release names. Default: false.
    #[serde(default)]
    pub again: bool,
    /// What each host gets.
    #[serde(deserialize_with = "text::unique_map")]
    pub hosts: BTreeMap<String, TargetBody>,
    /// Who may start together, in order; every host in exactly one.
    pub waves: Vec<WaveBody>,
    /// The rules that all hosts share. Default: all defaults.
    #[serde(default)]
    pub policy: PolicyBody,
}

/// What one host gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TargetBody {
    /// The store path of the system to run.
    pub closure: String,
    /// The host's tags; budgets select by them. Default: none.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// Hosts that may start together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WaveBody {
    /// Shown to people.
    pub name: String,
    /// The hosts.
    pub hosts: Vec<String>,
    /// The most hosts of this wave in flight at once. Default: no limit but the wave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<u32>,
    /// How many changed hosts must converge before the next wave. Default: 1.
    #[serde(default = "default_min_success")]
    pub min_success: u32,
    /// How many hosts may fail; one more halts the rollout. Default: 0.
    #[serde(default)]
    pub max_failures: u32,
    /// How long to wait after this wave. Default: 0.
    #[serde(default)]
    pub wait_ms: u64,
    /// No host of this wave starts before this (RFC 3339). Default: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    /// Hosts start and reboot only inside one of these. Default: always.
    #[serde(default)]
    pub windows: Vec<WindowBody>,
    /// An operator has to approve this wave. Default: false.
    #[serde(default)]
    pub approval: bool,
    /// What to do where the boot components differ. Default: `trial` for the first wave, `live` for the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reboot: Option<RebootJson>,
}

/// A weekly window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WindowBody {
    /// The days on which it opens: `mon`, `tue`, `wed`, `thu`, `fri`, `sat`, `sun`.
    pub days: Vec<String>,
    /// When it opens, `HH:MM`.
    pub from: String,
    /// How many minutes it stays open, 1 to 1440; it may run past midnight.
    pub minutes: u32,
    /// Only `UTC`. Default: `UTC`.
    #[serde(default = "default_timezone")]
    pub timezone: String,
}

/// What hosts in flight do when their rollout stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the variants are those of model::fleet::InFlight")]
pub enum InFlightJson {
    Finish,
    Revert,
}

/// What to do about a host that runs something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the variants are those of model::fleet::OnDrift")]
pub enum OnDriftJson {
    Report,
    Hold,
    Reconcile,
}

/// The rules that all hosts of a release share. [`PolicyBody::default`] holds the defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PolicyBody {
    /// How long a host stays healthy before it is committed. Default: 5 minutes.
    pub soak_ms: u64,
    /// How long an `enforce` probe may fail without a pass. Default: 60 seconds.
    pub failure_after_ms: u64,
    /// The most time that a switch may take. Default: 10 minutes.
    pub switch_limit_ms: u64,
    /// The most time that a commit may take. Default: 3 minutes.
    pub commit_limit_ms: u64,
    /// The most time that one rollback may take. Default: 10 minutes.
    pub rollback_limit_ms: u64,
    /// The most time that a reboot may take until the agent runs. Default: 10 minutes.
    pub reboot_limit_ms: u64,
    /// How long the dead-man waits for a sign of life of the agent. Default: 2 minutes.
    pub agent_timeout_ms: u64,
    /// How long a soaked host waits for its control plane before it reverts. Default: 30 minutes.
    pub isolation_limit_ms: u64,
    /// How long a host may be silent before it is set aside, or past its limit counted lost. Default: 15 minutes.
    pub offline_grace_ms: u64,
    /// How long one try to fetch a closure may take. Default: 60 minutes.
    pub stage_limit_ms: u64,
    /// What a failed host does. Default: `revert`.
    pub on_failure: OnFailureJson,
    /// What hosts in flight do when a newer release arrives. Default: `finish`.
    pub on_supersede: InFlightJson,
    /// What hosts in flight do when the rollout halts. Default: `finish`.
    pub on_halt: InFlightJson,
    /// What to do about a host that runs something else. Default: `report`.
    pub on_drift: OnDriftJson,
    /// Tag → the most hosts with it in flight at once, over all waves and channels. Default: none.
    #[serde(deserialize_with = "text::unique_map")]
    pub budgets: BTreeMap<String, u32>,
    /// Host → hosts that must have finished well before it starts. Default: none.
    #[serde(deserialize_with = "text::unique_map")]
    pub host_order: BTreeMap<String, Vec<String>>,
    /// Channels whose latest rollout must be Completed first. Default: none.
    pub after_channels: Vec<String>,
}

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;

impl Default for PolicyBody {
    fn default() -> Self {
        Self {
            soak_ms: 5 * MINUTE,
            failure_after_ms: 60 * SECOND,
            switch_limit_ms: 10 * MINUTE,
            commit_limit_ms: 3 * MINUTE,
            rollback_limit_ms: 10 * MINUTE,
            reboot_limit_ms: 10 * MINUTE,
            agent_timeout_ms: 2 * MINUTE,
            isolation_limit_ms: 30 * MINUTE,
            offline_grace_ms: 15 * MINUTE,
            stage_limit_ms: 60 * MINUTE,
            on_failure: OnFailureJson::Revert,
            on_supersede: InFlightJson::Finish,
            on_halt: InFlightJson::Finish,
            on_drift: OnDriftJson::Report,
            budgets: BTreeMap::new(),
            host_order: BTreeMap::new(),
            after_channels: Vec::new(),
        }
    }
}

fn default_min_success() -> u32 {
    1
}

fn default_timezone() -> String {
    "UTC".to_owned()
}

impl ManifestBody {
    /// Reads the JSON of a manifest; a key that is there twice, and a field that is not known, is refused.
    ///
    /// # Errors
    /// [`Invalid`] with line and column.
    pub fn parse(json: &str) -> Result<Self, Invalid> {
        serde_json::from_str(json).map_err(|error| Invalid { what: "manifest", detail: error.to_string() })
    }

    /// Checks the whole of it: every host in exactly one wave, no empty wave, orders without a cycle, budgets and
    /// limits that can be kept. All mistakes at once (at most 100), one a line, each with its path.
    ///
    /// # Errors
    /// [`Invalid`] with every mistake.
    pub fn into_model(self, digest: Digest) -> Result<Release, Invalid> {
        check::release(self, digest)
    }
}

#[cfg(test)]
mod tests;
