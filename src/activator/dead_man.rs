//! The dead-man: goes back when a deadline has passed, and takes up long acts that died. It runs by a timer, from the
//! prior's own program, and needs nothing of the target.

use crate::activator::change::Change;
use crate::activator::helper::Helper;
use crate::activator::shelf::id_of;
use crate::activator::units::Act;
use crate::model::facts::Verdict;
use crate::model::root_record::{RootEvent, RootRecord, RootState, SwitchResult, dead_man_due};
use crate::system::{SystemError, systemd};

impl Helper {
    /// One look of the dead-man.
    ///
    /// # Errors
    /// When records can't be read or moved; the next look tries again.
    pub fn dead_man(&self) -> Result<(), SystemError> {
        let mut change = Change::begin(self)?;
        let Some(record) = change.open() else {
            self.disarm();
            return Ok(());
        };
        if let Some(verdict) = dead_man_due(record, &change.now) {
            tracing::error!(rollout.id = %record.rollout, "going back: {verdict}");
            change.step(&RootEvent::RevertAsked(verdict))?;
        }
        change.take_up()
    }

    /// Tells whether the switch of an attempt has begun in this boot.
    #[must_use]
    pub fn has_begun(&self, record: &RootRecord) -> bool {
        let begun = self.shelf.get("begun", &id_of(&record.rollout, record.attempt)).ok().flatten();
        begun.is_some_and(|boot| self.boot_id().is_ok_and(|now| now.as_str() == boot.trim()))
    }
}

impl Change<'_> {
    /// Takes up the long acts that died: a switch whose end nobody wrote down has an unknown outcome, which is never
    /// good; a commit and a rollback are finished. Under the lock a unit that does not run can't write its result any
    /// more.
    ///
    /// # Errors
    /// When the record can't be moved, or systemd does not take a unit.
    pub fn take_up(&mut self) -> Result<(), SystemError> {
        let Some(record) = self.open().cloned() else { return Ok(()) };
        let helper = self.helper;
        match record.state {
            RootState::Launched if record.result.is_none() => {
                if helper.unit_runs(&Act::Switch.service()) {
                    return Ok(());
                }
                if !helper.has_begun(&record) {
                    return helper.begin(Act::Switch, &record);
                }
                let why = "it was killed: its outcome is not known".to_owned();
                let verdict = Verdict::SwitchFailed(why);
                let log = helper.log_of(&Act::Switch.service());
                self.step(&RootEvent::Ended(SwitchResult::Bad { verdict, log, units: Vec::new() }))
            }
            RootState::Committing => helper.begin(Act::Commit, &record),
            RootState::Reverting => match helper.reboot_ordered(&self.now) {
                None => helper.begin(Act::Rollback, &record),
                Some(ago) if ago > record.terms.reboot_limit => {
                    tracing::error!("the reboot that was ordered {ago:?} ago has not come: forcing it");
                    helper.call("reboot at once", systemd::reboot_now()).map(drop)
                }
                Some(_) => Ok(()),
            },
            RootState::Launched | RootState::Soaking => Ok(()),
            RootState::Committed | RootState::Reverted | RootState::Overtaken | RootState::Kept => Ok(()),
        }
    }
}
