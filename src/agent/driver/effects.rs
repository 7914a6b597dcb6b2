//! Effects carried out, each only after the event that ordered it is durable. The match is closed: none is dropped.

use crate::agent::driver::Driver;
use crate::agent::driver::soak::Why;
use crate::agent::journal::book::Tracked;
use crate::model::effect::{Alert, Effect};
use crate::model::host_rollout::step::resume_effects;
use crate::model::host_rollout::{HostRollout, HostRolloutState, Phase};
use crate::model::id::RolloutId;

impl Driver {
    /// Carries out everything that was ordered; what that orders in turn, too.
    pub(crate) async fn carry_out(&mut self) {
        while let Some((rollout, effect)) = self.effects.pop_front() {
            self.act(&rollout, effect).await;
        }
        if self.look_at.is_none() {
            self.plan_look();
        }
    }

    /// Brings the workers of an attempt to work, by the ordinary effects.
    pub(crate) fn resume(&mut self, rollout: &RolloutId) {
        let Some(progress) = self.progress(rollout) else { return };
        let effects = resume_effects(progress);
        self.effects.extend(effects.into_iter().map(|effect| (rollout.clone(), effect)));
    }

    async fn act(&mut self, rollout: &RolloutId, effect: Effect) {
        match effect {
            Effect::Stage => self.stage(rollout),
            Effect::AskPermit => self.ask_permit(rollout),
            Effect::StartSwitch => {
                // What was committed before is about to be replaced: its probes say nothing about it any more.
                self.watch = None;
                self.start_switch(rollout).await;
            }
            Effect::TrialBoot => self.trial_boot(rollout).await,
            Effect::StartProbes => {
                // The target may have been switched to a moment ago: its settings, not those of the prior.
                if !self.reload().await {
                    // The prior's probes would say nothing about the target. Without any, nothing is committed.
                    self.watch = None;
                    return;
                }
                self.look_soon();
                self.stay_in_touch(rollout);
                self.watch(rollout, Why::Soak);
            }
            Effect::StopProbes => {
                if self.watch.as_ref().is_some_and(|watch| watch.rollout == *rollout) {
                    self.watch = None;
                }
            }
            Effect::WatchProbes => self.watch(rollout, Why::After),
            // Asked for when the soak is over; see `soak`.
            Effect::Commit => {}
            Effect::Revert(verdict) => self.bring_back(rollout, &verdict).await,
            Effect::Keep(verdict) => {
                // The next look tells whether the root helper has heard it.
                self.look_soon();
                self.ask_revert(rollout, &verdict, true).await;
            }
            // The journal's book has taken it with the verdict; the control plane hears of it now.
            Effect::Quarantine(_) => self.link.beat.soon(),
            Effect::Alert(alert) => self.alert(rollout, &alert),
        }
    }

    fn alert(&self, rollout: &RolloutId, alert: &Alert) {
        let text = match alert {
            Alert::RollbackFailed(why) => format!("the prior closure could not be brought back: {why}"),
            Alert::KeptAfterFailure(verdict) => format!("failed and kept running by policy: {verdict:?}"),
            Alert::Overtaken(by) => format!("somebody else switched this host to {by}; nothing is undone"),
            Alert::FailedAfterCommit(why) => format!("a probe fails after the commit: {why}"),
        };
        tracing::error!(host.name = %self.host, rollout.id = %rollout, "a person has to look: {text}");
    }

    /// Says on every change of state what the agent does now.
    pub(crate) fn tell(&mut self) {
        let text = self.status();
        if text != self.said {
            (self.say)(&text);
            self.said = text;
        }
    }

    pub(crate) fn status(&self) -> String {
        if let Some((why, _)) = &self.disk {
            return format!("{why}; trying again");
        }
        let rollouts = &self.journal.book().rollouts;
        let newest = |(_, tracked): &(&RolloutId, &Tracked)| (!tracked.progress.is_final(), tracked.last_seq);
        let Some((id, tracked)) = rollouts.iter().max_by_key(newest) else {
            return "nothing to do yet".to_owned();
        };
        let holds = self.holds.get(id).filter(|holds| !holds.is_empty());
        match (tracked.progress.state(), holds) {
            (HostRolloutState::Pending, Some(holds)) => format!("{id}: Pending, held: {:?}", holds[0]),
            (HostRolloutState::Soaking, _) => format!("{id}: Soaking{}", soak_note(&tracked.progress)),
            (state, _) => format!("{id}: {state}"),
        }
    }
}

fn soak_note(progress: &HostRollout) -> &'static str {
    match &progress.phase {
        Phase::Soaking(soaking) if soaking.committed.is_some() => ", committed",
        Phase::Soaking(soaking) if soaking.failing_since.is_some() => ", a probe fails",
        Phase::Soaking(_)
        | Phase::Pending(_)
        | Phase::Activating(_)
        | Phase::Deferred(_)
        | Phase::Converged(_)
        | Phase::Failed(_)
        | Phase::Reverted(_)
        | Phase::Cancelled(_) => "",
    }
}
