//! Looking at the machine: its boot, what runs, and the root records, from which events follow.

use crate::agent::driver::permit::is_under_way;
use crate::agent::driver::{Driver, within};
use crate::model::host_rollout::{Event, HostRollout, Phase};
use crate::model::id::{Closure, RolloutId};
use crate::model::recovery::follow;
use crate::model::root_record::{RootRecord, RootState};
use crate::system::Observation;
use std::time::Duration;
use tokio::time::Instant;

/// Looks come no more often than this: each may start processes.
const SHORTEST: Duration = Duration::from_millis(50);
/// While an act runs its outcome is looked for at least this often.
const ACT: Duration = Duration::from_secs(1);
/// While the target soaks the machine is looked at, and the dead-man patted, at least this often.
const SOAK: Duration = Duration::from_secs(15);
/// An act is looked at this often within its own limit.
const LOOKS_IN_LIMIT: u32 = 20;
/// The dead-man is patted this often within its limit, so that one lost pat does not matter.
const PATS_IN_LIMIT: u32 = 4;

impl Driver {
    /// Looks at once.
    pub(crate) fn look_soon(&mut self) {
        self.look_at = Some(Instant::now() + SHORTEST);
    }

    /// Takes a look at this boot as the newest one. Where another closure runs by now, that one's settings count.
    pub(crate) async fn take_seen(&mut self, seen: Observation) {
        let changed = seen.closures.running != self.seen.closures.running;
        self.seen = seen;
        if changed {
            self.reload().await;
        }
    }

    /// Looks at the machine and records what follows; true when it shows another boot.
    pub(crate) async fn look(&mut self) -> bool {
        self.look_at = Some(Instant::now() + ACT);
        match within("look at the machine", self.system.observe()).await {
            Ok(seen) if seen.boot != self.seen.boot => {
                self.seen = seen;
                return true;
            }
            Ok(seen) => {
                self.take_seen(seen).await;
            }
            Err(why) => {
                tracing::warn!(host.name = %self.host, "{why}");
                return false;
            }
        }
        if self.read_records().await {
            for rollout in self.open_rollouts() {
                self.look_at_attempt(&rollout).await;
            }
        }
        self.plan_look();
        false
    }

    async fn look_at_attempt(&mut self, rollout: &RolloutId) {
        let Some(progress) = self.progress(rollout).cloned() else { return };
        let Some(running) = self.running().cloned() else { return };
        if !is_under_way(&progress) {
            return;
        }
        let record = self.record_of(rollout, &progress).cloned();
        if let Some(record) = &record {
            for event in follow(&progress, record, &running, &self.now()) {
                if !self.record(rollout, &event) {
                    break;
                }
            }
        }
        self.carry_out().await;
        if let Some(stranger) = self.stranger(rollout, record.as_ref(), &running) {
            self.record(rollout, &Event::Overtaken(stranger));
        }
        self.settle_rollback(rollout);
        self.carry_out().await;
        self.pat(rollout).await;
    }

    /// What somebody else runs here, or boots, in the middle of a soak.
    fn stranger(&self, rollout: &RolloutId, record: Option<&RootRecord>, running: &Closure) -> Option<Closure> {
        let progress = self.progress(rollout)?;
        let Phase::Soaking(soaking) = &progress.phase else { return None };
        // While the root helper writes or goes back, what runs and boots is its work.
        if record.is_some_and(|record| record.state != RootState::Soaking) || soaking.committed.is_some() {
            return None;
        }
        let target = &progress.terms.target;
        if running != target {
            return Some(running.clone());
        }
        let default = self.seen.closures.default.as_ref()?;
        (default != target && *default != soaking.prior).then(|| default.clone())
    }

    /// Tells the dead-man that the agent is alive and the host not Failed.
    async fn pat(&mut self, rollout: &RolloutId) {
        let Some(progress) = self.progress(rollout) else { return };
        if !matches!(progress.phase, Phase::Soaking(_)) {
            return;
        }
        let attempt = progress.attempt;
        if let Err(why) = within("pat the dead-man", self.system.pat(rollout, attempt)).await {
            tracing::debug!(host.name = %self.host, rollout.id = %rollout, "{why}");
        }
    }

    /// Plans the next look: none while nothing is under way.
    pub(crate) fn plan_look(&mut self) {
        let open = self.journal.book().rollouts.iter();
        let waits = open.filter_map(|(rollout, tracked)| self.period(rollout, &tracked.progress));
        let wait = waits.min();
        let at = wait.map(|wait| Instant::now() + wait);
        self.look_at = at;
    }

    /// How often to look at an attempt.
    fn period(&self, rollout: &RolloutId, progress: &HostRollout) -> Option<Duration> {
        if !is_under_way(progress) {
            return None;
        }
        let terms = &progress.terms;
        let limit = match &progress.phase {
            Phase::Soaking(soaking) if !self.committing.contains(rollout) && soaking.committed.is_none() => {
                let timeout = self.record_of(rollout, progress).map_or(ACT, |record| record.agent_timeout);
                return Some((timeout / PATS_IN_LIMIT).clamp(SHORTEST, SOAK));
            }
            Phase::Soaking(_) => terms.commit_limit,
            Phase::Deferred(_) => terms.reboot_limit,
            Phase::Failed(_) => terms.rollback_limit,
            Phase::Activating(_)
            | Phase::Pending(_)
            | Phase::Converged(_)
            | Phase::Reverted(_)
            | Phase::Cancelled(_) => terms.switch_limit,
        };
        Some((limit / LOOKS_IN_LIMIT).clamp(SHORTEST, ACT))
    }
}
