//! The control plane's copy of a host's progress, as it is given back to an agent that lost its own.

use crate::model::host_rollout::{HostRollout, Phase};
use crate::model::id::{Attempt, Closure};
use crate::model::time::Stamp;
use crate::plane::ledger::Kept;
use crate::wire::v1::agent::HostRolloutSnapshot;
use crate::wire::v1::event::VerdictBody;
use crate::wire::v1::release::date;
use chrono::{DateTime, Utc};

fn wall(stamp: &Stamp) -> DateTime<Utc> {
    date(stamp.wall)
}

/// Makes the snapshot of a record; dates of the host are on the host's own clock.
#[must_use]
pub fn of(kept: &Kept, last_event_seq: u64) -> HostRolloutSnapshot {
    let progress = &kept.body.progress;
    let empty = HostRolloutSnapshot {
        rollout_id: kept.row.rollout.clone(),
        hostname: kept.row.host.to_string(),
        channel: kept.row.rollout.channel.to_string(),
        state: progress.state(),
        target_closure: progress.terms.target.to_string(),
        current_closure_at_dispatch: prior(progress).map(ToString::to_string),
        current_closure: progress.observed.as_ref().and_then(|seen| seen.running.as_ref()).map(ToString::to_string),
        dispatched_at: date(kept.body.opened),
        dispatch_acked_at: kept.body.permitted.map(date),
        activation_started_at: None,
        activation_completed_at: None,
        soak_due_at: None,
        last_event_seq,
        probe_failure_first_at: None,
        failed_at: None,
        failure: None,
        attempt: (progress.attempt != Attempt::FIRST).then_some(progress.attempt.0),
    };
    match &progress.phase {
        Phase::Pending(pending) => HostRolloutSnapshot { dispatch_acked_at: pending.acked.as_ref().map(wall), ..empty },
        Phase::Deferred(deferred) => {
            HostRolloutSnapshot { dispatch_acked_at: deferred.acked.as_ref().map(wall), ..empty }
        }
        Phase::Activating(activating) => HostRolloutSnapshot {
            dispatch_acked_at: Some(wall(&activating.acked)),
            activation_started_at: Some(wall(&activating.started)),
            ..empty
        },
        Phase::Soaking(soaking) => HostRolloutSnapshot {
            activation_started_at: Some(wall(&soaking.started)),
            activation_completed_at: Some(wall(&soaking.since)),
            soak_due_at: Some(wall(&soaking.since.plus(progress.terms.soak))),
            probe_failure_first_at: soaking.failing_since.as_ref().map(wall),
            ..empty
        },
        Phase::Failed(failed) => HostRolloutSnapshot {
            failed_at: Some(wall(&failed.at)),
            failure: Some(VerdictBody::from(&failed.verdict)),
            ..empty
        },
        Phase::Reverted(reverted) => {
            HostRolloutSnapshot { failure: Some(VerdictBody::from(&reverted.verdict)), ..empty }
        }
        Phase::Converged(_) | Phase::Cancelled(_) => empty,
    }
}

fn prior(progress: &HostRollout) -> Option<&Closure> {
    match &progress.phase {
        Phase::Activating(activating) => Some(&activating.prior),
        Phase::Deferred(deferred) => Some(&deferred.prior),
        Phase::Soaking(soaking) => Some(&soaking.prior),
        Phase::Failed(failed) => failed.prior.as_ref(),
        Phase::Pending(_) | Phase::Converged(_) | Phase::Reverted(_) | Phase::Cancelled(_) => None,
    }
}
