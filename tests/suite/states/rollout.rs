//! The rollout machine, state by state.

use crate::states::{Machine, Outcome, Row, name};
use convoy::model::effect::RolloutEffect;
use convoy::model::fleet::InFlight;
use convoy::model::id::{HostName, RolloutId};
use convoy::model::rollout::{
    Place, RESTORED, Rollout, RolloutEvent, RolloutState, RolloutStep, Tally, WaveRules, deadline, step,
};
use convoy::model::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const WAIT: Duration = Duration::from_secs(300);

fn id(reference: &str) -> RolloutId {
    format!("stable@{reference}").parse().unwrap()
}

/// Three waves of four changed hosts each; two must converge, one may fail.
fn rollout(state: RolloutState) -> Rollout {
    let rules = WaveRules { min_success: 2, max_failures: 1, wait: WAIT };
    Rollout {
        id: id("2"),
        waves: vec![rules; 3],
        state,
        forgiven: BTreeSet::new(),
        wave_done_at: None,
        approved: BTreeMap::new(),
        promoted: None,
        on_halt: InFlight::Finish,
        on_supersede: InFlight::Finish,
    }
}

fn moved(rollout: &Rollout, event: &RolloutEvent) -> Rollout {
    match step(rollout, event, Timestamp(0)) {
        RolloutStep::Moved(next, _) => *next,
        RolloutStep::Ignored(why) => panic!("{:?} ignores {event:?}: {why}", rollout.state),
    }
}

fn tallied(current: Tally) -> RolloutEvent {
    let waiting = Tally { changed: 4, waiting: 4, ..Tally::default() };
    let done = Tally { changed: 4, succeeded: 4, ..Tally::default() };
    RolloutEvent::Tallied(vec![done, current, waiting])
}

fn done() -> RolloutEvent {
    tallied(Tally { changed: 4, succeeded: 4, ..Tally::default() })
}

fn failed() -> RolloutEvent {
    tallied(Tally { changed: 4, failed: 2, waiting: 2, ..Tally::default() })
}

fn paused(by: &str, at: Place) -> Rollout {
    rollout(RolloutState::Paused { by: by.into(), at })
}

fn states() -> Vec<(&'static str, Rollout)> {
    let advancing = rollout(RolloutState::Advancing { wave: 1 });
    vec![
        ("Opened", rollout(RolloutState::Opened)),
        ("Advancing in wave 2", advancing.clone()),
        ("Advancing in wave 2, done, waiting", moved(&advancing, &done())),
        ("Advancing in wave 3", rollout(RolloutState::Advancing { wave: 2 })),
        ("Completed", rollout(RolloutState::Completed)),
        ("Halted in wave 2", moved(&advancing, &failed())),
        ("Paused in wave 2", paused("ada", Place::Wave(1))),
        ("Paused after the last wave", paused("ada", Place::Completed)),
        ("Paused in wave 2 after a restore", paused(RESTORED, Place::Wave(1))),
        ("Superseded", rollout(RolloutState::Superseded { by: id("3") })),
        ("Cancelled", rollout(RolloutState::Cancelled { by: "ada".into() })),
    ]
}

fn events() -> Vec<(&'static str, RolloutEvent, Timestamp)> {
    let start = Timestamp(0);
    let flying = Tally { changed: 4, succeeded: 2, in_flight: 2, ..Tally::default() };
    let neutral = Tally { changed: 4, neutral: 3, waiting: 1, ..Tally::default() };
    let aside = Tally { changed: 4, set_aside: 4, ..Tally::default() };
    let all = RolloutEvent::Tallied(vec![Tally { changed: 4, succeeded: 4, ..Tally::default() }; 3]);
    let promoted = RolloutEvent::Promoted { wave: 2, until: None };
    let resumed = RolloutEvent::Resumed { failed: vec![HostName::new("web1").unwrap()] };
    let cancelled = |revert| RolloutEvent::Cancelled { by: "ada".into(), revert };
    vec![
        ("Tallied: wave 2 has hosts in flight", tallied(flying), start),
        ("Tallied: wave 2 is done", done(), start),
        ("Tallied: wave 2 is done and its wait is over", done(), start.plus(WAIT)),
        ("Tallied: all waves are done", all, start.plus(WAIT)),
        ("Tallied: wave 2 is set aside as a whole", tallied(aside), start),
        ("Tallied: too many failed in wave 2", failed(), start),
        ("Tallied: wave 2 can't reach its successes", tallied(neutral), start),
        ("Promoted: wave 3", promoted, start),
        ("Paused", RolloutEvent::Paused("ada".into()), start),
        ("Restored", RolloutEvent::Restored, start),
        ("Resumed", resumed, start),
        ("Cancelled", cancelled(false), start),
        ("Cancelled, hosts in flight too", cancelled(true), start),
        ("Superseded", RolloutEvent::Superseded(id("3")), start),
        ("Reopened", RolloutEvent::Reopened(HostName::new("web1").unwrap()), start),
    ]
}

/// Numbers the kinds of events without a gap: a new one does not compile until it has a number.
fn kind(event: &RolloutEvent) -> usize {
    match event {
        RolloutEvent::Tallied(_) => 0,
        RolloutEvent::Promoted { .. } => 1,
        RolloutEvent::Paused(_) => 2,
        RolloutEvent::Restored => 3,
        RolloutEvent::Resumed { .. } => 4,
        RolloutEvent::Cancelled { .. } => 5,
        RolloutEvent::Superseded(_) => 6,
        RolloutEvent::Reopened(_) => 7,
    }
}

fn label(rollout: &Rollout) -> String {
    let place = |at: &Place| match at {
        Place::Opened => "before the first wave".to_owned(),
        Place::Wave(wave) => format!("in wave {}", wave + 1),
        Place::Completed => "after the last wave".to_owned(),
    };
    match &rollout.state {
        RolloutState::Opened => "Opened".to_owned(),
        RolloutState::Advancing { wave } if rollout.wave_done_at.is_some() => {
            format!("Advancing in wave {}, done, waiting", wave + 1)
        }
        RolloutState::Advancing { wave } => format!("Advancing in wave {}", wave + 1),
        RolloutState::Completed => "Completed".to_owned(),
        RolloutState::Halted { wave, .. } => format!("Halted in wave {}", wave + 1),
        RolloutState::Paused { by, at } if by == RESTORED => format!("Paused {} after a restore", place(at)),
        RolloutState::Paused { at, .. } => format!("Paused {}", place(at)),
        RolloutState::Superseded { .. } => "Superseded".to_owned(),
        RolloutState::Cancelled { .. } => "Cancelled".to_owned(),
    }
}

fn due(rollout: &Rollout) -> String {
    match (&rollout.state, deadline(rollout, Timestamp(0))) {
        (_, Some(at)) => {
            assert_eq!(at, Timestamp(0).plus(WAIT));
            "counted again after the wave's wait".to_owned()
        }
        (RolloutState::Completed, _) => "never: final, but pausable while attempts are left".to_owned(),
        (RolloutState::Superseded { .. } | RolloutState::Cancelled { .. }, _) => "never: final".to_owned(),
        (RolloutState::Halted { .. } | RolloutState::Paused { .. }, _) => "never: waits for an operator".to_owned(),
        (RolloutState::Opened | RolloutState::Advancing { .. }, _) => "with the next change of a host".to_owned(),
    }
}

fn order(effect: &RolloutEffect) -> String {
    if let RolloutEffect::OpenWave(wave) = effect { format!("OpenWave {}", wave + 1) } else { name(effect) }
}

fn outcome(rollout: &Rollout, event: &RolloutEvent, now: Timestamp) -> Outcome {
    match step(rollout, event, now) {
        RolloutStep::Moved(next, effects) => {
            Outcome::Moved { to: label(&next), orders: effects.iter().map(order).collect() }
        }
        RolloutStep::Ignored(why) => Outcome::Ignored(why),
    }
}

pub(crate) fn machine() -> Machine {
    let row = |(state, rollout): (&str, Rollout)| Row {
        state: state.to_owned(),
        due: due(&rollout),
        outcomes: events().iter().map(|(name, event, now)| (*name, outcome(&rollout, event, *now))).collect(),
    };
    Machine {
        title: "A rollout",
        source: include_str!("../../../src/model/rollout/mod.rs"),
        note: "In the tables three waves of four changed hosts each; two of a wave must converge, one may fail, five \
               minutes lie between waves. Policies are `finish`; where they say `revert`, a \
               halt and a newer release also order `RevertInFlight`.",
        rows: states().into_iter().map(row).collect(),
    }
}

#[test]
fn the_tables_cover_every_state_and_every_event() {
    let kinds: BTreeSet<usize> = events().iter().map(|(_, event, _)| kind(event)).collect();
    assert_eq!(kinds, (0..=7).collect());
    let seen: BTreeSet<String> = states().iter().map(|(_, rollout)| rollout.state.to_string()).collect();
    let all = ["Advancing", "Cancelled", "Completed", "Halted", "Opened", "Paused", "Superseded"];
    assert_eq!(seen, all.map(str::to_owned).into());
    for (name, rollout) in states() {
        assert_eq!(label(&rollout), name, "a representative is what it is called");
    }
}

#[test]
fn a_stopped_rollout_opens_nothing_whatever_happens() {
    for (name, rollout) in states() {
        let stopped = matches!(rollout.state, RolloutState::Halted { .. } | RolloutState::Paused { .. })
            || matches!(rollout.state, RolloutState::Superseded { .. } | RolloutState::Cancelled { .. });
        for (event_name, event, now) in events() {
            let Outcome::Moved { orders, .. } = outcome(&rollout, &event, now) else { continue };
            let opens = orders.iter().any(|order| order.starts_with("OpenWave"));
            assert!(!stopped || !opens, "{name}, {event_name}");
        }
    }
}
