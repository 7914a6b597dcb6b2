use super::*;
use crate::model::facts::Verdict;
use crate::model::fleet::{InFlight, OnDrift, OnFailure, RebootPolicy};
use crate::model::host_rollout::Terms;
use crate::model::id::{Attempt, BootId, Closure};
use crate::model::root_record::{Launch, RootEvent, RootRecord, RootState, RootStep, SwitchResult, dead_man_due, step};
use crate::model::time::{Stamp, Timestamp};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn policy() -> Policy {
    Policy {
        soak: secs(600),
        failure_after: secs(60),
        switch_limit: secs(300),
        commit_limit: secs(120),
        rollback_limit: secs(200),
        reboot_limit: secs(400),
        agent_timeout: secs(90),
        isolation_limit: secs(900),
        offline_grace: secs(1),
        stage_limit: secs(1),
        on_failure: OnFailure::Revert,
        on_supersede: InFlight::Finish,
        on_halt: InFlight::Finish,
        on_drift: OnDrift::Report,
        budgets: BTreeMap::new(),
        host_order: BTreeMap::new(),
        after_channels: BTreeSet::new(),
    }
}

fn closure(letter: &str) -> Closure {
    Closure::new(format!("/nix/store/{}-nixos-system", letter.repeat(32))).unwrap()
}

fn at(uptime: Duration) -> Stamp {
    Stamp { wall: Timestamp(0), boot: BootId::new("boot1").unwrap(), uptime }
}

fn launched(policy: &Policy) -> RootRecord {
    let terms = Terms {
        target: closure("b"),
        soak: policy.soak,
        failure_after: policy.failure_after,
        switch_limit: policy.switch_limit,
        commit_limit: policy.commit_limit,
        rollback_limit: policy.rollback_limit,
        reboot_limit: policy.reboot_limit,
        stage_limit: policy.stage_limit,
        isolation_limit: policy.isolation_limit,
        on_failure: policy.on_failure,
        reboot: RebootPolicy::Live,
    };
    let launch = Launch {
        rollout: "stable@1".parse().unwrap(),
        attempt: Attempt::FIRST,
        prior: closure("a"),
        terms,
        agent_timeout: policy.agent_timeout,
        end_after: self_rollback(policy).absolute_end,
    };
    RootRecord::launch(launch, &at(Duration::ZERO))
}

fn moved(record: &RootRecord, event: &RootEvent, now: Duration) -> RootRecord {
    match step(record, event, &at(now)) {
        RootStep::Moved(next, _) => *next,
        RootStep::Ignored(why) => panic!("{event:?} at {now:?}: {why}"),
    }
}

fn soaking(policy: &Policy, result_at: Duration) -> RootRecord {
    moved(&launched(policy), &RootEvent::Ended(SwitchResult::Good(vec![])), result_at)
}

/// Returns when the dead-man, looking once in its period, acts on a record that nothing else moves.
fn acts_at(record: &RootRecord, from: Duration) -> (Duration, Verdict) {
    let looks = (0..10_000).map(|look| from + DEAD_MAN_PERIOD * look);
    looks.map(|now| (now, dead_man_due(record, &at(now)))).find_map(|(now, due)| Some((now, due?))).unwrap()
}

#[test]
fn the_figures_are_the_sums_of_the_policys_limits() {
    let limits = self_rollback(&policy());
    assert_eq!(limits.absolute_end, secs(300 + 600 + 60 + 900 + 120));
    assert_eq!(limits.back_by, limits.absolute_end + secs(10 + 200 + 400));
    assert_eq!(limits.trial_back_by, limits.back_by + secs(3 * 400));
    assert_eq!(limits.after_switch, secs(300 + 90 + 610));
    assert_eq!(limits.after_silence, secs(90 + 610));
    assert_eq!(limits.after_failure, secs(60 + 90 + 610));
}

#[test]
fn a_policy_without_bounds_overflows_nothing() {
    let forever = Policy { soak: Duration::MAX, switch_limit: Duration::MAX, ..policy() };
    assert_eq!(self_rollback(&forever).back_by, Duration::MAX);
    let _ = launched(&forever);
}

#[test]
fn a_switch_that_hangs_is_ended_within_its_limit() {
    let (acted, verdict) = acts_at(&launched(&policy()), Duration::ZERO);
    let bring_back = policy().rollback_limit + policy().reboot_limit;
    assert_eq!(verdict, Verdict::SwitchTimedOut);
    assert!(acted + bring_back <= self_rollback(&policy()).after_switch, "{acted:?}");
}

#[test]
fn a_silent_agent_is_noticed_within_its_limit() {
    let record = soaking(&policy(), secs(100));
    let patted = moved(&record, &RootEvent::Patted, secs(150));
    let (acted, verdict) = acts_at(&patted, secs(151));
    let bring_back = policy().rollback_limit + policy().reboot_limit;
    assert_eq!(verdict, Verdict::DeadMan);
    assert!(acted - secs(150) + bring_back <= self_rollback(&policy()).after_silence, "{acted:?}");
}

#[test]
fn the_slowest_good_attempt_may_still_commit() {
    let policy = policy();
    // The switch takes all its time, then the control plane answers at the last moment before isolation.
    let asked = policy.switch_limit + policy.soak + policy.isolation_limit;
    let record = soaking(&policy, policy.switch_limit);
    assert_eq!(moved(&record, &RootEvent::CommitAsked, asked).state, RootState::Committing);
}

proptest! {
    #[test]
    fn no_sign_of_life_keeps_a_host_past_the_absolute_end(
        result_at in 0_u64..300,
        pats in prop::collection::vec(0_u64..5000, 0..200),
        limits in prop::array::uniform5(1_u64..1000),
    ) {
        let [soak, switch_limit, isolation_limit, agent_timeout, commit_limit] = limits.map(secs);
        let policy = Policy { soak, switch_limit, isolation_limit, agent_timeout, commit_limit, ..policy() };
        let mut pats = pats;
        pats.sort_unstable();
        let mut record = soaking(&policy, secs(result_at).min(switch_limit));
        for pat in pats {
            if let RootStep::Moved(next, _) = step(&record, &RootEvent::Patted, &at(secs(pat))) { record = *next }
        }
        let limits = self_rollback(&policy);
        prop_assert!(dead_man_due(&record, &at(limits.absolute_end)).is_some());
        let (acted, _) = acts_at(&record, Duration::ZERO);
        let bring_back = policy.rollback_limit + policy.reboot_limit;
        prop_assert!(acted + bring_back <= limits.back_by, "acted at {acted:?} of {limits:?}");
    }
}
