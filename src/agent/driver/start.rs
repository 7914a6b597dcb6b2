//! Acts that begin something: staging, the switch, the trial boot, going back.

use crate::agent::driver::work::{Outcome, Work};
use crate::agent::driver::{Driver, within};
use crate::model::effect::Effect;
use crate::model::facts::{HostHold, Verdict};
use crate::model::host_rollout::step::PERMIT_LIFE;
use crate::model::host_rollout::{Deferred, Event, HostRollout, Phase};
use crate::model::id::{Closure, RolloutId};
use crate::model::limit::REBOOT_PATIENCE;
use crate::model::root_record::{RootRecord, RootState, SwitchResult};
use crate::system::{StartOrder, SystemError};
use rand::Rng;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// Staging starts spread over this, so that a fleet does not ask its cache at one instant; less where the policy
/// leaves less time.
const STAGE_JITTER: Duration = Duration::from_secs(5);
/// How long what the root helper holds back for is believed before it is asked again: the agent can't see it pass.
const HELPER_HOLD: Duration = Duration::from_secs(60);
/// The part of the staging limit that the spread may take at most.
const STAGE_JITTER_PART: u32 = 20;

/// Tells whether the root helper has begun what the last permit was for.
fn is_begun(record: &RootRecord) -> bool {
    let waits = matches!(record.result, Some((SwitchResult::Deferred(_), _))) && record.trial_from.is_none();
    !waits && !record.may_relaunch()
}

impl Driver {
    /// Fetches and pins the target beside the loop.
    pub(crate) fn stage(&mut self, rollout: &RolloutId) {
        let Some(progress) = self.progress(rollout) else { return };
        let (target, limit) = (progress.terms.target.clone(), progress.terms.stage_limit);
        let jitter = STAGE_JITTER.min(limit / STAGE_JITTER_PART).mul_f64(self.rng.random::<f64>());
        let system = Arc::clone(&self.system);
        self.begin(Work::Stage(rollout.clone()), async move {
            sleep(jitter).await;
            let staged = match timeout(limit, system.stage(&target)).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(why)) => Err(why.to_string()),
                Err(_) => Err(format!("staging took longer than {limit:?}")),
            };
            Outcome::Stage(target, staged)
        });
    }

    pub(crate) fn take_staged(&mut self, rollout: &RolloutId, target: &Closure, staged: Result<(), String>) {
        if self.progress(rollout).is_none_or(|progress| progress.terms.target != *target) {
            return;
        }
        match staged {
            Ok(()) => self.record(rollout, &Event::Staged),
            Err(why) => self.record(rollout, &Event::StageFailed(why)),
        };
    }

    /// The root helper's record of an attempt, as last read.
    pub(crate) fn record_of(&self, rollout: &RolloutId, progress: &HostRollout) -> Option<&RootRecord> {
        self.records.iter().find(|record| record.rollout == *rollout && record.attempt == progress.attempt)
    }

    /// Reads the root records again; false when that failed.
    pub(crate) async fn read_records(&mut self) -> bool {
        match within("read the root records", self.system.status()).await {
            Ok(records) => {
                self.records = records;
                true
            }
            Err(why) => {
                tracing::warn!(host.name = %self.host, "{why}");
                false
            }
        }
    }

    /// Starts the switch, unless the root helper has started it already.
    pub(crate) async fn start_switch(&mut self, rollout: &RolloutId) {
        self.look_soon();
        let Some(progress) = self.progress(rollout).cloned() else { return };
        let Phase::Activating(activating) = &progress.phase else { return };
        if !self.read_records().await || self.record_of(rollout, &progress).is_some_and(|it| !it.may_relaunch()) {
            return;
        }
        // A permit is not used after its life, whatever kept the agent from using it.
        if self.now().since(&activating.acked).is_none_or(|age| age > PERMIT_LIFE) {
            self.record(rollout, &Event::PermitLapsed("not started within the life of the permit".to_owned()));
            return;
        }
        let Some(offer) = self.offers.get(rollout) else {
            self.fetch_for_start(rollout);
            return;
        };
        if self.running() != Some(&activating.prior) {
            return;
        }
        let order = StartOrder {
            rollout: rollout.clone(),
            attempt: progress.attempt,
            terms: progress.terms.clone(),
            agent_timeout: offer.agent_timeout(),
            end_after: offer.end_after(),
            reboot: progress.terms.reboot,
            signed_release: offer.text.clone(),
        };
        match within("start the switch", self.system.start(&order)).await {
            Ok(()) => {}
            Err(SystemError::Held(hold)) => self.held_by_helper(rollout, hold),
            Err(SystemError::Refused(why)) => {
                let (verdict, log, units) = (Verdict::Refused(why), String::new(), Vec::new());
                self.record(rollout, &Event::ActivationFailed { verdict, log, units });
            }
            // Whether anything has begun is not known: the next look tells.
            Err(why @ (SystemError::Failed { .. } | SystemError::Unknown(..))) => {
                tracing::warn!(host.name = %self.host, rollout.id = %rollout, "{why}");
            }
        }
    }

    /// Orders the trial boot. A host that can't be rebooted gives its permit back.
    pub(crate) async fn trial_boot(&mut self, rollout: &RolloutId) {
        self.look_soon();
        if !self.read_records().await || !self.may_still_boot(rollout) {
            return;
        }
        let Some(progress) = self.progress(rollout) else { return };
        let attempt = progress.attempt;
        let Some(offer) = self.offers.get(rollout) else {
            self.fetch_for_start(rollout);
            return;
        };
        match within("reboot into the target", self.system.reboot(rollout, attempt, &offer.text)).await {
            Ok(()) => {}
            Err(SystemError::Held(hold)) => self.held_by_helper(rollout, hold),
            Err(why @ (SystemError::Refused(_) | SystemError::Unknown(..))) => {
                self.record(rollout, &Event::PermitLapsed(why.to_string()));
                self.nap(rollout, HELPER_HOLD);
            }
            Err(why @ SystemError::Failed { .. }) => {
                tracing::warn!(host.name = %self.host, rollout.id = %rollout, "{why}; trying again");
            }
        }
    }

    /// Fetches the release that a start needs after a restart of the agent; where that was just tried in vain, the
    /// permit is given back.
    fn fetch_for_start(&mut self, rollout: &RolloutId) {
        if self.is_napping(rollout) {
            self.record(rollout, &Event::PermitLapsed("the release that was to be started is not here".to_owned()));
        } else {
            self.fetch(rollout);
        }
    }

    /// Goes on with a start that waited for its release, whether that came or not.
    pub(crate) fn start_with_release(&mut self, rollout: &RolloutId) {
        let waits = self.progress(rollout).filter(|own| self.record_of(rollout, own).is_none_or(|it| !is_begun(it)));
        let effect = match waits.map(|own| &own.phase) {
            Some(Phase::Activating(_)) => Effect::StartSwitch,
            Some(Phase::Deferred(deferred)) if deferred.trial.is_some() => Effect::TrialBoot,
            Some(
                Phase::Pending(_)
                | Phase::Deferred(_)
                | Phase::Soaking(_)
                | Phase::Converged(_)
                | Phase::Failed(_)
                | Phase::Reverted(_)
                | Phase::Cancelled(_),
            )
            | None => return,
        };
        self.effects.push_back((rollout.clone(), effect));
    }

    /// Tells whether the trial boot is to be ordered (again). A permit is not used after its life, and a machine that
    /// does not reboot, although it was told to, is waited for only so long.
    fn may_still_boot(&mut self, rollout: &RolloutId) -> bool {
        let Some(progress) = self.progress(rollout) else { return false };
        let Phase::Deferred(Deferred { acked, trial: Some(ordered), .. }) = &progress.phase else { return false };
        let now = self.now();
        let lives = acked.as_ref().and_then(|acked| now.since(acked)).is_some_and(|age| age <= PERMIT_LIFE);
        let patience = progress.terms.reboot_limit * REBOOT_PATIENCE;
        let gone = now.reached(&ordered.plus(patience));
        match self.record_of(rollout, progress) {
            // It is up: its guard judges it, and the next looks take what that says.
            Some(record) if record.trial_boot.is_some() => false,
            Some(record) if record.trial_from.is_none() && !lives => {
                self.record(rollout, &Event::PermitLapsed("the reboot was not ordered in time".to_owned()));
                false
            }
            Some(record) if record.trial_from.is_some() && gone => {
                let why = format!("the reboot that was ordered has not come within {patience:?}");
                self.record(rollout, &Event::SustainedFailure(Verdict::Refused(why)));
                false
            }
            Some(_) | None => true,
        }
    }

    /// Gives the permit back, says why, and leaves the root helper alone for a while: whoever invites at once must
    /// not make a loop.
    fn held_by_helper(&mut self, rollout: &RolloutId, hold: HostHold) {
        let why = format!("the root helper holds: {hold}");
        self.helper_holds.insert(rollout.clone(), (hold, Instant::now() + HELPER_HOLD));
        self.link.beat.soon();
        self.record(rollout, &Event::PermitLapsed(why));
        // After the event, which ends every nap.
        self.nap(rollout, HELPER_HOLD);
    }

    /// What the root helper held this rollout back for, until it is asked again.
    pub(crate) fn helper_hold(&self, rollout: &RolloutId) -> Option<HostHold> {
        let held = self.helper_holds.get(rollout).filter(|(_, until)| *until > Instant::now());
        held.map(|(hold, _)| hold.clone())
    }

    /// Brings the prior back; the root helper does it, and the next looks follow it.
    pub(crate) async fn bring_back(&mut self, rollout: &RolloutId, verdict: &Verdict) {
        self.look_soon();
        self.record(rollout, &Event::RollbackStarted(verdict.clone()));
        self.ask_revert(rollout, verdict, false).await;
    }

    /// Asks the root helper to go back, or with `keep` to leave the target alone.
    pub(crate) async fn ask_revert(&mut self, rollout: &RolloutId, verdict: &Verdict, keep: bool) {
        let Some(progress) = self.progress(rollout) else { return };
        let attempt = progress.attempt;
        if let Err(why) = within("go back", self.system.revert(rollout, attempt, verdict, keep)).await {
            // Also where nothing was ever launched: the next look tells whether the prior runs.
            tracing::warn!(host.name = %self.host, rollout.id = %rollout, "{why}");
        }
    }

    /// Records the end of a rollback that no root record tells of: nothing was launched, or a boot undid it.
    pub(crate) fn settle_rollback(&mut self, rollout: &RolloutId) {
        let Some(progress) = self.progress(rollout) else { return };
        let Phase::Failed(failed) = &progress.phase else { return };
        let over = self.record_of(rollout, progress).is_none_or(|record| record.state == RootState::Reverted);
        let back = failed.prior.is_none() || self.running() == failed.prior.as_ref();
        if over && back && !progress.is_final() {
            self.record(rollout, &Event::RollbackCompleted);
        }
    }
}
