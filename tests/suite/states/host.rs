//! The host rollout machine, state by state.

use crate::states::{Machine, Outcome, Row, name};
use convoy::model::facts::{Closures, ProbeMode, ProbeOutcome, Verdict};
use convoy::model::fleet::{OnFailure, RebootPolicy};
use convoy::model::host_rollout::deadline::{ASK_AGAIN, STAGE_BACKOFF, deadline};
use convoy::model::host_rollout::running::Health;
use convoy::model::host_rollout::step::{PERMIT_LIFE, step};
use convoy::model::host_rollout::{
    Activating, Adoption, Cancelled, Converged, Deferred, Event, Failed, HostRollout, HostRolloutState, Memory,
    Observed, Pending, Phase, Probe, Reboots, Reverted, Rollback, Soaking, Staging, Step, Terms,
};
use convoy::model::id::{Attempt, BootId, Closure, JournalId, ProbeName};
use convoy::model::time::{Stamp, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Each limit has a length of its own, so that a deadline tells which one it counts.
const LIMITS: [(&str, u64); 7] = [
    ("the soak time", 1001),
    ("the failure time", 1002),
    ("the switch limit", 1003),
    ("the commit limit", 1004),
    ("the rollback limit", 1005),
    ("the reboot limit", 1006),
    ("the stage limit", 1007),
];

fn limit(index: usize) -> Duration {
    Duration::from_secs(LIMITS[index].1)
}

fn closure(letter: &str) -> Closure {
    Closure::new(format!("/nix/store/{}-nixos-system", letter.repeat(32))).unwrap()
}

fn target() -> Closure {
    closure("b")
}

fn prior() -> Closure {
    closure("a")
}

fn other() -> Closure {
    closure("c")
}

/// The reading at which every state below began.
fn then() -> Stamp {
    let uptime = Duration::from_secs(10_000);
    Stamp { wall: Timestamp(0), boot: BootId::new("boot1").unwrap(), uptime }
}

fn soon() -> Stamp {
    then().plus(Duration::from_secs(5))
}

fn late() -> Stamp {
    then().plus(PERMIT_LIFE + Duration::from_secs(1))
}

fn next_boot() -> Stamp {
    Stamp { boot: BootId::new("boot2").unwrap(), uptime: Duration::from_secs(20), ..then() }
}

fn web() -> ProbeName {
    ProbeName::new("web").unwrap()
}

fn terms() -> Terms {
    Terms {
        target: target(),
        soak: limit(0),
        failure_after: limit(1),
        switch_limit: limit(2),
        commit_limit: limit(3),
        rollback_limit: limit(4),
        reboot_limit: limit(5),
        stage_limit: limit(6),
        isolation_limit: Duration::from_secs(1008),
        on_failure: OnFailure::Revert,
        reboot: RebootPolicy::Live,
    }
}

fn in_phase(phase: Phase) -> HostRollout {
    HostRollout { attempt: Attempt(2), terms: terms(), phase, reboots: Reboots::default(), observed: None }
}

fn pending(staging: Staging, acked: Option<Stamp>) -> HostRollout {
    in_phase(Phase::Pending(Pending { since: then(), staging, acked }))
}

fn deferred(acked: Option<Stamp>, trial: Option<Stamp>) -> HostRollout {
    let why = "switch-inhibitors".to_owned();
    in_phase(Phase::Deferred(Deferred { prior: prior(), why, since: then(), acked, trial }))
}

fn soaking(last: Option<ProbeOutcome>) -> Soaking {
    let failing_since = matches!(last, Some(ProbeOutcome::Fail(_))).then(then);
    let probes = Some(BTreeMap::from([(web(), Probe { mode: ProbeMode::Enforce, last })]));
    Soaking { prior: prior(), started: then(), since: then(), probes, failing_since, committed: None }
}

fn failed(rollback: Rollback) -> HostRollout {
    let verdict = Verdict::ProbesFailed(vec![web()]);
    in_phase(Phase::Failed(Failed { verdict, at: then(), prior: Some(prior()), rollback }))
}

fn failing() -> Option<ProbeOutcome> {
    Some(ProbeOutcome::Fail("refused".into()))
}

/// States that stand for all others: each differs from the rest in what some event does.
pub(crate) fn states() -> Vec<HostRollout> {
    let stage_failed = Staging::Failed { reason: "no cache".into(), tries: 1, at: then() };
    let healthy = soaking(Some(ProbeOutcome::Pass));
    let soaks = |soaking: &Soaking| in_phase(Phase::Soaking(soaking.clone()));
    let rebooted = |clean, unclean| HostRollout { reboots: Reboots { clean, unclean }, ..soaks(&healthy) };
    let mut keep = soaks(&healthy);
    keep.terms.on_failure = OnFailure::Keep;
    let converged = |failing| in_phase(Phase::Converged(Converged { at: then(), activated: true, failing }));
    vec![
        pending(Staging::Wanted, None),
        pending(stage_failed, None),
        pending(Staging::Done, None),
        pending(Staging::Done, Some(then())),
        in_phase(Phase::Activating(Activating { prior: prior(), acked: then(), started: then() })),
        deferred(None, None),
        deferred(Some(then()), None),
        deferred(Some(then()), Some(then())),
        soaks(&Soaking { probes: None, ..healthy.clone() }),
        soaks(&soaking(None)),
        soaks(&healthy),
        soaks(&soaking(failing())),
        rebooted(3, 0),
        rebooted(0, 1),
        keep,
        soaks(&Soaking { committed: Some(then()), ..healthy.clone() }),
        converged(None),
        converged(Some((then(), web()))),
        failed(Rollback::Due),
        failed(Rollback::Started(then())),
        failed(Rollback::Impossible("disk".into())),
        failed(Rollback::Kept),
        failed(Rollback::Overtaken),
        in_phase(Phase::Reverted(Reverted { verdict: Verdict::DeadMan, at: then() })),
        in_phase(Phase::Cancelled(Cancelled { why: "by ada".into(), at: then() })),
    ]
}

fn adopted(attempt: u32, soaks: bool) -> Event {
    let state = if soaks { states()[10].clone() } else { states()[2].clone() };
    let state = HostRollout { attempt: Attempt(attempt), ..state };
    Event::Adopted(Box::new(Adoption { source: Memory::Snapshot, state }))
}

fn verdict() -> Verdict {
    Verdict::ProbesFailed(vec![web()])
}

/// Every event, with its author's reading.
pub(crate) fn events() -> Vec<(&'static str, Event, Stamp)> {
    let started = || Event::ActivationStarted { prior: prior() };
    let bad = Verdict::UnitsFailed(vec!["nginx.service".into()]);
    let result = |outcome| Event::ProbeResult { probe: web(), outcome };
    let boots = |into: Closure, clean| Event::Rebooted { into, clean };
    let declared = BTreeMap::from([(web(), ProbeMode::Enforce)]);
    let journal = JournalId::new("0".repeat(32)).unwrap();
    let seen = Closures { running: Some(target()), booted: Some(prior()), default: Some(prior()) };
    vec![
        ("Staged", Event::Staged, soon()),
        ("StageFailed", Event::StageFailed("no cache".into()), soon()),
        ("DispatchAcked", Event::DispatchAcked, soon()),
        ("PermitLapsed", Event::PermitLapsed("refused".into()), soon()),
        ("ActivationStarted", started(), soon()),
        ("ActivationStarted too late", started(), late()),
        ("ActivationStarted where the target runs", Event::ActivationStarted { prior: target() }, soon()),
        ("ActivationCompleted", Event::ActivationCompleted { at: soon(), notes: vec![] }, soon()),
        ("ActivationDeferred", Event::ActivationDeferred("exit 100".into()), soon()),
        ("ActivationFailed", Event::ActivationFailed { verdict: bad, log: String::new(), units: vec![] }, soon()),
        ("TrialBootStarted", Event::TrialBootStarted, soon()),
        ("TrialBootStarted too late", Event::TrialBootStarted, late()),
        ("ProbeTopologyDeclared", Event::ProbeTopologyDeclared(declared), soon()),
        ("ProbeTopologyDeclared without probes", Event::ProbeTopologyDeclared(BTreeMap::new()), soon()),
        ("ProbeResult: pass", result(ProbeOutcome::Pass), soon()),
        ("ProbeResult: fail", result(failing().unwrap()), soon()),
        ("SustainedFailure", Event::SustainedFailure(verdict()), soon()),
        ("SustainedFailure: ordered back", Event::SustainedFailure(Verdict::Ordered("by ada".into())), soon()),
        ("Rebooted into the prior, cleanly", boots(prior(), true), next_boot()),
        ("Rebooted into the prior, uncleanly", boots(prior(), false), next_boot()),
        ("Rebooted into the target", boots(target(), true), next_boot()),
        ("Rebooted into something else", boots(other(), true), next_boot()),
        ("Overtaken", Event::Overtaken(other()), soon()),
        ("RollbackStarted", Event::RollbackStarted(Verdict::DeadMan), soon()),
        ("RollbackCompleted", Event::RollbackCompleted, soon()),
        ("RollbackFailed", Event::RollbackFailed("disk".into()), soon()),
        ("Committed", Event::Committed, soon()),
        ("Converged", Event::Converged, soon()),
        ("Cancelled", Event::Cancelled("by ada".into()), soon()),
        ("Adopted: an earlier attempt", adopted(1, true), soon()),
        ("Adopted: this attempt, soaking", adopted(2, true), soon()),
        ("Adopted: a later attempt, pending", adopted(3, false), soon()),
        ("HistoryLost", Event::HistoryLost { journal, from: 3, to: Some(7) }, soon()),
        ("ClosureObserved", Event::ClosureObserved(Observed { closures: seen, by: None }), soon()),
    ]
}

/// Numbers the kinds of events without a gap: a new one does not compile until it has a number.
fn kind(event: &Event) -> usize {
    match event {
        Event::Staged => 0,
        Event::StageFailed(_) => 1,
        Event::DispatchAcked => 2,
        Event::PermitLapsed(_) => 3,
        Event::ActivationStarted { .. } => 4,
        Event::ActivationCompleted { .. } => 5,
        Event::ActivationDeferred(_) => 6,
        Event::ActivationFailed { .. } => 7,
        Event::TrialBootStarted => 8,
        Event::ProbeTopologyDeclared(_) => 9,
        Event::ProbeResult { .. } => 10,
        Event::SustainedFailure(_) => 11,
        Event::Rebooted { .. } => 12,
        Event::Overtaken(_) => 13,
        Event::RollbackStarted(_) => 14,
        Event::RollbackCompleted => 15,
        Event::RollbackFailed(_) => 16,
        Event::Committed => 17,
        Event::Converged => 18,
        Event::Cancelled(_) => 19,
        Event::Adopted(_) => 20,
        Event::HistoryLost { .. } => 21,
        Event::ClosureObserved(_) => 22,
    }
}

fn label(state: &HostRollout) -> String {
    let asked = |acked: &Option<Stamp>| if acked.is_some() { ", permit asked for" } else { "" };
    match &state.phase {
        Phase::Pending(pending) => {
            let staging = match pending.staging {
                Staging::Wanted => "staging",
                Staging::Failed { .. } => "staging failed",
                Staging::Done => "staged",
            };
            format!("Pending, {staging}{}", asked(&pending.acked))
        }
        Phase::Activating(_) => "Activating".to_owned(),
        Phase::Deferred(Deferred { trial: Some(_), .. }) => "Deferred, reboot ordered".to_owned(),
        Phase::Deferred(deferred) => format!("Deferred{}", asked(&deferred.acked)),
        Phase::Soaking(soaking) => format!("Soaking{}", soak_label(state, soaking)),
        Phase::Converged(Converged { failing: Some(_), .. }) => "Converged, a probe fails".to_owned(),
        Phase::Converged(Converged { activated: false, .. }) => "Converged, without a switch".to_owned(),
        Phase::Converged(_) => "Converged".to_owned(),
        Phase::Failed(failed) => match failed.rollback {
            Rollback::Due => "Failed, going back".to_owned(),
            Rollback::Started(_) => "Failed, rollback begun".to_owned(),
            Rollback::Impossible(_) => "Failed, rollback impossible".to_owned(),
            Rollback::Kept => "Failed, kept".to_owned(),
            Rollback::Overtaken => "Failed, overtaken".to_owned(),
        },
        Phase::Reverted(_) => "Reverted".to_owned(),
        Phase::Cancelled(_) => "Cancelled".to_owned(),
    }
}

fn soak_label(state: &HostRollout, soaking: &Soaking) -> &'static str {
    if soaking.committed.is_some() {
        return ", committed";
    }
    if state.terms.on_failure == OnFailure::Keep {
        return " under policy keep";
    }
    match (state.reboots.clean, state.reboots.unclean) {
        (0, 0) => {}
        (_, 0) => return " after three clean reboots",
        (_, _) => return " after an unclean reboot",
    }
    match (&soaking.failing_since, soaking.health(), &soaking.probes) {
        (Some(_), _, _) => ", failing",
        (None, Health::Good, _) => ", healthy",
        (None, _, None) => ", probes not declared",
        (None, _, Some(_)) => ", a probe has not reported",
    }
}

fn due(state: &HostRollout) -> String {
    let Some(deadline) = deadline(state) else { return "never: final".to_owned() };
    let after = deadline.at.uptime.saturating_sub(then().uptime);
    let fixed = [("the permit's life (60 s)", PERMIT_LIFE), ("15 min", ASK_AGAIN)];
    let backoff = ("the backoff (5 s to 10 min)", STAGE_BACKOFF.wait(0, u32::MAX));
    let named = LIMITS.iter().map(|(name, secs)| (*name, Duration::from_secs(*secs))).chain(fixed).chain([backoff]);
    let span = named.into_iter().find(|(_, span)| *span == after);
    let (span, _) = span.unwrap_or_else(|| panic!("{} is due after {after:?}, which is no limit", label(state)));
    format!("`{:?}` after {span}", deadline.due)
}

fn outcome(state: &HostRollout, event: &Event, now: &Stamp) -> Outcome {
    match step(state, event, now) {
        Step::Moved(next, effects) => Outcome::Moved { to: label(&next), orders: effects.iter().map(name).collect() },
        Step::Ignored(why) => Outcome::Ignored(why),
    }
}

pub(crate) fn machine() -> Machine {
    let rows = states().into_iter().map(|state| Row {
        state: label(&state),
        due: due(&state),
        outcomes: events().iter().map(|(name, event, now)| (*name, outcome(&state, event, now))).collect(),
    });
    Machine {
        title: "A host's attempt",
        source: include_str!("../../../src/model/host_rollout/mod.rs"),
        note: "The same code runs on the host and on the control plane. Limits are the signed policy's; spans run on \
               the host's boot clock and end with the boot they were counted in.",
        rows: rows.collect(),
    }
}

#[test]
fn the_tables_cover_every_state_and_every_event() {
    let kinds: BTreeSet<usize> = events().iter().map(|(_, event, _)| kind(event)).collect();
    assert_eq!(kinds, (0..=22).collect());
    let seen: BTreeSet<HostRolloutState> = states().iter().map(HostRollout::state).collect();
    assert_eq!(seen, HostRolloutState::ALL.into_iter().collect());
    let labels: BTreeSet<String> = states().iter().map(label).collect();
    assert_eq!(labels.len(), states().len(), "each representative has a name of its own");
}

/// Calls `check` with every state, event and what comes of them, where the event moves the state.
fn each_move(check: impl Fn(&HostRollout, &Event, &HostRollout)) {
    for state in states() {
        for (_, event, now) in events() {
            if let Step::Moved(next, _) = step(&state, &event, &now) {
                check(&state, &event, &next);
            }
        }
    }
}

#[test]
fn final_states_are_left_by_adoption_only() {
    each_move(|state, event, next| {
        let adopted = matches!(event, Event::Adopted(_));
        assert!(!state.is_final() || adopted || next.state() == state.state(), "{state:?} left by {event:?}");
        assert!(!state.is_final() || adopted || next.is_final(), "{state:?} reopened by {event:?}");
    });
}

#[test]
fn only_final_states_have_no_deadline() {
    each_move(|_, _, next| assert_eq!(deadline(next).is_none(), next.is_final(), "{next:?}"));
    states().iter().for_each(|state| assert_eq!(deadline(state).is_none(), state.is_final(), "{state:?}"));
}

#[test]
fn nothing_is_switched_without_a_fresh_permit() {
    each_move(|state, event, next| {
        let starts = next.state() == HostRolloutState::Activating && state.state() != HostRolloutState::Activating;
        let asked = matches!(&state.phase, Phase::Pending(Pending { acked: Some(_), .. }));
        assert!(!starts || (asked && matches!(event, Event::ActivationStarted { .. })), "{state:?} {event:?}");
    });
}

#[test]
fn only_a_committed_soak_or_an_untouched_host_converges() {
    each_move(|state, event, next| {
        if next.state() != HostRolloutState::Converged || state.state() == HostRolloutState::Converged {
            return;
        }
        let committed = matches!(&state.phase, Phase::Soaking(soaking) if soaking.committed.is_some());
        let untouched = state.state() == HostRolloutState::Pending;
        assert!(committed || untouched, "{state:?} {event:?}");
        assert!(matches!(&next.phase, Phase::Converged(converged) if converged.activated == committed));
    });
}

#[test]
fn what_may_run_unproven_is_never_cancelled() {
    each_move(|state, event, next| {
        if next.state() == HostRolloutState::Cancelled && state.state() != HostRolloutState::Cancelled {
            let unordered = matches!(&state.phase, Phase::Deferred(deferred) if deferred.trial.is_none());
            let waits = unordered || state.state() == HostRolloutState::Pending;
            assert!(waits, "{state:?} cancelled by {event:?}");
        }
    });
}
