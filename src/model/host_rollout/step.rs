//! How an attempt moves: total over every state and event.

use crate::model::effect::{Alert, Effect};
use crate::model::facts::Verdict;
use crate::model::fleet::OnFailure;
use crate::model::host_rollout::{
    Event, Failed, HostRollout, Observed, Phase, Rollback, Step, ended, running, waiting,
};
use crate::model::id::Closure;
use crate::model::time::Stamp;
use std::time::Duration;

/// How long after sending the ack the agent may still start. Long enough for a slow answer, short enough that a
/// permit never outlives a pause for long.
pub const PERMIT_LIFE: Duration = Duration::from_secs(60);
/// How many clean reboots during one attempt's soak are forgiven.
pub const CLEAN_REBOOTS_FORGIVEN: u32 = 3;
/// The unclean reboot that is a verdict.
pub const UNCLEAN_REBOOTS_LIMIT: u32 = 2;

/// Moves an attempt by one event. `now` is the reading of the event's author, not of the caller, so that both
/// ends come to the same state.
#[must_use]
pub fn step(state: &HostRollout, event: &Event, now: &Stamp) -> Step {
    match event {
        Event::HistoryLost { .. } => moved(state.clone(), vec![]),
        Event::ClosureObserved(seen) => observed(state, seen),
        Event::Adopted(other) => adopted(state, &other.state),
        Event::Staged
        | Event::StageFailed(_)
        | Event::DispatchAcked
        | Event::PermitLapsed(_)
        | Event::ActivationStarted { .. }
        | Event::ActivationCompleted { .. }
        | Event::ActivationDeferred(_)
        | Event::ActivationFailed { .. }
        | Event::TrialBootStarted
        | Event::ProbeTopologyDeclared(_)
        | Event::ProbeResult { .. }
        | Event::SustainedFailure(_)
        | Event::Rebooted { .. }
        | Event::Overtaken(_)
        | Event::RollbackStarted(_)
        | Event::RollbackCompleted
        | Event::RollbackFailed(_)
        | Event::Committed
        | Event::Converged
        | Event::Cancelled(_) => match &state.phase {
            Phase::Pending(pending) => waiting::pending(state, pending, event, now),
            Phase::Deferred(deferred) => waiting::deferred(state, deferred, event, now),
            Phase::Activating(activating) => running::activating(state, activating, event, now),
            Phase::Soaking(soaking) => running::soaking(state, soaking, event, now),
            Phase::Failed(failed) => ended::failed(state, failed, event, now),
            Phase::Converged(converged) => ended::converged(state, converged, event, now),
            Phase::Reverted(_) => Step::Ignored("the attempt has ended: the prior closure runs again"),
            Phase::Cancelled(_) => Step::Ignored("the attempt was cancelled"),
        },
    }
}

/// Returns the effects that bring the workers of a state back to work after a restart. Each is safe to repeat.
#[must_use]
pub fn resume_effects(state: &HostRollout) -> Vec<Effect> {
    match &state.phase {
        Phase::Pending(pending) => waiting::resume_pending(pending),
        Phase::Activating(_) => vec![Effect::StartSwitch],
        Phase::Deferred(deferred) => match (&deferred.trial, &deferred.acked) {
            (Some(_), _) => vec![Effect::TrialBoot],
            (None, Some(_)) => vec![Effect::AskPermit],
            (None, None) => vec![],
        },
        Phase::Soaking(_) => vec![Effect::StartProbes],
        Phase::Converged(_) => vec![Effect::WatchProbes],
        Phase::Failed(failed) => match &failed.rollback {
            Rollback::Due | Rollback::Started(_) => vec![Effect::Revert(failed.verdict.clone())],
            // Final, and yet the root helper has to hear of it: until it has, its dead-man or a commit may act.
            Rollback::Kept => vec![Effect::Keep(failed.verdict.clone())],
            Rollback::Impossible(_) | Rollback::Overtaken => vec![],
        },
        Phase::Reverted(_) | Phase::Cancelled(_) => vec![],
    }
}

pub(crate) fn moved(state: HostRollout, effects: Vec<Effect>) -> Step {
    Step::Moved(Box::new(state), effects)
}

pub(crate) fn into_phase(state: &HostRollout, phase: Phase, effects: Vec<Effect>) -> Step {
    moved(HostRollout { phase, ..state.clone() }, effects)
}

fn observed(state: &HostRollout, seen: &Observed) -> Step {
    // Who activated something is news also where it changed nothing.
    if state.observed.as_ref() == Some(&seen.closures) && seen.by.is_none() {
        return Step::Ignored("seen before");
    }
    moved(HostRollout { observed: Some(seen.closures.clone()), ..state.clone() }, vec![])
}

/// Takes over a state from another memory. A final state stays, except one that was cancelled in the belief
/// that nothing had started.
fn adopted(state: &HostRollout, other: &HostRollout) -> Step {
    if state == other {
        return Step::Ignored("known already");
    }
    if other.attempt < state.attempt {
        return Step::Ignored("of an earlier attempt");
    }
    if other.attempt == state.attempt {
        if other.terms.target != state.terms.target {
            return Step::Ignored("of the same attempt, with another target");
        }
        let wrongly_cancelled = matches!(state.phase, Phase::Cancelled(_)) && other.is_started();
        if state.is_final() && !wrongly_cancelled {
            return Step::Ignored("the attempt has ended");
        }
    }
    moved(other.clone(), resume_effects(other))
}

/// Fails an attempt that was started from `prior`.
pub(crate) fn fail(state: &HostRollout, prior: &Closure, verdict: &Verdict, now: &Stamp) -> Step {
    let ordered = matches!(verdict, Verdict::Ordered(_));
    let keep = state.terms.on_failure == OnFailure::Keep && !ordered;
    let rollback = if keep { Rollback::Kept } else { Rollback::Due };
    let mut effects = failure_effects(state, verdict);
    if keep {
        effects.push(Effect::Keep(verdict.clone()));
        effects.push(Effect::Alert(Alert::KeptAfterFailure(verdict.clone())));
    } else {
        effects.push(Effect::Revert(verdict.clone()));
    }
    let failed = Failed { verdict: verdict.clone(), at: now.clone(), prior: Some(prior.clone()), rollback };
    into_phase(state, Phase::Failed(failed), effects)
}

/// Records that the dead-man, or somebody else with the right to, has begun to go back.
pub(crate) fn going_back(state: &HostRollout, prior: &Closure, verdict: &Verdict, now: &Stamp) -> Step {
    let rollback = Rollback::Started(now.clone());
    let failed = Failed { verdict: verdict.clone(), at: now.clone(), prior: Some(prior.clone()), rollback };
    let mut effects = failure_effects(state, verdict);
    effects.push(Effect::Revert(verdict.clone()));
    into_phase(state, Phase::Failed(failed), effects)
}

/// Records that somebody else is at work on the host: nothing is touched any more.
pub(crate) fn overtaken(state: &HostRollout, prior: &Closure, by: &Closure, now: &Stamp) -> Step {
    let verdict = Verdict::Overtaken;
    let failed = Failed { verdict, at: now.clone(), prior: Some(prior.clone()), rollback: Rollback::Overtaken };
    let effects = vec![Effect::StopProbes, Effect::Alert(Alert::Overtaken(by.clone()))];
    into_phase(state, Phase::Failed(failed), effects)
}

fn failure_effects(state: &HostRollout, verdict: &Verdict) -> Vec<Effect> {
    let mut effects = vec![Effect::StopProbes];
    if verdict.blames_closure() {
        effects.push(Effect::Quarantine(state.terms.target.clone()));
    }
    effects
}
