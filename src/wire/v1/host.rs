//! The pictures of hosts and their attempts that operators get.

use crate::wire::v1::event::activation::ActivationJson;
use crate::wire::v1::identity::IdentityView;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// `GET /v1/hosts/{h}`; also in lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostView {
    /// The host.
    pub name: String,
    /// When it was last heard.
    pub heard_at: Option<DateTime<Utc>>,
    /// What it runs.
    pub running: Option<String>,
    /// What it booted.
    pub booted: Option<String>,
    /// What it would boot.
    pub default: Option<String>,
    /// Its agent's version.
    pub agent_version: String,
    /// An operator's hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_hold: Option<String>,
    /// Two machines with its identity, with what was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloned: Option<String>,
    /// Its identity: until when its certificate counts, whether it is shut out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentityView>,
    /// Who last activated something there, other than Convoy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activated: Option<ActivationJson>,
    /// Closures that failed on it.
    pub quarantined: Vec<String>,
    /// Its attempts, newest first, at most 8.
    pub attempts: Vec<AttemptView>,
}

/// One attempt of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptView {
    /// The host.
    pub host: String,
    /// The rollout.
    pub rollout: String,
    /// Which try.
    pub attempt: u32,
    /// The wave, from 1.
    pub wave: u32,
    /// The state's name.
    pub state: String,
    /// Whether it is final.
    pub is_final: bool,
    /// Whether it holds a permit.
    pub in_flight: bool,
    /// Whether it is silent past its limits.
    pub lost: bool,
    /// The verdict in words, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// Since when it is in this state, on the control plane's clock.
    pub since: DateTime<Utc>,
    /// The closure to reach.
    pub target: String,
}
