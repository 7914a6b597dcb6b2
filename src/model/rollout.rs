//! The rollout machine: one release's way through its waves.

use crate::model::effect::RolloutEffect;
use crate::model::id::{HostName, RolloutId};
use crate::model::time::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;

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
        /// An operator's name, or `restored`.
        by: String,
        /// The wave to go on in; `None` before the first.
        wave: Option<usize>,
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
    /// Hosts whose failures an operator forgave by `resume`.
    pub forgiven: BTreeSet<HostName>,
    /// When the current wave had nothing left to do; the wait counts from here.
    pub wave_done_at: Option<Timestamp>,
    /// Waves an operator approved.
    pub approved: BTreeSet<usize>,
}

/// How the hosts of one wave stand. Lost and set-aside hosts are views that the caller has moved over already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Hosts whose closure this release changes.
    pub changed: u32,
    /// Hosts that run the target already.
    pub unchanged: u32,
    /// Not started and expected to.
    pub waiting: u32,
    /// Permitted and not final.
    pub in_flight: u32,
    /// Converged after activating this release.
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
    /// The current wave was counted; `next_changed` tells for each later wave whether any host changes.
    Tallied {
        /// The current wave's hosts.
        tally: Tally,
        /// For every wave, whether it has changed hosts.
        changed: Vec<bool>,
    },
    /// An operator skips the wait between waves, or approves the wave that waits for it.
    Promoted {
        /// The wave whose wait is skipped or which is approved.
        wave: usize,
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
    Cancelled(String),
    /// A newer release of the channel was published.
    Superseded(RolloutId),
}

/// What `step` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RolloutStep {
    /// The new state, and what to do now.
    Moved(Box<Rollout>, Vec<RolloutEffect>),
    /// The event changes nothing here, with the reason.
    Ignored(&'static str),
}

/// Moves a rollout by one event. `now` is the control plane's clock.
#[must_use]
pub fn step(rollout: &Rollout, event: &RolloutEvent, now: Timestamp) -> RolloutStep {
    let _ = (rollout, event, now);
    RolloutStep::Ignored("not written yet")
}

/// Returns when the rollout is due by itself (the end of the wait between waves).
#[must_use]
pub fn deadline(rollout: &Rollout) -> Option<Timestamp> {
    let _ = rollout;
    None
}
