//! One change of a host's state, under its lock: the moves that every act is made of. Root records move here and
//! nowhere else, by `model::root_record::step`.

use crate::model::facts::Verdict;
use crate::model::id::{Closure, RolloutId};
use crate::model::root_record::{RootEffect, RootEvent, RootRecord, RootState, RootStep, SwitchResult, step};
use crate::model::time::Stamp;
use crate::system::sim::closure::{Behaviour, SimClosure};
use crate::system::sim::error::SimError;
use crate::system::sim::log::{Act, By, Entry};
use crate::system::sim::state::{HostState, Job, JobState, Lock, MAX_GENERATIONS, Mark};

/// What a change may ask of the place where the host is kept.
pub trait Place {
    /// Tells whether a process or task is there.
    fn alive(&self, mark: Mark) -> bool;
    /// Reads a closure from the simulated store.
    ///
    /// # Errors
    /// [`SimError`] when it is not there.
    fn read_closure(&self, path: &Closure) -> Result<SimClosure, SimError>;
}

/// One change of a host's state.
pub struct Draft<'a> {
    /// The state, as it will be.
    pub state: &'a mut HostState,
    /// The host's clocks.
    pub now: Stamp,
    /// Where it is kept.
    pub place: &'a dyn Place,
    /// Processes and tasks to be killed once the change is kept.
    pub kills: Vec<Mark>,
    /// Long acts to be started once the change is kept.
    pub launches: Vec<Job>,
    /// The acts of this change.
    pub acts: Vec<Act>,
}

impl<'a> Draft<'a> {
    /// Begins a change.
    pub fn new(state: &'a mut HostState, now: Stamp, place: &'a dyn Place) -> Self {
        Self { state, now, place, kills: Vec::new(), launches: Vec::new(), acts: Vec::new() }
    }

    /// Numbers the acts of the change and puts them where the log takes them from.
    pub fn seal(&mut self) {
        if self.acts.is_empty() {
            return;
        }
        self.state.unlogged.clear();
        for act in self.acts.drain(..) {
            let uptime_ms = u64::try_from(self.now.uptime.as_millis()).unwrap_or(u64::MAX);
            let boot = self.state.boot.clone();
            let n = self.state.next_act;
            self.state.unlogged.push(Entry { n, boot, uptime_ms, wall_ms: self.now.wall.0, act });
            self.state.next_act += 1;
        }
    }

    /// Writes an act into the log.
    pub fn log(&mut self, act: Act) {
        self.acts.push(act);
    }

    /// Returns the newest record while its attempt has not ended.
    ///
    /// # Errors
    /// [`SimError::NotMine`] when there is none.
    pub fn open_record(&self) -> Result<RootRecord, SimError> {
        self.state.open_record().cloned().ok_or(SimError::NotMine)
    }

    /// Moves the open record by one event, and notes what has to be done now.
    ///
    /// # Errors
    /// [`SimError::Refused`] when the event is ignored, with the reason.
    pub fn step(&mut self, event: &RootEvent) -> Result<(), SimError> {
        let record = self.open_record()?;
        match step(&record, event, &self.now) {
            RootStep::Ignored(why) => Err(SimError::Refused(why.to_owned())),
            RootStep::Moved(next, effects) => {
                self.log_move(&record, &next);
                self.state.records[0] = *next;
                for effect in effects {
                    self.obey(&effect);
                }
                Ok(())
            }
        }
    }

    fn log_move(&mut self, from: &RootRecord, to: &RootRecord) {
        if let (None, Some((SwitchResult::Deferred(why), _))) = (&from.result, &to.result) {
            self.log(Act::Deferred { why: why.clone() });
        }
        if from.state == to.state {
            return;
        }
        let verdict = to.verdict.as_ref().map(|verdict| format!("{verdict:?}")).unwrap_or_default();
        match to.state {
            RootState::Launched | RootState::Soaking | RootState::Committing | RootState::Reverting => {}
            RootState::Committed => self.log(Act::Committed { closure: to.target.clone() }),
            RootState::Reverted => self.log(Act::Reverted { closure: to.prior.clone(), verdict }),
            RootState::Overtaken => self.log(Act::Overtaken),
            RootState::Kept => self.log(Act::Kept),
        }
    }

    fn obey(&mut self, effect: &RootEffect) {
        match effect {
            RootEffect::WriteDefault => self.want(Job::Commit),
            RootEffect::BringBack => {
                self.drop_job(Job::Forward);
                self.drop_job(Job::Guard);
                // A boot into the target that is still ordered would find nobody to guard it.
                self.state.oneshot = None;
                self.want(Job::DeadMan);
                self.want(Job::Revert);
            }
            RootEffect::RebootToPrior => {
                self.state.oneshot = None;
                self.state.reboot = true;
            }
            RootEffect::Disarm => {
                self.drop_job(Job::Forward);
                self.drop_job(Job::Guard);
                self.drop_job(Job::DeadMan);
            }
        }
    }

    /// Tells whether a long act runs.
    #[must_use]
    pub fn is_running(&self, job: Job) -> bool {
        matches!(self.state.jobs.get(&job), Some(JobState::Runs(mark)) if self.place.alive(*mark))
    }

    /// Tells whether a long act has been wanted and not begun.
    #[must_use]
    pub fn is_waiting(&self, job: Job) -> bool {
        self.state.jobs.get(&job) == Some(&JobState::Wanted)
    }

    /// Wants a long act to be started, unless it runs.
    pub fn want(&mut self, job: Job) {
        if !self.is_running(job) {
            self.state.jobs.insert(job, JobState::Wanted);
            self.launches.retain(|launch| *launch != job);
            self.launches.push(job);
        }
    }

    /// Ends a long act, and frees the lock that it held.
    pub fn drop_job(&mut self, job: Job) {
        if let Some(JobState::Runs(mark)) = self.state.jobs.remove(&job) {
            self.kills.push(mark);
        }
        if job == Job::Forward && self.state.lock.as_ref().is_some_and(|lock| lock.by == By::Forward) {
            self.unlock();
        }
    }

    /// Notes that a long act has ended by itself.
    pub fn done(&mut self, job: Job) {
        self.state.jobs.remove(&job);
    }

    /// Takes the lock of `switch-to-configuration`.
    ///
    /// # Errors
    /// [`SimError::NotMine`] when somebody else holds it.
    pub fn take_lock(&mut self, by: By, mark: Option<Mark>) -> Result<(), SimError> {
        if self.lock_is_held() {
            return Err(SimError::NotMine);
        }
        self.state.lock = Some(Lock { by, mark });
        Ok(())
    }

    /// Tells whether somebody who is still there holds the lock.
    #[must_use]
    pub fn lock_is_held(&self) -> bool {
        match &self.state.lock {
            None => false,
            Some(Lock { mark: Some(mark), .. }) => self.place.alive(*mark),
            Some(Lock { mark: None, .. }) => self.state.jobs.contains_key(&Job::Forward),
        }
    }

    /// Frees the lock.
    pub fn unlock(&mut self) {
        self.state.lock = None;
    }

    /// Moves `/run/current-system`.
    pub fn activate(&mut self, closure: &Closure, by: By) {
        let was = std::mem::replace(&mut self.state.running, closure.clone());
        self.state.activated_ms = u64::try_from(self.now.uptime.as_millis()).unwrap_or(u64::MAX);
        self.log(Act::Activated { by, was, closure: closure.clone() });
    }

    /// Writes the profile: a new generation, unless it is the newest already.
    pub fn write_profile(&mut self, closure: &Closure) {
        self.state.profile = closure.clone();
        if self.state.generations.last() != Some(closure) {
            self.state.generations.push(closure.clone());
        }
        let over = self.state.generations.len().saturating_sub(MAX_GENERATIONS);
        self.state.generations.drain(..over);
    }

    /// Writes profile and loader.
    pub fn write_default(&mut self, closure: &Closure, by: By) {
        self.write_profile(closure);
        self.state.loader = closure.clone();
        self.log(Act::DefaultWritten { by, closure: closure.clone() });
    }

    /// Reads how the running closure behaves.
    ///
    /// # Errors
    /// [`SimError`] when it is not in the store.
    pub fn running_behaviour(&self) -> Result<Behaviour, SimError> {
        Ok(self.place.read_closure(&self.state.running)?.behaviour)
    }

    /// Returns the units that are failed now.
    ///
    /// # Errors
    /// [`SimError`] when the running closure is not in the store.
    pub fn failed_units(&self) -> Result<Vec<String>, SimError> {
        Ok(self.running_behaviour()?.failed_units(self.state.active_for(&self.now)))
    }

    /// Ends an open attempt when somebody else has switched the host meanwhile, and tells whether that is so.
    ///
    /// # Errors
    /// [`SimError`] when the record can't be moved.
    pub fn notice_takeover(&mut self) -> Result<bool, SimError> {
        let Some(by) = self.state.takeover() else { return Ok(false) };
        self.drop_job(Job::Revert);
        self.drop_job(Job::Commit);
        self.step(&RootEvent::OvertakenBy(by))?;
        Ok(true)
    }

    /// Ends a deferred attempt that waits for a reboot nobody wants any more.
    ///
    /// # Errors
    /// [`SimError`] when the record can't be moved.
    pub fn leave_deferred(&mut self, for_whom: &RolloutId) -> Result<(), SimError> {
        let why = Verdict::Ordered(format!("{for_whom} starts before its reboot"));
        self.step(&RootEvent::RevertAsked(why))?;
        self.drop_job(Job::Revert);
        self.launches.clear();
        self.step(&RootEvent::RevertDone)
    }
}
