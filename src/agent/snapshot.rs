//! From the control plane's snapshot to a state of the machine. Must not choose between memories: `model::recovery`
//! does.

use crate::model::facts::Verdict;
use crate::model::host_rollout::{
    Activating, Deferred, Failed, HostRollout, HostRolloutState, Phase, Reboots, Rollback, Soaking, Terms,
};
use crate::model::id::{Attempt, Closure};
use crate::model::root_record::{RootRecord, SwitchResult};
use crate::model::time::{Stamp, Timestamp};
use crate::wire::v1::agent::HostRolloutSnapshot;
use crate::wire::v1::release::timestamp;
use chrono::{DateTime, Utc};

/// What a snapshot is completed with.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// The verified terms of the release.
    pub terms: &'a Terms,
    /// The root helper's record of the same attempt.
    pub root: Option<&'a RootRecord>,
    /// Now, on this host.
    pub now: &'a Stamp,
}

/// Which try a snapshot is about.
#[must_use]
pub fn attempt_of(snapshot: &HostRolloutSnapshot) -> Attempt {
    Attempt(snapshot.attempt.unwrap_or(1))
}

/// Makes a state of a snapshot; `None` when it is of a state that has nothing to go on from, or lacks the closure
/// to go back to.
///
/// The host's own readings win: the soak starts at the stamp in the root record. The snapshot's dates are this
/// host's own wall clock, as it was then; only their distance from each other is used for the failure clock, so that
/// a clock that was set in between moves nothing.
#[must_use]
pub fn whole(snapshot: &HostRolloutSnapshot, around: Around<'_>) -> Option<HostRollout> {
    let prior = prior(snapshot, around.root);
    let phase = match snapshot.state {
        HostRolloutState::Activating => Phase::Activating(activating(snapshot, around, prior?)),
        HostRolloutState::Deferred => {
            let (since, why) = (around.now.clone(), "taken over from the control plane".to_owned());
            // What the root helper was ordered to do is under way, whoever remembers the order.
            let trial = around.root.and_then(|root| root.trial_from.as_ref()).map(|_| around.now.clone());
            Phase::Deferred(Deferred { prior: prior?, why, since, acked: None, trial })
        }
        HostRolloutState::Soaking => Phase::Soaking(soaking(snapshot, around, prior?)),
        HostRolloutState::Failed => Phase::Failed(failed(snapshot, around, prior)),
        HostRolloutState::Pending
        | HostRolloutState::Converged
        | HostRolloutState::Reverted
        | HostRolloutState::Cancelled => return None,
    };
    let attempt = attempt_of(snapshot);
    Some(HostRollout { attempt, terms: around.terms.clone(), phase, reboots: Reboots::default(), observed: None })
}

fn prior(snapshot: &HostRolloutSnapshot, root: Option<&RootRecord>) -> Option<Closure> {
    let told = || snapshot.current_closure_at_dispatch.as_ref().and_then(|text| Closure::new(text.clone()).ok());
    root.map(|root| root.prior.clone()).or_else(told)
}

fn activating(snapshot: &HostRolloutSnapshot, around: Around<'_>, prior: Closure) -> Activating {
    let told = snapshot.activation_started_at.or(snapshot.dispatch_acked_at);
    let started = around.root.map_or_else(|| ago(told, around.now), |root| root.started.clone());
    Activating { prior, acked: started.clone(), started }
}

fn soaking(snapshot: &HostRolloutSnapshot, around: Around<'_>, prior: Closure) -> Soaking {
    let activating = activating(snapshot, around, prior);
    let good = around.root.and_then(|root| root.result.as_ref()).and_then(|(result, at)| match result {
        SwitchResult::Good(_) => Some(at.clone()),
        SwitchResult::Deferred(_) | SwitchResult::Bad { .. } => None,
    });
    let since = good.unwrap_or_else(|| ago(snapshot.activation_completed_at, around.now));
    let failing_since = snapshot.probe_failure_first_at.map(|first| {
        let after = snapshot.activation_completed_at.map(|done| timestamp(first).since(timestamp(done)));
        let at = after.map(|after| since.plus(after));
        // A reading that lies in the future, or in another boot, says only that it fails: count from now.
        at.filter(|at| around.now.since(at).is_some() && around.now.reached(at)).unwrap_or_else(|| around.now.clone())
    });
    let (prior, started) = (activating.prior, activating.started);
    Soaking { prior, started, since, probes: None, failing_since, committed: None }
}

fn failed(snapshot: &HostRolloutSnapshot, around: Around<'_>, prior: Option<Closure>) -> Failed {
    let told = snapshot.failure.clone().and_then(|body| Verdict::try_from(body).ok());
    let of_root = || around.root.and_then(|root| root.verdict.clone());
    let verdict = told.or_else(of_root).unwrap_or(Verdict::DeadMan);
    Failed { verdict, at: ago(snapshot.failed_at, around.now), prior, rollback: Rollback::Due }
}

/// Turns a date of this host's wall clock into a reading of this boot; now, when there is none or it is not past.
fn ago(told: Option<DateTime<Utc>>, now: &Stamp) -> Stamp {
    let Some(told) = told.map(timestamp) else { return now.clone() };
    let age = now.wall.since(told).min(now.uptime);
    Stamp { wall: Timestamp(told.0.min(now.wall.0)), boot: now.boot.clone(), uptime: now.uptime.saturating_sub(age) }
}

#[cfg(test)]
mod tests;
