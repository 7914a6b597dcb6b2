//! The control plane's body of a rollout, version 1.

use crate::model::id::{HostName, RolloutId};
use crate::model::rollout::{Halt, Place, Rollout, RolloutState, WaveRules};
use crate::wire::stored::RolloutBody;
use crate::wire::text;
use crate::wire::v1::event::millis;
use crate::wire::v1::manifest::InFlightJson;
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
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approved: Vec<ApprovalV1>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted: Option<usize>,
    pub on_halt: InFlightJson,
    pub on_supersede: InFlightJson,
    #[serde(default)]
    pub restored: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// An approval of a wave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalV1 {
    /// The wave.
    pub wave: usize,
    /// When it expires; missing is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}

/// Where a paused rollout goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
#[allow(missing_docs, reason = "the variants are those of model::rollout::Place")]
pub enum PlaceV1 {
    Opened,
    Wave { wave: usize },
    Completed,
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
        at: PlaceV1,
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
            RolloutState::Paused { by, at } => Self::Paused { by, at: at.into() },
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
            RolloutStateV1::Paused { by, at } => Self::Paused { by, at: at.into() },
            RolloutStateV1::Superseded { by } => Self::Superseded { by },
            RolloutStateV1::Cancelled { by } => Self::Cancelled { by },
        }
    }
}

impl From<Place> for PlaceV1 {
    fn from(place: Place) -> Self {
        match place {
            Place::Opened => Self::Opened,
            Place::Wave(wave) => Self::Wave { wave },
            Place::Completed => Self::Completed,
        }
    }
}

impl From<PlaceV1> for Place {
    fn from(body: PlaceV1) -> Self {
        match body {
            PlaceV1::Opened => Self::Opened,
            PlaceV1::Wave { wave } => Self::Wave(wave),
            PlaceV1::Completed => Self::Completed,
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
        let approvals = rollout.approved.iter().map(|(wave, until)| ApprovalV1 { wave: *wave, until: until.map(date) });
        Self {
            id: rollout.id.clone(),
            waves: rollout.waves.iter().map(WaveRulesV1::from).collect(),
            state: (&rollout.state).into(),
            forgiven: rollout.forgiven.clone(),
            wave_done_at: rollout.wave_done_at.map(date),
            approved: approvals.collect(),
            promoted: rollout.promoted,
            on_halt: rollout.on_halt.into(),
            on_supersede: rollout.on_supersede.into(),
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
            approved: body.approved.into_iter().map(|given| (given.wave, given.until.map(timestamp))).collect(),
            promoted: body.promoted,
            on_halt: body.on_halt.into(),
            on_supersede: body.on_supersede.into(),
        };
        Self { rollout, restored: body.restored, notes: body.notes }
    }
}
