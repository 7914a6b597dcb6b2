//! Who or what ends a hold, and which hold ends first.

use crate::model::facts::HostHold;
use crate::model::gate::{ClearedBy, Gate, Hold};
use crate::model::time::Timestamp;
use std::fmt;

impl ClearedBy {
    /// Returns the name used in the API: `snake_case`, stable.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Progress => "progress",
            Self::Host => "host",
            Self::Operator => "operator",
            Self::Release => "release",
        }
    }
}

impl fmt::Display for ClearedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Hold {
    /// Returns who can clear it.
    #[must_use]
    pub fn cleared_by(&self) -> ClearedBy {
        match self {
            Self::WindowClosed(Some(_)) | Self::NotBefore(_) | Self::JustStarted(_) => ClearedBy::Time,
            Self::WaveFull { limit: 0, .. } | Self::BudgetSpent { limit: 0, .. } => ClearedBy::Release,
            Self::InFlightElsewhere(_)
            | Self::AfterChannel(_)
            | Self::WaveNotOpen { .. }
            | Self::WaveFull { .. }
            | Self::AfterHosts(_)
            | Self::NotWaiting(_)
            | Self::BudgetSpent { .. } => ClearedBy::Progress,
            Self::NeverHeard | Self::Silent(_) | Self::NotHeardSinceStart | Self::FactMissing(_) => ClearedBy::Host,
            Self::QuarantinedHere(_)
            | Self::QuarantinedInChannel(_)
            | Self::RolloutPaused(_)
            | Self::RolloutHalted(_)
            | Self::HeldByOperator(_)
            | Self::ApprovalNeeded(_)
            | Self::ClaimedBy(_)
            | Self::Cloned
            | Self::RestoredStore => ClearedBy::Operator,
            Self::RolloutCancelled(_) | Self::SupersededBy(_) | Self::NotInRelease | Self::WindowClosed(None) => {
                ClearedBy::Release
            }
            Self::OnHost(hold) => on_host(hold),
        }
    }

    /// Returns when it clears by itself, where that is known.
    #[must_use]
    pub fn clears_at(&self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::WindowClosed(at) => *at,
            Self::NotBefore(at) => Some(*at),
            Self::JustStarted(left) => Some(now.plus(*left)),
            Self::QuarantinedHere(_)
            | Self::QuarantinedInChannel(_)
            | Self::RolloutPaused(_)
            | Self::RolloutHalted(_)
            | Self::RolloutCancelled(_)
            | Self::NotWaiting(_)
            | Self::HeldByOperator(_)
            | Self::SupersededBy(_)
            | Self::InFlightElsewhere(_)
            | Self::AfterChannel(_)
            | Self::NotInRelease
            | Self::WaveNotOpen { .. }
            | Self::WaveFull { .. }
            | Self::AfterHosts(_)
            | Self::BudgetSpent { .. }
            | Self::ApprovalNeeded(_)
            | Self::NeverHeard
            | Self::Silent(_)
            | Self::NotHeardSinceStart
            | Self::FactMissing(_)
            | Self::ClaimedBy(_)
            | Self::Cloned
            | Self::RestoredStore
            | Self::OnHost(_) => None,
        }
    }
}

fn on_host(hold: &HostHold) -> ClearedBy {
    match hold {
        HostHold::Window(_) => ClearedBy::Time,
        HostHold::Disk(_)
        | HostHold::Lock
        | HostHold::Cache(_)
        | HostHold::ClockBehind
        | HostHold::Busy(_)
        | HostHold::Commit(_) => ClearedBy::Host,
        HostHold::BootDefaultDiffers | HostHold::Drift(_) | HostHold::Quarantined(_) => ClearedBy::Operator,
        HostHold::Lease(_) | HostHold::StateNotPersistent | HostHold::NoTrialBoot(_) | HostHold::Untrusted(_) => {
            ClearedBy::Release
        }
    }
}

/// Sorts holds for reading, the first to clear first: what time clears (by when), then what the rest of the
/// fleet, the host, an operator and at last only a new release clears; the gates' order among equals.
pub fn sort_first_to_clear(holds: &mut [(Gate, Hold)], now: Timestamp) {
    holds.sort_by_key(|(gate, hold)| {
        let at = hold.clears_at(now).unwrap_or(Timestamp(i64::MAX));
        (hold.cleared_by(), at, *gate)
    });
}

#[cfg(test)]
mod tests;
