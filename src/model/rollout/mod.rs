//! The rollout machine: one release's way through its waves.
//!
//! ```text
//!           a wave has changed hosts             the last wave is done
//!   Opened ──────────────────────────▶ Advancing ────────────────────▶ Completed
//!     ▲                                 ▲  │  ▲                         ▲  │
//!     │ resumed                 resumed │  │  │ resumed         resumed │  │
//!     ▼ paused, restored         failed │  ▼  ▼ paused, restored        ▼  ▼ paused, restored, failed
//!   Paused                          Halted    Paused                   Paused, Halted
//!
//!   Opened, Advancing, Halted, Paused ──▶ Superseded, Cancelled
//! ```
//!
//! `step` is total: a late or repeated event is `Ignored` with its reason. A newer release leaves a completed
//! rollout Completed and cancels what it still has waiting.

pub mod step;
pub mod waves;

pub use crate::model::rollout::step::{deadline, step};

use crate::model::effect::RolloutEffect;
use crate::model::fleet::{InFlight, Release, Wave};
use crate::model::id::{HostName, RolloutId};
use crate::model::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// Who paused a rollout whose store was restored from an older copy.
pub const RESTORED: &str = "restored";

/// Where a paused rollout goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// Before the first wave.
    Opened,
    /// In this wave, from 0.
    Wave(usize),
    /// After the last wave.
    Completed,
}

/// How far a rollout is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RolloutState {
    /// Stored, no wave opened yet.
    Opened,
    /// Hosts of this wave, and stragglers of earlier ones, may start.
    Advancing {
        /// The wave, from 0.
        wave: usize,
    },
    /// All waves are done. Final, but attempts may still be opened (stragglers, retries).
    Completed,
    /// Zero new permits, until an operator resumes.
    Halted {
        /// Why.
        why: Halt,
        /// The wave in which it stopped.
        wave: usize,
    },
    /// Zero new permits, until an operator resumes.
    Paused {
        /// An operator's name, or [`RESTORED`].
        by: String,
        /// Where it goes on.
        at: Place,
    },
    /// A newer release of the channel took over. Final.
    Superseded {
        /// The newer one.
        by: RolloutId,
    },
    /// An operator ended it. Final.
    Cancelled {
        /// Who.
        by: String,
    },
}

/// Why a rollout stopped by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Halt {
    /// More hosts of the wave failed than it allows.
    TooManyFailures {
        /// Failed.
        failed: u32,
        /// Allowed.
        allowed: u32,
    },
    /// The wave can't reach its `minSuccess` any more.
    OutOfReach {
        /// Converged and still possible.
        possible: u32,
        /// Needed.
        needed: u32,
    },
}

/// What a wave needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaveRules {
    /// How many changed hosts must converge; at least 1.
    pub min_success: u32,
    /// How many may fail.
    pub max_failures: u32,
    /// How long to wait after it.
    pub wait: Duration,
}

/// A rollout: its state and what it must remember.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// Which.
    pub id: RolloutId,
    /// The waves' rules, in order.
    pub waves: Vec<WaveRules>,
    /// How far it is.
    pub state: RolloutState,
    /// Hosts whose failures an operator forgave by `resume`, each for the attempt it was in.
    pub forgiven: BTreeSet<HostName>,
    /// When the current wave had nothing left to do; the wait counts from here.
    pub wave_done_at: Option<Timestamp>,
    /// Waves an operator approved, each with when the approval expires; `None` is never.
    pub approved: BTreeMap<usize, Option<Timestamp>>,
    /// The wave an operator promoted during the wait after the current one: the wait is skipped.
    pub promoted: Option<usize>,
    /// See [`crate::model::fleet::Policy::on_halt`].
    pub on_halt: InFlight,
    /// See [`crate::model::fleet::Policy::on_supersede`].
    pub on_supersede: InFlight,
}

/// How the hosts of one wave stand. Lost and set-aside hosts are views that the caller has moved over already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Hosts whose closure this release changes, without those that turned out to run it already.
    pub changed: u32,
    /// Hosts that run the target already and converged without being switched.
    pub unchanged: u32,
    /// Not started and expected to.
    pub waiting: u32,
    /// Permitted and not final.
    pub in_flight: u32,
    /// Converged after activating this release: nothing else is a success.
    pub succeeded: u32,
    /// Failed or reverted, counting, not forgiven; lost hosts included.
    pub failed: u32,
    /// Ended without success and without counting (isolated, ordered back, cancelled, forgiven).
    pub neutral: u32,
    /// Silent without a permit for longer than the grace.
    pub set_aside: u32,
}

/// What happens to a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RolloutEvent {
    /// Every wave was counted, in order: a straggler of an earlier wave that fails halts the rollout too.
    Tallied(Vec<Tally>),
    /// An operator approves a wave; given during the wait before it (or for the current wave during the wait
    /// after it), the wait is skipped as well.
    Promoted {
        /// The wave, from 0.
        wave: usize,
        /// When the approval expires; `None` is never.
        until: Option<Timestamp>,
    },
    /// An operator stops new permits.
    Paused(String),
    /// The store was restored or is new: nothing starts until an operator looked.
    Restored,
    /// An operator goes on; the failed hosts of a halt are forgiven by name.
    Resumed {
        /// Hosts that count as failures now.
        failed: Vec<HostName>,
    },
    /// An operator ends it.
    Cancelled {
        /// Who.
        by: String,
        /// Whether hosts in flight go back too.
        revert: bool,
    },
    /// A newer release of the channel was published.
    Superseded(RolloutId),
    /// The next attempt of a host was opened: a failure of that one counts.
    Reopened(HostName),
}

/// What `step` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RolloutStep {
    /// The new state, and what to do now.
    Moved(Box<Rollout>, Vec<RolloutEffect>),
    /// The event changes nothing here, with the reason.
    Ignored(&'static str),
}

impl Rollout {
    /// Opens the rollout of a release.
    #[must_use]
    pub fn open(release: &Release) -> Self {
        let rules =
            |wave: &Wave| WaveRules { min_success: wave.min_success, max_failures: wave.max_failures, wait: wave.wait };
        Self {
            id: release.id.clone(),
            waves: release.waves.iter().map(rules).collect(),
            state: RolloutState::Opened,
            forgiven: BTreeSet::new(),
            wave_done_at: None,
            approved: BTreeMap::new(),
            promoted: None,
            on_halt: release.policy.on_halt,
            on_supersede: release.policy.on_supersede,
        }
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyFailures { failed, allowed } => write!(f, "{failed} failed, {allowed} allowed"),
            Self::OutOfReach { possible, needed } => {
                write!(f, "{needed} have to converge and only {possible} still can")
            }
        }
    }
}

impl fmt::Display for RolloutState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Opened => "Opened",
            Self::Advancing { .. } => "Advancing",
            Self::Completed => "Completed",
            Self::Halted { .. } => "Halted",
            Self::Paused { .. } => "Paused",
            Self::Superseded { .. } => "Superseded",
            Self::Cancelled { .. } => "Cancelled",
        })
    }
}

#[cfg(test)]
mod tests;
