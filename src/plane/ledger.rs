//! What a record counts as after an event, and whether it still holds its permit: pure rules over one record.

use crate::model::host_rollout::{Event, HostRollout, Phase};
use crate::model::id::{Closure, HostName};
use crate::model::time::Timestamp;
use crate::store::rows::{Bucket, RecordRow};
use crate::wire::stored::{RecordBody, write_record};

/// A record with its body read.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The row.
    pub row: RecordRow,
    /// Its body.
    pub body: RecordBody,
}

impl Kept {
    /// Returns the host.
    #[must_use]
    pub fn host(&self) -> &HostName {
        &self.row.host
    }

    /// Returns the closure to reach.
    #[must_use]
    pub fn target(&self) -> &Closure {
        &self.body.progress.terms.target
    }

    /// Tells whether it waits for a permit.
    #[must_use]
    pub fn waits(&self) -> bool {
        let may_ask = match self.body.progress.phase {
            Phase::Pending(_) | Phase::Deferred(_) => true,
            Phase::Activating(_)
            | Phase::Soaking(_)
            | Phase::Converged(_)
            | Phase::Failed(_)
            | Phase::Reverted(_)
            | Phase::Cancelled(_) => false,
        };
        may_ask && self.body.permitted.is_none()
    }

    /// Takes over the machine's new state after `event`: the permit, the dates, the counts.
    pub fn moved(&mut self, next: HostRollout, event: &Event, now: Timestamp) {
        let before = self.body.progress.state();
        let lapsed = match event {
            Event::PermitLapsed(_) => true,
            Event::Staged
            | Event::StageFailed(_)
            | Event::DispatchAcked
            | Event::ActivationStarted { .. }
            | Event::ActivationCompleted { .. }
            | Event::ActivationDeferred(_)
            | Event::ActivationFailed { .. }
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
            | Event::Adopted(_)
            | Event::HistoryLost { .. }
            | Event::ClosureObserved(_) => false,
        };
        self.body.progress = next;
        if self.body.progress.state() != before {
            self.body.state_since = now;
        }
        match &self.body.progress.phase {
            Phase::Pending(pending) => {
                let given_back = lapsed || before != self.body.progress.state() || pending.acked.is_none();
                self.give_back(given_back);
            }
            Phase::Deferred(deferred) => {
                let asked = deferred.acked.is_some() || deferred.trial.is_some();
                self.give_back(lapsed || before != self.body.progress.state() || !asked);
            }
            Phase::Activating(_) | Phase::Soaking(_) => self.hold(now),
            Phase::Failed(_) if !self.body.progress.is_final() => self.hold(now),
            Phase::Failed(_) | Phase::Converged(_) | Phase::Reverted(_) | Phase::Cancelled(_) => {
                self.body.permitted = None;
            }
        }
    }

    fn give_back(&mut self, given_back: bool) {
        if given_back && self.body.permitted.take().is_some() {
            self.body.invitation += 1;
        }
    }

    /// What runs may run an unproven release, whether we remember the permit or not.
    fn hold(&mut self, now: Timestamp) {
        self.body.permitted.get_or_insert(now);
    }

    /// Brings the columns in line with the body. `forgiven`: an operator forgave this host's failure by name.
    pub fn settle(&mut self, forgiven: bool, now: Timestamp) {
        let bucket = bucket(&self.body, forgiven);
        match bucket {
            Bucket::Unchanged => self.row.changed = false,
            Bucket::Succeeded | Bucket::Failed | Bucket::Failing => self.row.changed = true,
            Bucket::Waiting | Bucket::InFlight | Bucket::Neutral => {}
        }
        self.row.bucket = bucket;
        self.row.attempt = self.body.progress.attempt;
        self.row.state = self.body.progress.state();
        self.row.is_final = self.body.progress.is_final();
        self.row.updated = now;
        self.row.body = write_record(&self.body);
    }
}

/// Tells where a record counts.
#[must_use]
pub fn bucket(body: &RecordBody, forgiven: bool) -> Bucket {
    let verdict = match &body.progress.phase {
        Phase::Pending(_) | Phase::Deferred(_) if body.permitted.is_none() => return Bucket::Waiting,
        Phase::Pending(_) | Phase::Deferred(_) | Phase::Activating(_) | Phase::Soaking(_) => return Bucket::InFlight,
        Phase::Converged(converged) if converged.activated => return Bucket::Succeeded,
        Phase::Converged(_) => return Bucket::Unchanged,
        Phase::Cancelled(_) => return Bucket::Neutral,
        Phase::Failed(failed) => &failed.verdict,
        Phase::Reverted(reverted) => &reverted.verdict,
    };
    let counts = verdict.counts_as_failure() && !forgiven;
    match (body.progress.is_final(), counts) {
        (true, true) => Bucket::Failed,
        (false, true) => Bucket::Failing,
        (true, false) => Bucket::Neutral,
        (false, false) => Bucket::InFlight,
    }
}
