//! The dead-man: goes back when a deadline has passed, and takes up long acts that died. It runs by a timer, from the
//! prior's own program, and needs nothing of the target.

use crate::activator::change::Change;
use crate::activator::helper::Helper;
use crate::activator::shelf::id_of;
use crate::activator::units::Act;
use crate::model::facts::Verdict;
use crate::model::limit::DEAD_MAN_PERIOD;
use crate::model::root_record::{RootEvent, RootRecord, RootState, SwitchResult, Ticks, commit_due};
use crate::model::time::Stamp;
use crate::system::{SystemError, systemd};
use std::fs;
use std::time::Duration;

/// What a reboot is noted for that no record asked for.
const BLIND: &str = "damaged";

impl Helper {
    /// One look of the dead-man.
    ///
    /// # Errors
    /// When records can't be read or moved; the next look tries again.
    pub fn dead_man(&self) -> Result<(), SystemError> {
        let mut change = Change::begin(self)?;
        let Some(record) = change.open() else {
            if !change.damaged.is_empty() {
                return self.go_back_blindly(&change.now);
            }
            self.disarm();
            return Ok(());
        };
        let mut ticks = self.ticks(&change.now);
        let due = ticks.tick(record, &change.now, DEAD_MAN_PERIOD);
        self.keep(&ticks);
        if let Some(verdict) = due {
            tracing::error!(rollout.id = %record.rollout, "going back: {verdict}");
            let id = id_of(&record.rollout, record.attempt);
            match change.step(&RootEvent::RevertAsked(verdict)) {
                Ok(()) => {}
                Err(SystemError::Refused(why)) => return Err(SystemError::Refused(why)),
                Err(why) => {
                    tracing::error!("this can't be written down: {why}; only a boot of the default is left");
                    return self.order_reboot(&change.now, &id);
                }
            }
        }
        change.take_up()
    }

    /// A record that can't be read may be that of an attempt under way: where something else runs than what boots, a boot
    /// is the way back, once.
    fn go_back_blindly(&self, now: &Stamp) -> Result<(), SystemError> {
        let running = self.running()?;
        let elsewhere = self.defaults(&running).agreed().is_some_and(|default| default != running);
        if !elsewhere || self.reboot_ordered(now, BLIND).is_some() {
            return Ok(());
        }
        tracing::error!("{running} runs, is not the boot default, and its record can't be read: rebooting");
        self.order_reboot(now, BLIND)
    }

    /// What the last look remembered; it is kept where a boot forgets it.
    fn ticks(&self, now: &Stamp) -> Ticks {
        let text = fs::read_to_string(self.place.dead_man_ticks()).unwrap_or_default();
        let at = |name: &str| {
            let millis = text.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()?;
            Some(Stamp { uptime: Duration::from_millis(millis), ..now.clone() })
        };
        Ticks { last: at("last "), woke: at("woke ") }
    }

    fn keep(&self, ticks: &Ticks) {
        let line = |name: &str, at: &Option<Stamp>| {
            at.as_ref().map(|at| format!("{name} {}\n", at.uptime.as_millis())).unwrap_or_default()
        };
        let path = self.place.dead_man_ticks();
        let text = line("last", &ticks.last) + &line("woke", &ticks.woke);
        let kept = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, text));
        // Without it a machine that was asleep is judged as one that was awake.
        if let Err(why) = kept {
            tracing::warn!("{}: {why}", path.display());
        }
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
            RootState::Committing if commit_due(&record, &self.now) => helper.begin(Act::Commit, &record),
            RootState::Soaking if record.is_unjudged_trial() => helper.begin(Act::Guard, &record),
            RootState::Reverting => match helper.reboot_ordered(&self.now, &id_of(&record.rollout, record.attempt)) {
                None => helper.begin(Act::Rollback, &record),
                Some(ago) if ago > record.terms.reboot_limit => {
                    tracing::error!("the reboot that was ordered {ago:?} ago has not come: forcing it");
                    helper.call("reboot at once", systemd::reboot_now()).map(drop)
                }
                Some(_) => Ok(()),
            },
            RootState::Launched | RootState::Soaking | RootState::Committing => Ok(()),
            RootState::Committed | RootState::Reverted | RootState::Overtaken | RootState::Kept => Ok(()),
        }
    }
}
