//! The control plane's body of a rollout, version 1.

use crate::model::id::{HostName, RolloutId};
use crate::model::rollout::{Halt, Rollout, RolloutState, WaveRules};
use crate::wire::stored::RolloutBody;
use crate::wire::text;
use crate::wire::v1::event::millis;
use crate::wire::v1::release::{date, timestamp};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// What is kept of a rollout. Waves count from 0, as in the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the fields are those of RolloutBody and model::rollout::Rollout")]
pub struct RolloutV1 {
    #[serde(with = "text")]
    pub id: RolloutId,
    pub waves: Vec<WaveRulesV1>,
    pub state: RolloutStateV1,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty", with = "text::list")]
    pub forgiven: BTreeSet<HostName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave_done_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub approved: BTreeSet<usize>,
    #[serde(default)]
    pub restored: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// What a wave needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the fields are those of model::rollout::WaveRules")]
pub struct WaveRulesV1 {
    pub min_success: u32,
    pub max_failures: u32,
    pub wait_ms: u64,
}

/// How far a rollout is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
#[allow(missing_docs, reason = "the variants and fields are those of model::rollout::RolloutState")]
pub enum RolloutStateV1 {
    Opened,
    Advancing {
        wave: usize,
    },
    Completed,
    Halted {
        why: HaltV1,
        wave: usize,
    },
    Paused {
        by: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wave: Option<usize>,
    },
    Superseded {
        #[serde(with = "text")]
        by: RolloutId,
    },
    Cancelled {
        by: String,
    },
}

/// Why a rollout stopped by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
#[allow(missing_docs, reason = "the variants and fields are those of model::rollout::Halt")]
pub enum HaltV1 {
    TooManyFailures { failed: u32, allowed: u32 },
    OutOfReach { possible: u32, needed: u32 },
}

impl From<&RolloutState> for RolloutStateV1 {
    fn from(state: &RolloutState) -> Self {
        match state.clone() {
            RolloutState::Opened => Self::Opened,
            RolloutState::Advancing { wave } => Self::Advancing { wave },
            RolloutState::Completed => Self::Completed,
            RolloutState::Halted { why, wave } => Self::Halted { why: why.into(), wave },
            RolloutState::Paused { by, wave } => Self::Paused { by, wave },
            RolloutState::Superseded { by } => Self::Superseded { by },
            RolloutState::Cancelled { by } => Self::Cancelled { by },
        }
    }
}

impl From<RolloutStateV1> for RolloutState {
    fn from(body: RolloutStateV1) -> Self {
        match body {
            RolloutStateV1::Opened => Self::Opened,
            RolloutStateV1::Advancing { wave } => Self::Advancing { wave },
            RolloutStateV1::Completed => Self::Completed,
            RolloutStateV1::Halted { why, wave } => Self::Halted { why: why.into(), wave },
            RolloutStateV1::Paused { by, wave } => Self::Paused { by, wave },
            RolloutStateV1::Superseded { by } => Self::Superseded { by },
            RolloutStateV1::Cancelled { by } => Self::Cancelled { by },
        }
    }
}

impl From<Halt> for HaltV1 {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::TooManyFailures { failed, allowed } => Self::TooManyFailures { failed, allowed },
            Halt::OutOfReach { possible, needed } => Self::OutOfReach { possible, needed },
        }
    }
}

impl From<HaltV1> for Halt {
    fn from(body: HaltV1) -> Self {
        match body {
            HaltV1::TooManyFailures { failed, allowed } => Self::TooManyFailures { failed, allowed },
            HaltV1::OutOfReach { possible, needed } => Self::OutOfReach { possible, needed },
        }
    }
}

impl From<&WaveRules> for WaveRulesV1 {
    fn from(rules: &WaveRules) -> Self {
        Self { min_success: rules.min_success, max_failures: rules.max_failures, wait_ms: millis(rules.wait) }
    }
}

impl From<WaveRulesV1> for WaveRules {
    fn from(body: WaveRulesV1) -> Self {
        let wait = Duration::from_millis(body.wait_ms);
        Self { min_success: body.min_success, max_failures: body.max_failures, wait }
    }
}

impl From<&RolloutBody> for RolloutV1 {
    fn from(body: &RolloutBody) -> Self {
        let rollout = &body.rollout;
        Self {
            id: rollout.id.clone(),
            waves: rollout.waves.iter().map(WaveRulesV1::from).collect(),
            state: (&rollout.state).into(),
            forgiven: rollout.forgiven.clone(),
            wave_done_at: rollout.wave_done_at.map(date),
            approved: rollout.approved.clone(),
            restored: body.restored,
            notes: body.notes.clone(),
        }
    }
}

impl From<RolloutV1> for RolloutBody {
    fn from(body: RolloutV1) -> Self {
        let rollout = Rollout {
            id: body.id,
            waves: body.waves.into_iter().map(Into::into).collect(),
            state: body.state.into(),
            forgiven: body.forgiven,
            wave_done_at: body.wave_done_at.map(timestamp),
            approved: body.approved,
        };
        Self { rollout, restored: body.restored, notes: body.notes }
    }
}
