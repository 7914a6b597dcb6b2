use super::*;
use crate::model::fleet::{OnFailure, RebootPolicy};
use crate::model::id::{BootId, RolloutId};
use crate::model::root_record::Launch;
use crate::wire::v1::release::date;
use std::time::Duration;

fn closure(n: u32) -> Closure {
    Closure::new(format!("/nix/store/{n:032}-sys")).unwrap()
}

fn terms() -> Terms {
    let minute = Duration::from_secs(60);
    Terms {
        target: closure(1),
        soak: minute,
        failure_after: minute,
        switch_limit: minute,
        commit_limit: minute,
        rollback_limit: minute,
        reboot_limit: minute,
        stage_limit: minute,
        isolation_limit: minute,
        on_failure: OnFailure::Revert,
        reboot: RebootPolicy::Live,
    }
}

/// A reading at so many seconds of uptime; the wall shows the same plus an offset.
fn at(secs: u64, wall_offset: i64) -> Stamp {
    let wall = Timestamp(i64::try_from(secs).unwrap() * 1000 + wall_offset * 1000);
    Stamp { wall, boot: BootId::new("b").unwrap(), uptime: Duration::from_secs(secs) }
}

fn wall(secs: i64) -> Option<DateTime<Utc>> {
    Some(date(Timestamp(secs * 1000)))
}

fn snapshot(state: HostRolloutState) -> HostRolloutSnapshot {
    HostRolloutSnapshot {
        rollout_id: "stable@1".parse().unwrap(),
        hostname: "web1".into(),
        channel: "stable".into(),
        state,
        target_closure: closure(1).to_string(),
        current_closure_at_dispatch: Some(closure(0).to_string()),
        current_closure: None,
        dispatched_at: date(Timestamp(0)),
        dispatch_acked_at: wall(90),
        activation_started_at: wall(95),
        activation_completed_at: wall(100),
        soak_due_at: None,
        last_event_seq: 4,
        probe_failure_first_at: None,
        failed_at: None,
        failure: None,
        attempt: None,
    }
}

fn soaking(snapshot: &HostRolloutSnapshot, root: Option<&RootRecord>, now: &Stamp) -> Soaking {
    let terms = terms();
    let state = whole(snapshot, Around { terms: &terms, root, now }).unwrap();
    let Phase::Soaking(soaking) = state.phase else { panic!("{state:?}") };
    soaking
}

/// A record whose good result was written at 100 s.
fn root() -> RootRecord {
    let rollout: RolloutId = "stable@1".parse().unwrap();
    let launch = Launch {
        rollout,
        attempt: Attempt::FIRST,
        prior: closure(7),
        terms: terms(),
        agent_timeout: Duration::from_secs(60),
        end_after: Duration::from_secs(600),
    };
    let mut record = RootRecord::launch(launch, &at(95, 0));
    record.result = Some((SwitchResult::Good(vec![]), at(100, 0)));
    record
}

#[test]
fn without_a_root_record_the_dates_are_turned_into_readings_of_this_boot() {
    let soaking = soaking(&snapshot(HostRolloutState::Soaking), None, &at(120, 0));
    assert_eq!((soaking.since.uptime, soaking.prior), (Duration::from_secs(100), closure(0)));
    assert_eq!(soaking.started.uptime, Duration::from_secs(95));
}

#[test]
fn the_root_record_wins_over_the_dates() {
    let told = HostRolloutSnapshot { activation_completed_at: wall(40), ..snapshot(HostRolloutState::Soaking) };
    let soaking = soaking(&told, Some(&root()), &at(120, 0));
    assert_eq!((soaking.since, soaking.prior), (at(100, 0), closure(7)));
}

#[test]
fn the_failure_clock_keeps_its_distance_to_the_soak_whatever_the_wall_shows() {
    for offset in [-10_800, 0, 10_800] {
        let told = HostRolloutSnapshot { probe_failure_first_at: wall(110), ..snapshot(HostRolloutState::Soaking) };
        let soaking = soaking(&told, Some(&root()), &at(120, offset));
        assert_eq!(soaking.failing_since.unwrap().uptime, Duration::from_secs(110), "offset {offset}");
    }
}

#[test]
fn a_failure_clock_that_makes_no_sense_counts_from_now() {
    let now = at(120, 0);
    for first in [wall(500), wall(100_000)] {
        let told = HostRolloutSnapshot { probe_failure_first_at: first, ..snapshot(HostRolloutState::Soaking) };
        assert_eq!(soaking(&told, Some(&root()), &now).failing_since, Some(now.clone()));
    }
    let early = HostRolloutSnapshot { probe_failure_first_at: wall(1), ..snapshot(HostRolloutState::Soaking) };
    assert_eq!(soaking(&early, Some(&root()), &now).failing_since, Some(at(100, 0)), "not before the soak");
    let undated = HostRolloutSnapshot {
        probe_failure_first_at: wall(110),
        activation_completed_at: None,
        ..snapshot(HostRolloutState::Soaking)
    };
    assert_eq!(soaking(&undated, None, &now).failing_since, Some(now));
}

#[test]
fn a_date_from_the_future_or_from_before_the_boot_stays_within_this_boot() {
    let future = HostRolloutSnapshot { activation_completed_at: wall(9_000), ..snapshot(HostRolloutState::Soaking) };
    assert_eq!(soaking(&future, None, &at(120, 0)).since.uptime, Duration::from_secs(120));
    let ancient = soaking(&snapshot(HostRolloutState::Soaking), None, &at(30, 5_000));
    assert_eq!(ancient.since.uptime, Duration::ZERO);
}

#[test]
fn every_started_state_is_made_whole_and_no_other() {
    let (terms, now) = (terms(), at(120, 0));
    for state in HostRolloutState::ALL {
        let made = whole(&snapshot(state), Around { terms: &terms, root: None, now: &now });
        let open = matches!(
            state,
            HostRolloutState::Activating
                | HostRolloutState::Deferred
                | HostRolloutState::Soaking
                | HostRolloutState::Failed
        );
        assert_eq!(made.map(|made| made.state()), open.then_some(state));
    }
    let lacking = HostRolloutSnapshot { current_closure_at_dispatch: None, ..snapshot(HostRolloutState::Soaking) };
    assert_eq!(whole(&lacking, Around { terms: &terms, root: None, now: &now }), None);
}
