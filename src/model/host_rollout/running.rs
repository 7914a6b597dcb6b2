//! `Activating` and `Soaking`: the target runs, or may run, uncommitted.

use crate::model::effect::Effect;
use crate::model::facts::{ProbeMode, ProbeOutcome, Verdict};
use crate::model::host_rollout::step::{
    CLEAN_REBOOTS_FORGIVEN, UNCLEAN_REBOOTS_LIMIT, fail, going_back, into_phase, moved, overtaken,
};
use crate::model::host_rollout::{
    Activating, Converged, Deferred, Event, HostRollout, Pending, Phase, Probe, Reboots, Soaking, Staging, Step,
};
use crate::model::id::{Closure, ProbeName};
use crate::model::time::Stamp;
use std::collections::BTreeMap;

pub(crate) fn activating(state: &HostRollout, activating: &Activating, event: &Event, now: &Stamp) -> Step {
    let prior = &activating.prior;
    match event {
        Event::ActivationCompleted { at, .. } => {
            let started = activating.started.clone();
            let (prior, since) = (prior.clone(), at.clone());
            let soaking = Soaking { prior, started, since, probes: None, failing_since: None, committed: None };
            into_phase(state, Phase::Soaking(soaking), vec![Effect::StartProbes])
        }
        Event::ActivationDeferred(why) => {
            let (prior, since) = (prior.clone(), now.clone());
            let deferred = Deferred { prior, why: why.clone(), since, acked: None, trial: None };
            into_phase(state, Phase::Deferred(deferred), vec![])
        }
        Event::ActivationFailed { verdict, .. } | Event::SustainedFailure(verdict) => fail(state, prior, verdict, now),
        // The root helper held the start back before anything was touched.
        Event::PermitLapsed(_) => back_to_pending(state, state.reboots, now),
        Event::Rebooted { into, .. } if came_up_already(state, into, &activating.started, now) => {
            Step::Ignored("no boot lies between")
        }
        Event::Rebooted { into, clean } => interrupted(state, prior, (into, *clean), now),
        Event::Overtaken(by) => overtaken(state, prior, by, now),
        Event::RollbackStarted(verdict) => going_back(state, prior, verdict, now),
        Event::Staged | Event::StageFailed(_) | Event::DispatchAcked | Event::ActivationStarted { .. } => {
            Step::Ignored("started already")
        }
        Event::TrialBootStarted => Step::Ignored("the switch was not deferred"),
        Event::ProbeTopologyDeclared(_) | Event::ProbeResult { .. } => Step::Ignored("the switch is not over"),
        Event::RollbackCompleted | Event::RollbackFailed(_) => Step::Ignored("no rollback was begun"),
        Event::Committed | Event::Converged => Step::Ignored("the switch is not over"),
        Event::Cancelled(_) => Step::Ignored("started: it finishes, or is ordered back"),
        Event::Adopted(_) | Event::HistoryLost { .. } | Event::ClosureObserved(_) => {
            Step::Ignored("the same in every state")
        }
    }
}

fn back_to_pending(state: &HostRollout, reboots: Reboots, now: &Stamp) -> Step {
    let pending = Pending { since: now.clone(), staging: Staging::Done, acked: None };
    moved(HostRollout { phase: Phase::Pending(pending), reboots, ..state.clone() }, vec![Effect::StopProbes])
}

/// Tells whether news of a boot into the target is old: the target was started in this very boot. The trial
/// boot that began a soak, told twice, must not pass for somebody else's work.
fn came_up_already(state: &HostRollout, into: &Closure, since: &Stamp, now: &Stamp) -> bool {
    *into == state.terms.target && now.since(since).is_some()
}

/// A reboot before the commit brings the prior back. Somebody else's default is somebody else's work.
fn interrupted(state: &HostRollout, prior: &Closure, boot: (&Closure, bool), now: &Stamp) -> Step {
    let (into, clean) = boot;
    if into != prior {
        return overtaken(state, prior, into, now);
    }
    let mut reboots = state.reboots;
    if clean {
        reboots.clean = reboots.clean.saturating_add(1);
    } else {
        reboots.unclean = reboots.unclean.saturating_add(1);
    }
    let counted = HostRollout { reboots, ..state.clone() };
    if reboots.unclean >= UNCLEAN_REBOOTS_LIMIT {
        return fail(&counted, prior, &Verdict::UncleanReboots, now);
    }
    if reboots.clean > CLEAN_REBOOTS_FORGIVEN {
        return fail(&counted, prior, &Verdict::TooManyReboots, now);
    }
    back_to_pending(state, reboots, now)
}

pub(crate) fn soaking(state: &HostRollout, soaking: &Soaking, event: &Event, now: &Stamp) -> Step {
    if soaking.committed.is_some() {
        return committed(state, soaking, event, now);
    }
    let prior = &soaking.prior;
    match event {
        Event::ProbeTopologyDeclared(declared) => declare(state, soaking, declared),
        Event::ProbeResult { probe, outcome } => probe_result(state, soaking, (probe, outcome), now),
        Event::SustainedFailure(verdict) => fail(state, prior, verdict, now),
        Event::Committed => {
            let committed = Soaking { committed: Some(now.clone()), ..soaking.clone() };
            into_phase(state, Phase::Soaking(committed), vec![])
        }
        Event::Converged => Step::Ignored("not committed"),
        Event::Rebooted { into, .. } if came_up_already(state, into, &soaking.since, now) => {
            Step::Ignored("no boot lies between")
        }
        Event::Rebooted { into, clean } => interrupted(state, prior, (into, *clean), now),
        Event::Overtaken(by) => overtaken(state, prior, by, now),
        Event::RollbackStarted(verdict) => going_back(state, prior, verdict, now),
        Event::Staged
        | Event::StageFailed(_)
        | Event::DispatchAcked
        | Event::PermitLapsed(_)
        | Event::ActivationStarted { .. } => Step::Ignored("started already"),
        Event::ActivationCompleted { .. }
        | Event::ActivationDeferred(_)
        | Event::ActivationFailed { .. }
        | Event::TrialBootStarted => Step::Ignored("the switch is over"),
        Event::RollbackCompleted | Event::RollbackFailed(_) => Step::Ignored("no rollback was begun"),
        Event::Cancelled(_) => Step::Ignored("started: it finishes, or is ordered back"),
        Event::Adopted(_) | Event::HistoryLost { .. } | Event::ClosureObserved(_) => {
            Step::Ignored("the same in every state")
        }
    }
}

/// Between the written boot default and the last event: what was committed is never taken back.
fn committed(state: &HostRollout, soaking: &Soaking, event: &Event, now: &Stamp) -> Step {
    match event {
        Event::Converged => {
            let converged = Converged { at: now.clone(), activated: true, failing: None };
            into_phase(state, Phase::Converged(converged), vec![Effect::StopProbes, Effect::WatchProbes])
        }
        Event::ProbeTopologyDeclared(declared) => declare(state, soaking, declared),
        Event::ProbeResult { probe, outcome } => probe_result(state, soaking, (probe, outcome), now),
        Event::Staged
        | Event::StageFailed(_)
        | Event::DispatchAcked
        | Event::PermitLapsed(_)
        | Event::ActivationStarted { .. }
        | Event::ActivationCompleted { .. }
        | Event::ActivationDeferred(_)
        | Event::ActivationFailed { .. }
        | Event::TrialBootStarted
        | Event::SustainedFailure(_)
        | Event::Rebooted { .. }
        | Event::Overtaken(_)
        | Event::RollbackStarted(_)
        | Event::RollbackCompleted
        | Event::RollbackFailed(_)
        | Event::Committed
        | Event::Cancelled(_) => Step::Ignored("committed already"),
        Event::Adopted(_) | Event::HistoryLost { .. } | Event::ClosureObserved(_) => {
            Step::Ignored("the same in every state")
        }
    }
}

/// Takes the probes as they are declared now. Earlier results say nothing about now and are forgotten; a failure
/// clock that runs goes on until a fresh pass clears it.
fn declare(state: &HostRollout, soaking: &Soaking, declared: &BTreeMap<ProbeName, ProbeMode>) -> Step {
    let fresh = |(name, mode): (&ProbeName, &ProbeMode)| (name.clone(), Probe { mode: *mode, last: None });
    let probes: BTreeMap<_, _> = declared.iter().map(fresh).collect();
    let enforced = probes.values().any(|probe| probe.mode == ProbeMode::Enforce);
    let failing_since = soaking.failing_since.clone().filter(|_| enforced);
    let declared = Soaking { probes: Some(probes), failing_since, ..soaking.clone() };
    into_phase(state, Phase::Soaking(declared), vec![])
}

fn probe_result(state: &HostRollout, soaking: &Soaking, result: (&ProbeName, &ProbeOutcome), now: &Stamp) -> Step {
    let (name, outcome) = result;
    let Some(mut probes) = soaking.probes.clone() else { return Step::Ignored("no probe was declared") };
    let Some(probe) = probes.get_mut(name) else { return Step::Ignored("this probe was not declared") };
    if probe.last.as_ref() == Some(outcome) {
        return Step::Ignored("no change");
    }
    probe.last = Some(outcome.clone());
    let failing_since = match soaking.health_of(&probes) {
        Health::Failing => Some(soaking.failing_since.clone().unwrap_or_else(|| now.clone())),
        Health::Unknown => soaking.failing_since.clone(),
        Health::Good => None,
    };
    let soaking = Soaking { probes: Some(probes), failing_since, ..soaking.clone() };
    into_phase(state, Phase::Soaking(soaking), vec![])
}

/// What the `enforce` probes say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Every one passed last.
    Good,
    /// At least one failed last.
    Failing,
    /// None failed, and at least one has not reported.
    Unknown,
}

impl Soaking {
    /// Returns what the `enforce` probes say together; `Unknown` until the target has declared them.
    #[must_use]
    pub fn health(&self) -> Health {
        self.probes.as_ref().map_or(Health::Unknown, |probes| self.health_of(probes))
    }

    fn health_of(&self, probes: &BTreeMap<ProbeName, Probe>) -> Health {
        let enforced = probes.values().filter(|probe| probe.mode == ProbeMode::Enforce);
        let mut health = Health::Good;
        for probe in enforced {
            match &probe.last {
                Some(ProbeOutcome::Fail(_)) => return Health::Failing,
                Some(ProbeOutcome::Pass) => {}
                None => health = Health::Unknown,
            }
        }
        health
    }

    /// Returns the `enforce` probes that failed last.
    #[must_use]
    pub fn failing_probes(&self) -> Vec<ProbeName> {
        let failing = |(name, probe): (&ProbeName, &Probe)| match (probe.mode, &probe.last) {
            (ProbeMode::Enforce, Some(ProbeOutcome::Fail(_))) => Some(name.clone()),
            _ => None,
        };
        self.probes.iter().flatten().filter_map(failing).collect()
    }
}
