//! The JSON of how far an attempt came: the mirror of `model::host_rollout::Phase`.

use crate::model::host_rollout as model;
use crate::model::host_rollout::{Phase, Rollback, Staging};
use crate::model::id::{Closure, ProbeName};
use crate::wire::text::{self, Text};
use crate::wire::v1::event::StampBody;
use crate::wire::v1::event::facts::{ProbeModeJson, ProbeOutcomeJson, VerdictJson};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How far an attempt came, with what is known at that point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[allow(missing_docs, reason = "the variants and fields are those of model::host_rollout::Phase")]
pub enum PhaseJson {
    Pending {
        since: StampBody,
        staging: StagingJson,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        acked: Option<StampBody>,
    },
    Activating {
        #[serde(with = "text")]
        prior: Closure,
        acked: StampBody,
        started: StampBody,
    },
    Deferred {
        #[serde(with = "text")]
        prior: Closure,
        why: String,
        since: StampBody,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        acked: Option<StampBody>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trial: Option<StampBody>,
    },
    Soaking {
        #[serde(with = "text")]
        prior: Closure,
        started: StampBody,
        since: StampBody,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        probes: Option<BTreeMap<Text<ProbeName>, ProbeJson>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failing_since: Option<StampBody>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        committed: Option<StampBody>,
    },
    Converged {
        at: StampBody,
        activated: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failing: Option<FailingJson>,
    },
    Failed {
        verdict: VerdictJson,
        at: StampBody,
        #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
        prior: Option<Closure>,
        rollback: RollbackJson,
    },
    Reverted {
        verdict: VerdictJson,
        at: StampBody,
    },
    Cancelled {
        why: String,
        at: StampBody,
    },
}

/// Whether the target is on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
#[allow(missing_docs, reason = "the variants and fields are those of model::host_rollout::Staging")]
pub enum StagingJson {
    Wanted,
    Done,
    Failed { reason: String, tries: u32, at: StampBody },
}

/// One declared probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeJson {
    /// What it is for.
    pub mode: ProbeModeJson,
    /// What it said last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<ProbeOutcomeJson>,
}

/// A probe that fails after the commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailingJson {
    /// Since when.
    pub since: StampBody,
    /// Which.
    #[serde(with = "text")]
    pub probe: ProbeName,
}

/// What is done about a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
#[allow(missing_docs, reason = "the variants and fields are those of model::host_rollout::Rollback")]
pub enum RollbackJson {
    Due,
    Started { at: StampBody },
    Impossible { reason: String },
    Kept,
    Overtaken,
}

fn body(stamp: Option<&crate::model::time::Stamp>) -> Option<StampBody> {
    stamp.map(StampBody::from)
}

impl From<&Phase> for PhaseJson {
    fn from(phase: &Phase) -> Self {
        match phase {
            Phase::Pending(p) => {
                Self::Pending { since: (&p.since).into(), staging: (&p.staging).into(), acked: body(p.acked.as_ref()) }
            }
            Phase::Activating(a) => {
                Self::Activating { prior: a.prior.clone(), acked: (&a.acked).into(), started: (&a.started).into() }
            }
            Phase::Deferred(d) => Self::Deferred {
                prior: d.prior.clone(),
                why: d.why.clone(),
                since: (&d.since).into(),
                acked: body(d.acked.as_ref()),
                trial: body(d.trial.as_ref()),
            },
            Phase::Soaking(s) => Self::Soaking {
                prior: s.prior.clone(),
                started: (&s.started).into(),
                since: (&s.since).into(),
                probes: s.probes.as_ref().map(|all| all.iter().map(|(k, v)| (Text(k.clone()), v.into())).collect()),
                failing_since: body(s.failing_since.as_ref()),
                committed: body(s.committed.as_ref()),
            },
            Phase::Converged(c) => Self::Converged {
                at: (&c.at).into(),
                activated: c.activated,
                failing: c.failing.as_ref().map(|(at, probe)| FailingJson { since: at.into(), probe: probe.clone() }),
            },
            Phase::Failed(f) => Self::Failed {
                verdict: (&f.verdict).into(),
                at: (&f.at).into(),
                prior: f.prior.clone(),
                rollback: (&f.rollback).into(),
            },
            Phase::Reverted(r) => Self::Reverted { verdict: (&r.verdict).into(), at: (&r.at).into() },
            Phase::Cancelled(c) => Self::Cancelled { why: c.why.clone(), at: (&c.at).into() },
        }
    }
}

impl From<PhaseJson> for Phase {
    fn from(json: PhaseJson) -> Self {
        match json {
            PhaseJson::Pending { since, staging, acked } => Self::Pending(model::Pending {
                since: since.into(),
                staging: staging.into(),
                acked: acked.map(Into::into),
            }),
            PhaseJson::Activating { prior, acked, started } => {
                Self::Activating(model::Activating { prior, acked: acked.into(), started: started.into() })
            }
            PhaseJson::Deferred { prior, why, since, acked, trial } => Self::Deferred(model::Deferred {
                prior,
                why,
                since: since.into(),
                acked: acked.map(Into::into),
                trial: trial.map(Into::into),
            }),
            PhaseJson::Soaking { prior, started, since, probes, failing_since, committed } => {
                Self::Soaking(model::Soaking {
                    prior,
                    started: started.into(),
                    since: since.into(),
                    probes: probes.map(|all| all.into_iter().map(|(k, v)| (k.0, v.into())).collect()),
                    failing_since: failing_since.map(Into::into),
                    committed: committed.map(Into::into),
                })
            }
            PhaseJson::Converged { at, activated, failing } => Self::Converged(model::Converged {
                at: at.into(),
                activated,
                failing: failing.map(|f| (f.since.into(), f.probe)),
            }),
            PhaseJson::Failed { verdict, at, prior, rollback } => {
                Self::Failed(model::Failed { verdict: verdict.into(), at: at.into(), prior, rollback: rollback.into() })
            }
            PhaseJson::Reverted { verdict, at } => {
                Self::Reverted(model::Reverted { verdict: verdict.into(), at: at.into() })
            }
            PhaseJson::Cancelled { why, at } => Self::Cancelled(model::Cancelled { why, at: at.into() }),
        }
    }
}

impl From<&Staging> for StagingJson {
    fn from(staging: &Staging) -> Self {
        match staging {
            Staging::Wanted => Self::Wanted,
            Staging::Done => Self::Done,
            Staging::Failed { reason, tries, at } => {
                Self::Failed { reason: reason.clone(), tries: *tries, at: at.into() }
            }
        }
    }
}

impl From<StagingJson> for Staging {
    fn from(json: StagingJson) -> Self {
        match json {
            StagingJson::Wanted => Self::Wanted,
            StagingJson::Done => Self::Done,
            StagingJson::Failed { reason, tries, at } => Self::Failed { reason, tries, at: at.into() },
        }
    }
}

impl From<&model::Probe> for ProbeJson {
    fn from(probe: &model::Probe) -> Self {
        Self { mode: probe.mode.into(), last: probe.last.as_ref().map(ProbeOutcomeJson::from) }
    }
}

impl From<ProbeJson> for model::Probe {
    fn from(json: ProbeJson) -> Self {
        Self { mode: json.mode.into(), last: json.last.map(Into::into) }
    }
}

impl From<&Rollback> for RollbackJson {
    fn from(rollback: &Rollback) -> Self {
        match rollback {
            Rollback::Due => Self::Due,
            Rollback::Started(at) => Self::Started { at: at.into() },
            Rollback::Impossible(reason) => Self::Impossible { reason: reason.clone() },
            Rollback::Kept => Self::Kept,
            Rollback::Overtaken => Self::Overtaken,
        }
    }
}

impl From<RollbackJson> for Rollback {
    fn from(json: RollbackJson) -> Self {
        match json {
            RollbackJson::Due => Self::Due,
            RollbackJson::Started { at } => Self::Started(at.into()),
            RollbackJson::Impossible { reason } => Self::Impossible(reason),
            RollbackJson::Kept => Self::Kept,
            RollbackJson::Overtaken => Self::Overtaken,
        }
    }
}
