//! The root record on disk, version 1. Frozen: the helper of an older closure has to read it, so fields are only
//! ever added, and never needed to go back.

use crate::model::id::{Attempt, BootId, Closure, RolloutId};
use crate::model::root_record::{CommitTrouble, RootRecord, RootState, SwitchResult};
use crate::wire::text;
use crate::wire::v1::event::facts::{UnitFailureJson, VerdictJson};
use crate::wire::v1::event::progress::TermsJson;
use crate::wire::v1::event::{StampBody, millis};
use serde::{Deserialize, Deserializer, Serialize};
use std::time::Duration;

/// One attempt, as the root helper keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the fields are those of model::root_record::RootRecord")]
pub struct RootRecordV1 {
    #[serde(with = "text")]
    pub rollout_id: RolloutId,
    pub attempt: u32,
    #[serde(with = "text")]
    pub target: Closure,
    #[serde(with = "text")]
    pub prior: Closure,
    pub started: StampBody,
    pub state: RootStateV1,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<ResultV1>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<StampBody>,
    pub end: StampBody,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    pub trial_from: Option<BootId>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    pub trial_boot: Option<BootId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agent_starts: Vec<StampBody>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some_verdict")]
    pub verdict: Option<VerdictJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_trouble: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_began: Option<StampBody>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_trouble: Option<CommitTroubleV1>,
    pub terms: TermsJson,
    pub agent_timeout_ms: u64,
}

/// Reads a verdict; one that only a newer helper knows is kept in words, since the way back must not fail for it.
fn verdict<'de, D: Deserializer<'de>>(from: D) -> Result<VerdictJson, D::Error> {
    let json = serde_json::Value::deserialize(from)?;
    Ok(VerdictJson::deserialize(&json)
        .unwrap_or_else(|_| VerdictJson::Ordered { why: format!("unknown here: {json}") }))
}

fn some_verdict<'de, D: Deserializer<'de>>(from: D) -> Result<Option<VerdictJson>, D::Error> {
    verdict(from).map(Some)
}

/// A commit that could not be finished so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the fields are those of model::root_record::CommitTrouble")]
pub struct CommitTroubleV1 {
    pub why: String,
    pub tries: u32,
    pub at: StampBody,
}

impl From<&CommitTrouble> for CommitTroubleV1 {
    fn from(trouble: &CommitTrouble) -> Self {
        Self { why: trouble.why.clone(), tries: trouble.tries, at: (&trouble.at).into() }
    }
}

impl From<CommitTroubleV1> for CommitTrouble {
    fn from(body: CommitTroubleV1) -> Self {
        Self { why: body.why, tries: body.tries, at: body.at.into() }
    }
}

/// How far the root helper came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the variants are those of model::root_record::RootState")]
pub enum RootStateV1 {
    Launched,
    Soaking,
    Committing,
    Committed,
    Reverting,
    Reverted,
    Overtaken,
    Kept,
}

/// The switch's result and when it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResultV1 {
    /// When.
    pub at: StampBody,
    /// What.
    pub switch: SwitchResultV1,
}

/// How a switch ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
#[allow(missing_docs, reason = "the variants and fields are those of model::root_record::SwitchResult")]
pub enum SwitchResultV1 {
    Good {
        #[serde(default)]
        notes: Vec<String>,
    },
    Deferred {
        reason: String,
    },
    Bad {
        #[serde(deserialize_with = "verdict")]
        verdict: VerdictJson,
        #[serde(default)]
        log: String,
        #[serde(default)]
        units: Vec<UnitFailureJson>,
    },
}

impl From<RootState> for RootStateV1 {
    fn from(state: RootState) -> Self {
        match state {
            RootState::Launched => Self::Launched,
            RootState::Soaking => Self::Soaking,
            RootState::Committing => Self::Committing,
            RootState::Committed => Self::Committed,
            RootState::Reverting => Self::Reverting,
            RootState::Reverted => Self::Reverted,
            RootState::Overtaken => Self::Overtaken,
            RootState::Kept => Self::Kept,
        }
    }
}

impl From<RootStateV1> for RootState {
    fn from(body: RootStateV1) -> Self {
        match body {
            RootStateV1::Launched => Self::Launched,
            RootStateV1::Soaking => Self::Soaking,
            RootStateV1::Committing => Self::Committing,
            RootStateV1::Committed => Self::Committed,
            RootStateV1::Reverting => Self::Reverting,
            RootStateV1::Reverted => Self::Reverted,
            RootStateV1::Overtaken => Self::Overtaken,
            RootStateV1::Kept => Self::Kept,
        }
    }
}

impl From<&SwitchResult> for SwitchResultV1 {
    fn from(result: &SwitchResult) -> Self {
        match result.clone() {
            SwitchResult::Good(notes) => Self::Good { notes },
            SwitchResult::Deferred(reason) => Self::Deferred { reason },
            SwitchResult::Bad { verdict, log, units } => {
                Self::Bad { verdict: (&verdict).into(), log, units: units.iter().map(UnitFailureJson::from).collect() }
            }
        }
    }
}

impl From<SwitchResultV1> for SwitchResult {
    fn from(body: SwitchResultV1) -> Self {
        match body {
            SwitchResultV1::Good { notes } => Self::Good(notes),
            SwitchResultV1::Deferred { reason } => Self::Deferred(reason),
            SwitchResultV1::Bad { verdict, log, units } => {
                Self::Bad { verdict: verdict.into(), log, units: units.into_iter().map(Into::into).collect() }
            }
        }
    }
}

impl From<&RootRecord> for RootRecordV1 {
    fn from(record: &RootRecord) -> Self {
        let result = record.result.as_ref();
        Self {
            rollout_id: record.rollout.clone(),
            attempt: record.attempt.0,
            target: record.target.clone(),
            prior: record.prior.clone(),
            started: (&record.started).into(),
            state: record.state.into(),
            result: result.map(|(switch, at)| ResultV1 { at: at.into(), switch: switch.into() }),
            deadline: record.deadline.as_ref().map(StampBody::from),
            end: (&record.end).into(),
            trial_from: record.trial_from.clone(),
            trial_boot: record.trial_boot.clone(),
            agent_starts: record.agent_starts.iter().map(StampBody::from).collect(),
            verdict: record.verdict.as_ref().map(VerdictJson::from),
            rollback_trouble: record.rollback_trouble.clone(),
            commit_began: record.commit_began.as_ref().map(StampBody::from),
            commit_trouble: record.commit_trouble.as_ref().map(CommitTroubleV1::from),
            terms: (&record.terms).into(),
            agent_timeout_ms: millis(record.agent_timeout),
        }
    }
}

impl From<RootRecordV1> for RootRecord {
    fn from(body: RootRecordV1) -> Self {
        Self {
            rollout: body.rollout_id,
            attempt: Attempt(body.attempt),
            target: body.target,
            prior: body.prior,
            started: body.started.into(),
            state: body.state.into(),
            result: body.result.map(|result| (result.switch.into(), result.at.into())),
            deadline: body.deadline.map(Into::into),
            end: body.end.into(),
            trial_from: body.trial_from,
            trial_boot: body.trial_boot,
            agent_starts: body.agent_starts.into_iter().map(Into::into).collect(),
            verdict: body.verdict.map(Into::into),
            rollback_trouble: body.rollback_trouble,
            commit_began: body.commit_began.map(Into::into),
            commit_trouble: body.commit_trouble.map(Into::into),
            terms: body.terms.into(),
            agent_timeout: Duration::from_millis(body.agent_timeout_ms),
        }
    }
}
