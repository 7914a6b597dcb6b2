//! How a rollout moves: total over every state and event.

use crate::model::effect::RolloutEffect;
use crate::model::fleet::InFlight;
use crate::model::id::{HostName, RolloutId};
use crate::model::rollout::{Halt, Place, RESTORED, Rollout, RolloutEvent, RolloutState, RolloutStep, Tally, waves};
use crate::model::time::Timestamp;

/// Moves a rollout by one event. `now` is the control plane's clock.
#[must_use]
pub fn step(rollout: &Rollout, event: &RolloutEvent, now: Timestamp) -> RolloutStep {
    if let Some(why) = ended(&rollout.state) {
        return RolloutStep::Ignored(why);
    }
    match event {
        RolloutEvent::Tallied(tallies) => tallied(rollout, tallies, now),
        RolloutEvent::Promoted { wave, until } => promoted(rollout, *wave, *until),
        RolloutEvent::Paused(by) => paused(rollout, by),
        RolloutEvent::Restored => restored(rollout),
        RolloutEvent::Resumed { failed } => resumed(rollout, failed),
        RolloutEvent::Cancelled { by, revert } => cancelled(rollout, by, *revert),
        RolloutEvent::Superseded(by) => superseded(rollout, by),
        RolloutEvent::Reopened(host) => reopened(rollout, host),
    }
}

/// Returns when the rollout is due by itself: at the end of the wait between waves it has to be tallied. A wait that
/// begins in the future is due at `now`: the clock went back, and tallying has it begin anew.
#[must_use]
pub fn deadline(rollout: &Rollout, now: Timestamp) -> Option<Timestamp> {
    match &rollout.state {
        RolloutState::Advancing { wave } => {
            let rules = rollout.waves.get(*wave)?;
            rollout.wave_done_at.map(|done| if done > now { now } else { done.plus(rules.wait) })
        }
        RolloutState::Opened
        | RolloutState::Completed
        | RolloutState::Halted { .. }
        | RolloutState::Paused { .. }
        | RolloutState::Superseded { .. }
        | RolloutState::Cancelled { .. } => None,
    }
}

fn ended(state: &RolloutState) -> Option<&'static str> {
    match state {
        RolloutState::Superseded { .. } => Some("a newer release took over"),
        RolloutState::Cancelled { .. } => Some("the rollout is cancelled"),
        RolloutState::Opened
        | RolloutState::Advancing { .. }
        | RolloutState::Completed
        | RolloutState::Halted { .. }
        | RolloutState::Paused { .. } => None,
    }
}

fn moved(rollout: Rollout, effects: Vec<RolloutEffect>) -> RolloutStep {
    RolloutStep::Moved(Box::new(rollout), effects)
}

/// Judges and advances in turn until neither moves anything: a wave that opens with failures of its own (of
/// hosts that somebody retried) halts in the same step.
fn tallied(rollout: &Rollout, tallies: &[Tally], now: Timestamp) -> RolloutStep {
    if tallies.len() != rollout.waves.len() {
        return RolloutStep::Ignored("the tally does not cover the waves");
    }
    let mut next = rollout.clone();
    let mut effects = Vec::new();
    loop {
        let place = match place_to_judge(&next.state) {
            Ok(place) => place,
            Err(why) if next == *rollout => return RolloutStep::Ignored(why),
            Err(_) => break,
        };
        if let Some((why, wave)) = has_to_halt(&next, place, tallies) {
            halt(&mut next, why, wave, &mut effects);
        } else if !advance(&mut next, tallies, now, &mut effects) {
            break;
        }
    }
    if next == *rollout { RolloutStep::Ignored("nothing is due") } else { moved(next, effects) }
}

/// Returns up to where the hosts' results count, or why no count changes anything.
fn place_to_judge(state: &RolloutState) -> Result<Place, &'static str> {
    match state {
        RolloutState::Opened => Ok(Place::Opened),
        RolloutState::Advancing { wave } => Ok(Place::Wave(*wave)),
        RolloutState::Completed => Ok(Place::Completed),
        RolloutState::Paused { by, .. } if by == RESTORED => {
            Err("the store was restored: its counts say nothing until an operator resumes")
        }
        RolloutState::Paused { at, .. } => Ok(*at),
        RolloutState::Halted { .. } => Err("halted already"),
        RolloutState::Superseded { .. } | RolloutState::Cancelled { .. } => Err("ended"),
    }
}

/// Looks at every wave that hosts may have started in; a completed rollout is judged by failures only.
fn has_to_halt(rollout: &Rollout, place: Place, tallies: &[Tally]) -> Option<(Halt, usize)> {
    let pairs: Vec<_> = rollout.waves.iter().zip(tallies).collect();
    let last = pairs.len().checked_sub(1)?;
    let (wave, all_open) = match place {
        Place::Opened => return None,
        Place::Wave(wave) => (wave, false),
        Place::Completed => (last, true),
    };
    let why = waves::halt(pairs.get(..=wave)?)?;
    match why {
        Halt::OutOfReach { .. } if all_open => None,
        Halt::OutOfReach { .. } | Halt::TooManyFailures { .. } => Some((why, wave)),
    }
}

fn halt(next: &mut Rollout, why: Halt, wave: usize, effects: &mut Vec<RolloutEffect>) {
    next.state = RolloutState::Halted { why, wave };
    next.wave_done_at = None;
    next.promoted = None;
    effects.push(RolloutEffect::QuarantineChannel);
    if next.on_halt == InFlight::Revert {
        effects.push(RolloutEffect::RevertInFlight);
    }
}

/// Makes one move forward; `false` when there is none. Each move opens a wave or ends the rollout, or only
/// notes the start of the wait, so that repeating it comes to an end.
fn advance(next: &mut Rollout, tallies: &[Tally], now: Timestamp, effects: &mut Vec<RolloutEffect>) -> bool {
    let from = match next.state {
        RolloutState::Opened => 0,
        RolloutState::Advancing { wave } => match after_wave(next, wave, tallies, now) {
            Some(from) => from,
            None => return false,
        },
        RolloutState::Completed
        | RolloutState::Halted { .. }
        | RolloutState::Paused { .. }
        | RolloutState::Superseded { .. }
        | RolloutState::Cancelled { .. } => return false,
    };
    let target = waves::next_judged(tallies, from);
    // Waves without changed hosts are not waited for, but their hosts take part: facts may have changed since.
    let upto = target.map_or(tallies.len(), |wave| wave + 1);
    effects.extend((from..upto).map(RolloutEffect::OpenWave));
    next.state = target.map_or(RolloutState::Completed, |wave| RolloutState::Advancing { wave });
    next.wave_done_at = None;
    next.promoted = None;
    true
}

/// Returns the wave to go on from once this one is done and its wait is over; keeps note of the wait.
fn after_wave(next: &mut Rollout, wave: usize, tallies: &[Tally], now: Timestamp) -> Option<usize> {
    let (rules, tally) = (next.waves.get(wave)?, tallies.get(wave)?);
    // Once done, a straggler that comes back does not start the wait anew; a lost proof does.
    let proven = waves::is_proven(rules, tally);
    let done = waves::is_done(rules, tally) || (proven && next.wave_done_at.is_some());
    if !done {
        next.wave_done_at = None;
        next.promoted = None;
        return None;
    }
    // A clock that went back must not make the wait longer than once more its length.
    let since = next.wave_done_at.map_or(now, |at| at.min(now));
    next.wave_done_at = Some(since);
    let following = waves::next_judged(tallies, wave + 1);
    let waited = now.since(since) >= rules.wait;
    let skipped = next.promoted.is_some_and(|promoted| promoted == wave || Some(promoted) == following);
    (waited || skipped || following.is_none()).then_some(wave + 1)
}

fn promoted(rollout: &Rollout, wave: usize, until: Option<Timestamp>) -> RolloutStep {
    if wave >= rollout.waves.len() {
        return RolloutStep::Ignored("the rollout has no such wave");
    }
    let mut next = rollout.clone();
    next.approved.insert(wave, until);
    if rollout.wave_done_at.is_some() {
        next.promoted = Some(wave);
    }
    if next == *rollout {
        return RolloutStep::Ignored("the wave is approved already");
    }
    moved(next, vec![RolloutEffect::WakeWaiting])
}

fn paused(rollout: &Rollout, by: &str) -> RolloutStep {
    let at = match &rollout.state {
        RolloutState::Opened => Place::Opened,
        RolloutState::Advancing { wave } => Place::Wave(*wave),
        RolloutState::Completed => Place::Completed,
        RolloutState::Halted { .. } => return RolloutStep::Ignored("halted already: nothing starts"),
        RolloutState::Paused { .. } => return RolloutStep::Ignored("paused already"),
        RolloutState::Superseded { .. } | RolloutState::Cancelled { .. } => return RolloutStep::Ignored("ended"),
    };
    let state = RolloutState::Paused { by: by.to_owned(), at };
    moved(Rollout { state, ..rollout.clone() }, Vec::new())
}

/// After a restore the counts may be old: the wait starts anew once an operator has resumed.
fn restored(rollout: &Rollout) -> RolloutStep {
    let at = match &rollout.state {
        RolloutState::Opened => Place::Opened,
        RolloutState::Advancing { wave } => Place::Wave(*wave),
        RolloutState::Completed => Place::Completed,
        RolloutState::Paused { by, .. } if by == RESTORED => {
            return RolloutStep::Ignored("paused for a restored store already");
        }
        RolloutState::Paused { at, .. } => *at,
        RolloutState::Halted { .. } => return RolloutStep::Ignored("halted already: an operator has to resume it"),
        RolloutState::Superseded { .. } | RolloutState::Cancelled { .. } => return RolloutStep::Ignored("ended"),
    };
    let state = RolloutState::Paused { by: RESTORED.to_owned(), at };
    moved(Rollout { state, wave_done_at: None, promoted: None, ..rollout.clone() }, Vec::new())
}

fn resumed(rollout: &Rollout, failed: &[HostName]) -> RolloutStep {
    let mut next = rollout.clone();
    match &rollout.state {
        RolloutState::Paused { at, .. } => {
            next.state = match at {
                Place::Opened => RolloutState::Opened,
                Place::Wave(wave) => RolloutState::Advancing { wave: *wave },
                Place::Completed => RolloutState::Completed,
            };
            moved(next, vec![RolloutEffect::WakeWaiting])
        }
        RolloutState::Halted { wave, .. } => {
            next.state = RolloutState::Advancing { wave: *wave };
            next.forgiven.extend(failed.iter().cloned());
            moved(next, vec![RolloutEffect::Forgive(failed.to_vec()), RolloutEffect::WakeWaiting])
        }
        RolloutState::Opened | RolloutState::Advancing { .. } | RolloutState::Completed => {
            RolloutStep::Ignored("neither paused nor halted")
        }
        RolloutState::Superseded { .. } | RolloutState::Cancelled { .. } => RolloutStep::Ignored("ended"),
    }
}

fn cancelled(rollout: &Rollout, by: &str, revert: bool) -> RolloutStep {
    match &rollout.state {
        RolloutState::Completed | RolloutState::Paused { at: Place::Completed, .. } => {
            return RolloutStep::Ignored("all waves are done: pause it to hold the hosts that are left");
        }
        RolloutState::Opened
        | RolloutState::Advancing { .. }
        | RolloutState::Halted { .. }
        | RolloutState::Paused { .. } => {}
        RolloutState::Superseded { .. } | RolloutState::Cancelled { .. } => return RolloutStep::Ignored("ended"),
    }
    let state = RolloutState::Cancelled { by: by.to_owned() };
    moved(stopped(rollout, state), leaving(revert))
}

/// A completed rollout stays Completed: only what it still has waiting is cancelled.
fn superseded(rollout: &Rollout, by: &RolloutId) -> RolloutStep {
    if *by == rollout.id {
        return RolloutStep::Ignored("a release does not supersede itself");
    }
    let state = match &rollout.state {
        RolloutState::Completed | RolloutState::Paused { at: Place::Completed, .. } => RolloutState::Completed,
        RolloutState::Opened
        | RolloutState::Advancing { .. }
        | RolloutState::Halted { .. }
        | RolloutState::Paused { .. } => RolloutState::Superseded { by: by.clone() },
        RolloutState::Superseded { .. } | RolloutState::Cancelled { .. } => return RolloutStep::Ignored("ended"),
    };
    moved(stopped(rollout, state), leaving(rollout.on_supersede == InFlight::Revert))
}

fn reopened(rollout: &Rollout, host: &HostName) -> RolloutStep {
    let mut next = rollout.clone();
    if !next.forgiven.remove(host) {
        return RolloutStep::Ignored("nothing of the host was forgiven");
    }
    moved(next, Vec::new())
}

fn stopped(rollout: &Rollout, state: RolloutState) -> Rollout {
    Rollout { state, wave_done_at: None, promoted: None, ..rollout.clone() }
}

fn leaving(revert: bool) -> Vec<RolloutEffect> {
    let mut effects = vec![RolloutEffect::CancelWaiting];
    if revert {
        effects.push(RolloutEffect::RevertInFlight);
    }
    effects
}
