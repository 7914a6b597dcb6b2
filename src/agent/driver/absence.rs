//! The control plane's absence during a soak: an outage, or this closure's own doing? Must not act on either.

use crate::agent::driver::work::{Outcome, Work};
use crate::agent::driver::{Driver, within};
use crate::model::facts::Verdict;
use crate::model::host_rollout::deadline::isolated;
use crate::model::host_rollout::{HostRollout, Phase, Soaking};
use crate::model::id::RolloutId;
use crate::model::time::Stamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// So often in a row the prior's settings have to work where the target's do not: a control plane that restarts may
/// answer the one and miss the other.
const CONVICTIONS: u32 = 2;

impl Driver {
    /// Looks after the control plane during a soak; true when it decided.
    pub(crate) async fn check_control_plane(
        &mut self,
        rollout: &RolloutId,
        progress: &HostRollout,
        soaking: &Soaking,
    ) -> bool {
        if self.committing.contains(rollout) || soaking.committed.is_some() {
            return false;
        }
        let lost = self.last_heard(soaking);
        let now = self.now();
        if isolated(progress, &lost, &now) {
            return self.judge(rollout, Verdict::Isolated).await;
        }
        if !now.reached(&lost.plus(progress.terms.failure_after)) {
            return false;
        }
        // Silence that nobody broke proves nothing: only a try that failed does.
        if self.link.beat.failures == 0 {
            self.link.beat.soon();
        } else if !self.asked_prior(rollout) {
            let (system, id, attempt) = (Arc::clone(&self.system), rollout.clone(), progress.attempt);
            self.begin(Work::PriorReach(rollout.clone()), async move {
                let reached =
                    within("try the prior's settings", system.prior_reaches_control_plane(&id, attempt)).await;
                Outcome::PriorReach(reached.map_err(|why| why.to_string()))
            });
        }
        false
    }

    fn asked_prior(&mut self, rollout: &RolloutId) -> bool {
        let now = Instant::now();
        let asked = self.link.prior_asked.get(rollout).is_some_and(|next| *next > now);
        if !asked {
            let span = self.progress(rollout).map_or(Duration::ZERO, |progress| progress.terms.failure_after);
            self.link.prior_asked.insert(rollout.clone(), now + span.max(Duration::from_secs(1)));
        }
        asked
    }

    pub(crate) fn take_prior_reach(&mut self, rollout: &RolloutId, answer: Result<bool, String>) {
        let Some(progress) = self.progress(rollout) else { return };
        let Phase::Soaking(soaking) = &progress.phase else { return };
        // It may have come back while the prior's settings were tried.
        let back = self.now().since(&self.last_heard(soaking)).is_some_and(|gone| gone < progress.terms.failure_after);
        match answer {
            Ok(true) if !back => {
                // Only a try of these settings that begins now and fails too tells them from a control plane that
                // has just come back.
                self.link.suspect = Some(rollout.clone());
                self.abort(&Work::Beat);
                self.link.beat.again(Instant::now());
            }
            Ok(_) => self.link.convictions = 0,
            Err(why) => tracing::warn!(host.name = %self.host, rollout.id = %rollout, "{why}"),
        }
    }

    /// The prior's settings worked, and after them these did not: a verdict when that happens twice in a row.
    pub(crate) async fn convict(&mut self) {
        let Some(rollout) = self.link.suspect.take() else { return };
        self.link.convictions += 1;
        if self.link.convictions < CONVICTIONS {
            self.link.prior_asked.remove(&rollout);
        } else {
            self.judge(&rollout, Verdict::ControlPlaneLost).await;
        }
    }

    /// Tells whether the control plane has answered on the soak's own link, and not so long ago that it counts as lost.
    pub(crate) fn in_touch(&self, progress: &HostRollout, soaking: &Soaking) -> bool {
        let during = |heard: &&Stamp| heard.boot == soaking.since.boot && heard.reached(&soaking.since);
        let heard = self.link.heard.as_ref().filter(during).filter(|_| self.link.answered);
        heard.is_some_and(|heard| !self.now().reached(&heard.plus(progress.terms.failure_after)))
    }

    /// When the control plane last answered since the soak began, or the soak's begin.
    pub(crate) fn last_heard(&self, soaking: &Soaking) -> Stamp {
        let heard = self
            .link
            .heard
            .clone()
            .filter(|heard| heard.since(&soaking.since).is_some_and(|_| heard.reached(&soaking.since)));
        heard.unwrap_or_else(|| soaking.since.clone())
    }
}
