use super::*;
use proptest::prelude::*;

const MINUTE: Duration = Duration::from_secs(60);

fn id(reference: &str) -> RolloutId {
    format!("stable@{reference}").parse().unwrap()
}

fn host(name: &str) -> HostName {
    HostName::new(name).unwrap()
}

fn rules(min_success: u32, max_failures: u32, wait: Duration) -> WaveRules {
    WaveRules { min_success, max_failures, wait }
}

/// A rollout of three waves: one canary, then two waves that forgive one failure, five minutes apart.
fn rollout() -> Rollout {
    Rollout {
        id: id("2"),
        waves: vec![rules(1, 0, 5 * MINUTE), rules(2, 1, 5 * MINUTE), rules(1, 1, Duration::ZERO)],
        state: RolloutState::Opened,
        forgiven: BTreeSet::new(),
        wave_done_at: None,
        approved: BTreeMap::new(),
        promoted: None,
        on_halt: InFlight::Finish,
        on_supersede: InFlight::Finish,
    }
}

fn in_wave(wave: usize) -> Rollout {
    Rollout { state: RolloutState::Advancing { wave }, ..rollout() }
}

fn waiting(hosts: u32) -> Tally {
    Tally { changed: hosts, waiting: hosts, ..Tally::default() }
}

fn succeeded(hosts: u32) -> Tally {
    Tally { changed: hosts, succeeded: hosts, ..Tally::default() }
}

fn minutes(count: i64) -> Timestamp {
    Timestamp(count * 60_000)
}

fn moved(rollout: &Rollout, event: &RolloutEvent, now: Timestamp) -> (Rollout, Vec<RolloutEffect>) {
    match step(rollout, event, now) {
        RolloutStep::Moved(next, effects) => (*next, effects),
        RolloutStep::Ignored(why) => panic!("{:?} ignores {event:?}: {why}", rollout.state),
    }
}

fn ignored(rollout: &Rollout, event: &RolloutEvent) -> &'static str {
    match step(rollout, event, minutes(0)) {
        RolloutStep::Ignored(why) => why,
        RolloutStep::Moved(next, _) => panic!("{:?} takes {event:?} to {:?}", rollout.state, next.state),
    }
}

fn tally(rollout: &Rollout, tallies: [Tally; 3], at: i64) -> (Rollout, Vec<RolloutEffect>) {
    moved(rollout, &RolloutEvent::Tallied(tallies.to_vec()), minutes(at))
}

fn promote(wave: usize) -> RolloutEvent {
    RolloutEvent::Promoted { wave, until: None }
}

fn cancel(revert: bool) -> RolloutEvent {
    RolloutEvent::Cancelled { by: "ada".into(), revert }
}

#[test]
fn the_first_count_opens_the_first_wave_with_changed_hosts() {
    let (next, effects) = tally(&rollout(), [waiting(1), waiting(4), waiting(9)], 0);
    assert_eq!(next.state, RolloutState::Advancing { wave: 0 });
    assert_eq!(effects, [RolloutEffect::OpenWave(0)]);
}

#[test]
fn waves_without_changed_hosts_are_opened_and_not_waited_for() {
    let unchanged = Tally { unchanged: 3, waiting: 3, ..Tally::default() };
    let (next, effects) = tally(&rollout(), [unchanged, unchanged, waiting(2)], 0);
    assert_eq!(next.state, RolloutState::Advancing { wave: 2 });
    assert_eq!(effects, [0, 1, 2].map(RolloutEffect::OpenWave));
}

#[test]
fn a_release_that_changes_nothing_is_completed_at_once() {
    let (next, effects) = tally(&rollout(), [Tally::default(); 3], 0);
    assert_eq!(next.state, RolloutState::Completed);
    assert_eq!(effects, [0, 1, 2].map(RolloutEffect::OpenWave), "hosts that drifted since may still take part");
}

#[test]
fn a_done_wave_waits_and_then_the_next_opens() {
    let tallies = [succeeded(1), waiting(4), waiting(9)];
    let (waits, effects) = tally(&in_wave(0), tallies, 10);
    assert_eq!((waits.state.clone(), waits.wave_done_at), (RolloutState::Advancing { wave: 0 }, Some(minutes(10))));
    assert_eq!((effects, deadline(&waits, minutes(12))), (vec![], Some(minutes(15))));
    assert_eq!(
        step(&waits, &RolloutEvent::Tallied(tallies.to_vec()), minutes(14)),
        RolloutStep::Ignored("nothing is due")
    );
    let (next, effects) = tally(&waits, tallies, 15);
    assert_eq!(next.state, RolloutState::Advancing { wave: 1 });
    assert_eq!((effects, next.wave_done_at), (vec![RolloutEffect::OpenWave(1)], None));
    assert_eq!(deadline(&next, minutes(15)), None);
}

#[test]
fn the_last_wave_completes_the_rollout_without_a_wait() {
    let mut last = in_wave(2);
    last.waves[2].wait = 60 * MINUTE;
    let (next, effects) = tally(&last, [succeeded(1), succeeded(4), succeeded(9)], 0);
    assert_eq!((next.state, effects), (RolloutState::Completed, vec![]));
}

#[test]
fn waves_without_a_wait_follow_each_other_in_one_step() {
    let mut quick = in_wave(0);
    quick.waves.iter_mut().for_each(|wave| wave.wait = Duration::ZERO);
    let (next, effects) = tally(&quick, [succeeded(1), succeeded(4), waiting(9)], 0);
    assert_eq!(next.state, RolloutState::Advancing { wave: 2 });
    assert_eq!(effects, [1, 2].map(RolloutEffect::OpenWave));
}

#[test]
fn a_wave_waits_for_its_waiting_and_flying_hosts() {
    let flying = Tally { changed: 4, succeeded: 3, in_flight: 1, ..Tally::default() };
    let held = Tally { changed: 4, succeeded: 3, waiting: 1, ..Tally::default() };
    for busy in [flying, held] {
        let tallies = RolloutEvent::Tallied(vec![succeeded(1), busy, waiting(9)]);
        assert_eq!(ignored(&in_wave(1), &tallies), "nothing is due");
    }
}

#[test]
fn hosts_set_aside_block_nothing_once_the_wave_is_proven() {
    let aside = Tally { changed: 4, succeeded: 2, set_aside: 2, ..Tally::default() };
    let (next, _) = tally(&in_wave(1), [succeeded(1), aside, waiting(9)], 3);
    assert_eq!(next.wave_done_at, Some(minutes(3)));
}

#[test]
fn a_wave_set_aside_as_a_whole_proves_nothing_and_waits() {
    let aside = Tally { changed: 4, set_aside: 4, ..Tally::default() };
    let event = RolloutEvent::Tallied(vec![succeeded(1), aside, waiting(9)]);
    assert_eq!(ignored(&in_wave(1), &event), "nothing is due");
}

#[test]
fn one_failure_too_many_halts_at_once_and_quarantines_the_closures() {
    let failed = Tally { changed: 4, failed: 2, in_flight: 2, ..Tally::default() };
    let (next, effects) = tally(&in_wave(1), [succeeded(1), failed, waiting(9)], 0);
    let why = Halt::TooManyFailures { failed: 2, allowed: 1 };
    assert_eq!(next.state, RolloutState::Halted { why, wave: 1 });
    assert_eq!(effects, [RolloutEffect::QuarantineChannel]);
}

#[test]
fn as_many_failures_as_allowed_do_not_halt() {
    let failed = Tally { changed: 4, failed: 1, in_flight: 3, ..Tally::default() };
    ignored(&in_wave(1), &RolloutEvent::Tallied(vec![succeeded(1), failed, waiting(9)]));
}

#[test]
fn a_halt_tells_flying_hosts_to_go_back_where_policy_says_so() {
    let reverting = Rollout { on_halt: InFlight::Revert, ..in_wave(0) };
    let failed = Tally { changed: 1, failed: 1, ..Tally::default() };
    let (_, effects) = tally(&reverting, [failed, waiting(4), waiting(9)], 0);
    assert_eq!(effects, [RolloutEffect::QuarantineChannel, RolloutEffect::RevertInFlight]);
}

#[test]
fn a_straggler_of_an_earlier_wave_that_fails_halts_the_rollout() {
    let straggler = Tally { changed: 2, succeeded: 1, failed: 1, ..Tally::default() };
    let (next, _) = tally(&in_wave(1), [straggler, waiting(4), waiting(9)], 0);
    assert!(matches!(next.state, RolloutState::Halted { wave: 1, .. }), "{:?}", next.state);
    let completed = Rollout { state: RolloutState::Completed, ..rollout() };
    let (next, _) = tally(&completed, [straggler, succeeded(4), succeeded(9)], 0);
    assert!(matches!(next.state, RolloutState::Halted { wave: 2, .. }), "{:?}", next.state);
}

#[test]
fn a_wave_that_cannot_reach_its_successes_any_more_halts() {
    // Ordered back, isolated or forgiven hosts count neither way, but they are no successes either.
    let neutral = Tally { changed: 4, neutral: 3, in_flight: 1, ..Tally::default() };
    let (next, _) = tally(&in_wave(1), [succeeded(1), neutral, waiting(9)], 0);
    let why = Halt::OutOfReach { possible: 1, needed: 2 };
    assert_eq!(next.state, RolloutState::Halted { why, wave: 1 });
}

#[test]
fn no_wave_needs_more_successes_than_it_changes_hosts() {
    let one_changed = Tally { changed: 1, unchanged: 9, succeeded: 1, ..Tally::default() };
    let (next, _) = tally(&in_wave(1), [succeeded(1), one_changed, waiting(9)], 0);
    assert_eq!(next.wave_done_at, Some(minutes(0)));
}

#[test]
fn a_wave_needs_one_success_even_where_none_is_asked_for() {
    let mut lax = in_wave(0);
    lax.waves[0] = rules(0, 5, Duration::ZERO);
    let failed = Tally { changed: 1, failed: 1, ..Tally::default() };
    let (next, _) = tally(&lax, [failed, waiting(4), waiting(9)], 0);
    assert_eq!(next.state, RolloutState::Halted { why: Halt::OutOfReach { possible: 0, needed: 1 }, wave: 0 });
}

#[test]
fn a_straggler_that_returns_does_not_start_the_wait_anew() {
    let (waits, _) = tally(&in_wave(1), [succeeded(1), succeeded(3), waiting(9)], 10);
    let back = Tally { changed: 4, succeeded: 3, waiting: 1, ..Tally::default() };
    let (next, effects) = tally(&waits, [succeeded(1), back, waiting(9)], 15);
    assert_eq!((next.state, effects), (RolloutState::Advancing { wave: 2 }, vec![RolloutEffect::OpenWave(2)]));
}

#[test]
fn a_proof_that_is_lost_during_the_wait_ends_the_wait() {
    let (waits, _) = tally(&in_wave(0), [succeeded(1), waiting(4), waiting(9)], 10);
    let (next, effects) = tally(&waits, [waiting(1), waiting(4), waiting(9)], 15);
    assert_eq!((next.state, effects, next.wave_done_at), (RolloutState::Advancing { wave: 0 }, vec![], None));
}

#[test]
fn a_clock_that_went_back_does_not_stretch_the_wait() {
    let tallies = [succeeded(1), waiting(4), waiting(9)];
    let (waits, _) = tally(&in_wave(0), tallies, 1000);
    assert_eq!(deadline(&waits, minutes(10)), Some(minutes(10)), "it is counted again at once");
    let (waits, _) = tally(&waits, tallies, 10);
    assert_eq!(deadline(&waits, minutes(10)), Some(minutes(15)));
}

#[test]
fn no_wave_opens_past_one_that_has_failures_already() {
    let failed = Tally { failed: 2, ..Tally::default() };
    let (next, effects) = tally(&rollout(), [Tally::default(), failed, waiting(9)], 0);
    assert!(matches!(next.state, RolloutState::Halted { wave: 1, .. }), "{:?}", next.state);
    assert_eq!(opened(&effects), [0, 1]);
}

#[test]
fn a_tally_that_does_not_cover_the_waves_changes_nothing() {
    let event = RolloutEvent::Tallied(vec![succeeded(1)]);
    assert_eq!(ignored(&in_wave(0), &event), "the tally does not cover the waves");
    assert_eq!(ignored(&rollout(), &RolloutEvent::Tallied(vec![])), "the tally does not cover the waves");
}

#[test]
fn promote_during_the_wait_skips_it_and_approves_the_wave() {
    let tallies = [succeeded(1), waiting(4), waiting(9)];
    let (waits, _) = tally(&in_wave(0), tallies, 10);
    for wave in [0, 1] {
        let (promoted, effects) = moved(&waits, &promote(wave), minutes(10));
        assert!(promoted.approved.contains_key(&wave));
        assert_eq!(effects, [RolloutEffect::WakeWaiting]);
        let (next, effects) = tally(&promoted, tallies, 10);
        assert_eq!((next.state, effects), (RolloutState::Advancing { wave: 1 }, vec![RolloutEffect::OpenWave(1)]));
    }
}

#[test]
fn an_approval_of_a_later_wave_skips_no_wait_before_another() {
    let tallies = [succeeded(1), waiting(4), waiting(9)];
    let (waits, _) = tally(&in_wave(0), tallies, 10);
    let (approved, _) = moved(&waits, &promote(2), minutes(10));
    assert_eq!(
        step(&approved, &RolloutEvent::Tallied(tallies.to_vec()), minutes(11)),
        RolloutStep::Ignored("nothing is due")
    );
}

#[test]
fn an_approval_ahead_of_time_keeps_the_wait() {
    let (approved, _) = moved(&in_wave(0), &promote(1), minutes(0));
    let (waits, effects) = tally(&approved, [succeeded(1), waiting(4), waiting(9)], 1);
    assert_eq!((waits.state, effects), (RolloutState::Advancing { wave: 0 }, vec![]));
}

#[test]
fn a_repeated_approval_and_one_of_no_wave_are_ignored() {
    let (approved, _) = moved(&in_wave(0), &promote(1), minutes(0));
    assert_eq!(ignored(&approved, &promote(1)), "the wave is approved already");
    assert_eq!(ignored(&approved, &promote(3)), "the rollout has no such wave");
    let renewed = RolloutEvent::Promoted { wave: 1, until: Some(minutes(60)) };
    assert_eq!(moved(&approved, &renewed, minutes(0)).0.approved[&1], Some(minutes(60)));
}

#[test]
fn a_pause_holds_and_a_resume_goes_on_where_it_was() {
    let (waits, _) = tally(&in_wave(0), [succeeded(1), waiting(4), waiting(9)], 10);
    for before in [rollout(), in_wave(1), waits, Rollout { state: RolloutState::Completed, ..rollout() }] {
        let (paused, effects) = moved(&before, &RolloutEvent::Paused("ada".into()), minutes(0));
        assert!(matches!(&paused.state, RolloutState::Paused { by, .. } if by == "ada"));
        assert_eq!((effects, deadline(&paused, minutes(0))), (vec![], None));
        assert_eq!(ignored(&paused, &RolloutEvent::Paused("bob".into())), "paused already");
        let (after, effects) = moved(&paused, &RolloutEvent::Resumed { failed: vec![host("web1")] }, minutes(0));
        assert_eq!((after, effects), (before, vec![RolloutEffect::WakeWaiting]));
    }
}

#[test]
fn a_paused_rollout_opens_nothing_and_halts_when_its_hosts_fail() {
    let (paused, _) = moved(&in_wave(0), &RolloutEvent::Paused("ada".into()), minutes(0));
    assert_eq!(ignored(&paused, &RolloutEvent::Tallied(vec![succeeded(1), waiting(4), waiting(9)])), "nothing is due");
    let failed = Tally { changed: 1, failed: 1, ..Tally::default() };
    let (next, _) = tally(&paused, [failed, waiting(4), waiting(9)], 0);
    assert!(matches!(next.state, RolloutState::Halted { wave: 0, .. }));
}

#[test]
fn resuming_a_halt_forgives_by_name_and_stays_in_the_wave() {
    let failed = Tally { changed: 4, failed: 2, waiting: 2, ..Tally::default() };
    let (halted, _) = tally(&in_wave(1), [succeeded(1), failed, waiting(9)], 0);
    let failures = vec![host("web1"), host("web2")];
    let (next, effects) = moved(&halted, &RolloutEvent::Resumed { failed: failures.clone() }, minutes(0));
    assert_eq!(next.state, RolloutState::Advancing { wave: 1 });
    assert_eq!(next.forgiven, failures.iter().cloned().collect());
    assert_eq!(effects, [RolloutEffect::Forgive(failures), RolloutEffect::WakeWaiting]);
    let forgiven = Tally { changed: 4, neutral: 2, waiting: 2, ..Tally::default() };
    ignored(&next, &RolloutEvent::Tallied(vec![succeeded(1), forgiven, waiting(9)]));
}

#[test]
fn what_was_forgiven_of_a_host_is_not_forgiven_of_its_next_attempt() {
    let forgiving = Rollout { forgiven: [host("web1"), host("web2")].into(), ..in_wave(1) };
    let (next, effects) = moved(&forgiving, &RolloutEvent::Reopened(host("web1")), minutes(0));
    assert_eq!((next.forgiven, effects), ([host("web2")].into(), vec![]));
    assert_eq!(ignored(&in_wave(1), &RolloutEvent::Reopened(host("web1"))), "nothing of the host was forgiven");
}

#[test]
fn forgiving_is_no_success_so_a_canary_wave_halts_again_until_a_retry() {
    let failed = Tally { changed: 1, failed: 1, ..Tally::default() };
    let (halted, _) = tally(&in_wave(0), [failed, waiting(4), waiting(9)], 0);
    let (resumed, _) = moved(&halted, &RolloutEvent::Resumed { failed: vec![host("web1")] }, minutes(0));
    let forgiven = Tally { changed: 1, neutral: 1, ..Tally::default() };
    let (again, effects) = tally(&resumed, [forgiven, waiting(4), waiting(9)], 0);
    assert!(matches!(again.state, RolloutState::Halted { why: Halt::OutOfReach { .. }, wave: 0 }));
    assert!(!effects.iter().any(|effect| matches!(effect, RolloutEffect::OpenWave(_))));
    ignored(&resumed, &RolloutEvent::Tallied(vec![waiting(1), waiting(4), waiting(9)]));
}

#[test]
fn a_restored_store_pauses_everything_that_could_start_and_believes_no_count() {
    let (paused, _) = moved(&in_wave(1), &RolloutEvent::Paused("ada".into()), minutes(0));
    let places = [
        (rollout(), Place::Opened),
        (in_wave(1), Place::Wave(1)),
        (paused, Place::Wave(1)),
        (Rollout { state: RolloutState::Completed, ..rollout() }, Place::Completed),
    ];
    for (before, at) in places {
        let (restored, effects) = moved(&before, &RolloutEvent::Restored, minutes(0));
        assert_eq!((&restored.state, effects), (&RolloutState::Paused { by: RESTORED.into(), at }, vec![]));
        ignored(&restored, &RolloutEvent::Restored);
        let failed = Tally { changed: 9, failed: 9, ..Tally::default() };
        ignored(&restored, &RolloutEvent::Tallied(vec![failed; 3]));
    }
}

#[test]
fn the_wait_starts_anew_after_a_restore() {
    let tallies = [succeeded(1), waiting(4), waiting(9)];
    let (waits, _) = tally(&in_wave(0), tallies, 10);
    let (restored, _) = moved(&waits, &RolloutEvent::Restored, minutes(12));
    let (resumed, _) = moved(&restored, &RolloutEvent::Resumed { failed: vec![] }, minutes(20));
    let (again, effects) = tally(&resumed, tallies, 20);
    assert_eq!((again.wave_done_at, effects), (Some(minutes(20)), vec![]));
}

#[test]
fn a_halted_rollout_stays_halted_through_a_restore_and_a_pause() {
    let failed = Tally { changed: 1, failed: 1, ..Tally::default() };
    let (halted, _) = tally(&in_wave(0), [failed, waiting(4), waiting(9)], 0);
    for event in [RolloutEvent::Restored, RolloutEvent::Paused("ada".into())] {
        assert!(ignored(&halted, &event).starts_with("halted already"));
    }
    assert_eq!(
        ignored(&halted, &RolloutEvent::Tallied(vec![succeeded(1), succeeded(4), succeeded(9)])),
        "halted already"
    );
}

#[test]
fn a_newer_release_ends_what_is_open_and_cancels_what_waits() {
    for on_supersede in [InFlight::Finish, InFlight::Revert] {
        let before = Rollout { on_supersede, ..in_wave(1) };
        let (next, effects) = moved(&before, &RolloutEvent::Superseded(id("3")), minutes(0));
        assert_eq!(next.state, RolloutState::Superseded { by: id("3") });
        assert_eq!(effects[0], RolloutEffect::CancelWaiting);
        assert_eq!(effects.contains(&RolloutEffect::RevertInFlight), on_supersede == InFlight::Revert);
    }
    assert_eq!(ignored(&in_wave(1), &RolloutEvent::Superseded(id("2"))), "a release does not supersede itself");
}

#[test]
fn a_completed_rollout_stays_completed_under_a_newer_release() {
    for state in [RolloutState::Completed, RolloutState::Paused { by: "ada".into(), at: Place::Completed }] {
        let before = Rollout { state, ..rollout() };
        let (next, effects) = moved(&before, &RolloutEvent::Superseded(id("3")), minutes(0));
        assert_eq!((next.state, effects), (RolloutState::Completed, vec![RolloutEffect::CancelWaiting]));
        ignored(&before, &cancel(true));
    }
}

#[test]
fn a_cancel_reverts_flying_hosts_only_where_the_operator_says_so() {
    let (next, effects) = moved(&in_wave(1), &cancel(false), minutes(0));
    assert_eq!(
        (next.state, effects),
        (RolloutState::Cancelled { by: "ada".into() }, vec![RolloutEffect::CancelWaiting])
    );
    let (_, effects) = moved(&in_wave(1), &cancel(true), minutes(0));
    assert_eq!(effects, [RolloutEffect::CancelWaiting, RolloutEffect::RevertInFlight]);
}

fn any_tally() -> impl Strategy<Value = Tally> {
    (prop::array::uniform7(0_u32..3), any::<bool>()).prop_map(|(count, all_well)| {
        let [changed, unchanged, waiting, in_flight, succeeded, failed, set_aside] = count;
        let tally = Tally { changed, unchanged, waiting, in_flight, succeeded, failed, neutral: 0, set_aside };
        // Half of the histories go well, so that they come far.
        if all_well { Tally { failed: 0, waiting: 0, in_flight: 0, ..tally } } else { tally }
    })
}

fn any_event() -> impl Strategy<Value = RolloutEvent> {
    let until = prop::option::of((0_i64..100).prop_map(minutes));
    prop_oneof![
        12 => prop::collection::vec(any_tally(), 3).prop_map(RolloutEvent::Tallied),
        1 => prop::collection::vec(any_tally(), 0..5).prop_map(RolloutEvent::Tallied),
        2 => (0_usize..4, until).prop_map(|(wave, until)| RolloutEvent::Promoted { wave, until }),
        1 => Just(RolloutEvent::Paused("ada".into())),
        1 => Just(RolloutEvent::Restored),
        4 => Just(RolloutEvent::Resumed { failed: vec![host("web1")] }),
        1 => any::<bool>().prop_map(cancel),
        1 => (2_u8..4).prop_map(|n| RolloutEvent::Superseded(id(&n.to_string()))),
    ]
}

fn may_follow(before: &RolloutState, event: &RolloutEvent, after: &RolloutState) -> bool {
    use RolloutState as S;
    match (before, after) {
        (S::Superseded { .. } | S::Cancelled { .. }, _) => before == after,
        (S::Halted { .. }, S::Advancing { .. }) => matches!(event, RolloutEvent::Resumed { .. }),
        (S::Halted { .. }, S::Opened | S::Completed | S::Paused { .. }) => false,
        (S::Completed, S::Opened | S::Advancing { .. } | S::Superseded { .. } | S::Cancelled { .. }) => false,
        (S::Paused { .. }, S::Opened | S::Advancing { .. }) => matches!(event, RolloutEvent::Resumed { .. }),
        (S::Advancing { wave }, S::Advancing { wave: next }) => wave <= next,
        _ => true,
    }
}

fn opened(effects: &[RolloutEffect]) -> Vec<usize> {
    effects
        .iter()
        .filter_map(|effect| if let RolloutEffect::OpenWave(wave) = effect { Some(*wave) } else { None })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_histories_open_no_wave_on_an_unproven_one(
        events in prop::collection::vec((any_event(), 0_i64..4), 1..60),
    ) {
        let mut now = 0;
        let mut state = rollout();
        for (event, later) in events {
            now += later;
            let RolloutStep::Moved(next, effects) = step(&state, &event, minutes(now)) else { continue };
            prop_assert!(may_follow(&state.state, &event, &next.state), "{:?} --{event:?}--> {:?}", state.state, next.state);
            let waves = opened(&effects);
            if !waves.is_empty() {
                let RolloutEvent::Tallied(tallies) = &event else { panic!("{event:?} opened {waves:?}") };
                let was_open = matches!(state.state, RolloutState::Opened | RolloutState::Advancing { .. });
                prop_assert!(was_open, "{:?} opened {waves:?}", state.state);
                let current = if let RolloutState::Advancing { wave } = state.state { Some(wave) } else { None };
                let first = waves[0];
                prop_assert_eq!(first, current.map_or(0, |wave| wave + 1), "no wave is opened twice or left out");
                let passed = waves[waves.len() - 1] - current.unwrap_or(0);
                for (wave, tally) in tallies.iter().enumerate().skip(current.unwrap_or(0)).take(passed) {
                    let needed = state.waves[wave].min_success.min(tally.changed);
                    prop_assert!(tally.succeeded >= needed, "wave {wave} of {tally:?} proved nothing");
                    prop_assert!(tally.failed <= state.waves[wave].max_failures || current.is_none());
                }
            }
            prop_assert!(next.forgiven.is_superset(&state.forgiven));
            prop_assert_eq!(deadline(&next, minutes(0)).is_some(), next.wave_done_at.is_some()
                && matches!(next.state, RolloutState::Advancing { .. }));
            let again = step(&next, &event, minutes(now));
            if matches!(event, RolloutEvent::Tallied(_)) {
                prop_assert!(matches!(again, RolloutStep::Ignored(_)), "one count is used up in one step: {again:?}");
            }
            state = *next;
        }
    }
}
