//! How the memories of one attempt are put together again: running closure and root record first, then the
//! journal, then the snapshot.

use crate::model::facts::Verdict;
use crate::model::host_rollout::step::{PERMIT_LIFE, step};
use crate::model::host_rollout::{Activating, Adoption, Event, HostRollout, Memory, Phase, Reboots, Rollback, Step};
use crate::model::id::{BootId, Closure};
use crate::model::root_record::{RootRecord, RootState, SwitchResult};
use crate::model::time::Stamp;

/// What each memory says of one attempt.
#[derive(Debug, Clone)]
pub struct Memories<'a> {
    /// The agent's journal.
    pub journal: Option<&'a HostRollout>,
    /// The root helper's record of the same rollout and attempt.
    pub root: Option<&'a RootRecord>,
    /// The control plane's snapshot, made whole with terms and host stamps by the caller.
    pub snapshot: Option<&'a HostRollout>,
    /// What runs now.
    pub running: &'a Closure,
    /// Whether a shutdown mark of the last boot was found.
    pub clean_shutdown: bool,
}

/// What recovery concludes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The state to go on from.
    pub state: HostRollout,
    /// The events that lead there from the journal's state, to be journaled in order.
    pub events: Vec<Event>,
}

/// Puts the memories together; `None` when no memory knows of an attempt.
#[must_use]
pub fn recover(memories: &Memories<'_>, now: &Stamp) -> Option<Recovered> {
    let mut path = Path::start(memories)?;
    let running = memories.running;
    if boot_of(&path.state).is_some_and(|boot| boot != now.boot) {
        path.boot_since(memories, now);
    }
    for event in memories.root.map_or_else(Vec::new, |root| follow(&path.state, root, running, now)) {
        path.take(event, now);
    }
    if memories.root.is_none() {
        path.without_root(memories, now);
    }
    Some(Recovered { state: path.state, events: path.events })
}

/// Returns the events by which an attempt catches up with its root record, in order; empty when it is level.
/// The driver asks it on every look at the machine, recovery once at the start.
#[must_use]
pub fn follow(state: &HostRollout, root: &RootRecord, running: &Closure, now: &Stamp) -> Vec<Event> {
    if root.attempt != state.attempt || state.is_final() {
        return vec![];
    }
    let mut path = Path { state: state.clone(), events: vec![] };
    path.launched(root, running, now);
    path.trial(root, running, now);
    match root.state {
        RootState::Launched | RootState::Soaking | RootState::Committing => {}
        RootState::Committed => {
            path.forget_late_verdict(root, running, now);
            path.take(Event::Committed, now);
            path.take(Event::Converged, now);
        }
        RootState::Reverting | RootState::Reverted => path.went_back(root, now),
        RootState::Overtaken => path.take(Event::Overtaken(running.clone()), now),
        RootState::Kept => path.take(Event::SustainedFailure(verdict(root)), now),
    }
    path.events
}

fn adopted(source: Memory, state: &HostRollout) -> Event {
    Event::Adopted(Box::new(Adoption { source, state: state.clone() }))
}

fn verdict(root: &RootRecord) -> Verdict {
    root.verdict.clone().unwrap_or(Verdict::DeadMan)
}

/// A state on its way, with the events taken so far.
struct Path {
    state: HostRollout,
    events: Vec<Event>,
}

impl Path {
    fn start(memories: &Memories<'_>) -> Option<Self> {
        let ahead = |snapshot: &&HostRollout| memories.journal.is_none_or(|own| snapshot.attempt > own.attempt);
        if let Some(snapshot) = memories.snapshot.filter(ahead) {
            let adopted = adopted(Memory::Snapshot, snapshot);
            return Some(Self { state: snapshot.clone(), events: vec![adopted] });
        }
        if let Some(journal) = memories.journal {
            return Some(Self { state: journal.clone(), events: vec![] });
        }
        let state = from_root(memories.root?);
        Some(Self { events: vec![adopted(Memory::RootRecord, &state)], state })
    }

    fn take(&mut self, event: Event, now: &Stamp) {
        if let Step::Moved(state, _) = step(&self.state, &event, now) {
            self.state = *state;
            self.events.push(event);
        }
    }

    /// A boot lies between the state and now. A commit that the root record has begun is finished or undone by
    /// it; everything else is told by what runs.
    fn boot_since(&mut self, memories: &Memories<'_>, now: &Stamp) {
        let running = memories.running;
        let unordered = memories.root.is_some_and(|root| root.trial_from.is_none());
        if unordered && matches!(&self.state.phase, Phase::Deferred(deferred) if deferred.trial.is_some()) {
            // The root helper never had the order: an ordinary reboot, and no trial boot that came up elsewhere.
            self.take(Event::PermitLapsed("the reboot was not ordered".to_owned()), now);
        }
        let activating = matches!(self.state.phase, Phase::Activating(_));
        let told_by_root = memories.root.is_some_and(|root| match root.state {
            RootState::Committing | RootState::Committed => *running == root.target,
            RootState::Launched | RootState::Soaking if activating => *root.boot() == now.boot,
            // Whether a trial boot came up well is for its guard to say: `follow` takes it from there.
            RootState::Launched | RootState::Soaking => root.trial_boot.as_ref() == Some(&now.boot),
            RootState::Reverting | RootState::Reverted | RootState::Overtaken | RootState::Kept => false,
        });
        if !told_by_root {
            self.take(Event::Rebooted { into: running.clone(), clean: memories.clean_shutdown }, now);
        }
    }

    /// Catches up with the launch and the switch's result. A journal that was rewound to before them takes the
    /// whole start over from the record.
    fn launched(&mut self, root: &RootRecord, running: &Closure, now: &Stamp) {
        if matches!(self.state.phase, Phase::Pending(_)) && !interrupted(root, running, now) {
            let state = HostRollout { reboots: self.state.reboots, ..from_root(root) };
            self.take(adopted(Memory::RootRecord, &state), now);
        }
        if !matches!(self.state.phase, Phase::Activating(_)) {
            return;
        }
        match &root.result {
            None => {}
            Some((SwitchResult::Good(notes), at)) => {
                self.take(Event::ActivationCompleted { at: at.clone(), notes: notes.clone() }, now);
            }
            Some((SwitchResult::Deferred(why), _)) => self.take(Event::ActivationDeferred(why.clone()), now),
            Some((SwitchResult::Bad { verdict, log, units }, _)) => {
                let (verdict, log, units) = (verdict.clone(), log.clone(), units.clone());
                self.take(Event::ActivationFailed { verdict, log, units }, now);
            }
        }
    }

    /// Takes what the guard of a trial boot says: the soak counts from a good result, and never from the boot alone.
    fn trial(&mut self, root: &RootRecord, running: &Closure, now: &Stamp) {
        let judged = matches!(root.state, RootState::Soaking | RootState::Committing | RootState::Committed);
        let in_trial = root.trial_boot.as_ref() == Some(&now.boot) && *running == root.target;
        if !judged || !in_trial {
            return;
        }
        let waits = matches!(self.state.phase, Phase::Deferred(_));
        let soaks = matches!(&self.state.phase, Phase::Soaking(soaking) if soaking.committed.is_none());
        match &root.result {
            Some((SwitchResult::Good(_), _)) if waits => {
                self.take(Event::Rebooted { into: running.clone(), clean: true }, now);
            }
            Some((SwitchResult::Bad { verdict, .. }, _)) if waits || soaks => {
                self.take(Event::SustainedFailure(verdict.clone()), now);
            }
            Some((SwitchResult::Good(_) | SwitchResult::Deferred(_) | SwitchResult::Bad { .. }, _)) | None => {}
        }
    }

    /// A verdict that came after the commit had begun undoes nothing: the commit was finished, and the host is on
    /// the target for good.
    fn forget_late_verdict(&mut self, root: &RootRecord, running: &Closure, now: &Stamp) {
        if *running == root.target && matches!(self.state.phase, Phase::Failed(_)) {
            let state = HostRollout { reboots: self.state.reboots, ..from_root(root) };
            self.take(adopted(Memory::RootRecord, &state), now);
            self.launched(root, running, now);
        }
    }

    fn went_back(&mut self, root: &RootRecord, now: &Stamp) {
        if root.verdict.is_none() {
            // Undone by a reboot: `Rebooted` has said so, or will.
            return;
        }
        self.take(Event::RollbackStarted(verdict(root)), now);
        if root.state == RootState::Reverted {
            self.take(Event::RollbackCompleted, now);
        }
    }

    /// No root record: nothing was launched, whatever the journal meant to do.
    fn without_root(&mut self, memories: &Memories<'_>, now: &Stamp) {
        let (running, clean_shutdown) = (memories.running, memories.clean_shutdown);
        let (prior, acked) = match &self.state.phase {
            Phase::Activating(activating) => (activating.prior.clone(), Some(activating.acked.clone())),
            Phase::Soaking(soaking) => (soaking.prior.clone(), None),
            Phase::Deferred(_)
            | Phase::Pending(_)
            | Phase::Converged(_)
            | Phase::Failed(_)
            | Phase::Reverted(_)
            | Phase::Cancelled(_) => return,
        };
        if *running != prior && *running != self.state.terms.target {
            return self.take(Event::Overtaken(running.clone()), now);
        }
        if *running != prior {
            return;
        }
        match acked {
            Some(acked) if now.since(&acked).is_none_or(|age| age > PERMIT_LIFE) => {
                self.take(Event::PermitLapsed("not started in time".to_owned()), now);
            }
            Some(_) => {}
            // It soaked once, and the machine was set back to before: as good as a reboot into the prior.
            None => self.take(Event::Rebooted { into: prior, clean: clean_shutdown }, now),
        }
    }
}

/// Tells whether a boot undid what the record launched, so that the attempt waits to be launched again.
fn interrupted(root: &RootRecord, running: &Closure, now: &Stamp) -> bool {
    match root.state {
        RootState::Launched | RootState::Soaking => *root.boot() != now.boot,
        RootState::Reverting | RootState::Reverted => root.verdict.is_none(),
        RootState::Committing => *running == root.prior,
        RootState::Committed | RootState::Overtaken | RootState::Kept => false,
    }
}

/// Rebuilds an attempt from its root record alone, as it was when the switch was launched; `follow` brings it
/// up to now.
#[must_use]
pub fn from_root(root: &RootRecord) -> HostRollout {
    let started = root.started.clone();
    let activating = Activating { prior: root.prior.clone(), acked: started.clone(), started };
    HostRollout {
        attempt: root.attempt,
        terms: root.terms.clone(),
        phase: Phase::Activating(activating),
        reboots: Reboots::default(),
        observed: None,
    }
}

/// Returns the boot that a started, open attempt's clocks count in.
fn boot_of(state: &HostRollout) -> Option<BootId> {
    let stamp = match &state.phase {
        Phase::Pending(pending) => &pending.since,
        Phase::Activating(activating) => &activating.started,
        Phase::Deferred(deferred) => deferred.trial.as_ref().unwrap_or(&deferred.since),
        Phase::Soaking(soaking) => &soaking.since,
        Phase::Failed(failed) => match &failed.rollback {
            Rollback::Started(at) => at,
            Rollback::Due | Rollback::Impossible(_) | Rollback::Kept | Rollback::Overtaken => &failed.at,
        },
        Phase::Converged(_) | Phase::Reverted(_) | Phase::Cancelled(_) => return None,
    };
    Some(stamp.boot.clone())
}

#[cfg(test)]
mod tests;
