use super::*;
use crate::model::fleet::{OnFailure, RebootPolicy};
use crate::model::time::Timestamp;
use proptest::prelude::*;

const SWITCH: Duration = Duration::from_secs(300);
const TIMEOUT: Duration = Duration::from_secs(90);
const COMMIT: Duration = Duration::from_secs(120);
const END: Duration = Duration::from_secs(3000);

fn closure(letter: &str) -> Closure {
    Closure::new(format!("/nix/store/{}-nixos-system", letter.repeat(32))).unwrap()
}

fn prior() -> Closure {
    closure("a")
}

fn target() -> Closure {
    closure("b")
}

fn at(boot: u32, uptime: u64) -> Stamp {
    let wall = Timestamp(i64::try_from(uptime * 1000).unwrap());
    Stamp { wall, boot: BootId::new(format!("boot{boot}")).unwrap(), uptime: Duration::from_secs(uptime) }
}

fn launched_under(on_failure: OnFailure) -> RootRecord {
    let terms = Terms {
        target: target(),
        soak: Duration::from_secs(600),
        failure_after: Duration::from_secs(60),
        switch_limit: SWITCH,
        commit_limit: COMMIT,
        rollback_limit: Duration::from_secs(200),
        reboot_limit: Duration::from_secs(400),
        stage_limit: Duration::from_secs(900),
        isolation_limit: Duration::from_secs(1800),
        on_failure,
        reboot: RebootPolicy::Live,
    };
    let (rollout, attempt) = ("stable@1".parse().unwrap(), Attempt::FIRST);
    let (agent_timeout, end_after) = (TIMEOUT, END);
    RootRecord::launch(Launch { rollout, attempt, prior: prior(), terms, agent_timeout, end_after }, &at(1, 0))
}

fn launched() -> RootRecord {
    launched_under(OnFailure::Revert)
}

fn good() -> RootEvent {
    RootEvent::Ended(SwitchResult::Good(vec![]))
}

fn bad() -> RootEvent {
    let verdict = Verdict::UnitsFailed(vec!["nginx.service".into()]);
    RootEvent::Ended(SwitchResult::Bad { verdict, log: String::new(), units: vec![] })
}

fn deferred() -> RootEvent {
    RootEvent::Ended(SwitchResult::Deferred("switch-inhibitors".into()))
}

fn moved(record: &RootRecord, event: &RootEvent, now: &Stamp) -> (RootRecord, Vec<RootEffect>) {
    match step(record, event, now) {
        RootStep::Moved(next, effects) => (*next, effects),
        RootStep::Ignored(why) => panic!("{:?} ignores {event:?}: {why}", record.state),
    }
}

fn soaking() -> RootRecord {
    moved(&launched(), &good(), &at(1, 100)).0
}

fn trial() -> RootRecord {
    let waits = moved(&launched(), &deferred(), &at(1, 100)).0;
    moved(&waits, &RootEvent::TrialOrdered, &at(1, 5000)).0
}

#[test]
fn the_dead_man_is_armed_before_the_switch_starts() {
    let record = launched();
    assert_eq!(record.deadline, Some(at(1, 0).plus(SWITCH + TIMEOUT)));
    assert_eq!(dead_man_due(&record, &at(1, 389)), None);
    assert_eq!(dead_man_due(&record, &at(1, 390)), Some(Verdict::SwitchTimedOut));
}

#[test]
fn a_pat_keeps_the_target_alive_until_the_absolute_end_only() {
    let patted = moved(&soaking(), &RootEvent::Patted, &at(1, 150)).0;
    assert_eq!(dead_man_due(&patted, &at(1, 239)), None);
    assert_eq!(dead_man_due(&patted, &at(1, 240)), Some(Verdict::DeadMan));
    let last = moved(&patted, &RootEvent::Patted, &at(1, 2990)).0;
    assert_eq!(last.deadline, Some(last.end.clone()));
    assert_eq!(dead_man_due(&last, &at(1, 3000)), Some(Verdict::DeadMan));
}

#[test]
fn no_pat_keeps_a_bad_target_or_an_unfinished_switch_alive() {
    let failed = moved(&launched(), &bad(), &at(1, 100)).0;
    for record in [launched(), failed.clone()] {
        assert!(matches!(step(&record, &RootEvent::Patted, &at(1, 110)), RootStep::Ignored(_)));
    }
    assert_eq!(dead_man_due(&failed, &at(1, 190)), Some(Verdict::UnitsFailed(vec!["nginx.service".into()])));
}

#[test]
fn a_pat_of_another_boot_is_not_taken() {
    assert!(matches!(step(&soaking(), &RootEvent::Patted, &at(2, 5)), RootStep::Ignored(_)));
}

#[test]
fn three_agent_starts_in_ten_minutes_are_a_crash_loop() {
    let start = |record: &RootRecord, now| moved(record, &RootEvent::AgentStarted, &at(1, now)).0;
    let twice = start(&start(&soaking(), 110), 130);
    assert_eq!(dead_man_due(&twice, &at(1, 140)), None);
    assert_eq!(dead_man_due(&start(&twice, 140), &at(1, 140)), Some(Verdict::AgentCrashLoop));
    let rare = moved(&start(&twice, 711), &RootEvent::Patted, &at(1, 711)).0;
    assert_eq!(dead_man_due(&rare, &at(1, 712)), None, "the first lies more than ten minutes back");
}

#[test]
fn starts_during_the_switch_are_not_counted() {
    assert!(matches!(step(&launched(), &RootEvent::AgentStarted, &at(1, 10)), RootStep::Ignored(_)));
    assert_eq!(soaking().agent_starts, []);
}

#[test]
fn no_more_agent_starts_are_remembered_than_are_of_use() {
    let starts = (0..100).fold(soaking(), |record, n| moved(&record, &RootEvent::AgentStarted, &at(1, 100 + n)).0);
    assert_eq!(starts.agent_starts.len(), 16);
    assert_eq!(starts.agent_starts.last(), Some(&at(1, 199)), "the newest are kept");
}

#[test]
fn a_commit_needs_more_time_left_than_its_limit() {
    let in_time = END.as_secs() - COMMIT.as_secs() - 1;
    assert_eq!(moved(&soaking(), &RootEvent::CommitAsked, &at(1, in_time)).0.state, RootState::Committing);
    assert!(matches!(step(&soaking(), &RootEvent::CommitAsked, &at(1, in_time + 1)), RootStep::Ignored(_)));
    assert!(matches!(step(&soaking(), &RootEvent::CommitAsked, &at(2, 1)), RootStep::Ignored(_)), "of another boot");
    let failed = moved(&launched(), &bad(), &at(1, 100)).0;
    assert!(matches!(step(&failed, &RootEvent::CommitAsked, &at(1, 101)), RootStep::Ignored(_)));
}

#[test]
fn a_reboot_in_the_soak_may_be_launched_again() {
    let (interrupted, effects) = moved(&soaking(), &RootEvent::Booted(prior()), &at(2, 9));
    assert_eq!((interrupted.state, effects), (RootState::Reverting, vec![RootEffect::BringBack]));
    let reverted = moved(&interrupted, &RootEvent::RevertDone, &at(2, 10)).0;
    assert!(reverted.may_relaunch());
    let judged = moved(&soaking(), &RootEvent::RevertAsked(Verdict::DeadMan), &at(1, 200)).0;
    assert!(!moved(&judged, &RootEvent::RevertDone, &at(1, 210)).0.may_relaunch());
}

#[test]
fn a_reboot_does_not_forget_a_bad_switch() {
    let failed = moved(&launched(), &bad(), &at(1, 100)).0;
    let back = moved(&failed, &RootEvent::Booted(prior()), &at(2, 9)).0;
    assert_eq!(back.verdict, Some(Verdict::UnitsFailed(vec!["nginx.service".into()])));
    assert!(!moved(&back, &RootEvent::RevertDone, &at(2, 10)).0.may_relaunch());
}

#[test]
fn a_trial_boot_that_comes_up_arms_the_dead_man_anew() {
    let record = trial();
    assert_eq!(dead_man_due(&record, &at(1, 90_000)), None, "nothing of the target runs yet");
    let up = moved(&record, &RootEvent::Booted(target()), &at(2, 9)).0;
    assert_eq!((up.state, up.end.clone()), (RootState::Soaking, at(2, 9).plus(END)));
    assert_eq!(dead_man_due(&up, &at(2, 398)), None);
    assert_eq!(dead_man_due(&up, &at(2, 399)), Some(Verdict::SwitchTimedOut), "nobody judged it");
    assert!(matches!(step(&up, &RootEvent::Booted(target()), &at(2, 30)), RootStep::Ignored(_)), "told twice");
    let judged = moved(&up, &good(), &at(2, 40)).0;
    assert_eq!(dead_man_due(&judged, &at(2, 130)), Some(Verdict::DeadMan));
    assert!(matches!(step(&judged, &RootEvent::Booted(target()), &at(2, 50)), RootStep::Ignored(_)), "told again");
}

#[test]
fn a_trial_boot_is_neither_patted_nor_committed_before_its_units_are_judged() {
    let up = moved(&trial(), &RootEvent::Booted(target()), &at(2, 9)).0;
    for event in [RootEvent::Patted, RootEvent::CommitAsked, deferred()] {
        assert!(matches!(step(&up, &event, &at(2, 20)), RootStep::Ignored(_)), "{event:?}");
    }
    let failed = moved(&up, &bad(), &at(2, 40)).0;
    for event in [RootEvent::Patted, RootEvent::CommitAsked] {
        assert!(matches!(step(&failed, &event, &at(2, 41)), RootStep::Ignored(_)), "{event:?}");
    }
    assert_eq!(dead_man_due(&failed, &at(2, 130)), Some(Verdict::UnitsFailed(vec!["nginx.service".into()])));
    let back = moved(&up, &RootEvent::Booted(prior()), &at(3, 9)).0;
    assert_eq!((back.state, back.verdict), (RootState::Reverting, None), "interrupted before anybody judged it");
}

#[test]
fn a_trial_boot_that_comes_up_elsewhere_is_a_verdict() {
    assert!(matches!(step(&trial(), &RootEvent::Booted(prior()), &at(1, 5001)), RootStep::Ignored(_)));
    let back = moved(&trial(), &RootEvent::Booted(prior()), &at(2, 9)).0;
    assert_eq!((back.state, back.verdict), (RootState::Reverting, Some(Verdict::BootedElsewhere)));
    assert_eq!(moved(&trial(), &RootEvent::Booted(closure("c")), &at(2, 9)).0.state, RootState::Overtaken);
}

#[test]
fn a_deferred_attempt_waits_over_any_number_of_boots() {
    let waits = moved(&launched(), &deferred(), &at(1, 100)).0;
    for boot in 2..9 {
        assert!(matches!(step(&waits, &RootEvent::Booted(prior()), &at(boot, 9)), RootStep::Ignored(_)));
    }
    assert_eq!(dead_man_due(&waits, &at(1, 100_000)), None);
}

#[test]
fn a_commit_cut_by_power_is_finished_where_the_target_boots_and_undone_where_the_prior_does() {
    let committing = moved(&soaking(), &RootEvent::CommitAsked, &at(1, 700)).0;
    let (goes_on, effects) = moved(&committing, &RootEvent::Booted(target()), &at(2, 9));
    assert_eq!((goes_on.state, effects), (RootState::Committing, vec![RootEffect::WriteDefault]));
    let (back, effects) = moved(&committing, &RootEvent::Booted(prior()), &at(2, 9));
    assert_eq!((back.state, back.verdict, effects), (RootState::Reverting, None, vec![RootEffect::BringBack]));
}

#[test]
fn policy_keep_leaves_the_target_to_a_person() {
    let keep = moved(&launched_under(OnFailure::Keep), &good(), &at(1, 100)).0;
    assert_eq!(dead_man_due(&keep, &at(1, 90_000)), None);
    let (kept, effects) = moved(&keep, &RootEvent::KeepAsked(Verdict::DeadMan), &at(1, 200));
    assert_eq!((kept.state, effects), (RootState::Kept, vec![RootEffect::Disarm]));
    assert!(kept.is_final());
}

/// Ticks every ten seconds up to a reading, as a machine that is awake does.
fn awake_until(ticks: &mut Ticks, record: &RootRecord, (from, to): (u64, u64)) {
    for uptime in (from..=to).step_by(10) {
        assert_eq!(ticks.tick(record, &at(1, uptime), Duration::from_secs(10)), None, "at {uptime} s");
    }
}

#[test]
fn a_machine_that_slept_gives_its_agent_one_chance_to_pat() {
    let (record, period) = (moved(&soaking(), &RootEvent::Patted, &at(1, 200)).0, Duration::from_secs(10));
    let mut slept = Ticks::default();
    awake_until(&mut slept, &record, (200, 250));
    assert_eq!(slept.tick(&record, &at(1, 1500), period), None, "just woken up");
    let mut alive = slept.clone();
    let patted = moved(&record, &RootEvent::Patted, &at(1, 1508)).0;
    awake_until(&mut alive, &patted, (1510, 1590));
    assert_eq!(alive.tick(&patted, &at(1, 1600), period), Some(Verdict::DeadMan));
    awake_until(&mut slept, &record, (1510, 1520));
    assert_eq!(slept.tick(&record, &at(1, 1530), period), Some(Verdict::DeadMan), "it had its chance");
}

#[test]
fn sleep_excuses_nothing_but_the_agents_silence() {
    let (record, period) = (moved(&soaking(), &RootEvent::Patted, &at(1, 200)).0, Duration::from_secs(10));
    let woken = |record: &RootRecord, now: u64| {
        let mut ticks = Ticks { last: Some(at(1, 250)), woke: None };
        ticks.tick(record, &at(1, now), period)
    };
    assert_eq!(woken(&record, END.as_secs()), Some(Verdict::DeadMan), "never past the end");
    let failed = moved(&launched(), &bad(), &at(1, 200)).0;
    assert_eq!(woken(&failed, 1500), Some(Verdict::UnitsFailed(vec!["nginx.service".into()])));
    assert_eq!(woken(&launched(), 1500), Some(Verdict::SwitchTimedOut));
    let mut late = Ticks { last: Some(at(1, 250)), woke: None };
    assert_eq!(late.tick(&record, &at(1, 290), period), Some(Verdict::DeadMan), "a late tick is no sleep");
}

fn commit_failed(untouched: bool) -> RootEvent {
    RootEvent::CommitFailed { why: "/boot is read-only".into(), untouched }
}

#[test]
fn a_commit_that_fails_is_tried_again_with_growing_waits() {
    let committing = moved(&soaking(), &RootEvent::CommitAsked, &at(1, 700)).0;
    assert!(commit_due(&committing, &at(1, 700)));
    let once = moved(&committing, &commit_failed(true), &at(1, 701)).0;
    assert_eq!((once.state, once.commit_trouble.as_ref().map(|it| it.tries)), (RootState::Committing, Some(1)));
    assert!(!commit_due(&once, &at(1, 710)));
    assert!(commit_due(&once, &at(1, 711)));
    let twice = moved(&once, &commit_failed(true), &at(1, 711)).0;
    assert!(!commit_due(&twice, &at(1, 730)));
    assert!(commit_due(&twice, &at(1, 731)));
    let done = moved(&twice, &RootEvent::CommitDone, &at(1, 732)).0;
    assert_eq!((done.state, done.commit_trouble), (RootState::Committed, None));
}

#[test]
fn a_commit_past_its_limit_is_undone_only_where_nothing_was_written() {
    let committing = moved(&soaking(), &RootEvent::CommitAsked, &at(1, 700)).0;
    let limit = 700 + COMMIT.as_secs();
    assert_eq!(moved(&committing, &commit_failed(true), &at(1, limit)).0.state, RootState::Committing);
    assert_eq!(moved(&committing, &commit_failed(false), &at(1, limit + 1)).0.state, RootState::Committing);
    let (back, effects) = moved(&committing, &commit_failed(true), &at(1, limit + 1));
    assert_eq!((back.state, effects), (RootState::Reverting, vec![RootEffect::BringBack]));
    assert!(matches!(back.verdict, Some(Verdict::CommitFailed(_))));
    let mut kept = committing;
    kept.terms.on_failure = OnFailure::Keep;
    assert_eq!(moved(&kept, &commit_failed(true), &at(1, limit + 1)).0.state, RootState::Kept);
}

fn any_closure() -> impl Strategy<Value = Closure> {
    prop_oneof![5 => Just(prior()), 4 => Just(target()), 1 => Just(closure("c"))]
}

fn any_event() -> impl Strategy<Value = RootEvent> {
    prop_oneof![
        4 => Just(good()),
        1 => Just(bad()),
        2 => Just(deferred()),
        6 => Just(RootEvent::Patted),
        3 => Just(RootEvent::AgentStarted),
        2 => Just(RootEvent::TrialOrdered),
        2 => any_closure().prop_map(RootEvent::Booted),
        3 => Just(RootEvent::CommitAsked),
        2 => Just(RootEvent::CommitDone),
        2 => any::<bool>().prop_map(|untouched| RootEvent::CommitFailed { why: "/boot".into(), untouched }),
        2 => Just(RootEvent::RevertAsked(Verdict::DeadMan)),
        1 => Just(RootEvent::RevertDone),
        1 => Just(RootEvent::RevertFailed("lock".into())),
        1 => Just(RootEvent::KeepAsked(Verdict::DeadMan)),
        1 => any_closure().prop_map(RootEvent::OvertakenBy),
    ]
}

/// Tells whether a record may go from one state to another by this event.
fn may_follow(before: &RootRecord, event: &RootEvent, after: &RootRecord) -> bool {
    use RootState as S;
    let undone_by_boot =
        || matches!(event, RootEvent::Booted(into) if *into == before.prior) && after.verdict.is_none();
    match (before.state, after.state) {
        (S::Committed | S::Reverted | S::Overtaken | S::Kept, _) => false,
        (S::Committing, S::Committing | S::Committed | S::Overtaken) => true,
        (S::Committing, S::Reverting) => {
            undone_by_boot() || matches!(event, RootEvent::CommitFailed { untouched: true, .. })
        }
        // Under policy `keep` only; the histories revert.
        (S::Committing, S::Launched | S::Soaking | S::Reverted | S::Kept) => false,
        (S::Reverting, next) => matches!(next, S::Reverting | S::Reverted | S::Overtaken),
        (S::Launched, next) => !matches!(next, S::Committing | S::Committed | S::Reverted),
        (S::Soaking, next) => !matches!(next, S::Launched | S::Committed | S::Reverted),
    }
}

fn without_walls(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    let mut parts = text.split("wall: Timestamp(");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| all + part.split_once(')').map_or("", |(_, rest)| rest))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn random_histories_never_revert_a_commit_nor_commit_a_rollback(
        history in prop::collection::vec((any_event(), 0_u64..120, -10_800_000_i64..10_800_000), 1..60),
    ) {
        let (mut boot, mut uptime) = (1, 0);
        let (mut record, mut jumping) = (launched(), launched());
        for (event, later, off) in history {
            (boot, uptime) = if matches!(event, RootEvent::Booted(_)) { (boot + 1, 20) } else { (boot, uptime + later) };
            let now = at(boot, uptime);
            let jumped = Stamp { wall: Timestamp(now.wall.0 + off), ..now.clone() };
            let (one, two) = (step(&record, &event, &now), step(&jumping, &event, &jumped));
            prop_assert_eq!(without_walls(&one), without_walls(&two), "a jump of the wall clock decides nothing");
            let (RootStep::Moved(next, effects), RootStep::Moved(twin, _)) = (one, two) else { continue };
            prop_assert!(may_follow(&record, &event, &next), "{:?} --{event:?}--> {:?}", record.state, next.state);
            prop_assert_eq!((&next.target, &next.prior, &next.terms), (&record.target, &record.prior, &record.terms));
            prop_assert!(next.is_final() == effects.contains(&RootEffect::Disarm), "the dead-man goes with the end");
            let guarded = matches!(next.state, RootState::Launched | RootState::Soaking);
            prop_assert!(dead_man_due(&next, &next.end).is_none() || guarded);
            let good_soak = next.state == RootState::Soaking;
            prop_assert!(!good_soak || dead_man_due(&next, &next.end).is_some(), "no soak outlives its end");
            prop_assert_eq!(dead_man_due(&next, &now), dead_man_due(&twin, &jumped));
            (record, jumping) = (*next, *twin);
        }
    }
}
