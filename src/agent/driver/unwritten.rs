//! What speaks against a target while the disk refuses: remembered until it is written, so that nothing which the
//! journal does not know yet passes for good health.

use crate::agent::driver::Driver;
use crate::model::effect::Effect;
use crate::model::facts::ProbeOutcome;
use crate::model::host_rollout::{Event, Phase};
use crate::model::id::{ProbeName, RolloutId};

impl Driver {
    /// Remembers an event that could not be written, where it speaks against a target that soaks.
    pub(crate) fn keep_unwritten(&mut self, rollout: &RolloutId, event: &Event) {
        let soaks = self.progress(rollout).is_some_and(|own| matches!(own.phase, Phase::Soaking(_)));
        if self.disk.is_none() || !soaks || !speaks_against(event) {
            return;
        }
        self.unwritten.retain(|(id, old)| id != rollout || !same_matter(old, event));
        self.unwritten.push((rollout.clone(), event.clone()));
    }

    /// Forgets what a probe said before: it says otherwise now, or what it says is written.
    pub(crate) fn forget_unwritten(&mut self, rollout: &RolloutId, probe: &ProbeName) {
        let of_probe = |event: &Event| matches!(event, Event::ProbeResult { probe: name, .. } if name == probe);
        self.unwritten.retain(|(id, event)| id != rollout || !of_probe(event));
    }

    /// Tells whether something speaks against the target that is not in the journal.
    pub(crate) fn in_doubt(&self, rollout: &RolloutId) -> bool {
        self.unwritten.iter().any(|(id, _)| id == rollout)
    }

    /// Writes what the disk did not take, as far as it takes it now.
    pub(crate) fn write_unwritten(&mut self) {
        for (rollout, event) in std::mem::take(&mut self.unwritten) {
            if matches!(event, Event::ProbeTopologyDeclared(_)) {
                // With the declaration the probes begin, which wait for it.
                self.effects.push_back((rollout, Effect::StartProbes));
            } else {
                self.record(&rollout, &event);
            }
        }
    }
}

/// Tells whether a soaking target may not be held for healthy while this is not written.
fn speaks_against(event: &Event) -> bool {
    match event {
        Event::ProbeResult { outcome: ProbeOutcome::Fail(_), .. }
        | Event::ProbeTopologyDeclared(_)
        | Event::SustainedFailure(_) => true,
        Event::ProbeResult { outcome: ProbeOutcome::Pass, .. }
        | Event::Staged
        | Event::StageFailed(_)
        | Event::DispatchAcked
        | Event::PermitLapsed(_)
        | Event::ActivationStarted { .. }
        | Event::ActivationCompleted { .. }
        | Event::ActivationDeferred(_)
        | Event::ActivationFailed { .. }
        | Event::TrialBootStarted
        | Event::Rebooted { .. }
        | Event::Overtaken(_)
        | Event::RollbackStarted(_)
        | Event::RollbackCompleted
        | Event::RollbackFailed(_)
        | Event::Committed
        | Event::Converged
        | Event::Cancelled(_)
        | Event::Adopted(_)
        | Event::HistoryLost { .. }
        | Event::ClosureObserved(_) => false,
    }
}

/// Tells whether the second event stands in the place of the first.
fn same_matter(old: &Event, new: &Event) -> bool {
    match (old, new) {
        (Event::ProbeResult { probe: old, .. }, Event::ProbeResult { probe: new, .. }) => old == new,
        (old, new) => std::mem::discriminant(old) == std::mem::discriminant(new),
    }
}
