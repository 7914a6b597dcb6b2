//! Events into the journal: durable first, effects afterwards, and what happens while the disk refuses.

use crate::agent::driver::Driver;
use crate::agent::journal::book::Tracked;
use crate::agent::journal::{JournalError, Recorded};
use crate::model::facts::HostHold;
use crate::model::host_rollout::{Event, HostRollout};
use crate::model::id::RolloutId;
use std::time::Duration;
use tokio::time::Instant;

/// How long to wait before a disk that refused is tried again.
const DISK_RETRY: Duration = Duration::from_secs(5);

impl Driver {
    /// Records an event and queues its effects; false when it changes nothing or could not be written, and then
    /// nothing may be done about it.
    pub(crate) fn record(&mut self, rollout: &RolloutId, event: &Event) -> bool {
        let at = self.now();
        match self.journal.event(rollout, event, &at) {
            Ok(Recorded::Moved(_, effects)) => {
                self.disk = None;
                self.effects.extend(effects.into_iter().map(|effect| (rollout.clone(), effect)));
                self.naps.remove(rollout);
                self.link.send.soon();
                self.say_event(rollout, event);
                true
            }
            Ok(Recorded::Ignored(why)) => {
                tracing::debug!(host.name = %self.host, rollout.id = %rollout, "ignored {event:?}: {why}");
                false
            }
            Err(why) => {
                self.write_failed(&why);
                self.keep_unwritten(rollout, event);
                false
            }
        }
    }

    fn say_event(&self, rollout: &RolloutId, event: &Event) {
        let state = self.progress(rollout).map(HostRollout::state);
        let state = state.map_or_else(String::new, |state| state.to_string());
        tracing::info!(host.name = %self.host, rollout.id = %rollout, host.state = %state, "{}", headline(event));
    }

    /// Opens an attempt; false when it could not be written.
    pub(crate) fn open_attempt(&mut self, rollout: &RolloutId, tracked: &Tracked) -> bool {
        match self.journal.open_attempt(rollout, tracked) {
            Ok(()) => {
                self.mark_lost();
                true
            }
            Err(why) => {
                self.write_failed(&why);
                false
            }
        }
    }

    /// Marks events that are gone, on the first attempt that can carry the mark.
    pub(crate) fn mark_lost(&mut self) {
        for lost in self.journal.book().lost.clone() {
            let Some(rollout) = self.journal.book().newest(1).pop() else { return };
            let mark = Event::HistoryLost { journal: lost.journal, from: lost.from, to: lost.to };
            self.record(&rollout, &mark);
        }
    }

    /// Keeps in mind that the disk refused; the agent stays alive, says so, and tries again.
    pub(crate) fn write_failed(&mut self, why: &JournalError) {
        if let JournalError::Refused(why) = why {
            tracing::error!(host.name = %self.host, "the journal does not take a line: {why}");
            return;
        }
        if self.disk.is_none() {
            tracing::error!(host.name = %self.host, "{why}; nothing is done until it can be");
            self.link.beat.soon();
        }
        self.disk = Some((why.to_string(), Instant::now() + DISK_RETRY));
    }

    /// Tries whether the disk takes a line again.
    pub(crate) fn try_disk(&mut self) {
        let at = self.now();
        match self.journal.note("the journal can be written again", Some(&at)) {
            Ok(()) => {
                self.disk = None;
                self.link.beat.soon();
                self.write_unwritten();
            }
            Err(why) => self.write_failed(&why),
        }
    }

    /// The hold that a refusing disk is.
    pub(crate) fn disk_hold(&self) -> Option<HostHold> {
        self.disk.as_ref().map(|(why, _)| HostHold::Disk(why.clone()))
    }

    /// How far a rollout's newest attempt is.
    pub(crate) fn progress(&self, rollout: &RolloutId) -> Option<&HostRollout> {
        self.journal.book().rollouts.get(rollout).map(|tracked| &tracked.progress)
    }

    /// The rollouts with an attempt that is not final.
    pub(crate) fn open_rollouts(&self) -> Vec<RolloutId> {
        let open = self.journal.book().rollouts.iter().filter(|(_, tracked)| !tracked.progress.is_final());
        open.map(|(id, _)| id.clone()).collect()
    }
}

/// Says an event in a word or two, without logs and results that would fill the log.
fn headline(event: &Event) -> String {
    match event {
        Event::ActivationFailed { verdict, .. } => format!("the activation failed: {verdict:?}"),
        Event::Adopted(adoption) => format!("took the state over from {:?}", adoption.source),
        Event::ActivationCompleted { .. } => "the target runs".to_owned(),
        other @ (Event::Staged
        | Event::StageFailed(_)
        | Event::DispatchAcked
        | Event::PermitLapsed(_)
        | Event::ActivationStarted { .. }
        | Event::ActivationDeferred(_)
        | Event::TrialBootStarted
        | Event::ProbeTopologyDeclared(_)
        | Event::ProbeResult { .. }
        | Event::SustainedFailure(_)
        | Event::Rebooted { .. }
        | Event::Overtaken(_)
        | Event::RollbackStarted(_)
        | Event::RollbackCompleted
        | Event::RollbackFailed(_)
        | Event::Committed
        | Event::Converged
        | Event::Cancelled(_)
        | Event::HistoryLost { .. }
        | Event::ClosureObserved(_)) => format!("{other:?}"),
    }
}
