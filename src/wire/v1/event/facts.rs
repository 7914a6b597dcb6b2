//! The JSON of facts: verdicts, holds, probes, failed units, closures. Mirrors of `model::facts`.

use crate::model::facts::{Closures, HostHold, ProbeMode, ProbeOutcome, UnitFailure, Verdict};
use crate::model::id::{Closure, ProbeName, RolloutId};
use crate::wire::text;
use serde::{Deserialize, Serialize};

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[allow(missing_docs, reason = "the variants and fields are those of model::facts::Verdict")]
pub enum VerdictJson {
    SwitchFailed {
        detail: String,
    },
    SwitchTimedOut,
    UnitsFailed {
        units: Vec<String>,
    },
    ProbesFailed {
        #[serde(with = "text::list")]
        probes: Vec<ProbeName>,
    },
    DeadMan,
    AgentCrashLoop,
    ControlPlaneLost,
    Isolated,
    BootedElsewhere,
    UncleanReboots,
    TooManyReboots,
    Overtaken,
    Ordered {
        why: String,
    },
    CommitFailed {
        detail: String,
    },
    Refused {
        detail: String,
    },
}

impl From<&Verdict> for VerdictJson {
    fn from(verdict: &Verdict) -> Self {
        match verdict.clone() {
            Verdict::SwitchFailed(detail) => Self::SwitchFailed { detail },
            Verdict::SwitchTimedOut => Self::SwitchTimedOut,
            Verdict::UnitsFailed(units) => Self::UnitsFailed { units },
            Verdict::ProbesFailed(probes) => Self::ProbesFailed { probes },
            Verdict::DeadMan => Self::DeadMan,
            Verdict::AgentCrashLoop => Self::AgentCrashLoop,
            Verdict::ControlPlaneLost => Self::ControlPlaneLost,
            Verdict::Isolated => Self::Isolated,
            Verdict::BootedElsewhere => Self::BootedElsewhere,
            Verdict::UncleanReboots => Self::UncleanReboots,
            Verdict::TooManyReboots => Self::TooManyReboots,
            Verdict::Overtaken => Self::Overtaken,
            Verdict::Ordered(why) => Self::Ordered { why },
            Verdict::CommitFailed(detail) => Self::CommitFailed { detail },
            Verdict::Refused(detail) => Self::Refused { detail },
        }
    }
}

impl From<VerdictJson> for Verdict {
    fn from(json: VerdictJson) -> Self {
        match json {
            VerdictJson::SwitchFailed { detail } => Self::SwitchFailed(detail),
            VerdictJson::SwitchTimedOut => Self::SwitchTimedOut,
            VerdictJson::UnitsFailed { units } => Self::UnitsFailed(units),
            VerdictJson::ProbesFailed { probes } => Self::ProbesFailed(probes),
            VerdictJson::DeadMan => Self::DeadMan,
            VerdictJson::AgentCrashLoop => Self::AgentCrashLoop,
            VerdictJson::ControlPlaneLost => Self::ControlPlaneLost,
            VerdictJson::Isolated => Self::Isolated,
            VerdictJson::BootedElsewhere => Self::BootedElsewhere,
            VerdictJson::UncleanReboots => Self::UncleanReboots,
            VerdictJson::TooManyReboots => Self::TooManyReboots,
            VerdictJson::Overtaken => Self::Overtaken,
            VerdictJson::Ordered { why } => Self::Ordered(why),
            VerdictJson::CommitFailed { detail } => Self::CommitFailed(detail),
            VerdictJson::Refused { detail } => Self::Refused(detail),
        }
    }
}

/// Why a host holds itself back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[allow(missing_docs, reason = "the variants and fields are those of model::facts::HostHold")]
pub enum HostHoldJson {
    Lease {
        detail: String,
    },
    Disk {
        detail: String,
    },
    Lock,
    Cache {
        detail: String,
    },
    ClockBehind,
    BootDefaultDiffers,
    StateNotPersistent,
    NoTrialBoot {
        detail: String,
    },
    Drift {
        #[serde(with = "text")]
        closure: Closure,
    },
    Window {
        detail: String,
    },
    Untrusted {
        detail: String,
    },
    Quarantined {
        #[serde(with = "text")]
        closure: Closure,
    },
    Busy {
        #[serde(with = "text")]
        rollout_id: RolloutId,
    },
    Commit {
        detail: String,
    },
}

impl From<&HostHold> for HostHoldJson {
    fn from(hold: &HostHold) -> Self {
        match hold.clone() {
            HostHold::Lease(detail) => Self::Lease { detail },
            HostHold::Disk(detail) => Self::Disk { detail },
            HostHold::Lock => Self::Lock,
            HostHold::Cache(detail) => Self::Cache { detail },
            HostHold::ClockBehind => Self::ClockBehind,
            HostHold::BootDefaultDiffers => Self::BootDefaultDiffers,
            HostHold::StateNotPersistent => Self::StateNotPersistent,
            HostHold::NoTrialBoot(detail) => Self::NoTrialBoot { detail },
            HostHold::Drift(closure) => Self::Drift { closure },
            HostHold::Window(detail) => Self::Window { detail },
            HostHold::Untrusted(detail) => Self::Untrusted { detail },
            HostHold::Quarantined(closure) => Self::Quarantined { closure },
            HostHold::Busy(rollout_id) => Self::Busy { rollout_id },
            HostHold::Commit(detail) => Self::Commit { detail },
        }
    }
}

impl From<HostHoldJson> for HostHold {
    fn from(json: HostHoldJson) -> Self {
        match json {
            HostHoldJson::Lease { detail } => Self::Lease(detail),
            HostHoldJson::Disk { detail } => Self::Disk(detail),
            HostHoldJson::Lock => Self::Lock,
            HostHoldJson::Cache { detail } => Self::Cache(detail),
            HostHoldJson::ClockBehind => Self::ClockBehind,
            HostHoldJson::BootDefaultDiffers => Self::BootDefaultDiffers,
            HostHoldJson::StateNotPersistent => Self::StateNotPersistent,
            HostHoldJson::NoTrialBoot { detail } => Self::NoTrialBoot(detail),
            HostHoldJson::Drift { closure } => Self::Drift(closure),
            HostHoldJson::Window { detail } => Self::Window(detail),
            HostHoldJson::Untrusted { detail } => Self::Untrusted(detail),
            HostHoldJson::Quarantined { closure } => Self::Quarantined(closure),
            HostHoldJson::Busy { rollout_id } => Self::Busy(rollout_id),
            HostHoldJson::Commit { detail } => Self::Commit(detail),
        }
    }
}

/// What a probe is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the variants are those of model::facts::ProbeMode")]
pub enum ProbeModeJson {
    Enforce,
    Observe,
    Disabled,
}

impl From<ProbeMode> for ProbeModeJson {
    fn from(mode: ProbeMode) -> Self {
        match mode {
            ProbeMode::Enforce => Self::Enforce,
            ProbeMode::Observe => Self::Observe,
            ProbeMode::Disabled => Self::Disabled,
        }
    }
}

impl From<ProbeModeJson> for ProbeMode {
    fn from(json: ProbeModeJson) -> Self {
        match json {
            ProbeModeJson::Enforce => Self::Enforce,
            ProbeModeJson::Observe => Self::Observe,
            ProbeModeJson::Disabled => Self::Disabled,
        }
    }
}

/// What a probe said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
#[allow(missing_docs, reason = "the variants are those of model::facts::ProbeOutcome")]
pub enum ProbeOutcomeJson {
    Pass,
    Fail { reason: String },
}

impl From<&ProbeOutcome> for ProbeOutcomeJson {
    fn from(outcome: &ProbeOutcome) -> Self {
        match outcome {
            ProbeOutcome::Pass => Self::Pass,
            ProbeOutcome::Fail(reason) => Self::Fail { reason: reason.clone() },
        }
    }
}

impl From<ProbeOutcomeJson> for ProbeOutcome {
    fn from(json: ProbeOutcomeJson) -> Self {
        match json {
            ProbeOutcomeJson::Pass => Self::Pass,
            ProbeOutcomeJson::Fail { reason } => Self::Fail(reason),
        }
    }
}

/// A unit that fails now and did not before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnitFailureJson {
    /// The unit's name.
    pub unit: String,
    /// The end of its log.
    pub log: String,
}

impl From<&UnitFailure> for UnitFailureJson {
    fn from(failure: &UnitFailure) -> Self {
        Self { unit: failure.unit.clone(), log: failure.log.clone() }
    }
}

impl From<UnitFailureJson> for UnitFailure {
    fn from(json: UnitFailureJson) -> Self {
        Self { unit: json.unit, log: json.log }
    }
}

/// Which closures a host runs, booted, and would boot; a missing one could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClosuresJson {
    /// What runs.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    pub running: Option<Closure>,
    /// What was booted.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    pub booted: Option<Closure>,
    /// The boot default.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    pub default: Option<Closure>,
}

impl From<&Closures> for ClosuresJson {
    fn from(closures: &Closures) -> Self {
        let Closures { running, booted, default } = closures.clone();
        Self { running, booted, default }
    }
}

impl From<ClosuresJson> for Closures {
    fn from(json: ClosuresJson) -> Self {
        let ClosuresJson { running, booted, default } = json;
        Self { running, booted, default }
    }
}
