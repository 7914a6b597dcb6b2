//! The root record's machine: what the root helper knows of one attempt, moved by compare-and-set.
//!
//! ```text
//!   Launched ──▶ Soaking ──▶ Committing ──▶ Committed
//!      │           │  └────▶ Kept
//!      ├───────────┼───────▶ Overtaken
//!      └───────────┴───────▶ Reverting ──▶ Reverted
//! ```
//! Committing is finished, never reverted; reverting is never committed.

use crate::model::facts::Verdict;
use crate::model::fleet::OnFailure;
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
    /// Agent starts since the result, newest last, at most 16.
    pub agent_starts: Vec<Stamp>,
    /// Why it goes or went back.
    pub verdict: Option<Verdict>,
    /// What a failed rollback said last; a reboot was the way left.
    pub rollback_trouble: Option<String>,
    /// The signed terms; with them an agent that lost everything can go on from this record alone.
    pub terms: Terms,
    /// See [`crate::model::fleet::Policy::agent_timeout`].
    pub agent_timeout: Duration,
}

/// What happens to a root record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootEvent {
    /// The switch ended, or the trial boot is up.
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
/// The most agent starts that are remembered.
const STARTS_KEPT: usize = 16;

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
            agent_starts: Vec::new(),
            verdict: None,
            rollback_trouble: None,
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

    fn result_is_good(&self) -> bool {
        matches!(self.result, Some((SwitchResult::Good(_), _)))
    }

    fn is_deferred(&self) -> bool {
        matches!(self.result, Some((SwitchResult::Deferred(_), _)))
    }

    fn in_state(&self, state: RootState) -> Self {
        Self { state, ..self.clone() }
    }

    /// Arms the dead-man anew from `now`, with the full span of the attempt.
    fn rearmed(&self, now: &Stamp) -> Self {
        let span = self.end.uptime.saturating_sub(self.started.uptime);
        let deadline = Some(now.plus(self.agent_timeout));
        Self { deadline, end: now.plus(span), agent_starts: Vec::new(), ..self.clone() }
    }
}

/// Moves a root record by one event.
#[must_use]
pub fn step(record: &RootRecord, event: &RootEvent, now: &Stamp) -> RootStep {
    match record.state {
        RootState::Launched | RootState::Soaking => running(record, event, now),
        RootState::Committing => committing(record, event),
        RootState::Reverting => reverting(record, event),
        RootState::Committed | RootState::Reverted | RootState::Overtaken | RootState::Kept => {
            RootStep::Ignored("the attempt has ended")
        }
    }
}

fn moved(record: RootRecord, effects: Vec<RootEffect>) -> RootStep {
    RootStep::Moved(Box::new(record), effects)
}

fn running(record: &RootRecord, event: &RootEvent, now: &Stamp) -> RootStep {
    match event {
        RootEvent::Ended(result) => ended(record, result, now),
        RootEvent::Patted => patted(record, now),
        RootEvent::AgentStarted => agent_started(record, now),
        RootEvent::TrialOrdered if record.is_deferred() && record.trial_from.is_none() => {
            moved(RootRecord { trial_from: Some(now.boot.clone()), ..record.clone() }, vec![])
        }
        RootEvent::TrialOrdered => RootStep::Ignored("no trial boot is waited for"),
        RootEvent::Booted(closure) => booted(record, closure, now),
        RootEvent::CommitAsked => commit_asked(record, now),
        RootEvent::RevertAsked(verdict) => revert(record, Some(verdict.clone())),
        RootEvent::KeepAsked(verdict) => {
            let kept =
                RootRecord { verdict: Some(verdict.clone()), deadline: None, ..record.in_state(RootState::Kept) };
            moved(kept, vec![RootEffect::Disarm])
        }
        RootEvent::OvertakenBy(_) => overtaken(record),
        RootEvent::CommitDone => RootStep::Ignored("no commit was begun"),
        RootEvent::RevertDone | RootEvent::RevertFailed(_) => RootStep::Ignored("no rollback was begun"),
    }
}

fn ended(record: &RootRecord, result: &SwitchResult, now: &Stamp) -> RootStep {
    if record.result.is_some() {
        return RootStep::Ignored("the result is written already");
    }
    let with = RootRecord { result: Some((result.clone(), now.clone())), agent_starts: Vec::new(), ..record.clone() };
    match result {
        // Nothing was activated: there is nothing to guard until a trial boot is ordered.
        SwitchResult::Deferred(_) => moved(RootRecord { deadline: None, ..with }, vec![]),
        SwitchResult::Good(_) | SwitchResult::Bad { .. } => {
            let deadline = Some(now.plus(record.agent_timeout));
            moved(RootRecord { deadline, ..with.in_state(RootState::Soaking) }, vec![])
        }
    }
}

fn patted(record: &RootRecord, now: &Stamp) -> RootStep {
    if record.state != RootState::Soaking || !record.result_is_good() {
        return RootStep::Ignored("only a good, uncommitted target is kept alive");
    }
    let wanted = now.plus(record.agent_timeout);
    let deadline = if wanted.uptime > record.end.uptime { record.end.clone() } else { wanted };
    moved(RootRecord { deadline: Some(deadline), ..record.clone() }, vec![])
}

fn agent_started(record: &RootRecord, now: &Stamp) -> RootStep {
    if record.state != RootState::Soaking {
        return RootStep::Ignored("starts count during the soak only: the switch itself restarts the agent");
    }
    let mut starts = record.agent_starts.clone();
    starts.push(now.clone());
    if starts.len() > STARTS_KEPT {
        starts.remove(0);
    }
    moved(RootRecord { agent_starts: starts, ..record.clone() }, vec![])
}

fn commit_asked(record: &RootRecord, now: &Stamp) -> RootStep {
    if record.state != RootState::Soaking || !record.result_is_good() {
        return RootStep::Ignored("the target has not come up well");
    }
    let left = record.end.since(now);
    if left.is_none_or(|left| left <= record.terms.commit_limit) {
        return RootStep::Ignored("too little time is left for a commit");
    }
    let committing = RootRecord { deadline: None, ..record.in_state(RootState::Committing) };
    moved(committing, vec![RootEffect::WriteDefault])
}

fn revert(record: &RootRecord, verdict: Option<Verdict>) -> RootStep {
    let reverting = RootRecord { verdict, deadline: None, ..record.in_state(RootState::Reverting) };
    moved(reverting, vec![RootEffect::BringBack])
}

fn overtaken(record: &RootRecord) -> RootStep {
    let verdict = Some(Verdict::Overtaken);
    let over = RootRecord { verdict, deadline: None, ..record.in_state(RootState::Overtaken) };
    moved(over, vec![RootEffect::Disarm])
}

/// A boot in the middle of an attempt. Without a trial boot the default was never touched: the prior is what
/// boots, and the attempt may be launched again.
fn booted(record: &RootRecord, closure: &Closure, now: &Stamp) -> RootStep {
    let last = record.result.as_ref().map_or(&record.started, |(_, at)| at);
    match &record.trial_from {
        Some(from) if *from == now.boot => RootStep::Ignored("this is the boot that ordered the trial"),
        None if last.boot == now.boot => RootStep::Ignored("no boot lies between"),
        Some(_) if record.state == RootState::Soaking => interrupted(record, closure, now),
        Some(_) if *closure == record.target => {
            let result = Some((SwitchResult::Good(Vec::new()), now.clone()));
            moved(RootRecord { result, ..record.rearmed(now).in_state(RootState::Soaking) }, vec![])
        }
        Some(_) if *closure == record.prior => revert(record, Some(Verdict::BootedElsewhere)),
        Some(_) => overtaken(record),
        None => interrupted(record, closure, now),
    }
}

fn interrupted(record: &RootRecord, closure: &Closure, now: &Stamp) -> RootStep {
    let same_boot = record.result.as_ref().is_some_and(|(_, at)| at.boot == now.boot);
    if same_boot {
        return RootStep::Ignored("no boot lies between");
    }
    if *closure != record.prior {
        return overtaken(record);
    }
    if record.is_deferred() {
        return RootStep::Ignored("a deferred attempt waits over any number of boots");
    }
    revert(record, None)
}

fn committing(record: &RootRecord, event: &RootEvent) -> RootStep {
    match event {
        RootEvent::CommitDone => moved(record.in_state(RootState::Committed), vec![RootEffect::Disarm]),
        RootEvent::CommitAsked => RootStep::Ignored("the commit has begun already"),
        RootEvent::Booted(closure) if *closure == record.target => {
            moved(record.clone(), vec![RootEffect::WriteDefault])
        }
        RootEvent::Booted(closure) if *closure == record.prior => revert(record, None),
        RootEvent::Booted(_) => overtaken(record),
        RootEvent::RevertAsked(_) | RootEvent::KeepAsked(_) => {
            RootStep::Ignored("a commit that has begun is finished, never reverted")
        }
        RootEvent::OvertakenBy(_) => overtaken(record),
        RootEvent::Ended(_) | RootEvent::Patted | RootEvent::AgentStarted | RootEvent::TrialOrdered => {
            RootStep::Ignored("the commit has begun")
        }
        RootEvent::RevertDone | RootEvent::RevertFailed(_) => RootStep::Ignored("no rollback was begun"),
    }
}

fn reverting(record: &RootRecord, event: &RootEvent) -> RootStep {
    match event {
        RootEvent::RevertDone => moved(record.in_state(RootState::Reverted), vec![RootEffect::Disarm]),
        RootEvent::RevertFailed(why) => {
            let trouble = RootRecord { rollback_trouble: Some(why.clone()), ..record.clone() };
            moved(trouble, vec![RootEffect::RebootToPrior])
        }
        RootEvent::Booted(closure) if *closure == record.prior || *closure == record.target => {
            moved(record.clone(), vec![RootEffect::BringBack])
        }
        RootEvent::Booted(_) | RootEvent::OvertakenBy(_) => overtaken(record),
        RootEvent::CommitAsked | RootEvent::CommitDone => {
            RootStep::Ignored("a rollback that has begun is finished, never committed")
        }
        RootEvent::RevertAsked(_) | RootEvent::KeepAsked(_) => RootStep::Ignored("the rollback has begun already"),
        RootEvent::Ended(_) | RootEvent::Patted | RootEvent::AgentStarted | RootEvent::TrialOrdered => {
            RootStep::Ignored("the rollback has begun")
        }
    }
}

/// Returns why the dead-man has to act now, if it has to.
#[must_use]
pub fn dead_man_due(record: &RootRecord, now: &Stamp) -> Option<Verdict> {
    if record.terms.on_failure == OnFailure::Keep {
        return None;
    }
    let passed = record.deadline.as_ref().is_some_and(|deadline| now.reached(deadline));
    match record.state {
        RootState::Launched if record.is_deferred() => None,
        RootState::Launched => passed.then_some(Verdict::SwitchTimedOut),
        RootState::Soaking => match &record.result {
            Some((SwitchResult::Bad { verdict, .. }, _)) => passed.then(|| verdict.clone()),
            _ if crash_loop(record, now) => Some(Verdict::AgentCrashLoop),
            _ => (passed || now.reached(&record.end)).then_some(Verdict::DeadMan),
        },
        RootState::Committing
        | RootState::Committed
        | RootState::Reverting
        | RootState::Reverted
        | RootState::Overtaken
        | RootState::Kept => None,
    }
}

fn crash_loop(record: &RootRecord, now: &Stamp) -> bool {
    let recent = |at: &&Stamp| now.since(at).is_some_and(|ago| ago <= CRASH_LOOP_SPAN);
    record.agent_starts.iter().filter(recent).count() >= CRASH_LOOP_STARTS
}
