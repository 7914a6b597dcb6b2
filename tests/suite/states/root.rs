//! The root record's machine, state by state.

use crate::states::{Machine, Outcome, Row, name};
use convoy::model::facts::Verdict;
use convoy::model::fleet::{OnFailure, RebootPolicy};
use convoy::model::host_rollout::Terms;
use convoy::model::id::{Attempt, BootId, Closure};
use convoy::model::root_record::{
    CRASH_LOOP_STARTS, Launch, RootEvent, RootRecord, RootState, RootStep, SwitchResult, dead_man_due, step,
};
use convoy::model::time::{Stamp, Timestamp};
use std::collections::BTreeSet;
use std::time::Duration;

const SWITCH: Duration = Duration::from_secs(300);
const TIMEOUT: Duration = Duration::from_secs(90);
const END: Duration = Duration::from_secs(3000);
const COMMIT: Duration = Duration::from_secs(120);

fn closure(letter: &str) -> Closure {
    Closure::new(format!("/nix/store/{}-nixos-system", letter.repeat(32))).unwrap()
}

fn at(boot: &str, uptime: u64) -> Stamp {
    Stamp { wall: Timestamp(0), boot: BootId::new(boot).unwrap(), uptime: Duration::from_secs(uptime) }
}

fn start() -> Stamp {
    at("boot1", 1000)
}

fn soon() -> Stamp {
    start().plus(Duration::from_secs(60))
}

/// In the boot after that of [`start`].
fn next_boot() -> Stamp {
    at("boot2", 20)
}

fn launched(on_failure: OnFailure) -> RootRecord {
    let terms = Terms {
        target: closure("b"),
        soak: Duration::from_secs(600),
        failure_after: Duration::from_secs(60),
        switch_limit: SWITCH,
        commit_limit: COMMIT,
        rollback_limit: Duration::from_secs(200),
        reboot_limit: Duration::from_secs(400),
        stage_limit: Duration::from_secs(60),
        isolation_limit: Duration::from_secs(900),
        on_failure,
        reboot: RebootPolicy::Live,
    };
    let (rollout, attempt) = ("stable@1".parse().unwrap(), Attempt::FIRST);
    let (agent_timeout, end_after) = (TIMEOUT, END);
    RootRecord::launch(Launch { rollout, attempt, prior: closure("a"), terms, agent_timeout, end_after }, &start())
}

fn moved(record: &RootRecord, event: &RootEvent, now: &Stamp) -> RootRecord {
    match step(record, event, now) {
        RootStep::Moved(next, _) => *next,
        RootStep::Ignored(why) => panic!("{:?} ignores {event:?}: {why}", record.state),
    }
}

fn bad() -> SwitchResult {
    let verdict = Verdict::UnitsFailed(vec!["nginx.service".into()]);
    SwitchResult::Bad { verdict, log: String::new(), units: vec![] }
}

fn deferred() -> SwitchResult {
    SwitchResult::Deferred("switch-inhibitors".into())
}

fn states() -> Vec<(&'static str, RootRecord)> {
    let launched = launched(OnFailure::Revert);
    let ended = |result| moved(&launched, &RootEvent::Ended(result), &soon());
    let good = ended(SwitchResult::Good(vec![]));
    let waits = ended(deferred());
    let trial = moved(&waits, &RootEvent::TrialOrdered, &soon());
    let booted = moved(&trial, &RootEvent::Booted(closure("b")), &next_boot());
    let committing = moved(&good, &RootEvent::CommitAsked, &soon());
    let reverting = moved(&good, &RootEvent::RevertAsked(Verdict::DeadMan), &soon());
    let interrupted = moved(&good, &RootEvent::Booted(closure("a")), &next_boot());
    vec![
        ("Launched", launched.clone()),
        ("Launched, deferred", waits),
        ("Launched, trial boot ordered", trial),
        ("Soaking", good.clone()),
        ("Soaking after a bad switch", ended(bad())),
        ("Soaking, trial boot not judged", booted.clone()),
        ("Soaking after a trial boot", moved(&booted, &RootEvent::Ended(SwitchResult::Good(vec![])), &next_boot())),
        ("Committing", committing.clone()),
        ("Committing past its limit", late(&committing)),
        ("Committed", moved(&committing, &RootEvent::CommitDone, &soon())),
        ("Reverting", reverting.clone()),
        ("Reverting, interrupted by a reboot", interrupted.clone()),
        ("Reverted", moved(&reverting, &RootEvent::RevertDone, &soon())),
        ("Reverted, may be launched again", moved(&interrupted, &RootEvent::RevertDone, &next_boot())),
        ("Overtaken", moved(&good, &RootEvent::OvertakenBy(closure("c")), &soon())),
        ("Kept", moved(&good, &RootEvent::KeepAsked(Verdict::DeadMan), &soon())),
    ]
}

/// The same commit, as it stands when its limit has passed.
fn late(committing: &RootRecord) -> RootRecord {
    let began = same_boot(committing);
    let began = Stamp { uptime: began.uptime.saturating_sub(COMMIT + Duration::from_secs(1)), ..began };
    RootRecord { commit_began: Some(began), ..committing.clone() }
}

fn events() -> Vec<(&'static str, RootEvent, Option<Stamp>)> {
    let boots = |letter| RootEvent::Booted(closure(letter));
    vec![
        ("Ended: good", RootEvent::Ended(SwitchResult::Good(vec![])), None),
        ("Ended: deferred", RootEvent::Ended(deferred()), None),
        ("Ended: bad", RootEvent::Ended(bad()), None),
        ("Patted", RootEvent::Patted, None),
        ("AgentStarted", RootEvent::AgentStarted, None),
        ("TrialOrdered", RootEvent::TrialOrdered, None),
        ("Booted the prior", boots("a"), Some(at("boot3", 20))),
        ("Booted the target", boots("b"), Some(at("boot3", 20))),
        ("Booted something else", boots("c"), Some(at("boot3", 20))),
        ("CommitAsked", RootEvent::CommitAsked, None),
        ("CommitDone", RootEvent::CommitDone, None),
        ("CommitFailed, nothing written", RootEvent::CommitFailed { why: "/boot".into(), untouched: true }, None),
        ("CommitFailed, in part written", RootEvent::CommitFailed { why: "/boot".into(), untouched: false }, None),
        ("RevertAsked", RootEvent::RevertAsked(Verdict::DeadMan), None),
        ("RevertDone", RootEvent::RevertDone, None),
        ("RevertFailed", RootEvent::RevertFailed("lock".into()), None),
        ("KeepAsked", RootEvent::KeepAsked(Verdict::DeadMan), None),
        ("OvertakenBy", RootEvent::OvertakenBy(closure("c")), None),
    ]
}

/// Numbers the kinds of events without a gap: a new one does not compile until it has a number.
fn kind(event: &RootEvent) -> usize {
    match event {
        RootEvent::Ended(_) => 0,
        RootEvent::Patted => 1,
        RootEvent::AgentStarted => 2,
        RootEvent::TrialOrdered => 3,
        RootEvent::Booted(_) => 4,
        RootEvent::CommitAsked => 5,
        RootEvent::CommitDone => 6,
        RootEvent::RevertAsked(_) => 7,
        RootEvent::RevertDone => 8,
        RootEvent::RevertFailed(_) => 9,
        RootEvent::KeepAsked(_) => 10,
        RootEvent::OvertakenBy(_) => 11,
        RootEvent::CommitFailed { .. } => 12,
    }
}

/// A reading a minute after the dead-man was armed, in the boot that its clocks count in.
fn same_boot(record: &RootRecord) -> Stamp {
    let uptime = (record.end.uptime + Duration::from_secs(60)).saturating_sub(END);
    Stamp { uptime, ..record.end.clone() }
}

fn is_late(record: &RootRecord) -> bool {
    let began = record.commit_began.as_ref();
    began.is_some_and(|began| same_boot(record).since(began).is_some_and(|spent| spent > COMMIT))
}

fn label(record: &RootRecord) -> String {
    let result = record.result.as_ref().map(|(result, _)| result);
    let state = name(&record.state);
    match (record.state, result) {
        (RootState::Launched, Some(SwitchResult::Deferred(_))) if record.trial_from.is_some() => {
            format!("{state}, trial boot ordered")
        }
        (RootState::Launched, Some(SwitchResult::Deferred(_))) => format!("{state}, deferred"),
        (RootState::Soaking, Some(SwitchResult::Bad { .. })) => format!("{state} after a bad switch"),
        (RootState::Soaking, None) => format!("{state}, trial boot not judged"),
        (RootState::Soaking, _) if record.trial_from.is_some() => format!("{state} after a trial boot"),
        (RootState::Committing, _) if is_late(record) => format!("{state} past its limit"),
        (RootState::Reverting, _) if record.verdict.is_none() => format!("{state}, interrupted by a reboot"),
        (RootState::Reverted, _) if record.verdict.is_none() => format!("{state}, may be launched again"),
        _ => state,
    }
}

/// Says what the dead-man does when its deadline, the absolute end or the number of agent starts is reached.
fn due(record: &RootRecord) -> String {
    if record.is_final() {
        return "never: final".to_owned();
    }
    let span = |at: &Stamp, from: &Stamp| at.since(from).unwrap_or_default();
    let soon = same_boot(record);
    let mut acts = Vec::new();
    if let Some(verdict) = record.deadline.as_ref().and_then(|at| dead_man_due(record, at)) {
        let deadline = record.deadline.as_ref().unwrap();
        let switching = span(deadline, &record.started) == SWITCH + TIMEOUT || record.is_unjudged_trial();
        let when = if switching { "the switch limit and the agent timeout" } else { "the agent timeout without a pat" };
        acts.push(format!("dead-man: `{}` after {when}", name(&verdict)));
    }
    let patted = RootRecord { deadline: Some(record.end.plus(TIMEOUT)), ..record.clone() };
    if let Some(verdict) = dead_man_due(&patted, &record.end) {
        acts.push(format!("`{}` at the absolute end, whatever is patted", name(&verdict)));
    }
    let looping = RootRecord { agent_starts: vec![soon.clone(); CRASH_LOOP_STARTS], ..record.clone() };
    let crashed = dead_man_due(&looping, &soon).filter(|verdict| *verdict == Verdict::AgentCrashLoop);
    if let Some(verdict) = crashed {
        acts.push(format!("`{}` at three agent starts in ten minutes", name(&verdict)));
    }
    if acts.is_empty() {
        "no dead-man: nothing unproven can stay, or it is being finished".to_owned()
    } else {
        acts.join("; ")
    }
}

fn outcome(record: &RootRecord, event: &RootEvent, now: &Stamp) -> Outcome {
    match step(record, event, now) {
        RootStep::Moved(next, effects) => {
            Outcome::Moved { to: label(&next), orders: effects.iter().map(name).collect() }
        }
        RootStep::Ignored(why) => Outcome::Ignored(why),
    }
}

pub(crate) fn machine() -> Machine {
    let row = |(state, record): (&str, RootRecord)| {
        let now = |own: Option<Stamp>| own.unwrap_or_else(|| same_boot(&record));
        let say =
            |(name, event, own): (&'static str, RootEvent, Option<Stamp>)| (name, outcome(&record, &event, &now(own)));
        Row { state: state.to_owned(), due: due(&record), outcomes: events().into_iter().map(say).collect() }
    };
    Machine {
        title: "The root record of an attempt",
        source: include_str!("../../../src/model/root_record/mod.rs"),
        note: "What the root helper knows and does by itself. The boots in the tables are later ones than the record's.",
        rows: states().into_iter().map(row).collect(),
    }
}

#[test]
fn the_tables_cover_every_state_and_every_event() {
    let kinds: BTreeSet<usize> = events().iter().map(|(_, event, _)| kind(event)).collect();
    assert_eq!(kinds, (0..=12).collect());
    use RootState as S;
    let all = [S::Launched, S::Soaking, S::Committing, S::Committed, S::Reverting, S::Reverted, S::Overtaken, S::Kept];
    let seen: BTreeSet<RootState> = states().iter().map(|(_, record)| record.state).collect();
    assert_eq!(seen, all.into_iter().collect());
    for (name, record) in states() {
        assert_eq!(label(&record), name, "a representative is what it is called");
    }
}

#[test]
fn the_dead_man_lets_go_of_a_kept_host() {
    for (name, record) in states() {
        let mut kept = record;
        kept.terms.on_failure = OnFailure::Keep;
        assert_eq!(dead_man_due(&kept, &kept.end.plus(END)), None, "{name}");
    }
}
