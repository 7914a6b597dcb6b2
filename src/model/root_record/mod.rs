//! The root record's machine: what the root helper knows of one attempt, moved by compare-and-set.
//!
//! ```text
//!   Launched ──▶ Soaking ──▶ Committing ──▶ Committed
//!      │           │  └────▶ Kept
//!      ├───────────┼───────▶ Overtaken
//!      └───────────┴───────▶ Reverting ──▶ Reverted
//! ```
//! Committing is finished, never reverted; reverting is never committed. Two things alone undo a commit: a reboot in
//! the middle of it, where the prior boots; and a commit that outlived its limit without having changed anything,
//! with profile and loader read back as the prior.

pub mod step;
pub mod wake;

pub use crate::model::root_record::step::{commit_due, dead_man_due, step};
pub use crate::model::root_record::wake::Ticks;

use crate::model::facts::Verdict;
use crate::model::host_rollout::Terms;
use crate::model::id::{Attempt, BootId, Closure, RolloutId};
use crate::model::time::Stamp;
use std::time::Duration;

/// How far the root helper came with one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RootState {
    /// The dead-man is armed; the switch runs or has not written its result.
    Launched,
    /// The switch wrote its result; the target runs, uncommitted.
    Soaking,
    /// The commit has begun and will be finished.
    Committing,
    /// Boot default written and read back. Final.
    Committed,
    /// Going back has begun and will be finished.
    Reverting,
    /// The prior runs again, verified. Final; without a verdict the attempt was only interrupted (a reboot) and
    /// may be launched again.
    Reverted,
    /// Somebody else switched; nothing is touched. Final.
    Overtaken,
    /// Failed under policy `keep`; the dead-man is off. Final.
    Kept,
}

/// How a switch ended, written from inside the unit that ran it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SwitchResult {
    /// Exit 0, or only units that failed before fail now; with notes.
    Good(Vec<String>),
    /// It can't be done live (inhibitor, exit 100, trial boot wanted), with the reason.
    Deferred(String),
    /// It failed.
    Bad {
        /// Why.
        verdict: Verdict,
        /// The end of its log, at most 8 KiB.
        log: String,
        /// Each newly failed unit with the end of its log.
        units: Vec<crate::model::facts::UnitFailure>,
    },
}

/// The root record of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootRecord {
    /// Which rollout.
    pub rollout: RolloutId,
    /// Which try.
    pub attempt: Attempt,
    /// The closure to reach.
    pub target: Closure,
    /// The closure to go back to.
    pub prior: Closure,
    /// When the act began, with its boot.
    pub started: Stamp,
    /// How far it came.
    pub state: RootState,
    /// The switch's result and when it was written.
    pub result: Option<(SwitchResult, Stamp)>,
    /// The dead-man acts at this reading, unless patted; `None` when it is off.
    pub deadline: Option<Stamp>,
    /// The dead-man acts at this reading at the latest.
    pub end: Stamp,
    /// The boot that a trial boot has to bring, once ordered: the boot id it was ordered in.
    pub trial_from: Option<BootId>,
    /// The trial boot itself, once the target came up in it: the clocks count in this boot from then on.
    pub trial_boot: Option<BootId>,
    /// Agent starts since the result, newest last, at most 16.
    pub agent_starts: Vec<Stamp>,
    /// Why it goes or went back.
    pub verdict: Option<Verdict>,
    /// What a failed rollback said last; a reboot was the way left.
    pub rollback_trouble: Option<String>,
    /// When the commit began; anew after a boot in the middle of it.
    pub commit_began: Option<Stamp>,
    /// What keeps the commit from being finished, after the last try.
    pub commit_trouble: Option<CommitTrouble>,
    /// The signed terms; with them an agent that lost everything can go on from this record alone.
    pub terms: Terms,
    /// See [`crate::model::fleet::Policy::agent_timeout`].
    pub agent_timeout: Duration,
}

/// A commit that could not be finished so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitTrouble {
    /// What the last try said.
    pub why: String,
    /// How many tries failed.
    pub tries: u32,
    /// When the last one did.
    pub at: Stamp,
}

/// What happens to a root record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootEvent {
    /// The switch ended, or the units of the trial boot have settled.
    Ended(SwitchResult),
    /// The agent is alive and not Failed.
    Patted,
    /// An agent process started.
    AgentStarted,
    /// The trial boot was ordered.
    TrialOrdered,
    /// The machine runs in this boot, with this closure.
    Booted(Closure),
    /// The agent asks for the commit.
    CommitAsked,
    /// Profile and loader were written and read back.
    CommitDone,
    /// The commit could not be finished.
    CommitFailed {
        /// What went wrong.
        why: String,
        /// Profile and loader were read back after it, and both are still the prior.
        untouched: bool,
    },
    /// Going back is asked for, by the agent or because a deadline passed.
    RevertAsked(Verdict),
    /// The prior runs and was verified.
    RevertDone,
    /// Bringing the prior back failed; it is tried again, by reboot.
    RevertFailed(String),
    /// The agent gives the target up under policy `keep`.
    KeepAsked(Verdict),
    /// Neither target nor prior runs, or the default was moved by somebody else.
    OvertakenBy(Closure),
}

/// What the root helper has to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootEffect {
    /// Write profile and boot default, read back.
    WriteDefault,
    /// Kill the forward unit, then see to it that the prior runs and is the boot default, and verify both.
    BringBack,
    /// The prior can't be brought back live: reboot (the default is the prior).
    RebootToPrior,
    /// Stop the dead-man.
    Disarm,
}

/// What `step` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootStep {
    /// The new record, and what to do now.
    Moved(Box<RootRecord>, Vec<RootEffect>),
    /// Refused or without meaning here, with the reason.
    Ignored(&'static str),
}

/// What a launch is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Which rollout.
    pub rollout: RolloutId,
    /// Which try.
    pub attempt: Attempt,
    /// The closure that runs now.
    pub prior: Closure,
    /// The signed terms.
    pub terms: Terms,
    /// See [`crate::model::fleet::Policy::agent_timeout`].
    pub agent_timeout: Duration,
    /// The absolute end, from now (`model::limit`).
    pub end_after: Duration,
}

/// So many agent starts during a soak, within [`CRASH_LOOP_SPAN`], are a crash loop.
pub const CRASH_LOOP_STARTS: usize = 3;
/// The span in which [`CRASH_LOOP_STARTS`] are counted.
pub const CRASH_LOOP_SPAN: Duration = Duration::from_secs(600);
impl RootRecord {
    /// Makes the record that is written before the dead-man is armed and the switch starts.
    #[must_use]
    pub fn launch(launch: Launch, now: &Stamp) -> Self {
        let deadline = now.plus(launch.terms.switch_limit.saturating_add(launch.agent_timeout));
        Self {
            rollout: launch.rollout,
            attempt: launch.attempt,
            target: launch.terms.target.clone(),
            prior: launch.prior,
            started: now.clone(),
            state: RootState::Launched,
            result: None,
            deadline: Some(deadline),
            end: now.plus(launch.end_after),
            trial_from: None,
            trial_boot: None,
            agent_starts: Vec::new(),
            verdict: None,
            rollback_trouble: None,
            commit_began: None,
            commit_trouble: None,
            terms: launch.terms,
            agent_timeout: launch.agent_timeout,
        }
    }

    /// Tells whether nothing more will be done by itself.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self.state {
            RootState::Launched | RootState::Soaking | RootState::Committing | RootState::Reverting => false,
            RootState::Committed | RootState::Reverted | RootState::Overtaken | RootState::Kept => true,
        }
    }

    /// Tells whether the attempt was only interrupted: the same attempt may be launched again.
    #[must_use]
    pub fn may_relaunch(&self) -> bool {
        self.state == RootState::Reverted && self.verdict.is_none()
    }

    /// Returns the boot in which the target was started last.
    #[must_use]
    pub fn boot(&self) -> &BootId {
        let result = || self.result.as_ref().map(|(_, at)| &at.boot);
        self.trial_boot.as_ref().or_else(result).unwrap_or(&self.started.boot)
    }

    /// Tells whether a trial boot is up and its units are not judged yet.
    #[must_use]
    pub fn is_unjudged_trial(&self) -> bool {
        self.state == RootState::Soaking && self.result.is_none()
    }

    pub(crate) fn result_is_good(&self) -> bool {
        matches!(self.result, Some((SwitchResult::Good(_), _)))
    }

    pub(crate) fn is_deferred(&self) -> bool {
        matches!(self.result, Some((SwitchResult::Deferred(_), _)))
    }

    pub(crate) fn in_state(&self, state: RootState) -> Self {
        Self { state, ..self.clone() }
    }

    /// Arms the dead-man anew from `now`, with the full span of the attempt: first the units are given their time to
    /// settle, as after a switch.
    pub(crate) fn rearmed(&self, now: &Stamp) -> Self {
        let span = self.end.uptime.saturating_sub(self.started.uptime);
        let deadline = Some(now.plus(self.terms.switch_limit.saturating_add(self.agent_timeout)));
        Self { deadline, end: now.plus(span), agent_starts: Vec::new(), ..self.clone() }
    }
}

#[cfg(test)]
mod tests;
