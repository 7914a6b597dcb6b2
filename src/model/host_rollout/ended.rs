//! `Failed` and `Converged`: the verdict is in; what is left is going back, or watching.

use crate::model::effect::{Alert, Effect};
use crate::model::facts::ProbeOutcome;
use crate::model::host_rollout::step::into_phase;
use crate::model::host_rollout::{Converged, Event, Failed, HostRollout, Phase, Reverted, Rollback, Step};
use crate::model::time::Stamp;

pub(crate) fn failed(state: &HostRollout, failed: &Failed, event: &Event, now: &Stamp) -> Step {
    match &failed.rollback {
        Rollback::Due | Rollback::Started(_) => returning(state, failed, event, now),
        Rollback::Impossible(_) => Step::Ignored("the rollback was given up: a person has to look"),
        Rollback::Kept => Step::Ignored("policy keeps the failed target: a person has to look"),
        Rollback::Overtaken => Step::Ignored("somebody else switched the host"),
    }
}

fn returning(state: &HostRollout, failed: &Failed, event: &Event, now: &Stamp) -> Step {
    let with = |rollback, effects| into_phase(state, Phase::Failed(Failed { rollback, ..failed.clone() }), effects);
    match event {
        Event::RollbackStarted(_) if matches!(failed.rollback, Rollback::Started(_)) => {
            Step::Ignored("the rollback has begun already")
        }
        Event::RollbackStarted(_) => with(Rollback::Started(now.clone()), vec![]),
        Event::RollbackCompleted => {
            let reverted = Reverted { verdict: failed.verdict.clone(), at: now.clone() };
            into_phase(state, Phase::Reverted(reverted), vec![])
        }
        Event::RollbackFailed(why) => {
            let alert = Effect::Alert(Alert::RollbackFailed(why.clone()));
            with(Rollback::Impossible(why.clone()), vec![alert])
        }
        // A reboot is one way back: look at the root record again, which says whether it worked.
        Event::Rebooted { .. } => with(Rollback::Started(now.clone()), vec![Effect::Revert(failed.verdict.clone())]),
        Event::Overtaken(by) => with(Rollback::Overtaken, vec![Effect::Alert(Alert::Overtaken(by.clone()))]),
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
        | Event::Committed
        | Event::Converged
        | Event::Cancelled(_) => Step::Ignored("failed already: it goes back"),
        Event::Adopted(_) | Event::HistoryLost { .. } | Event::ClosureObserved(_) => {
            Step::Ignored("the same in every state")
        }
    }
}

pub(crate) fn converged(state: &HostRollout, converged: &Converged, event: &Event, now: &Stamp) -> Step {
    let Event::ProbeResult { probe, outcome } = event else {
        return Step::Ignored("the attempt has ended: it converged");
    };
    let failing_now = converged.failing.as_ref().is_some_and(|(_, name)| name == probe);
    let with =
        |failing, effects| into_phase(state, Phase::Converged(Converged { failing, ..converged.clone() }), effects);
    match outcome {
        ProbeOutcome::Fail(_) if converged.failing.is_some() => Step::Ignored("a failure is reported already"),
        ProbeOutcome::Fail(why) => {
            let alert = Effect::Alert(Alert::FailedAfterCommit(format!("{probe}: {why}")));
            with(Some((now.clone(), probe.clone())), vec![alert])
        }
        ProbeOutcome::Pass if failing_now => with(None, vec![]),
        ProbeOutcome::Pass => Step::Ignored("it did not fail"),
    }
}
