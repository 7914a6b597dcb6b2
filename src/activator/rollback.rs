//! Going back, in its own unit: to the recorded prior, judged by what runs, in the end by a reboot. It never looks at
//! lease, sequence, quarantine or control plane rules.

use crate::activator::baseline::gateways;
use crate::activator::change::Change;
use crate::activator::helper::Helper;
use crate::model::facts::Verdict;
use crate::model::root_record::{RootEvent, RootRecord, RootState, SwitchResult};
use crate::system::boot::BootDefault;
use crate::system::boot::components::reboot_needed;
use crate::system::judge::{LOCKED, SwitchExit};
use crate::system::{SystemError, links, nix};
use std::time::Duration;

/// How long to wait before a rollback whose lock was held is tried again.
const LOCK_PAUSE: Duration = Duration::from_secs(2);
/// How long units and network are given to be as before.
const SETTLE: Duration = Duration::from_secs(30);
/// How often they are looked at meanwhile.
const SETTLE_PAUSE: Duration = Duration::from_secs(2);

impl Helper {
    /// Brings the prior of an attempt back, or orders the reboot that does.
    ///
    /// # Errors
    /// When the record can't be read or moved; the dead-man begins it again.
    pub fn run_rollback(&self, id: &str) -> Result<(), SystemError> {
        let record = self.record(id, RootState::Reverting)?;
        self.end_forward();
        let trouble = self.bring_back(&record).err().map(|why| why.to_string()).or_else(|| self.not_back(&record));
        let mut change = Change::begin(self)?;
        match (change.open(), trouble) {
            (Some(open), _) if open.rollout != record.rollout => Ok(()),
            (Some(_), None) => change.step(&RootEvent::RevertDone),
            // It was booted: another boot brings nothing more. The dead-man tries again.
            (Some(_), Some(why)) if self.is_booted_prior(&record) => {
                Err(SystemError::Failed { what: "make the prior the boot default again", detail: why })
            }
            (Some(_), Some(why)) => {
                tracing::error!(rollout.id = %record.rollout, "the prior is not back: {why}; rebooting");
                change.step(&RootEvent::RevertFailed(why))
            }
            (None, _) => Ok(()),
        }
    }

    /// Tells whether the machine has come back to the prior by a boot, and no boot loader says otherwise.
    fn is_booted_prior(&self, record: &RootRecord) -> bool {
        let runs = self.running().is_ok_and(|running| running == record.prior);
        let booted = self.boot_id().is_ok_and(|boot| boot != record.started.boot);
        let elsewhere =
            matches!(&self.defaults(&record.prior).loader, BootDefault::Is(loader) if *loader != record.prior);
        runs && booted && !elsewhere
    }

    fn bring_back(&self, record: &RootRecord) -> Result<(), SystemError> {
        let prior = &record.prior;
        let running = self.running()?;
        let end = self.now()?.plus(record.terms.rollback_limit);
        self.forget_trial(record)?;
        let defaults = self.defaults(prior);
        let touched = defaults.profile.as_ref() != Some(prior)
            || matches!(&defaults.loader, BootDefault::Is(loader) if loader != prior);
        if touched {
            self.call("set the profile back", nix::set_profile(&self.place.profile(), prior))?;
        }
        if self.only_by_boot(record) {
            if touched {
                self.install(prior, "boot", self.left(&end)?)?;
            }
            return Err(SystemError::Refused("another kernel runs: only a boot brings the prior back".to_owned()));
        }
        // A switch that was killed may have stopped units before it moved the link.
        if running == *prior && !touched && !self.has_begun(record) {
            return Ok(());
        }
        let action = if touched { "switch" } else { "test" };
        loop {
            let ran = self.switch(prior, action, self.left(&end)?)?;
            tracing::info!(rollout.id = %record.rollout, "the way back ended: {}", ran.exit);
            match ran.exit {
                SwitchExit::Code(LOCKED) if !self.now()?.plus(LOCK_PAUSE).reached(&end) => self.run.pause(LOCK_PAUSE),
                SwitchExit::TimedOut => {
                    return Err(SystemError::Refused("the rollback outlived its limit".to_owned()));
                }
                // What runs is looked at next, whatever it said.
                SwitchExit::Code(_) | SwitchExit::Signal(_) => return Ok(()),
            }
        }
    }

    /// After a trial boot the target's kernel runs.
    fn only_by_boot(&self, record: &RootRecord) -> bool {
        let Some(booted) = links::booted(&self.place) else { return false };
        record.trial_from.is_some() && !reboot_needed(&self.place, &booted, &record.prior).is_empty()
    }

    /// Says why the prior is not back. After a boot into it what runs counts alone: there is no other way left.
    fn not_back(&self, record: &RootRecord) -> Option<String> {
        let prior = &record.prior;
        let running = self.running().ok();
        let defaults = self.defaults(prior);
        if running.as_ref() != Some(prior) || defaults.other_than(&[prior]).is_some() {
            return Some(format!("{running:?} runs and {defaults:?} would boot"));
        }
        let Ok(mut now) = self.now() else { return None };
        if record.rollback_trouble.is_some() || record.started.boot != now.boot {
            return None;
        }
        let end = now.plus(SETTLE);
        loop {
            let trouble = self.differs(record)?;
            if now.reached(&end) {
                return Some(trouble);
            }
            self.run.pause(SETTLE_PAUSE);
            now = self.now().ok()?;
        }
    }

    /// Says in what units and network are not as they were before the switch.
    fn differs(&self, record: &RootRecord) -> Option<String> {
        let baseline = self.baseline(record);
        let failed = match self.failed_units(&record.prior) {
            Ok(failed) => failed,
            Err(why) => return Some(why.to_string()),
        };
        let new: Vec<String> = failed.into_iter().filter(|unit| !baseline.failed_units.contains(unit)).collect();
        if !new.is_empty() {
            return Some(format!("units failed on the way back: {}", new.join(", ")));
        }
        let now = gateways(&self.place);
        if let Some(lost) = baseline.gateways.iter().find(|gateway| !now.contains(gateway)) {
            return Some(format!("the default gateway is not back: {lost}"));
        }
        // Where nobody answered before the verdict either, the control plane is away for all.
        let outage = record.verdict == Some(Verdict::Isolated) || !was_begun(record);
        let lost = baseline.control_plane && !outage && !self.reaches(&record.prior).unwrap_or(true);
        lost.then(|| "the control plane answered before the switch and does not now".to_owned())
    }
}

fn was_begun(record: &RootRecord) -> bool {
    !matches!(record.result, Some((SwitchResult::Deferred(_), _)))
}
