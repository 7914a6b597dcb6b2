//! A simulated host in one of its boots. A handle of a boot that has ended can do nothing any more, so that no
//! process that outlives a power cut by an instant leaves a trace.

use crate::model::id::BootId;
use crate::model::time::Stamp;
use crate::runtime::clock::Clock;
use crate::system::sim::backing::Backing;
use crate::system::sim::draft::Draft;
use crate::system::sim::error::SimError;
use crate::system::sim::state::{HostState, Job, JobState, Mark};
use std::mem::take;
use std::sync::Arc;

/// A simulated host in one of its boots. Implements [`crate::system::System`].
#[derive(Debug, Clone)]
pub struct SimHost<B: Backing> {
    backing: B,
    boot: BootId,
    claim: Option<(Job, Mark)>,
}

impl<B: Backing> SimHost<B> {
    /// Returns the host in the boot that runs now.
    ///
    /// # Errors
    /// [`SimError::Off`] when it is off.
    pub fn attach(backing: B) -> Result<Self, SimError> {
        let state = backing.look()?;
        if state.power { Ok(Self::of_boot(backing, state.boot)) } else { Err(SimError::Off) }
    }

    /// Returns the host in this boot, whether it runs or not.
    #[must_use]
    pub fn of_boot(backing: B, boot: BootId) -> Self {
        Self { backing, boot, claim: None }
    }

    /// Returns where the host is kept.
    #[must_use]
    pub fn backing(&self) -> &B {
        &self.backing
    }

    /// Returns the boot.
    #[must_use]
    pub fn boot(&self) -> &BootId {
        &self.boot
    }

    /// Returns the host's clock.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.backing.clock()
    }

    /// Returns the host's clocks now.
    #[must_use]
    pub fn now(&self) -> Stamp {
        self.backing.clock().stamp(&self.boot)
    }

    /// Reads the state.
    ///
    /// # Errors
    /// [`SimError::Off`] when this boot has ended.
    pub fn look(&self) -> Result<HostState, SimError> {
        let state = self.backing.look()?;
        if state.power && state.boot == self.boot { Ok(state) } else { Err(SimError::Off) }
    }

    /// Reads something of the state.
    ///
    /// # Errors
    /// [`SimError::Off`] when this boot has ended.
    pub fn peek<T>(&self, read: impl FnOnce(&HostState) -> T) -> Result<T, SimError> {
        let seen = self.backing.peek(|state| (state.power && state.boot == self.boot).then(|| read(state)))?;
        seen.ok_or(SimError::Off)
    }

    /// Changes the state, then starts and kills what follows from it.
    ///
    /// # Errors
    /// [`SimError::Off`] when this boot has ended, [`SimError::NotMine`] when another process has the job by now,
    /// and what the change says.
    pub fn change<T>(&self, change: impl FnOnce(&mut Draft<'_>) -> Result<T, SimError>) -> Result<T, SimError> {
        let fenced = |draft: &mut Draft<'_>| {
            if !draft.state.power || draft.state.boot != self.boot {
                return Err(SimError::Off);
            }
            match self.claim {
                Some((job, mark)) if draft.state.jobs.get(&job) != Some(&JobState::Runs(mark)) => {
                    Err(SimError::NotMine)
                }
                Some(_) | None => change(draft),
            }
        };
        change_and_act(&self.backing, fenced)
    }

    /// Takes a job that is wanted, for this process or task.
    ///
    /// # Errors
    /// [`SimError::NotMine`] when it is not wanted, or another has it.
    pub(crate) fn claim(mut self, job: Job, mark: Mark) -> Result<Self, SimError> {
        self.change(|draft| {
            if draft.state.jobs.get(&job) != Some(&JobState::Wanted) {
                return Err(SimError::NotMine);
            }
            draft.state.jobs.insert(job, JobState::Runs(mark));
            if let (Job::Forward, Some(lock)) = (job, &mut draft.state.lock) {
                lock.mark = Some(mark);
            }
            Ok(())
        })?;
        self.claim = Some((job, mark));
        Ok(self)
    }
}

/// Changes the state of a host in whatever boot, then starts and kills what follows from it: starts first, since
/// the caller may be among those to be killed.
///
/// # Errors
/// What the change says, and [`SimError`] when something can't be started.
pub(crate) fn change_and_act<B: Backing, T>(
    backing: &B,
    change: impl FnOnce(&mut Draft<'_>) -> Result<T, SimError>,
) -> Result<T, SimError> {
    let (done, launches, kills, boot) = backing.change(|draft| {
        let done = change(draft)?;
        Ok((done, take(&mut draft.launches), take(&mut draft.kills), draft.state.boot.clone()))
    })?;
    let launched: Result<Vec<()>, SimError> = launches.into_iter().map(|job| backing.launch(job, &boot)).collect();
    kills.into_iter().for_each(|mark| backing.kill(mark));
    launched.map(|_| done)
}
