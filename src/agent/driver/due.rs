//! What is due when a time is reached, and when to wake next.

use crate::agent::driver::work::Work;
use crate::agent::driver::{Driver, LONGEST_NAP};
use crate::model::effect::Effect;
use crate::model::host_rollout::deadline::{Due, deadline};
use crate::model::host_rollout::{Event, HostRollout, Phase, Soaking};
use crate::model::id::RolloutId;
use crate::model::time::Stamp;
use std::time::Duration;
use tokio::time::Instant;

/// How long to leave an attempt alone that is due and can't move yet.
const PAUSE: Duration = Duration::from_secs(1);
/// How often a rollback that outlives its limit is waited for once more before it is given up: its last way is a
/// reboot, which has a limit of its own.
const ROLLBACK_PATIENCE: u32 = 3;

impl Driver {
    /// Tells whether an attempt is left alone for now.
    pub(crate) fn is_napping(&self, rollout: &RolloutId) -> bool {
        self.naps.get(rollout).is_some_and(|until| *until > Instant::now())
    }

    /// Handles every deadline that has passed.
    pub(crate) async fn deadlines(&mut self) {
        let now = Instant::now();
        self.naps.retain(|_, until| *until > now);
        for rollout in self.open_rollouts() {
            if self.is_napping(&rollout) {
                continue;
            }
            let Some(progress) = self.progress(&rollout).cloned() else { continue };
            if let Phase::Soaking(soaking) = &progress.phase
                && self.check_control_plane(&rollout, &progress, soaking).await
            {
                continue;
            }
            if matches!(progress.phase, Phase::Soaking(_)) {
                self.fetch_for_commit(&rollout);
            }
            let Some(deadline) = deadline(&progress) else { continue };
            if self.now().reached(&deadline.at) {
                self.due(&rollout, &progress, deadline.due).await;
            }
        }
        self.carry_out().await;
    }

    async fn due(&mut self, rollout: &RolloutId, progress: &HostRollout, due: Due) {
        let moved = match due {
            Due::StageAgain => {
                if !self.works(&Work::Stage(rollout.clone())) {
                    self.effects.push_back((rollout.clone(), Effect::Stage));
                }
                false
            }
            Due::PermitLapse => {
                self.record(rollout, &Event::PermitLapsed("no answer within the life of a permit".to_owned()))
            }
            Due::AskAgain => {
                self.asks.new_orders();
                self.link.tag = None;
                false
            }
            Due::OutcomeOverdue => {
                self.outcome_overdue(rollout, progress).await;
                false
            }
            Due::Commit => match &progress.phase {
                Phase::Soaking(soaking) => {
                    self.commit(rollout, progress, soaking).await;
                    false
                }
                Phase::Pending(_)
                | Phase::Activating(_)
                | Phase::Deferred(_)
                | Phase::Converged(_)
                | Phase::Failed(_)
                | Phase::Reverted(_)
                | Phase::Cancelled(_) => false,
            },
            Due::FailureSustained => {
                if let Phase::Soaking(soaking) = &progress.phase {
                    self.failure_sustained(rollout, soaking).await;
                }
                false
            }
            Due::LookAgain => {
                self.probes_again(rollout);
                false
            }
            Due::RollbackOverdue => self.rollback_overdue(rollout, progress).await,
        };
        if !moved && !self.naps.contains_key(rollout) && !self.moved_on(rollout, progress) {
            let pause = if due == Due::AskAgain { Duration::from_secs(60) } else { PAUSE };
            self.nap(rollout, pause);
        }
    }

    fn moved_on(&self, rollout: &RolloutId, before: &HostRollout) -> bool {
        self.progress(rollout) != Some(before)
    }

    /// The switch or the reboot outlived its limit. What was never launched is given up with its permit.
    async fn outcome_overdue(&mut self, rollout: &RolloutId, progress: &HostRollout) {
        self.look_soon();
        match &progress.phase {
            Phase::Activating(_) if self.read_records().await && self.record_of(rollout, progress).is_none() => {
                self.record(rollout, &Event::PermitLapsed("the switch was never launched".to_owned()));
            }
            Phase::Deferred(_) => self.effects.push_back((rollout.clone(), Effect::TrialBoot)),
            Phase::Activating(_)
            | Phase::Pending(_)
            | Phase::Soaking(_)
            | Phase::Converged(_)
            | Phase::Failed(_)
            | Phase::Reverted(_)
            | Phase::Cancelled(_) => {}
        }
    }

    /// A soak that waits for probes has them running.
    pub(crate) fn probes_again(&mut self, rollout: &RolloutId) {
        if self.watch.as_ref().is_none_or(|watch| watch.rollout != *rollout) {
            self.effects.push_back((rollout.clone(), Effect::StartProbes));
        }
    }

    /// Asks again, and gives up where the machine has had time enough for its last way, the reboot.
    async fn rollback_overdue(&mut self, rollout: &RolloutId, progress: &HostRollout) -> bool {
        let Phase::Failed(failed) = &progress.phase else { return false };
        self.effects.push_back((rollout.clone(), Effect::Revert(failed.verdict.clone())));
        let terms = &progress.terms;
        let patience = terms.rollback_limit * ROLLBACK_PATIENCE + terms.reboot_limit;
        if !self.now().reached(&failed.at.plus(patience)) {
            return false;
        }
        let record = self.record_of(rollout, progress);
        let trouble = record.and_then(|record| record.rollback_trouble.clone());
        let why = trouble.unwrap_or_else(|| format!("the prior does not run {patience:?} after the verdict"));
        self.record(rollout, &Event::RollbackFailed(why))
    }

    /// When the next thing is due.
    pub(crate) fn next_wake(&self) -> Instant {
        let mut wake = Instant::now() + LONGEST_NAP;
        let mut at = |instant: Instant| wake = wake.min(instant);
        self.look_at.into_iter().for_each(&mut at);
        self.disk.iter().for_each(|(_, retry)| at(*retry));
        self.naps.values().copied().for_each(&mut at);
        if !self.works(&Work::Beat) {
            at(self.link.beat.at);
        }
        if !self.works(&Work::Send) && self.has_unsent() {
            at(self.link.send.at);
        }
        if !self.works(&Work::Poll) {
            at(self.link.poll.at);
        }
        for rollout in self.open_rollouts() {
            if self.is_napping(&rollout) {
                continue;
            }
            let Some(progress) = self.progress(&rollout) else { continue };
            deadline(progress).into_iter().for_each(|deadline| at(self.instant_of(&deadline.at)));
            if let Phase::Soaking(soaking) = &progress.phase {
                at(self.instant_of(&self.control_plane_due(&rollout, progress, soaking)));
            }
        }
        wake
    }

    /// When the control plane has been away for the failure time, or the prior's settings may be tried again.
    fn control_plane_due(&self, rollout: &RolloutId, progress: &HostRollout, soaking: &Soaking) -> Stamp {
        let gone = self.last_heard(soaking).plus(progress.terms.failure_after);
        let pause = self.link.prior_asked.get(rollout).map(|next| next.saturating_duration_since(Instant::now()));
        let next = self.now().plus(pause.unwrap_or_default().max(PAUSE));
        if self.now().reached(&gone) { next } else { gone }
    }
}
