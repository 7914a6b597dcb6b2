//! What can happen to an attempt.

use crate::model::facts::{Activation, Closures, ProbeMode, ProbeOutcome, UnitFailure, Verdict};
use crate::model::host_rollout::HostRollout;
use crate::model::id::{Closure, JournalId, ProbeName};
use crate::model::time::Stamp;
use std::collections::BTreeMap;

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
    ClosureObserved(Observed),
}

/// What a host runs, and who saw to that where the hook noted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// What it runs, booted and would boot.
    pub closures: Closures,
    /// The activation, when the hook told of one.
    pub by: Option<Activation>,
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
