//! The host rollout machine: one host's way through one attempt of one release. The same code runs on the
//! host and on the control plane, so that both ends agree after the same events.
//!
//! ```text
//!              permit                completed             soaked, healthy, committed
//!   Pending ──────────▶ Activating ─────────────▶ Soaking ───────────────────────────▶ Converged
//!    │  ▲                │   │                    ▲  │ │
//!    │  │ rebooted       │   │ deferred   booted  │  │ │ verdict
//!    │  └────────────────┼───┼────────────────────┼──┘ ▼
//!    │                   │   └───────▶ Deferred ──┘  Failed ──▶ Reverted
//!    │                   └──────────────────────────▶ │ ▲
//!    └──▶ Cancelled ◀──────────────── Deferred ───────┼─┘ booted elsewhere
//! ```
//!
//! `step` is total: a late, repeated or unknown event is `Ignored` with its reason. `docs/states.md` is
//! generated from this machine.

pub mod step;
pub mod terms;
pub mod waiting;
pub mod running;
pub mod ended;
pub mod deadline;

use crate::model::effect::Effect;
use crate::model::facts::{Closures, ProbeMode, ProbeOutcome, UnitFailure, Verdict};
use crate::model::fleet::{OnFailure, RebootPolicy};
use crate::model::id::{Attempt, Closure, JournalId, ProbeName};
use crate::model::time::Stamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// Where a host stands in a rollout; the word used in code, wire, store, log and docs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostRolloutState {
    /// In the rollout, not started.
    Pending,
    /// Permitted; the switch runs or its outcome is not known yet.
    Activating,
    /// Waits for a reboot.
    Deferred,
    /// Runs the target, uncommitted.
    Soaking,
    /// Committed. Final.
    Converged,
    /// Failed, with the verdict.
    Failed,
    /// The prior closure runs again. Final.
    Reverted,
    /// Left before it started. Final.
    Cancelled,
}

impl HostRolloutState {
    /// All states, in the order of the docs.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Activating,
        Self::Deferred,
        Self::Soaking,
        Self::Converged,
        Self::Failed,
        Self::Reverted,
        Self::Cancelled,
    ];
}

/// One host's attempt: the terms it runs under and how far it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRollout {
    /// Which try this is.
    pub attempt: Attempt,
    /// What was agreed when it was opened; never changes.
    pub terms: Terms,
    /// How far it came.
    pub phase: Phase,
    /// Reboots that interrupted a soak of this attempt.
    pub reboots: Reboots,
    /// What the host was last seen to run.
    pub observed: Option<Closures>,
}

/// What the machine needs of release and policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The closure to reach.
    pub target: Closure,
    /// See [`crate::model::fleet::Policy::soak`].
    pub soak: Duration,
    /// See [`crate::model::fleet::Policy::failure_after`].
    pub failure_after: Duration,
    /// See [`crate::model::fleet::Policy::switch_limit`].
    pub switch_limit: Duration,
    /// See [`crate::model::fleet::Policy::commit_limit`].
    pub commit_limit: Duration,
    /// See [`crate::model::fleet::Policy::rollback_limit`].
    pub rollback_limit: Duration,
    /// See [`crate::model::fleet::Policy::reboot_limit`].
    pub reboot_limit: Duration,
    /// See [`crate::model::fleet::Policy::stage_limit`].
    pub stage_limit: Duration,
    /// See [`crate::model::fleet::Policy::isolation_limit`].
    pub isolation_limit: Duration,
    /// See [`crate::model::fleet::Policy::on_failure`].
    pub on_failure: OnFailure,
    /// See [`crate::model::fleet::Wave::reboot`].
    pub reboot: RebootPolicy,
}

/// How many reboots interrupted a soak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reboots {
    /// With a shutdown mark; up to 3 are forgiven.
    pub clean: u32,
    /// Without; the second is a verdict.
    pub unclean: u32,
}

/// How far an attempt came, with what is known at that point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// See [`HostRolloutState::Pending`].
    Pending(Pending),
    /// See [`HostRolloutState::Activating`].
    Activating(Activating),
    /// See [`HostRolloutState::Deferred`].
    Deferred(Deferred),
    /// See [`HostRolloutState::Soaking`].
    Soaking(Soaking),
    /// See [`HostRolloutState::Converged`].
    Converged(Converged),
    /// See [`HostRolloutState::Failed`].
    Failed(Failed),
    /// See [`HostRolloutState::Reverted`].
    Reverted(Reverted),
    /// See [`HostRolloutState::Cancelled`].
    Cancelled(Cancelled),
}

/// Not started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Since when this attempt waits (again).
    pub since: Stamp,
    /// Whether the target is on the host.
    pub staging: Staging,
    /// When the permit was asked for; cleared when it lapses.
    pub acked: Option<Stamp>,
}

/// Whether the target is on the host, verified and pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Staging {
    /// Not yet.
    Wanted,
    /// It is.
    Done,
    /// The last try failed, with the reason and how many tries there were; tried again later.
    Failed {
        /// What went wrong.
        reason: String,
        /// How many tries failed.
        tries: u32,
        /// When the last one did.
        at: Stamp,
    },
}

/// The switch runs or its outcome is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activating {
    /// The closure that ran at the start.
    pub prior: Closure,
    /// When the permit was asked for.
    pub acked: Stamp,
    /// When the intent was written.
    pub started: Stamp,
}

/// Waits for a reboot into the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deferred {
    /// The closure that runs until then.
    pub prior: Closure,
    /// Why it can't go live.
    pub why: String,
    /// Since when it waits.
    pub since: Stamp,
    /// When the reboot permit was asked for; cleared when it lapses.
    pub acked: Option<Stamp>,
    /// When the trial boot was ordered.
    pub trial: Option<Stamp>,
}

/// Runs the target, uncommitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Soaking {
    /// The closure to go back to.
    pub prior: Closure,
    /// When the intent was written.
    pub started: Stamp,
    /// When the switch's good result was written, or the trial boot was up: the soak counts from here.
    pub since: Stamp,
    /// The probes that the target declares; `None` until it has.
    pub probes: Option<BTreeMap<ProbeName, Probe>>,
    /// The first failing `enforce` result that no later pass has cleared.
    pub failing_since: Option<Stamp>,
    /// When the boot default was written and read back.
    pub committed: Option<Stamp>,
}

/// One declared probe and what it said last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What it is for.
    pub mode: ProbeMode,
    /// Its last result; `None` holds the soak when the probe is enforced.
    pub last: Option<ProbeOutcome>,
}

/// Committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converged {
    /// When.
    pub at: Stamp,
    /// Whether this attempt switched the host (`false`: it ran the target already).
    pub activated: bool,
    /// When a probe failed after the commit, and which; a fact, not a state.
    pub failing: Option<(Stamp, ProbeName)>,
}

/// Failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// Why.
    pub verdict: Verdict,
    /// When.
    pub at: Stamp,
    /// The closure to go back to; `None` where nothing was started.
    pub prior: Option<Closure>,
    /// What is done about it.
    pub rollback: Rollback,
}

/// What is done about a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rollback {
    /// Ordered, not begun.
    Due,
    /// Begun.
    Started(Stamp),
    /// Can't be done: final, alerted.
    Impossible(String),
    /// Left as it is by policy `keep`: final, alerted.
    Kept,
    /// Somebody else is at work: final, nothing is touched.
    Overtaken,
}

/// The prior closure runs again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reverted {
    /// Why.
    pub verdict: Verdict,
    /// When it was verified.
    pub at: Stamp,
}

/// Left before it started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancelled {
    /// By whom or what.
    pub why: String,
    /// When.
    pub at: Stamp,
}

/// What happened to an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The target is on the host, verified and pinned.
    Staged,
    /// It is not; tried again later.
    StageFailed(String),
    /// The agent took the invitation and asks for the permit.
    DispatchAcked,
    /// The permit was not used in time, or was refused.
    PermitLapsed(String),
    /// The intent is on disk; the switch is about to start.
    ActivationStarted {
        /// The closure that runs now.
        prior: Closure,
    },
    /// The switch ended and its units are judged good.
    ActivationCompleted {
        /// When the result was written, from the root record.
        at: Stamp,
        /// Units that failed before and still do, warnings of the switch.
        notes: Vec<String>,
    },
    /// It can't be done live.
    ActivationDeferred(String),
    /// The switch failed, or its units did.
    ActivationFailed {
        /// Why.
        verdict: Verdict,
        /// The end of the switch's log, at most 8 KiB.
        log: String,
        /// Each newly failed unit with the end of its log.
        units: Vec<UnitFailure>,
    },
    /// The reboot into the target was ordered.
    TrialBootStarted,
    /// The running target's probes, as it declares them.
    ProbeTopologyDeclared(BTreeMap<ProbeName, ProbeMode>),
    /// A probe's result changed.
    ProbeResult {
        /// Which.
        probe: ProbeName,
        /// What it says now.
        outcome: ProbeOutcome,
    },
    /// A verdict reached while soaking (probes, dead-man, control plane lost, crash loop, isolation, orders).
    SustainedFailure(Verdict),
    /// The host booted.
    Rebooted {
        /// What it runs now.
        into: Closure,
        /// Whether a shutdown mark was written.
        clean: bool,
    },
    /// Neither target nor prior runs, or somebody else moved the default.
    Overtaken(Closure),
    /// Going back to the prior closure has begun, by the agent or by the dead-man.
    RollbackStarted(Verdict),
    /// The prior closure runs again and was verified.
    RollbackCompleted,
    /// It could not be brought back.
    RollbackFailed(String),
    /// The boot default is the target, read back.
    Committed,
    /// The attempt is done.
    Converged,
    /// The attempt ends before it started.
    Cancelled(String),
    /// The state was taken over from another memory.
    Adopted(Box<Adoption>),
    /// Events are missing, and this says which; `to` is `None` when nobody can know.
    HistoryLost {
        /// The journal that lost them.
        journal: JournalId,
        /// The first missing one.
        from: u64,
        /// The last missing one.
        to: Option<u64>,
    },
    /// An activation by whomever, seen by the hook or by looking.
    ClosureObserved(Closures),
}

/// A state taken over, and from which memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adoption {
    /// The memory.
    pub source: Memory,
    /// Its state of the attempt.
    pub state: HostRollout,
}

/// A memory of attempts other than the journal that takes over from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Memory {
    /// The control plane's snapshot.
    Snapshot,
    /// The root helper's record.
    RootRecord,
    /// The base of a journal.
    JournalBase,
}

/// What `step` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The new state, and what to do now.
    Moved(Box<HostRollout>, Vec<Effect>),
    /// The event changes nothing here, with the reason.
    Ignored(&'static str),
}

impl HostRollout {
    /// Opens an attempt.
    #[must_use]
    pub fn open(attempt: Attempt, terms: Terms, now: &Stamp) -> Self {
        let pending = Pending { since: now.clone(), staging: Staging::Wanted, acked: None };
        Self { attempt, terms, phase: Phase::Pending(pending), reboots: Reboots::default(), observed: None }
    }

    /// Returns the state's name.
    #[must_use]
    pub fn state(&self) -> HostRolloutState {
        match &self.phase {
            Phase::Pending(_) => HostRolloutState::Pending,
            Phase::Activating(_) => HostRolloutState::Activating,
            Phase::Deferred(_) => HostRolloutState::Deferred,
            Phase::Soaking(_) => HostRolloutState::Soaking,
            Phase::Converged(_) => HostRolloutState::Converged,
            Phase::Failed(_) => HostRolloutState::Failed,
            Phase::Reverted(_) => HostRolloutState::Reverted,
            Phase::Cancelled(_) => HostRolloutState::Cancelled,
        }
    }

    /// Tells whether nothing more will happen to this attempt by itself.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match &self.phase {
            Phase::Pending(_) | Phase::Activating(_) | Phase::Deferred(_) | Phase::Soaking(_) => false,
            Phase::Converged(_) | Phase::Reverted(_) | Phase::Cancelled(_) => true,
            Phase::Failed(failed) => match failed.rollback {
                Rollback::Due | Rollback::Started(_) => false,
                Rollback::Impossible(_) | Rollback::Kept | Rollback::Overtaken => true,
            },
        }
    }

    /// Tells whether the host may already have been switched: everything from the permit's use on that is not
    /// final. Such an attempt is never cancelled, and its snapshot is given to an agent that lost it.
    #[must_use]
    pub fn is_started(&self) -> bool {
        match &self.phase {
            Phase::Pending(_) | Phase::Cancelled(_) => false,
            Phase::Activating(_) | Phase::Deferred(_) | Phase::Soaking(_) => true,
            Phase::Converged(_) | Phase::Failed(_) | Phase::Reverted(_) => true,
        }
    }
}

impl std::fmt::Display for HostRolloutState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Pending => "Pending",
            Self::Activating => "Activating",
            Self::Deferred => "Deferred",
            Self::Soaking => "Soaking",
            Self::Converged => "Converged",
            Self::Failed => "Failed",
            Self::Reverted => "Reverted",
            Self::Cancelled => "Cancelled",
        })
    }
}

impl std::str::FromStr for HostRolloutState {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|state| state.to_string() == text);
        found.ok_or_else(|| format!("{text:?} is not a host rollout state"))
    }
}

#[cfg(test)]
mod tests;
