//! The states of an attempt with what is known in each.

use crate::model::facts::{ProbeMode, ProbeOutcome, Verdict};
use crate::model::id::{Closure, ProbeName};
use crate::model::time::Stamp;
use std::collections::BTreeMap;

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
