//! `Pending` and `Deferred`: nothing unproven runs, a permit is waited for.

use crate::model::effect::Effect;
use crate::model::facts::Verdict;
use crate::model::host_rollout::step::{PERMIT_LIFE, fail, going_back, into_phase, moved, overtaken};
use crate::model::host_rollout::{
    Activating, Cancelled, Converged, Deferred, Event, HostRollout, Pending, Phase, Soaking, Staging, Step,
};
use crate::model::id::Closure;
use crate::model::time::Stamp;

pub(crate) fn resume_pending(pending: &Pending) -> Vec<Effect> {
    match (&pending.staging, &pending.acked) {
        (Staging::Wanted | Staging::Failed { .. }, _) => vec![Effect::Stage],
        (Staging::Done, Some(_)) => vec![Effect::AskPermit],
        (Staging::Done, None) => vec![],
    }
}

pub(crate) fn pending(state: &HostRollout, pending: &Pending, event: &Event, now: &Stamp) -> Step {
    let stay = |pending: Pending, effects| into_phase(state, Phase::Pending(pending), effects);
    match event {
        Event::Staged if pending.staging == Staging::Done => Step::Ignored("staged already"),
        Event::Staged => stay(Pending { staging: Staging::Done, ..pending.clone() }, vec![]),
        Event::StageFailed(reason) => stage_failed(state, pending, reason, now),
        Event::DispatchAcked => pending_acked(state, pending, now),
        Event::PermitLapsed(_) if pending.acked.is_none() => Step::Ignored("no permit was asked for"),
        Event::PermitLapsed(_) => stay(Pending { acked: None, since: now.clone(), ..pending.clone() }, vec![]),
        Event::ActivationStarted { prior } => start(state, pending, prior, now),
        Event::Rebooted { .. } => stay(Pending { acked: None, since: now.clone(), ..pending.clone() }, vec![]),
        Event::Converged => {
            let converged = Converged { at: now.clone(), activated: false, failing: None };
            into_phase(state, Phase::Converged(converged), vec![Effect::StopProbes, Effect::WatchProbes])
        }
        Event::Cancelled(why) => cancel(state, why, now),
        Event::ActivationCompleted { .. }
        | Event::ActivationDeferred(_)
        | Event::ActivationFailed { .. }
        | Event::TrialBootStarted
        | Event::ProbeTopologyDeclared(_)
        | Event::ProbeResult { .. }
        | Event::SustainedFailure(_)
        | Event::Overtaken(_)
        | Event::RollbackStarted(_)
        | Event::RollbackCompleted
        | Event::RollbackFailed(_)
        | Event::Committed => Step::Ignored("nothing was started"),
        Event::Adopted(_) | Event::HistoryLost { .. } | Event::ClosureObserved(_) => {
            Step::Ignored("the same in every state")
        }
    }
}

fn stage_failed(state: &HostRollout, pending: &Pending, reason: &str, now: &Stamp) -> Step {
    let tries = match &pending.staging {
        Staging::Done => return Step::Ignored("staged already"),
        Staging::Wanted => 1,
        Staging::Failed { tries, .. } => tries.saturating_add(1),
    };
    let staging = Staging::Failed { reason: reason.to_owned(), tries, at: now.clone() };
    into_phase(state, Phase::Pending(Pending { staging, ..pending.clone() }), vec![])
}

fn pending_acked(state: &HostRollout, pending: &Pending, now: &Stamp) -> Step {
    if pending.staging != Staging::Done {
        return Step::Ignored("not staged yet");
    }
    if pending.acked.is_some() {
        return Step::Ignored("the permit was asked for already");
    }
    let asked = Pending { acked: Some(now.clone()), ..pending.clone() };
    into_phase(state, Phase::Pending(asked), vec![Effect::AskPermit])
}

/// Tells whether a permit asked for at `acked` may be used at `now`: within its life, and in the same boot.
fn permit_lives(acked: &Stamp, now: &Stamp) -> bool {
    now.since(acked).is_some_and(|age| age <= PERMIT_LIFE)
}

fn start(state: &HostRollout, pending: &Pending, prior: &Closure, now: &Stamp) -> Step {
    let Some(acked) = &pending.acked else { return Step::Ignored("no permit was asked for") };
    if !permit_lives(acked, now) {
        return Step::Ignored("the permit is too old");
    }
    if *prior == state.terms.target {
        return Step::Ignored("the target runs already");
    }
    let activating = Activating { prior: prior.clone(), acked: acked.clone(), started: now.clone() };
    into_phase(state, Phase::Activating(activating), vec![Effect::StartSwitch])
}

fn cancel(state: &HostRollout, why: &str, now: &Stamp) -> Step {
    let cancelled = Cancelled { why: why.to_owned(), at: now.clone() };
    into_phase(state, Phase::Cancelled(cancelled), vec![Effect::StopProbes])
}

pub(crate) fn deferred(state: &HostRollout, deferred: &Deferred, event: &Event, now: &Stamp) -> Step {
    let stay = |deferred: Deferred, effects| into_phase(state, Phase::Deferred(deferred), effects);
    match event {
        Event::DispatchAcked if deferred.trial.is_some() => Step::Ignored("the trial boot was ordered already"),
        Event::DispatchAcked if deferred.acked.is_some() => Step::Ignored("the permit was asked for already"),
        Event::DispatchAcked => {
            stay(Deferred { acked: Some(now.clone()), ..deferred.clone() }, vec![Effect::AskPermit])
        }
        Event::PermitLapsed(_) if deferred.acked.is_none() => Step::Ignored("no permit was asked for"),
        Event::PermitLapsed(_) => {
            stay(Deferred { acked: None, trial: None, since: now.clone(), ..deferred.clone() }, vec![])
        }
        Event::TrialBootStarted => match &deferred.acked {
            None => Step::Ignored("no permit was asked for"),
            Some(_) if deferred.trial.is_some() => Step::Ignored("the trial boot was ordered already"),
            Some(acked) if !permit_lives(acked, now) => Step::Ignored("the permit is too old"),
            Some(_) => stay(Deferred { trial: Some(now.clone()), ..deferred.clone() }, vec![Effect::TrialBoot]),
        },
        Event::Rebooted { into, .. } => booted(state, deferred, into, now),
        Event::Overtaken(by) => overtaken(state, &deferred.prior, by, now),
        Event::SustainedFailure(verdict) => fail(state, &deferred.prior, verdict, now),
        Event::RollbackStarted(verdict) => going_back(state, &deferred.prior, verdict, now),
        Event::Cancelled(_) if deferred.trial.is_some() => Step::Ignored("the trial boot was ordered already"),
        Event::Cancelled(why) => cancel(state, why, now),
        Event::Staged | Event::StageFailed(_) => Step::Ignored("staged already"),
        Event::ActivationStarted { .. }
        | Event::ActivationCompleted { .. }
        | Event::ActivationDeferred(_)
        | Event::ActivationFailed { .. } => Step::Ignored("the switch is over: it was deferred"),
        Event::ProbeTopologyDeclared(_) | Event::ProbeResult { .. } | Event::Committed | Event::Converged => {
            Step::Ignored("the target does not run yet")
        }
        Event::RollbackCompleted | Event::RollbackFailed(_) => Step::Ignored("no rollback was begun"),
        Event::Adopted(_) | Event::HistoryLost { .. } | Event::ClosureObserved(_) => {
            Step::Ignored("the same in every state")
        }
    }
}

fn booted(state: &HostRollout, deferred: &Deferred, into: &Closure, now: &Stamp) -> Step {
    if *into == state.terms.target {
        let started = deferred.trial.clone().unwrap_or_else(|| deferred.since.clone());
        let prior = deferred.prior.clone();
        let since = now.clone();
        let soaking = Soaking { prior, started, since, probes: None, failing_since: None, committed: None };
        return into_phase(state, Phase::Soaking(soaking), vec![Effect::StartProbes]);
    }
    if *into != deferred.prior {
        return overtaken(state, &deferred.prior, into, now);
    }
    if deferred.trial.is_some() {
        return fail(state, &deferred.prior, &Verdict::BootedElsewhere, now);
    }
    // An ordinary reboot while it waits: it goes on waiting, and asks anew.
    let waits = Deferred { acked: None, since: now.clone(), ..deferred.clone() };
    moved(HostRollout { phase: Phase::Deferred(waits), ..state.clone() }, vec![])
}
