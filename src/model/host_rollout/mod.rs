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

pub mod phase;
pub mod event;
pub mod step;
pub mod terms;
pub mod waiting;
pub mod running;
pub mod ended;
pub mod deadline;

pub use crate::model::host_rollout::event::{Adoption, Event, Memory, Observed};
pub use crate::model::host_rollout::phase::{
    Activating, Cancelled, Converged, Deferred, Failed, Pending, Phase, Probe, Reverted, Rollback, Soaking, Staging,
};

use crate::model::effect::Effect;
use crate::model::facts::Closures;
use crate::model::fleet::{OnFailure, RebootPolicy};
use crate::model::id::{Attempt, Closure};
use crate::model::time::Stamp;
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
