use super::*;
use crate::model::facts::{Activation, ProbeMode, ProbeOutcome, Verdict};
use crate::model::host_rollout::deadline::{Due, deadline};
use crate::model::host_rollout::running::Health;
use crate::model::host_rollout::step::{PERMIT_LIFE, step};
use crate::model::id::{BootId, JournalId, ProbeName};
use crate::model::time::Timestamp;
use proptest::prelude::*;
use std::collections::BTreeMap;

const SOAK: Duration = Duration::from_secs(600);
const FAILURE: Duration = Duration::from_secs(60);

fn closure(letter: &str) -> Closure {
    Closure::new(format!("/nix/store/{}-nixos-system", letter.repeat(32))).unwrap()
}

fn prior() -> Closure {
    closure("a")
}

fn target() -> Closure {
    closure("b")
}

fn probe(name: &str) -> ProbeName {
    ProbeName::new(name).unwrap()
}

fn at(boot: u32, uptime: u64) -> Stamp {
    let wall = Timestamp(i64::try_from(uptime * 1000).unwrap());
    Stamp { wall, boot: BootId::new(format!("boot{boot}")).unwrap(), uptime: Duration::from_secs(uptime) }
}

fn terms(on_failure: OnFailure) -> Terms {
    Terms {
        target: target(),
        soak: SOAK,
        failure_after: FAILURE,
        switch_limit: Duration::from_secs(300),
        commit_limit: Duration::from_secs(120),
        rollback_limit: Duration::from_secs(200),
        reboot_limit: Duration::from_secs(400),
        stage_limit: Duration::from_secs(900),
        isolation_limit: Duration::from_secs(1800),
        on_failure,
        reboot: RebootPolicy::Live,
    }
}

fn opened() -> HostRollout {
    HostRollout::open(Attempt::FIRST, terms(OnFailure::Revert), &at(1, 0))
}

fn moved(state: &HostRollout, event: &Event, now: &Stamp) -> (HostRollout, Vec<Effect>) {
    match step(state, event, now) {
        Step::Moved(next, effects) => (*next, effects),
        Step::Ignored(why) => panic!("{} ignores {event:?}: {why}", state.state()),
    }
}

fn after(events: &[(Event, u64)]) -> HostRollout {
    events.iter().fold(opened(), |state, (event, now)| moved(&state, event, &at(1, *now)).0)
}

fn start(now: u64) -> [(Event, u64); 3] {
    [(Event::Staged, now), (Event::DispatchAcked, now), (Event::ActivationStarted { prior: prior() }, now + 1)]
}

/// Soaks since 100 s in boot 1, with the enforced probes `web` and `db` and the observed `log` declared.
fn soaking() -> HostRollout {
    let completed = Event::ActivationCompleted { at: at(1, 100), notes: vec![] };
    let events = [&start(10)[..], &[(completed, 130), (declare(), 131)]].concat();
    after(&events)
}

fn declare() -> Event {
    let modes = [("web", ProbeMode::Enforce), ("db", ProbeMode::Enforce), ("log", ProbeMode::Observe)];
    Event::ProbeTopologyDeclared(modes.map(|(name, mode)| (probe(name), mode)).into())
}

fn pass(name: &str) -> Event {
    Event::ProbeResult { probe: probe(name), outcome: ProbeOutcome::Pass }
}

fn fail(name: &str) -> Event {
    Event::ProbeResult { probe: probe(name), outcome: ProbeOutcome::Fail("refused".into()) }
}

fn due(state: &HostRollout) -> (Due, u64) {
    let deadline = deadline(state).unwrap();
    (deadline.due, deadline.at.uptime.as_secs())
}

fn run(state: HostRollout, events: &[(Event, u64)]) -> HostRollout {
    events.iter().fold(state, |state, (event, now)| moved(&state, event, &at(1, *now)).0)
}

#[test]
fn the_soak_counts_from_the_switchs_result_not_from_the_news_of_it() {
    let healthy = run(soaking(), &[(pass("web"), 140), (pass("db"), 150)]);
    assert_eq!(due(&healthy), (Due::Commit, 100 + SOAK.as_secs()));
}

#[test]
fn a_probe_that_has_not_reported_holds_the_soak() {
    let half = run(soaking(), &[(pass("web"), 140)]);
    assert_eq!(due(&half), (Due::LookAgain, 100 + SOAK.as_secs()));
}

#[test]
fn a_probe_that_only_observes_holds_and_fails_nothing() {
    let healthy = run(soaking(), &[(pass("web"), 140), (pass("db"), 150), (fail("log"), 160)]);
    assert_eq!(due(&healthy), (Due::Commit, 100 + SOAK.as_secs()));
}

#[test]
fn the_failure_clock_starts_at_the_first_failure_and_a_pass_of_all_clears_it() {
    let failing = run(soaking(), &[(pass("db"), 140), (fail("web"), 150)]);
    assert_eq!(due(&failing), (Due::FailureSustained, 150 + FAILURE.as_secs()));
    let both = run(failing, &[(fail("db"), 180), (pass("web"), 190)]);
    assert_eq!(due(&both), (Due::FailureSustained, 150 + FAILURE.as_secs()), "db still fails");
    let cleared = run(both, &[(pass("db"), 200)]);
    assert_eq!(due(&cleared), (Due::Commit, 100 + SOAK.as_secs()));
    let again = run(cleared, &[(fail("web"), 300)]);
    assert_eq!(due(&again), (Due::FailureSustained, 300 + FAILURE.as_secs()));
}

#[test]
fn the_failure_clock_goes_on_when_probes_are_declared_anew() {
    let failing = run(soaking(), &[(pass("db"), 140), (fail("web"), 150), (declare(), 170)]);
    assert_eq!(due(&failing), (Due::FailureSustained, 150 + FAILURE.as_secs()));
    let partly = run(failing, &[(pass("db"), 180)]);
    assert_eq!(due(&partly), (Due::FailureSustained, 150 + FAILURE.as_secs()), "web has not reported yet");
    assert_eq!(due(&run(partly, &[(pass("web"), 190)])), (Due::Commit, 100 + SOAK.as_secs()));
}

#[test]
fn a_permit_that_is_too_old_starts_nothing() {
    let asked = after(&start(10)[..2]);
    let begin = Event::ActivationStarted { prior: prior() };
    let last = at(1, 10).plus(PERMIT_LIFE);
    assert_eq!(moved(&asked, &begin, &last).0.state(), HostRolloutState::Activating);
    let late = last.plus(Duration::from_secs(1));
    assert_eq!(step(&asked, &begin, &late), Step::Ignored("the permit is too old"));
    assert_eq!(step(&asked, &begin, &at(2, 11)), Step::Ignored("the permit is too old"), "of another boot");
}

#[test]
fn three_clean_reboots_in_a_soak_are_forgiven_and_the_fourth_is_a_verdict_without_quarantine() {
    let mut state = soaking();
    for boot in 2..5 {
        let reboot = Event::Rebooted { into: prior(), clean: true };
        state = moved(&state, &reboot, &at(boot, 9)).0;
        assert_eq!(state.state(), HostRolloutState::Pending);
        for (event, now) in &start(10)[1..] {
            state = moved(&state, event, &at(boot, *now)).0;
        }
        let completed = Event::ActivationCompleted { at: at(boot, 20), notes: vec![] };
        state = moved(&state, &completed, &at(boot, 20)).0;
    }
    let (state, effects) = moved(&state, &Event::Rebooted { into: prior(), clean: true }, &at(5, 9));
    assert!(matches!(&state.phase, Phase::Failed(failed) if failed.verdict == Verdict::TooManyReboots));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Quarantine(_))));
}

#[test]
fn the_second_unclean_reboot_quarantines_the_closure() {
    let crashed = Event::Rebooted { into: prior(), clean: false };
    let once = moved(&soaking(), &crashed, &at(2, 9)).0;
    assert_eq!((once.state(), once.reboots.unclean), (HostRolloutState::Pending, 1));
    let again = [(Event::DispatchAcked, 10), (Event::ActivationStarted { prior: prior() }, 11)];
    let activating = again.iter().fold(once, |state, (event, now)| moved(&state, event, &at(2, *now)).0);
    let (failed, effects) = moved(&activating, &crashed, &at(3, 9));
    assert!(matches!(&failed.phase, Phase::Failed(failed) if failed.verdict == Verdict::UncleanReboots));
    assert!(effects.contains(&Effect::Quarantine(target())));
}

#[test]
fn what_was_committed_is_never_taken_back() {
    let committed = run(soaking(), &[(pass("web"), 140), (pass("db"), 150), (Event::Committed, 800)]);
    let verdict = Verdict::ProbesFailed(vec![probe("web")]);
    for event in [Event::SustainedFailure(verdict.clone()), Event::RollbackStarted(verdict), Event::Overtaken(prior())]
    {
        assert_eq!(step(&committed, &event, &at(1, 801)), Step::Ignored("committed already"));
    }
    let done = run(committed, &[(fail("web"), 801), (Event::Converged, 802)]);
    assert_eq!(done.state(), HostRolloutState::Converged);
}

#[test]
fn an_order_to_go_back_reverts_under_every_policy_and_quarantines_nothing() {
    for on_failure in [OnFailure::Revert, OnFailure::Keep] {
        let state = HostRollout { terms: terms(on_failure), ..soaking() };
        let ordered = Event::SustainedFailure(Verdict::Ordered("halted".into()));
        let (failed, effects) = moved(&state, &ordered, &at(1, 200));
        assert!(!failed.is_final(), "it goes back");
        assert_eq!(effects, [Effect::StopProbes, Effect::Revert(Verdict::Ordered("halted".into()))]);
    }
}

#[test]
fn a_trial_boot_that_is_told_twice_is_not_somebody_elses_work() {
    let deferred = run(after(&start(10)), &[(Event::ActivationDeferred("kernel".into()), 20)]);
    let ordered = run(deferred, &[(Event::DispatchAcked, 30), (Event::TrialBootStarted, 31)]);
    let boots = |into| Event::Rebooted { into, clean: true };
    let soaking = moved(&ordered, &boots(target()), &at(2, 9)).0;
    assert_eq!(step(&soaking, &boots(target()), &at(2, 30)), Step::Ignored("no boot lies between"));
    let overtaken = moved(&soaking, &boots(target()), &at(3, 9)).0;
    assert!(overtaken.is_final(), "nobody but an operator makes an uncommitted target the default");
}

fn name() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("web"), Just("db"), Just("log"), Just("undeclared")]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        Just(Verdict::ProbesFailed(vec![probe("web")])),
        Just(Verdict::DeadMan),
        Just(Verdict::Isolated),
        Just(Verdict::Ordered("halted".into())),
        Just(Verdict::CommitFailed("disk".into())),
    ]
}

fn any_closure() -> impl Strategy<Value = Closure> {
    prop_oneof![6 => Just(prior()), 3 => Just(target()), 1 => Just(closure("c"))]
}

fn any_event() -> impl Strategy<Value = Event> {
    let failed = |verdict| Event::ActivationFailed { verdict, log: String::new(), units: vec![] };
    prop_oneof![
        6 => Just(Event::Staged),
        1 => Just(Event::StageFailed("no cache".into())),
        8 => Just(Event::DispatchAcked),
        1 => Just(Event::PermitLapsed("refused".into())),
        8 => any_closure().prop_map(|prior| Event::ActivationStarted { prior }),
        6 => (0_u64..60).prop_map(|ago| Event::ActivationCompleted { at: at(0, ago), notes: vec![] }),
        2 => Just(Event::ActivationDeferred("exit 100".into())),
        1 => verdict().prop_map(failed),
        3 => Just(Event::TrialBootStarted),
        4 => Just(declare()),
        1 => Just(Event::ProbeTopologyDeclared(BTreeMap::new())),
        8 => name().prop_map(pass),
        4 => name().prop_map(fail),
        1 => verdict().prop_map(Event::SustainedFailure),
        4 => (any_closure(), any::<bool>()).prop_map(|(into, clean)| Event::Rebooted { into, clean }),
        1 => any_closure().prop_map(Event::Overtaken),
        1 => verdict().prop_map(Event::RollbackStarted),
        1 => Just(Event::RollbackCompleted),
        1 => Just(Event::RollbackFailed("disk".into())),
        2 => Just(Event::Committed),
        2 => Just(Event::Converged),
        1 => Just(Event::Cancelled("by ada".into())),
        1 => Just(Event::HistoryLost { journal: JournalId::new("0".repeat(32)).unwrap(), from: 1, to: None }),
        1 => any_closure().prop_map(|seen| {
            let closures = Closures { running: Some(seen), booted: None, default: None };
            Event::ClosureObserved(Observed { closures, by: None })
        }),
    ]
}

/// A history: events with the seconds that pass before each, and how far the wall clock is off at each.
fn any_history() -> impl Strategy<Value = Vec<(Event, u64, i64)>> {
    let later = prop_oneof![8 => 0_u64..20, 2 => 20_u64..1000];
    let three_hours = 3 * 3600 * 1000_i64;
    prop::collection::vec((any_event(), later, -three_hours..=three_hours), 1..80)
}

/// Changes the reading that a good switch was written with, where the event has one.
fn with_result_at(event: &Event, change: impl Fn(&Stamp) -> Stamp) -> Event {
    if let Event::ActivationCompleted { at, notes } = event {
        return Event::ActivationCompleted { at: change(at), notes: notes.clone() };
    }
    event.clone()
}

/// Gives every event the reading of its author: a reboot begins a new boot, a result lies a little back.
fn stamped(history: &[(Event, u64, i64)]) -> Vec<(Event, Stamp)> {
    let (mut boot, mut uptime) = (1, 0);
    let stamp = |(event, later, _): &(Event, u64, i64)| {
        (boot, uptime) = if matches!(event, Event::Rebooted { .. }) { (boot + 1, 20) } else { (boot, uptime + later) };
        let now = at(boot, uptime);
        let result = |ago: &Stamp| at(boot, uptime.saturating_sub(ago.uptime.as_secs()));
        (with_result_at(event, result), now)
    };
    history.iter().map(stamp).collect()
}

/// Leaves out every wall time: two states that differ in them only read alike.
fn without_walls(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    let mut parts = text.split("wall: Timestamp(");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| all + part.split_once(')').map_or("", |(_, rest)| rest))
}

fn check_state(state: &HostRollout) {
    assert_eq!(deadline(state).is_none(), state.is_final(), "{state:?}");
    let waits = matches!(state.state(), HostRolloutState::Pending | HostRolloutState::Cancelled);
    assert_eq!(state.is_started(), !waits);
    let Some(due) = deadline(state) else { return };
    if let Phase::Soaking(soaking) = &state.phase {
        let healthy = soaking.health() == Health::Good && soaking.failing_since.is_none();
        assert!(due.due != Due::Commit || healthy, "{soaking:?} is to be committed");
        let fails = soaking.failing_since.is_some() && soaking.committed.is_none();
        assert_eq!(due.due == Due::FailureSustained, fails);
    } else {
        assert!(!matches!(due.due, Due::Commit | Due::FailureSustained));
    }
}

fn check_move(before: &HostRollout, event: &Event, now: &Stamp, next: &HostRollout) {
    assert!(!before.is_final() || before.state() == next.state(), "{before:?} left by {event:?}");
    assert_eq!((&before.terms, before.attempt), (&next.terms, next.attempt));
    let starts = next.state() == HostRolloutState::Activating && before.state() != HostRolloutState::Activating;
    if starts {
        let Phase::Pending(Pending { acked: Some(acked), .. }) = &before.phase else { panic!("no permit: {before:?}") };
        assert!(now.since(acked).unwrap() <= PERMIT_LIFE);
    }
    if let (Phase::Soaking(was), Phase::Soaking(is)) = (&before.phase, &next.phase) {
        assert_eq!((&was.since, &was.prior), (&is.since, &is.prior), "the soak never starts anew in place");
        check_failure_clock(was, event, is);
    }
}

/// The failure clock is moved by nothing, and cleared by a pass or where nothing is enforced any more.
fn check_failure_clock(was: &Soaking, event: &Event, is: &Soaking) {
    let Some(since) = &was.failing_since else { return };
    if let Some(still) = &is.failing_since {
        assert_eq!(since, still, "the clock was moved by {event:?}");
        return;
    }
    let passed = matches!(event, Event::ProbeResult { outcome: ProbeOutcome::Pass, .. });
    let none_left = matches!(event, Event::ProbeTopologyDeclared(declared) if declared.is_empty());
    assert!(none_left || (passed && is.health() == Health::Good), "the clock was cleared by {event:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_histories_keep_the_invariants(history in any_history(), keep in any::<bool>()) {
        let on_failure = if keep { OnFailure::Keep } else { OnFailure::Revert };
        let mut state = HostRollout { terms: terms(on_failure), ..opened() };
        let (mut asked, mut starts) = (0, 0);
        for (event, now) in stamped(&history) {
            let Step::Moved(next, effects) = step(&state, &event, &now) else { continue };
            check_move(&state, &event, &now, &next);
            check_state(&next);
            asked += effects.iter().filter(|effect| **effect == Effect::AskPermit).count();
            starts += effects.iter().filter(|effect| **effect == Effect::StartSwitch).count();
            prop_assert!(starts <= asked, "each switch has a permit of its own");
            let blamed = matches!(&next.phase, Phase::Failed(failed) if failed.verdict.blames_closure());
            let quarantined = effects.iter().any(|effect| matches!(effect, Effect::Quarantine(_)));
            prop_assert!(!quarantined || blamed, "{:?} quarantined by {event:?}", next.phase);
            state = *next;
        }
    }

    #[test]
    fn a_wall_clock_that_jumps_changes_no_decision(history in any_history()) {
        let (mut steady, mut jumping) = (opened(), opened());
        for ((event, now), (_, _, off)) in stamped(&history).into_iter().zip(&history) {
            let jump = |stamp: &Stamp| Stamp { wall: Timestamp(stamp.wall.0 + off), ..stamp.clone() };
            let jumped = with_result_at(&event, jump);
            let (one, two) = (step(&steady, &event, &now), step(&jumping, &jumped, &jump(&now)));
            prop_assert_eq!(without_walls(&one), without_walls(&two));
            if let (Step::Moved(one, _), Step::Moved(two, _)) = (one, two) { (steady, jumping) = (*one, *two) }
            prop_assert_eq!(without_walls(&deadline(&steady)), without_walls(&deadline(&jumping)));
        }
    }

    #[test]
    fn the_same_event_twice_is_no_harm(history in any_history()) {
        let mut state = opened();
        for (event, now) in stamped(&history) {
            let Step::Moved(next, _) = step(&state, &event, &now) else { continue };
            if let Step::Moved(twice, effects) = step(&next, &event, &now) {
                prop_assert_eq!(twice.state(), next.state(), "{:?}", event);
                let switches = effects.iter().any(|effect| matches!(effect, Effect::StartSwitch | Effect::TrialBoot));
                prop_assert!(!switches, "{event:?} acts twice");
            }
            state = *next;
        }
    }
}

#[test]
fn who_activated_something_is_news_also_where_nothing_changed() {
    let closure: Closure = format!("/nix/store/{}-seen", "b".repeat(32)).parse().unwrap();
    let closures = Closures { running: Some(closure.clone()), booted: None, default: None };
    let known = HostRollout { observed: Some(closures.clone()), ..opened() };
    let seen = |by| Event::ClosureObserved(Observed { closures: closures.clone(), by });
    assert!(matches!(step(&known, &seen(None), &at(0, 1)), Step::Ignored(_)));
    let (action, boot, who) = ("switch".to_owned(), String::new(), "ada".to_owned());
    let done = Activation { closure, action, boot, who, at: Timestamp(0) };
    assert!(matches!(step(&known, &seen(Some(done)), &at(0, 1)), Step::Moved(state, _) if *state == known));
}
