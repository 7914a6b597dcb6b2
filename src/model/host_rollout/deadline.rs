//! When a waiting attempt is due, and for what: every state that waits has a deadline.

use crate::model::host_rollout::running::Health;
use crate::model::host_rollout::step::PERMIT_LIFE;
use crate::model::host_rollout::{Deferred, HostRollout, Pending, Phase, Rollback, Soaking, Staging};
use crate::model::retry::Backoff;
use crate::model::time::Stamp;
use std::time::Duration;

/// How long a host that holds no permit waits before it looks at its orders again by itself: the longest
/// heartbeat delay, since the heartbeat is the repair channel.
pub const ASK_AGAIN: Duration = Duration::from_secs(15 * 60);
/// Waits between tries to stage.
pub const STAGE_BACKOFF: Backoff = Backoff { base: Duration::from_secs(5), cap: Duration::from_secs(600) };

/// What is due when a deadline passes; the driver turns it into an event or an order.
///
/// `AskAgain`, `OutcomeOverdue`, `LookAgain` and `RollbackOverdue` stay due until something changes: the driver
/// looks, and looks again after a pause of its own.
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
    /// When, on the host's clock. A reading of another boot has reached it.
    pub at: Stamp,
    /// What.
    pub due: Due,
}

fn after(from: &Stamp, span: Duration, due: Due) -> Deadline {
    Deadline { at: from.plus(span), due }
}

/// Returns when the attempt is due next; `None` only for final states.
#[must_use]
pub fn deadline(state: &HostRollout) -> Option<Deadline> {
    let terms = &state.terms;
    match &state.phase {
        Phase::Pending(pending) => Some(pending_deadline(state, pending)),
        Phase::Activating(activating) => Some(after(&activating.started, terms.switch_limit, Due::OutcomeOverdue)),
        Phase::Deferred(deferred) => Some(deferred_deadline(state, deferred)),
        Phase::Soaking(soaking) => Some(soaking_deadline(state, soaking)),
        Phase::Failed(failed) => match &failed.rollback {
            Rollback::Due => Some(after(&failed.at, terms.rollback_limit, Due::RollbackOverdue)),
            Rollback::Started(at) => Some(after(at, terms.rollback_limit, Due::RollbackOverdue)),
            Rollback::Impossible(_) | Rollback::Kept | Rollback::Overtaken => None,
        },
        Phase::Converged(_) | Phase::Reverted(_) | Phase::Cancelled(_) => None,
    }
}

fn pending_deadline(state: &HostRollout, pending: &Pending) -> Deadline {
    match (&pending.staging, &pending.acked) {
        (Staging::Wanted, _) => after(&pending.since, state.terms.stage_limit, Due::StageAgain),
        (Staging::Failed { tries, at, .. }, _) => {
            after(at, STAGE_BACKOFF.wait(tries.saturating_sub(1), u32::MAX), Due::StageAgain)
        }
        (Staging::Done, Some(acked)) => after(acked, PERMIT_LIFE, Due::PermitLapse),
        (Staging::Done, None) => after(&pending.since, ASK_AGAIN, Due::AskAgain),
    }
}

fn deferred_deadline(state: &HostRollout, deferred: &Deferred) -> Deadline {
    match (&deferred.trial, &deferred.acked) {
        (Some(trial), _) => after(trial, state.terms.reboot_limit, Due::OutcomeOverdue),
        (None, Some(acked)) => after(acked, PERMIT_LIFE, Due::PermitLapse),
        (None, None) => after(&deferred.since, ASK_AGAIN, Due::AskAgain),
    }
}

fn soaking_deadline(state: &HostRollout, soaking: &Soaking) -> Deadline {
    let terms = &state.terms;
    if let Some(committed) = &soaking.committed {
        return after(committed, terms.commit_limit, Due::LookAgain);
    }
    if let Some(failing) = &soaking.failing_since {
        return after(failing, terms.failure_after, Due::FailureSustained);
    }
    let due = match soaking.health() {
        Health::Good => Due::Commit,
        Health::Failing | Health::Unknown => Due::LookAgain,
    };
    after(&soaking.since, terms.soak, due)
}

/// Tells whether a soaked host has been without its control plane for the isolation limit. `lost` is when the
/// last exchange ended; the limit counts from the end of the soak or from there, whichever is later. A soak of an
/// earlier boot is one whose commit the power cut: nothing says for how long it was alone.
#[must_use]
pub fn isolated(state: &HostRollout, lost: &Stamp, now: &Stamp) -> bool {
    let Phase::Soaking(soaking) = &state.phase else { return false };
    if soaking.committed.is_some() {
        return false;
    }
    let soaked = soaking.since.plus(state.terms.soak);
    let from = if lost.boot == soaked.boot && lost.uptime > soaked.uptime { lost } else { &soaked };
    now.since(from).is_some() && now.reached(&from.plus(state.terms.isolation_limit))
}
