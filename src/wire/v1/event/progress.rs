//! The JSON of an attempt: the mirror of `model::host_rollout::HostRollout`. Spans are whole milliseconds.

use crate::model::fleet::{OnFailure, RebootPolicy};
use crate::model::host_rollout::{HostRollout, Reboots, Terms};
use crate::model::id::{Attempt, Closure};
use crate::wire::text;
use crate::wire::v1::event::facts::ClosuresJson;
use crate::wire::v1::event::millis;
use crate::wire::v1::event::phase::PhaseJson;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProgressJson {
    /// Which try.
    pub attempt: u32,
    /// What was agreed when it was opened.
    pub terms: TermsJson,
    /// How far it came.
    pub phase: PhaseJson,
    /// Reboots that interrupted a soak.
    #[serde(default)]
    pub reboots: RebootsJson,
    /// What the host was last seen to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<ClosuresJson>,
}

/// Reboots that interrupted a soak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RebootsJson {
    /// With a shutdown mark.
    pub clean: u32,
    /// Without.
    pub unclean: u32,
}

/// What the machine needs of release and policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the fields are those of model::host_rollout::Terms")]
pub struct TermsJson {
    #[serde(with = "text")]
    pub target: Closure,
    pub soak_ms: u64,
    pub failure_after_ms: u64,
    pub switch_limit_ms: u64,
    pub commit_limit_ms: u64,
    pub rollback_limit_ms: u64,
    pub reboot_limit_ms: u64,
    pub stage_limit_ms: u64,
    pub isolation_limit_ms: u64,
    pub on_failure: OnFailureJson,
    pub reboot: RebootJson,
}

/// What a failed host does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the variants are those of model::fleet::OnFailure")]
pub enum OnFailureJson {
    Revert,
    Keep,
}

/// What to do where the boot components differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the variants are those of model::fleet::RebootPolicy")]
pub enum RebootJson {
    Live,
    Trial,
}

impl From<OnFailure> for OnFailureJson {
    fn from(rule: OnFailure) -> Self {
        match rule {
            OnFailure::Revert => Self::Revert,
            OnFailure::Keep => Self::Keep,
        }
    }
}

impl From<OnFailureJson> for OnFailure {
    fn from(json: OnFailureJson) -> Self {
        match json {
            OnFailureJson::Revert => Self::Revert,
            OnFailureJson::Keep => Self::Keep,
        }
    }
}

impl From<RebootPolicy> for RebootJson {
    fn from(policy: RebootPolicy) -> Self {
        match policy {
            RebootPolicy::Live => Self::Live,
            RebootPolicy::Trial => Self::Trial,
        }
    }
}

impl From<RebootJson> for RebootPolicy {
    fn from(json: RebootJson) -> Self {
        match json {
            RebootJson::Live => Self::Live,
            RebootJson::Trial => Self::Trial,
        }
    }
}

impl From<&Terms> for TermsJson {
    fn from(terms: &Terms) -> Self {
        Self {
            target: terms.target.clone(),
            soak_ms: millis(terms.soak),
            failure_after_ms: millis(terms.failure_after),
            switch_limit_ms: millis(terms.switch_limit),
            commit_limit_ms: millis(terms.commit_limit),
            rollback_limit_ms: millis(terms.rollback_limit),
            reboot_limit_ms: millis(terms.reboot_limit),
            stage_limit_ms: millis(terms.stage_limit),
            isolation_limit_ms: millis(terms.isolation_limit),
            on_failure: terms.on_failure.into(),
            reboot: terms.reboot.into(),
        }
    }
}

impl From<TermsJson> for Terms {
    fn from(json: TermsJson) -> Self {
        Self {
            target: json.target,
            soak: Duration::from_millis(json.soak_ms),
            failure_after: Duration::from_millis(json.failure_after_ms),
            switch_limit: Duration::from_millis(json.switch_limit_ms),
            commit_limit: Duration::from_millis(json.commit_limit_ms),
            rollback_limit: Duration::from_millis(json.rollback_limit_ms),
            reboot_limit: Duration::from_millis(json.reboot_limit_ms),
            stage_limit: Duration::from_millis(json.stage_limit_ms),
            isolation_limit: Duration::from_millis(json.isolation_limit_ms),
            on_failure: json.on_failure.into(),
            reboot: json.reboot.into(),
        }
    }
}

impl From<&HostRollout> for ProgressJson {
    fn from(progress: &HostRollout) -> Self {
        let Reboots { clean, unclean } = progress.reboots;
        Self {
            attempt: progress.attempt.0,
            terms: (&progress.terms).into(),
            phase: (&progress.phase).into(),
            reboots: RebootsJson { clean, unclean },
            observed: progress.observed.as_ref().map(ClosuresJson::from),
        }
    }
}

impl From<ProgressJson> for HostRollout {
    fn from(json: ProgressJson) -> Self {
        let RebootsJson { clean, unclean } = json.reboots;
        Self {
            attempt: Attempt(json.attempt),
            terms: json.terms.into(),
            phase: json.phase.into(),
            reboots: Reboots { clean, unclean },
            observed: json.observed.map(Into::into),
        }
    }
}
