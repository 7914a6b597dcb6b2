//! The JSON of each event: the mirror of `model::host_rollout::Event`.

use crate::model::host_rollout::{Adoption, Event, Memory, Observed};
use crate::model::id::{Closure, JournalId, ProbeName};
use crate::wire::text::{self, Text};
use crate::wire::v1::event::StampBody;
use crate::wire::v1::event::activation::ActivationJson;
use crate::wire::v1::event::facts::{ClosuresJson, ProbeModeJson, ProbeOutcomeJson, UnitFailureJson, VerdictJson};
use crate::wire::v1::event::progress::ProgressJson;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What happened to an attempt. Logs and notes are cut by their author: 8 KiB for a switch, 4 KiB for a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[allow(missing_docs, reason = "the variants and fields are those of model::host_rollout::Event")]
pub enum EventJson {
    Staged,
    StageFailed {
        reason: String,
    },
    DispatchAcked,
    PermitLapsed {
        reason: String,
    },
    ActivationStarted {
        #[serde(with = "text")]
        prior: Closure,
    },
    ActivationCompleted {
        at: StampBody,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notes: Vec<String>,
    },
    ActivationDeferred {
        reason: String,
    },
    ActivationFailed {
        verdict: VerdictJson,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        log: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        units: Vec<UnitFailureJson>,
    },
    TrialBootStarted,
    ProbeTopologyDeclared {
        probes: BTreeMap<Text<ProbeName>, ProbeModeJson>,
    },
    ProbeResult {
        #[serde(with = "text")]
        probe: ProbeName,
        outcome: ProbeOutcomeJson,
    },
    SustainedFailure {
        verdict: VerdictJson,
    },
    Rebooted {
        #[serde(with = "text")]
        into: Closure,
        clean: bool,
    },
    Overtaken {
        #[serde(with = "text")]
        running: Closure,
    },
    RollbackStarted {
        verdict: VerdictJson,
    },
    RollbackCompleted,
    RollbackFailed {
        reason: String,
    },
    Committed,
    Converged,
    Cancelled {
        why: String,
    },
    Adopted {
        source: MemoryJson,
        progress: Box<ProgressJson>,
    },
    HistoryLost {
        #[serde(with = "text")]
        journal_id: JournalId,
        from: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<u64>,
    },
    ClosureObserved {
        closures: ClosuresJson,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<ActivationJson>,
    },
}

/// Which memory a state was taken over from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the variants are those of model::host_rollout::Memory")]
pub enum MemoryJson {
    Snapshot,
    RootRecord,
    JournalBase,
}

impl From<Memory> for MemoryJson {
    fn from(memory: Memory) -> Self {
        match memory {
            Memory::Snapshot => Self::Snapshot,
            Memory::RootRecord => Self::RootRecord,
            Memory::JournalBase => Self::JournalBase,
        }
    }
}

impl From<MemoryJson> for Memory {
    fn from(json: MemoryJson) -> Self {
        match json {
            MemoryJson::Snapshot => Self::Snapshot,
            MemoryJson::RootRecord => Self::RootRecord,
            MemoryJson::JournalBase => Self::JournalBase,
        }
    }
}

impl From<&Event> for EventJson {
    fn from(event: &Event) -> Self {
        match event.clone() {
            Event::Staged => Self::Staged,
            Event::StageFailed(reason) => Self::StageFailed { reason },
            Event::DispatchAcked => Self::DispatchAcked,
            Event::PermitLapsed(reason) => Self::PermitLapsed { reason },
            Event::ActivationStarted { prior } => Self::ActivationStarted { prior },
            Event::ActivationCompleted { at, notes } => Self::ActivationCompleted { at: (&at).into(), notes },
            Event::ActivationDeferred(reason) => Self::ActivationDeferred { reason },
            Event::ActivationFailed { verdict, log, units } => Self::ActivationFailed {
                verdict: (&verdict).into(),
                log,
                units: units.iter().map(UnitFailureJson::from).collect(),
            },
            Event::TrialBootStarted => Self::TrialBootStarted,
            Event::ProbeTopologyDeclared(probes) => Self::ProbeTopologyDeclared {
                probes: probes.into_iter().map(|(name, mode)| (Text(name), mode.into())).collect(),
            },
            Event::ProbeResult { probe, outcome } => Self::ProbeResult { probe, outcome: (&outcome).into() },
            Event::SustainedFailure(verdict) => Self::SustainedFailure { verdict: (&verdict).into() },
            Event::Rebooted { into, clean } => Self::Rebooted { into, clean },
            Event::Overtaken(running) => Self::Overtaken { running },
            Event::RollbackStarted(verdict) => Self::RollbackStarted { verdict: (&verdict).into() },
            Event::RollbackCompleted => Self::RollbackCompleted,
            Event::RollbackFailed(reason) => Self::RollbackFailed { reason },
            Event::Committed => Self::Committed,
            Event::Converged => Self::Converged,
            Event::Cancelled(why) => Self::Cancelled { why },
            Event::Adopted(adoption) => {
                Self::Adopted { source: adoption.source.into(), progress: Box::new((&adoption.state).into()) }
            }
            Event::HistoryLost { journal, from, to } => Self::HistoryLost { journal_id: journal, from, to },
            Event::ClosureObserved(seen) => Self::ClosureObserved {
                closures: (&seen.closures).into(),
                by: seen.by.as_ref().map(ActivationJson::from),
            },
        }
    }
}

impl From<EventJson> for Event {
    fn from(json: EventJson) -> Self {
        match json {
            EventJson::Staged => Self::Staged,
            EventJson::StageFailed { reason } => Self::StageFailed(reason),
            EventJson::DispatchAcked => Self::DispatchAcked,
            EventJson::PermitLapsed { reason } => Self::PermitLapsed(reason),
            EventJson::ActivationStarted { prior } => Self::ActivationStarted { prior },
            EventJson::ActivationCompleted { at, notes } => Self::ActivationCompleted { at: at.into(), notes },
            EventJson::ActivationDeferred { reason } => Self::ActivationDeferred(reason),
            EventJson::ActivationFailed { verdict, log, units } => Self::ActivationFailed {
                verdict: verdict.into(),
                log,
                units: units.into_iter().map(Into::into).collect(),
            },
            EventJson::TrialBootStarted => Self::TrialBootStarted,
            EventJson::ProbeTopologyDeclared { probes } => {
                Self::ProbeTopologyDeclared(probes.into_iter().map(|(name, mode)| (name.0, mode.into())).collect())
            }
            EventJson::ProbeResult { probe, outcome } => Self::ProbeResult { probe, outcome: outcome.into() },
            EventJson::SustainedFailure { verdict } => Self::SustainedFailure(verdict.into()),
            EventJson::Rebooted { into, clean } => Self::Rebooted { into, clean },
            EventJson::Overtaken { running } => Self::Overtaken(running),
            EventJson::RollbackStarted { verdict } => Self::RollbackStarted(verdict.into()),
            EventJson::RollbackCompleted => Self::RollbackCompleted,
            EventJson::RollbackFailed { reason } => Self::RollbackFailed(reason),
            EventJson::Committed => Self::Committed,
            EventJson::Converged => Self::Converged,
            EventJson::Cancelled { why } => Self::Cancelled(why),
            EventJson::Adopted { source, progress } => {
                Self::Adopted(Box::new(Adoption { source: source.into(), state: (*progress).into() }))
            }
            EventJson::HistoryLost { journal_id, from, to } => Self::HistoryLost { journal: journal_id, from, to },
            EventJson::ClosureObserved { closures, by } => {
                Self::ClosureObserved(Observed { closures: closures.into(), by: by.map(Into::into) })
            }
        }
    }
}
