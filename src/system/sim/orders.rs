//! What an agent may order of a simulated host: start, pat, commit, trial boot. Each is one change of its state.

use crate::model::fleet::RebootPolicy;
use crate::model::id::{Attempt, RolloutId};
use crate::model::root_record::{Launch, RootEvent, RootRecord, RootState, SwitchResult};
use crate::system::StartOrder;
use crate::system::sim::backing::Backing;
use crate::system::sim::check;
use crate::system::sim::closure::SimClosure;
use crate::system::sim::draft::Draft;
use crate::system::sim::error::SimError;
use crate::system::sim::host::SimHost;
use crate::system::sim::log::{Act, By};
use crate::system::sim::state::{HostState, Job, JobState, MAX_RECORDS};

/// A pat is written down only when the deadline moves by more than this part of the agent's timeout.
const PAT_PART: u32 = 10;

impl<B: Backing> SimHost<B> {
    /// Reads the running closure.
    ///
    /// # Errors
    /// [`SimError`] when the host is off or the closure is gone.
    pub fn running(&self) -> Result<SimClosure, SimError> {
        self.backing().closure(&self.look()?.running)
    }

    pub(crate) fn start_now(&self, order: &StartOrder) -> Result<(), SimError> {
        let state = self.look()?;
        if find(&state, &order.rollout, order.attempt).is_ok_and(|record| !record.may_relaunch()) {
            return self.take_up();
        }
        let (running, target) = (self.running()?, self.backing().closure(&order.terms.target)?);
        let verified = match state.machine.verify {
            true => Some(check::verified(&order.signed_release, &running)?),
            false => None,
        };
        self.change(|draft| {
            draft.notice_takeover()?;
            if find(draft.state, &order.rollout, order.attempt).is_ok_and(|record| !record.may_relaunch()) {
                return Ok(());
            }
            check::machine(draft, order, &target)?;
            if let Some(verified) = &verified {
                check::order(&draft.state.name, order, verified)?;
                check::time(draft, verified)?;
            }
            self.backing().keep_release(&release_name(&order.rollout, order.attempt), &order.signed_release)?;
            let forgotten = launch(draft, order, &target)?;
            forgotten.iter().for_each(|old| self.backing().forget_release(&release_name(&old.rollout, old.attempt)));
            Ok(())
        })
    }

    /// Starts what was wanted and not begun, where whoever wanted it died between the two.
    fn take_up(&self) -> Result<(), SimError> {
        let waits = |job: &Job| self.look().is_ok_and(|state| state.jobs.get(job) == Some(&JobState::Wanted));
        if !Job::ALL.iter().any(waits) {
            return Ok(());
        }
        self.change(|draft| {
            let waiting: Vec<Job> = Job::ALL.into_iter().filter(|job| draft.is_waiting(*job)).collect();
            waiting.into_iter().for_each(|job| draft.want(job));
            Ok(())
        })
    }

    pub(crate) fn pat_now(&self, rollout: &RolloutId, attempt: Attempt) -> Result<(), SimError> {
        let state = self.look()?;
        let record = find(&state, rollout, attempt)?;
        let fresh = record.deadline.as_ref().is_some_and(|deadline| {
            let left = deadline.since(&self.now()).unwrap_or_default();
            left + record.agent_timeout / PAT_PART > record.agent_timeout
        });
        if fresh {
            return Ok(());
        }
        self.change(|draft| {
            is_open(draft.state, rollout, attempt)?;
            ignore_refused(draft.step(&RootEvent::Patted))
        })
    }

    pub(crate) fn commit_now(&self, rollout: &RolloutId, attempt: Attempt) -> Result<(), SimError> {
        let state = self.look()?;
        let record = find(&state, rollout, attempt)?;
        if matches!(record.state, RootState::Committing | RootState::Committed) {
            return self.take_up();
        }
        if state.machine.verify {
            // Else the host could take no release after this one.
            let release = self.backing().kept_release(&release_name(rollout, attempt))?;
            check::verified(&release, &self.backing().closure(&record.target)?)?;
        }
        self.change(|draft| {
            draft.notice_takeover()?;
            match find(draft.state, rollout, attempt)?.state {
                RootState::Committing | RootState::Committed => Ok(()),
                RootState::Launched
                | RootState::Soaking
                | RootState::Reverting
                | RootState::Reverted
                | RootState::Overtaken
                | RootState::Kept => {
                    is_open(draft.state, rollout, attempt)?;
                    draft.step(&RootEvent::CommitAsked)
                }
            }
        })
    }

    pub(crate) fn revert_now(&self, rollout: &RolloutId, attempt: Attempt, event: &RootEvent) -> Result<(), SimError> {
        self.change(|draft| {
            draft.notice_takeover()?;
            match find(draft.state, rollout, attempt)?.state {
                RootState::Reverting | RootState::Reverted | RootState::Kept => Ok(()),
                RootState::Launched
                | RootState::Soaking
                | RootState::Committing
                | RootState::Committed
                | RootState::Overtaken => {
                    is_open(draft.state, rollout, attempt)?;
                    draft.step(event)
                }
            }
        })
    }

    pub(crate) fn reboot_now(&self, rollout: &RolloutId, attempt: Attempt, release: &str) -> Result<(), SimError> {
        let state = self.look()?;
        let record = find(&state, rollout, attempt)?;
        if record.trial_from.as_ref() == Some(&state.boot) {
            return Ok(());
        }
        let target = self.backing().closure(&record.target)?;
        let kept = release_name(rollout, attempt);
        let verified = if state.machine.verify {
            let running = self.running()?;
            let verified = check::verified(release, &running)?;
            check::same(&check::verified(&self.backing().kept_release(&kept)?, &running)?, &verified)?;
            Some(verified)
        } else {
            None
        };
        self.change(|draft| {
            draft.notice_takeover()?;
            is_open(draft.state, rollout, attempt)?;
            check::trial_boot(draft.state, &target)?;
            if let Some(verified) = &verified {
                check::time(draft, verified)?;
                self.backing().keep_release(&kept, release)?;
            }
            draft.step(&RootEvent::TrialOrdered)?;
            draft.state.oneshot = Some(target.path.clone());
            draft.state.reboot = true;
            draft.log(Act::TrialOrdered { closure: target.path.clone() });
            Ok(())
        })
    }
}

/// Writes the root record, takes the lock, arms the dead-man and wants the switch; or defers it. Returns the
/// records that are too old to be kept.
fn launch(draft: &mut Draft<'_>, order: &StartOrder, target: &SimClosure) -> Result<Vec<RootRecord>, SimError> {
    let launch = Launch {
        rollout: order.rollout.clone(),
        attempt: order.attempt,
        prior: draft.state.running.clone(),
        terms: order.terms.clone(),
        agent_timeout: order.agent_timeout,
        end_after: order.end_after,
    };
    let record = RootRecord::launch(launch, &draft.now);
    draft.state.baseline = draft.failed_units()?;
    draft.state.records.retain(|old| (&old.rollout, old.attempt) != (&record.rollout, record.attempt));
    draft.state.records.insert(0, record);
    let kept = draft.state.records.len().min(MAX_RECORDS);
    let forgotten = draft.state.records.split_off(kept);
    let booted = draft.place.read_closure(&draft.state.booted)?.behaviour.boot_components;
    if order.reboot == RebootPolicy::Trial && booted != target.behaviour.boot_components {
        let why = "boot components differ, and the release wants a trial boot".to_owned();
        draft.step(&RootEvent::Ended(SwitchResult::Deferred(why)))?;
        return Ok(forgotten);
    }
    draft.want(Job::DeadMan);
    draft.want(Job::Forward);
    draft.take_lock(By::Forward, None)?;
    Ok(forgotten)
}

/// Names the file of an attempt's signed release.
fn release_name(rollout: &RolloutId, attempt: Attempt) -> String {
    format!("{rollout}-{attempt}")
}

/// Finds the record of an attempt.
pub(crate) fn find<'a>(
    state: &'a HostState,
    rollout: &RolloutId,
    attempt: Attempt,
) -> Result<&'a RootRecord, SimError> {
    let found = state.records.iter().find(|record| record.rollout == *rollout && record.attempt == attempt);
    found.ok_or_else(|| SimError::Unknown(rollout.clone(), attempt))
}

/// Checks that an attempt is the one that is open: what is said of another one moves nothing.
fn is_open(state: &HostState, rollout: &RolloutId, attempt: Attempt) -> Result<(), SimError> {
    let record = find(state, rollout, attempt)?;
    if state.open_record() == Some(record) {
        return Ok(());
    }
    Err(SimError::Refused(format!("attempt {attempt} of {rollout} has ended")))
}

/// Takes an event without meaning for what it is: nothing to do.
pub(crate) fn ignore_refused(moved: Result<(), SimError>) -> Result<(), SimError> {
    match moved {
        Err(SimError::Refused(_) | SimError::NotMine) => Ok(()),
        other => other,
    }
}
