//! What else an agent may ask: status, pat, commit, going back, the trial boot, and what only root can read.

use crate::activator::baseline::Baseline;
use crate::activator::change::{Change, ignore_refused};
use crate::activator::helper::Helper;
use crate::activator::settings::Settings;
use crate::activator::shelf::id_of;
use crate::activator::units::Act;
use crate::model::facts::{HostHold, Verdict};
use crate::model::id::{Attempt, Closure, RolloutId};
use crate::model::root_record::{RootEvent, RootRecord, RootState, SwitchResult};
use crate::system::boot::BootDefault;
use crate::system::{SystemError, links};
use crate::trust::Verified;

/// A pat is written down only when the deadline moves by more than this part of the agent's timeout.
const PAT_PART: u32 = 10;

/// What only root can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineFacts {
    /// What boots by default, where profile and loader agree.
    pub default: Option<Closure>,
    /// What the machine holds itself back for.
    pub holds: Vec<HostHold>,
}

impl Helper {
    /// Returns the records, newest first.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn status(&self) -> Result<Vec<RootRecord>, SystemError> {
        let change = Change::begin(self)?;
        change.guard()?;
        Ok(change.records)
    }

    /// Notes that the agent is alive and not Failed.
    ///
    /// # Errors
    /// [`SystemError::Unknown`], or when it can't be written.
    pub fn pat(&self, rollout: &RolloutId, attempt: Attempt) -> Result<(), SystemError> {
        let mut change = Change::begin(self)?;
        let record = change.find(rollout, attempt)?;
        let left = record.deadline.as_ref().and_then(|deadline| deadline.since(&change.now)).unwrap_or_default();
        if left + record.agent_timeout / PAT_PART > record.agent_timeout {
            return Ok(());
        }
        change.guard()?;
        let ours = change.open().is_some_and(|open| open.rollout == *rollout && open.attempt == attempt);
        if ours { ignore_refused(change.step(&RootEvent::Patted)) } else { Ok(()) }
    }

    /// Begins to make the target the boot default; `asker` is the program that asks, where that is an agent.
    ///
    /// # Errors
    /// [`SystemError::Held`] for what may pass, [`SystemError::Refused`] for what will not.
    pub fn commit(
        &self,
        rollout: &RolloutId,
        attempt: Attempt,
        asker: Option<&std::path::Path>,
    ) -> Result<(), SystemError> {
        let mut change = Change::begin(self)?;
        let record = change.find(rollout, attempt)?.clone();
        match record.state {
            RootState::Committed => return Ok(()),
            RootState::Committing => return change.take_up(),
            RootState::Launched
            | RootState::Soaking
            | RootState::Reverting
            | RootState::Reverted
            | RootState::Overtaken
            | RootState::Kept => {}
        }
        let target = &record.target;
        if asker.is_some() && links::program(&self.place, target, "convoy-agent").as_deref() != asker {
            return Err(SystemError::Refused("asked by an agent that the target does not ship".to_owned()));
        }
        let kept = self.shelf.get("releases", &format!("{}.json", id_of(rollout, attempt)))?;
        let kept = kept.ok_or_else(|| SystemError::Refused("the release that was started is gone".to_owned()))?;
        // Else the host could take no release after this one.
        self.verified(&kept, target)?;
        if let Ok(settings) = Settings::of(&self.place, target) {
            self.check_space(target, &settings)?;
        }
        change.step_of(&record, &RootEvent::CommitAsked)
    }

    /// Begins to bring the prior back, or gives the target up.
    ///
    /// # Errors
    /// [`SystemError::Refused`] when the record's state does not allow it.
    pub fn revert(&self, which: (&RolloutId, Attempt), why: &Verdict, keep: bool) -> Result<(), SystemError> {
        let mut change = Change::begin(self)?;
        let record = change.find(which.0, which.1)?.clone();
        match record.state {
            RootState::Reverting => change.take_up(),
            RootState::Reverted | RootState::Kept => Ok(()),
            RootState::Launched
            | RootState::Soaking
            | RootState::Committing
            | RootState::Committed
            | RootState::Overtaken => {
                let why = why.clone();
                let event = if keep { RootEvent::KeepAsked(why) } else { RootEvent::RevertAsked(why) };
                change.step_of(&record, &event)
            }
        }
    }

    /// Orders the trial boot of a deferred attempt; `signed` is its release as it is now.
    ///
    /// # Errors
    /// [`SystemError::Held`] for what may pass, [`SystemError::Refused`] for what will not.
    pub fn trial(&self, rollout: &RolloutId, attempt: Attempt, signed: &str) -> Result<(), SystemError> {
        let mut change = Change::begin(self)?;
        let record = change.find(rollout, attempt)?.clone();
        let deferred = matches!(record.result, Some((SwitchResult::Deferred(_), _)));
        if record.state != RootState::Launched || !deferred {
            return Err(SystemError::Refused("no trial boot is waited for".to_owned()));
        }
        if record.trial_from.as_ref() == Some(&change.now.boot) {
            // What was begun and died is begun again.
            return self.begin(Act::Trial, &record);
        }
        let running = self.running()?;
        let settings = Settings::of(&self.place, &running);
        let settings = settings.map_err(|detail| SystemError::Failed { what: "read its settings", detail })?;
        let verified = self.verified(signed, &running)?;
        self.check_same(&id_of(rollout, attempt), &verified, &running)?;
        self.check_time(&settings.host, &verified)?;
        self.check_machine(&running, &settings)?;
        self.check_closures(&[&record.target, &record.prior])?;
        self.check_trial(&self.boot(&running), &record.target)?;
        // What began to fail while the attempt waited for its window is not the target's fault.
        let noted = Baseline { failed_units: self.all_failed_units()?, ..self.baseline(&record) };
        self.note_baseline(&id_of(rollout, attempt), &noted)?;
        self.shelf.hold_room()?;
        self.raise(&verified)?;
        self.shelf.put("releases", &format!("{}.json", id_of(rollout, attempt)), signed.as_bytes())?;
        // Durable before anything boots: what boots is compared with it.
        change.step(&RootEvent::TrialOrdered)?;
        self.begin(Act::Trial, &record)
    }

    /// Checks that a release is the one that was started, whatever its lease says by now.
    fn check_same(&self, id: &str, now: &Verified, by: &Closure) -> Result<(), SystemError> {
        let kept = self.shelf.get("releases", &format!("{id}.json"))?;
        let kept = kept.ok_or_else(|| SystemError::Refused("the release that was started is gone".to_owned()))?;
        if self.verified(&kept, by)?.release.digest == now.release.digest {
            return Ok(());
        }
        Err(SystemError::Refused(format!("{} was started with another manifest", now.release.id)))
    }

    /// Counts a start of the agent.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn agent_started(&self) -> Result<(), SystemError> {
        ignore_refused(Change::begin(self)?.step(&RootEvent::AgentStarted))
    }

    /// Tells whether the prior's settings reach a control plane.
    ///
    /// # Errors
    /// When it could not be tried.
    pub fn prior_reaches(&self, rollout: &RolloutId, attempt: Attempt) -> Result<bool, SystemError> {
        let prior = Change::begin(self)?.find(rollout, attempt)?.prior.clone();
        self.reaches(&prior)
    }

    /// Tells what only root can read.
    ///
    /// # Errors
    /// When what runs can't be read.
    pub fn machine(&self) -> Result<MachineFacts, SystemError> {
        let running = self.running()?;
        let defaults = self.defaults(&running);
        let mut holds = Vec::new();
        if let Ok(settings) = Settings::of(&self.place, &running)
            && let Err(SystemError::Held(hold)) = self.check_space(&running, &settings)
        {
            holds.push(hold);
        }
        let unclear = defaults.loader == BootDefault::Unknown || self.boot(&running).is_pinned();
        if unclear || !defaults.are(&running) {
            holds.push(HostHold::BootDefaultDiffers);
        }
        Ok(MachineFacts { default: defaults.agreed(), holds })
    }
}

impl Change<'_> {
    /// Moves the open record, which has to be that attempt's.
    fn step_of(&mut self, record: &RootRecord, event: &RootEvent) -> Result<(), SystemError> {
        if record.is_final() {
            return Err(SystemError::Refused("the attempt has ended".to_owned()));
        }
        self.step(event)
    }
}
