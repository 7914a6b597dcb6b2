//! One change of the root records, under their lock. Records move here and nowhere else, by `model::root_record::step`:
//! durable first, then what follows.

use crate::activator::helper::{Helper, is_guarded};
use crate::activator::pins;
use crate::activator::shelf::{MAX_RECORDS, id_of};
use crate::activator::units::Act;
use crate::model::id::{Attempt, Closure, RolloutId};
use crate::model::root_record::{RootEffect, RootEvent, RootRecord, RootState, RootStep, SwitchResult, step};
use crate::model::time::Stamp;
use crate::system::SystemError;
use crate::system::systemd;
use nix::fcntl::Flock;
use std::fs::File;

/// The boot that the open record was told of last.
const TOLD: &str = "booted";

/// One change.
pub struct Change<'a> {
    /// The helper.
    pub helper: &'a Helper,
    /// The clocks, as the change sees them.
    pub now: Stamp,
    /// The records, newest first.
    pub records: Vec<RootRecord>,
    /// Records that can't be read.
    pub damaged: Vec<String>,
    _lock: Flock<File>,
}

impl<'a> Change<'a> {
    /// Takes the lock and reads the records; then tells the open one what booted and who else switched.
    ///
    /// # Errors
    /// When files or clocks can't be read.
    pub fn begin(helper: &'a Helper) -> Result<Self, SystemError> {
        let lock = helper.shelf.lock()?;
        let found = helper.shelf.records()?;
        for why in &found.damaged {
            tracing::error!("a root record can't be read: {why}");
        }
        let now = helper.now()?;
        let mut change = Self { helper, now, records: found.records, damaged: found.damaged, _lock: lock };
        change.notice_boot()?;
        change.notice_takeover()?;
        Ok(change)
    }

    /// The attempt that has not ended.
    #[must_use]
    pub fn open(&self) -> Option<&RootRecord> {
        self.records.iter().find(|record| !record.is_final())
    }

    /// Finds the record of an attempt.
    ///
    /// # Errors
    /// [`SystemError::Unknown`].
    pub fn find(&self, rollout: &RolloutId, attempt: Attempt) -> Result<&RootRecord, SystemError> {
        let found = self.records.iter().find(|record| record.rollout == *rollout && record.attempt == attempt);
        found.ok_or_else(|| SystemError::Unknown(rollout.clone(), attempt))
    }

    /// Puts a new record in front, and takes away what is too old.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn add(&mut self, record: RootRecord) -> Result<(), SystemError> {
        self.helper.shelf.put_record(&record)?;
        self.records.retain(|old| (&old.rollout, old.attempt) != (&record.rollout, record.attempt));
        self.records.insert(0, record);
        self.records.truncate(MAX_RECORDS);
        self.helper.shelf.prune(&self.records);
        let open = self.records.iter().filter(|record| !record.is_final());
        pins::prune(&self.helper.place, &open.map(|record| id_of(&record.rollout, record.attempt)).collect());
        Ok(())
    }

    /// Moves the open record by one event: on disk first, then its effects.
    ///
    /// # Errors
    /// [`SystemError::Refused`] when the event is ignored, with the reason.
    pub fn step(&mut self, event: &RootEvent) -> Result<(), SystemError> {
        let (record, effects) = self.step_only(event)?;
        // Before the effects: one of them may end the unit that this runs in.
        if record.is_final() {
            self.settle(&record);
        }
        for effect in effects {
            self.obey(&effect, &record);
        }
        if !record.is_final() {
            self.settle(&record);
        }
        Ok(())
    }

    /// Moves the open record by one event, and leaves its effects to the caller.
    ///
    /// # Errors
    /// As [`Change::step`].
    pub fn step_only(&mut self, event: &RootEvent) -> Result<(RootRecord, Vec<RootEffect>), SystemError> {
        let at = self.records.iter().position(|record| !record.is_final());
        let at = at.ok_or_else(|| SystemError::Refused("no attempt is under way".to_owned()))?;
        match step(&self.records[at], event, &self.now) {
            RootStep::Ignored(why) => Err(SystemError::Refused(why.to_owned())),
            RootStep::Moved(next, effects) => {
                self.helper.shelf.put_record(&next)?;
                tracing::info!(rollout.id = %next.rollout, from = ?self.records[at].state, to = ?next.state, "the root record moved");
                self.records[at] = *next;
                Ok((self.records[at].clone(), effects))
            }
        }
    }

    /// Carries out an effect. What fails is taken up by the dead-man, which looks again and again.
    fn obey(&self, effect: &RootEffect, record: &RootRecord) {
        let helper = self.helper;
        let done = match effect {
            RootEffect::WriteDefault => helper.begin(Act::Commit, record),
            RootEffect::BringBack => {
                helper.end_forward();
                // The rollback tries it again.
                if let Err(why) = helper.forget_trial(record) {
                    tracing::warn!("{why}");
                }
                helper.arm(record).and_then(|()| helper.begin(Act::Rollback, record))
            }
            RootEffect::RebootToPrior => helper.order_reboot(&self.now, &id_of(&record.rollout, record.attempt)),
            RootEffect::Disarm => {
                helper.disarm();
                let forgotten = if record.state == RootState::Committed { Ok(()) } else { helper.forget_trial(record) };
                helper.end_forward();
                forgotten
            }
        };
        if let Err(why) = done {
            tracing::error!(rollout.id = %record.rollout, "{why}; the dead-man tries again");
        }
    }

    /// What an ended attempt leaves behind: its pins go, and the closure's name is kept where it is to blame.
    fn settle(&self, record: &RootRecord) {
        let noted = match record.state {
            RootState::Committed => self.helper.shelf.quarantine(&record.target, false),
            RootState::Reverting | RootState::Reverted | RootState::Kept => {
                let blamed = record.verdict.as_ref().is_some_and(crate::model::facts::Verdict::blames_closure);
                if blamed { self.helper.shelf.quarantine(&record.target, true) } else { Ok(()) }
            }
            RootState::Launched | RootState::Soaking | RootState::Committing | RootState::Overtaken => Ok(()),
        };
        if let Err(why) = noted {
            tracing::warn!("{why}");
        }
        if record.is_final() {
            pins::unpin(&self.helper.place, &id_of(&record.rollout, record.attempt));
        }
    }

    /// Tells the open record what booted, once in each boot.
    fn notice_boot(&mut self) -> Result<(), SystemError> {
        let shelf = &self.helper.shelf;
        let boot = self.now.boot.clone();
        let earlier = self.open().is_some_and(|record| record.started.boot != boot);
        if !earlier || shelf.get("", TOLD)?.is_some_and(|told| told == boot.as_str()) {
            return Ok(());
        }
        let running = self.helper.running()?;
        tracing::info!("booted into {running} in the middle of an attempt");
        ignore_refused(self.step(&RootEvent::Booted(running)))?;
        self.helper.shelf.put("", TOLD, boot.as_str().as_bytes())
    }

    /// Ends the open attempt when somebody else has switched the host meanwhile.
    fn notice_takeover(&mut self) -> Result<(), SystemError> {
        let Some(by) = self.open().and_then(|record| takeover(self.helper, record)) else { return Ok(()) };
        tracing::warn!("somebody else switched this host to {by}: nothing of it is undone");
        self.step(&RootEvent::OvertakenBy(by))?;
        for act in [Act::Commit, Act::Rollback] {
            self.helper.end(act);
        }
        Ok(())
    }

    /// Sees to it that an attempt under way is guarded.
    ///
    /// # Errors
    /// When the dead-man can't be armed.
    pub fn guard(&self) -> Result<(), SystemError> {
        match self.open() {
            Some(record) if is_guarded(record) => self.helper.arm(record),
            Some(_) | None => Ok(()),
        }
    }
}

impl Helper {
    /// Orders the reboot that brings an attempt's prior back, and notes when: one that does not come is ordered more roughly.
    ///
    /// # Errors
    /// When systemd does not take it.
    pub fn order_reboot(&self, now: &Stamp, id: &str) -> Result<(), SystemError> {
        let ordered = format!("{} {} {id}", now.boot, now.uptime.as_millis());
        // A full disk must not keep a host from going back.
        if let Err(why) = self.shelf.put("", "reboot-ordered", ordered.as_bytes()) {
            tracing::warn!("{why}");
        }
        self.call("reboot", systemd::reboot()).map(drop)
    }

    /// How long ago the reboot that brings an attempt's prior back was ordered in this boot.
    #[must_use]
    pub fn reboot_ordered(&self, now: &Stamp, id: &str) -> Option<std::time::Duration> {
        let text = self.shelf.get("", "reboot-ordered").ok()??;
        let mut words = text.splitn(3, ' ');
        let (boot, uptime, of) = (words.next()?, words.next()?, words.next()?);
        let at = std::time::Duration::from_millis(uptime.parse().ok()?);
        (boot == now.boot.as_str() && of == id).then(|| now.uptime.saturating_sub(at))
    }
}

/// Returns what somebody else runs here, or boots, in the middle of an attempt.
fn takeover(helper: &Helper, record: &RootRecord) -> Option<Closure> {
    let running = helper.running().ok()?;
    let (target, prior) = (&record.target, &record.prior);
    let target_alone = match record.state {
        RootState::Soaking => matches!(record.result, Some((SwitchResult::Good(_), _))),
        RootState::Committing => true,
        RootState::Launched | RootState::Reverting => false,
        RootState::Committed | RootState::Reverted | RootState::Overtaken | RootState::Kept => false,
    };
    if running != *target && (target_alone || running != *prior) {
        return Some(running);
    }
    let defaults = helper.defaults(&running);
    match record.state {
        RootState::Launched | RootState::Soaking => defaults.other_than(&[prior]),
        RootState::Committing | RootState::Reverting => defaults.other_than(&[target, prior]),
        RootState::Committed | RootState::Reverted | RootState::Overtaken | RootState::Kept => None,
    }
}

/// Takes an event without meaning for what it is: nothing to do.
///
/// # Errors
/// Everything but a refusal.
pub fn ignore_refused(moved: Result<(), SystemError>) -> Result<(), SystemError> {
    match moved {
        Err(SystemError::Refused(_)) => Ok(()),
        other => other,
    }
}
