//! How a root record moves, and when the dead-man has to act.

use crate::model::facts::Verdict;
use crate::model::fleet::OnFailure;
use crate::model::id::Closure;
use crate::model::limit::DEAD_MAN_PERIOD;
use crate::model::retry::Backoff;
use crate::model::root_record::{
    CRASH_LOOP_SPAN, CRASH_LOOP_STARTS, CommitTrouble, RootEffect, RootEvent, RootRecord, RootState, RootStep,
    SwitchResult,
};
use crate::model::time::Stamp;
use std::time::Duration;

/// The most agent starts that are remembered.
const STARTS_KEPT: usize = 16;
/// Waits between tries to finish a commit: a full or read-only boot partition is mended by people, and each try
/// writes to it.
pub const COMMIT_BACKOFF: Backoff = Backoff { base: DEAD_MAN_PERIOD, cap: Duration::from_secs(60) };

/// Moves a root record by one event.
#[must_use]
pub fn step(record: &RootRecord, event: &RootEvent, now: &Stamp) -> RootStep {
    match record.state {
        RootState::Launched | RootState::Soaking => running(record, event, now),
        RootState::Committing => committing(record, event, now),
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
        RootEvent::KeepAsked(verdict) => keep(record, verdict),
        RootEvent::OvertakenBy(_) => overtaken(record),
        RootEvent::CommitDone | RootEvent::CommitFailed { .. } => RootStep::Ignored("no commit was begun"),
        RootEvent::RevertDone | RootEvent::RevertFailed(_) => RootStep::Ignored("no rollback was begun"),
    }
}

fn ended(record: &RootRecord, result: &SwitchResult, now: &Stamp) -> RootStep {
    if record.result.is_some() {
        return RootStep::Ignored("the result is written already");
    }
    if record.trial_boot.is_some() && matches!(result, SwitchResult::Deferred(_)) {
        return RootStep::Ignored("a trial boot that is up came up well or badly");
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
    if now.since(&record.end).is_none() {
        return RootStep::Ignored("of another boot: what booted is looked at first");
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
    let commit_began = Some(now.clone());
    let committing = RootRecord { deadline: None, commit_began, ..record.in_state(RootState::Committing) };
    moved(committing, vec![RootEffect::WriteDefault])
}

fn revert(record: &RootRecord, verdict: Option<Verdict>) -> RootStep {
    let reverting = RootRecord { verdict, deadline: None, ..record.in_state(RootState::Reverting) };
    moved(reverting, vec![RootEffect::BringBack])
}

fn keep(record: &RootRecord, verdict: &Verdict) -> RootStep {
    let verdict = Some(verdict.clone());
    let kept = RootRecord { verdict, deadline: None, ..record.in_state(RootState::Kept) };
    moved(kept, vec![RootEffect::Disarm])
}

fn overtaken(record: &RootRecord) -> RootStep {
    let verdict = Some(Verdict::Overtaken);
    let over = RootRecord { verdict, deadline: None, ..record.in_state(RootState::Overtaken) };
    moved(over, vec![RootEffect::Disarm])
}

/// A boot in the middle of an attempt. Without a trial boot the default was never touched: the prior is what
/// boots, and the attempt may be launched again.
fn booted(record: &RootRecord, closure: &Closure, now: &Stamp) -> RootStep {
    match &record.trial_from {
        Some(from) if *from == now.boot => RootStep::Ignored("this is the boot that ordered the trial"),
        None if *record.boot() == now.boot => RootStep::Ignored("no boot lies between"),
        Some(_) if record.state == RootState::Soaking => interrupted(record, closure, now),
        Some(_) if *closure == record.target => {
            // Up, and not judged: that is the guard's to do, once the boot has settled.
            let (result, trial_boot) = (None, Some(now.boot.clone()));
            moved(RootRecord { result, trial_boot, ..record.rearmed(now).in_state(RootState::Soaking) }, vec![])
        }
        Some(_) if *closure == record.prior => revert(record, Some(Verdict::BootedElsewhere)),
        Some(_) => overtaken(record),
        None => interrupted(record, closure, now),
    }
}

fn interrupted(record: &RootRecord, closure: &Closure, now: &Stamp) -> RootStep {
    if *record.boot() == now.boot {
        return RootStep::Ignored("no boot lies between");
    }
    if *closure != record.prior {
        return overtaken(record);
    }
    if record.is_deferred() {
        return RootStep::Ignored("a deferred attempt waits over any number of boots");
    }
    // Nobody judged a good target, and the attempt may be launched again; a bad one stays bad over a reboot.
    let bad = match &record.result {
        Some((SwitchResult::Bad { verdict, .. }, _)) => Some(verdict.clone()),
        Some((SwitchResult::Good(_) | SwitchResult::Deferred(_), _)) | None => None,
    };
    revert(record, bad)
}

fn committing(record: &RootRecord, event: &RootEvent, now: &Stamp) -> RootStep {
    match event {
        RootEvent::CommitDone => {
            let done = RootRecord { commit_trouble: None, ..record.in_state(RootState::Committed) };
            moved(done, vec![RootEffect::Disarm])
        }
        RootEvent::CommitFailed { why, untouched } => commit_failed(record, why, *untouched, now),
        RootEvent::CommitAsked => RootStep::Ignored("the commit has begun already"),
        RootEvent::Booted(closure) if *closure == record.target => {
            let anew = RootRecord { commit_began: Some(now.clone()), commit_trouble: None, ..record.clone() };
            moved(anew, vec![RootEffect::WriteDefault])
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

/// A commit that fails is tried again. One that has outlived its limit and has not changed anything is undone: the
/// host would wait for ever, uncommitted and without a dead-man. Where anything was changed it goes on being finished.
fn commit_failed(record: &RootRecord, why: &str, untouched: bool, now: &Stamp) -> RootStep {
    let began = record.commit_began.clone().unwrap_or_else(|| now.clone());
    let over = now.since(&began).is_none_or(|spent| spent > record.terms.commit_limit);
    if untouched && over {
        let verdict = Verdict::CommitFailed(why.to_owned());
        return match record.terms.on_failure {
            OnFailure::Revert => revert(record, Some(verdict)),
            OnFailure::Keep => keep(record, &verdict),
        };
    }
    let tries = record.commit_trouble.as_ref().map_or(0, |trouble| trouble.tries).saturating_add(1);
    let trouble = CommitTrouble { why: why.to_owned(), tries, at: now.clone() };
    moved(RootRecord { commit_began: Some(began), commit_trouble: Some(trouble), ..record.clone() }, vec![])
}

/// Tells whether a commit that has begun is to be tried (again) now.
#[must_use]
pub fn commit_due(record: &RootRecord, now: &Stamp) -> bool {
    let waits = |trouble: &CommitTrouble| {
        let wait = COMMIT_BACKOFF.wait(trouble.tries.saturating_sub(1), u32::MAX);
        now.since(&trouble.at).is_some_and(|ago| ago < wait)
    };
    record.state == RootState::Committing && !record.commit_trouble.as_ref().is_some_and(waits)
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
        RootEvent::CommitAsked | RootEvent::CommitDone | RootEvent::CommitFailed { .. } => {
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
            None => (passed || now.reached(&record.end)).then_some(Verdict::SwitchTimedOut),
            Some(_) => (passed || now.reached(&record.end)).then_some(Verdict::DeadMan),
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
