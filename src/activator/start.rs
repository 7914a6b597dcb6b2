//! A start: all checks in order, then record, release and pins on disk, the dead-man armed, the switch begun.

use crate::activator::baseline::{Baseline, gateways};
use crate::activator::change::Change;
use crate::activator::helper::Helper;
use crate::activator::pins;
use crate::activator::settings::Settings;
use crate::activator::shelf::id_of;
use crate::activator::units::Act;
use crate::model::facts::{HostHold, Verdict};
use crate::model::id::{Closure, RolloutId};
use crate::model::root_record::{Launch, RootEvent, RootRecord, SwitchResult};
use crate::system::{StartOrder, SystemError};
use crate::trust::Verified;

impl Helper {
    /// Starts a switch, or defers it. Repeating it for a known attempt only takes up what was begun.
    ///
    /// # Errors
    /// [`SystemError::Held`] for what may pass, [`SystemError::Refused`] for what will not.
    pub fn start(&self, order: &StartOrder) -> Result<(), SystemError> {
        if self.is_known(order)? {
            return Ok(());
        }
        let mut change = Change::begin(self)?;
        let running = self.running()?;
        let settings = Settings::of(&self.place, &running);
        let settings = settings.map_err(|detail| SystemError::Failed { what: "read its settings", detail })?;
        let verified = self.verified(&order.signed_release, &running)?;
        if let Some(differs) = order.differs(&verified.release, &settings.host) {
            return Err(SystemError::Refused(format!("the signed release says {differs}")));
        }
        self.check_time(&settings.host, &verified)?;
        let target = &order.terms.target;
        if running == *target && self.defaults(&running).are(&running) {
            return Err(SystemError::Refused(format!("{target} runs already")));
        }
        let id = id_of(&order.rollout, order.attempt);
        leave_room(&mut change, &order.rollout)?;
        self.check_machine(&running, &settings)?;
        // Pinned first: what is whole now must stay so.
        pins::pin(&self.place, &id, (target, &running))?;
        let prepared = self.prepare(order, &verified, &running);
        let deferral = prepared.inspect_err(|_| pins::unpin(&self.place, &id))?;
        let record = record_of(order, running, &change);
        change.add(record.clone())?;
        match deferral {
            Some(why) => change.step(&RootEvent::Ended(SwitchResult::Deferred(why))),
            None => self.launch(&change, &record),
        }
    }

    /// Checks both closures, and writes down all that the act will need; returns why it has to be deferred.
    fn prepare(
        &self,
        order: &StartOrder,
        verified: &Verified,
        running: &Closure,
    ) -> Result<Option<String>, SystemError> {
        let (target, id) = (&order.terms.target, id_of(&order.rollout, order.attempt));
        self.check_closures(&[target, running])?;
        self.shelf.hold_room()?;
        let deferral = self.deferral(target, order.reboot)?;
        // All of them: which are judged, the closure says that is judged.
        let failed_units = self.all_failed_units()?;
        let noted = Baseline { v: 1, failed_units, gateways: gateways(&self.place), control_plane: false };
        self.note_baseline(&id, &noted)?;
        self.shelf.put("releases", &format!("{id}.json"), order.signed_release.as_bytes())?;
        self.raise(verified)?;
        let _ = self.shelf.take_away("begun", &id);
        Ok(deferral)
    }

    /// Arms the dead-man, then begins the switch. Where the dead-man can't be armed nothing has begun.
    fn launch(&self, change: &Change<'_>, record: &RootRecord) -> Result<(), SystemError> {
        if let Err(why) = self.arm(record) {
            self.shelf.forget(&record.rollout, record.attempt)?;
            pins::unpin(&self.place, &id_of(&record.rollout, record.attempt));
            return Err(why);
        }
        tracing::info!(rollout.id = %record.rollout, at = %change.now.wall, "switching to {}", record.target);
        // From here on the dead-man begins what was not begun.
        self.begin(Act::Switch, record)
    }

    /// Tells whether the attempt was started before; what was begun and died meanwhile is taken up.
    fn is_known(&self, order: &StartOrder) -> Result<bool, SystemError> {
        let mut change = Change::begin(self)?;
        let known = change.find(&order.rollout, order.attempt).is_ok_and(|record| !record.may_relaunch());
        if known {
            change.guard()?;
            change.take_up()?;
        }
        Ok(known)
    }
}

/// Sees to it that no other attempt is under way. A deferred one that waits for a reboot nobody wants any more is left.
fn leave_room(change: &mut Change<'_>, for_whom: &RolloutId) -> Result<(), SystemError> {
    if let Some(why) = change.damaged.first() {
        return Err(SystemError::Failed {
            what: "read the root records",
            detail: format!("{why}; look at it, and move it away"),
        });
    }
    let Some(open) = change.open() else { return Ok(()) };
    let waits = matches!(open.result, Some((SwitchResult::Deferred(_), _))) && open.trial_from.is_none();
    if !waits {
        return Err(SystemError::Held(HostHold::Busy(open.rollout.clone())));
    }
    let why = Verdict::Ordered(format!("{for_whom} starts before its reboot"));
    change.step_only(&RootEvent::RevertAsked(why))?;
    change.step(&RootEvent::RevertDone)
}

fn record_of(order: &StartOrder, prior: Closure, change: &Change<'_>) -> RootRecord {
    let launch = Launch {
        rollout: order.rollout.clone(),
        attempt: order.attempt,
        prior,
        terms: order.terms.clone(),
        agent_timeout: order.agent_timeout,
        end_after: order.end_after,
    };
    RootRecord::launch(launch, &change.now)
}
