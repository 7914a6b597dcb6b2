//! Arbitrary values of everything that is written as JSON, for round trips.

use crate::model::facts::{Activation, Closures, HostHold, ProbeMode, ProbeOutcome, UnitFailure, Verdict};
use crate::model::fleet::{InFlight, OnFailure, RebootPolicy};
use crate::model::host_rollout::{
    Activating, Adoption, Cancelled, Converged, Deferred, Event, Failed, HostRollout, Memory, Observed, Pending, Phase,
    Probe, Reboots, Reverted, Rollback, Soaking, Staging, Terms,
};
use crate::model::id::{Attempt, BootId, Closure, HostName, JournalId, ProbeName, RolloutId};
use crate::model::rollout::{Halt, Place, Rollout, RolloutState, WaveRules};
use crate::model::root_record::{CommitTrouble, RootRecord, RootState, SwitchResult};
use crate::model::time::{Stamp, Timestamp};
use crate::wire::stored::{HostBody, RecordBody, RolloutBody};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;
use std::fmt::Debug;
use std::str::FromStr;
use std::time::Duration;

fn parsed<T>(pattern: &'static str) -> impl Strategy<Value = T>
where
    T: FromStr + Debug,
    T::Err: Debug,
{
    pattern.prop_map(|text: String| text.parse().unwrap())
}

fn words() -> impl Strategy<Value = String> {
    ".{0,12}"
}

fn label<T>() -> impl Strategy<Value = T>
where
    T: FromStr + Debug,
    T::Err: Debug,
{
    parsed("[a-zA-Z0-9][a-zA-Z0-9._-]{0,8}")
}

pub(crate) fn closure() -> impl Strategy<Value = Closure> {
    parsed("/nix/store/[0-9a-df-np-sv-z]{32}-[a-z0-9+._?=-]{1,8}")
}

fn rollout_id() -> impl Strategy<Value = RolloutId> {
    parsed("[a-z]{1,4}@[a-z0-9][a-z0-9.-]{0,4}")
}

fn journal() -> impl Strategy<Value = JournalId> {
    parsed("[0-9a-f]{32}")
}

pub(crate) fn timestamp() -> impl Strategy<Value = Timestamp> {
    (-62_167_219_200_000_i64..=253_402_300_799_999).prop_map(Timestamp)
}

fn span() -> impl Strategy<Value = Duration> {
    any::<u64>().prop_map(Duration::from_millis)
}

pub(crate) fn stamp() -> impl Strategy<Value = Stamp> {
    (timestamp(), label::<BootId>(), span()).prop_map(|(wall, boot, uptime)| Stamp { wall, boot, uptime })
}

pub(crate) fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        words().prop_map(Verdict::SwitchFailed),
        Just(Verdict::SwitchTimedOut),
        vec(words(), 0..3).prop_map(Verdict::UnitsFailed),
        vec(label::<ProbeName>(), 0..3).prop_map(Verdict::ProbesFailed),
        Just(Verdict::DeadMan),
        Just(Verdict::AgentCrashLoop),
        Just(Verdict::ControlPlaneLost),
        Just(Verdict::Isolated),
        Just(Verdict::BootedElsewhere),
        Just(Verdict::UncleanReboots),
        Just(Verdict::TooManyReboots),
        Just(Verdict::Overtaken),
        words().prop_map(Verdict::Ordered),
        words().prop_map(Verdict::CommitFailed),
        words().prop_map(Verdict::Refused),
    ]
}

pub(crate) fn host_hold() -> impl Strategy<Value = HostHold> {
    prop_oneof![
        words().prop_map(HostHold::Lease),
        words().prop_map(HostHold::Disk),
        Just(HostHold::Lock),
        words().prop_map(HostHold::Cache),
        Just(HostHold::ClockBehind),
        Just(HostHold::BootDefaultDiffers),
        Just(HostHold::StateNotPersistent),
        words().prop_map(HostHold::NoTrialBoot),
        closure().prop_map(HostHold::Drift),
        words().prop_map(HostHold::Window),
        words().prop_map(HostHold::Untrusted),
        closure().prop_map(HostHold::Quarantined),
        rollout_id().prop_map(HostHold::Busy),
        words().prop_map(HostHold::Commit),
    ]
}

fn closures() -> impl Strategy<Value = Closures> {
    (of(closure()), of(closure()), of(closure())).prop_map(|(running, booted, default)| Closures {
        running,
        booted,
        default,
    })
}

fn unit_failures() -> impl Strategy<Value = Vec<UnitFailure>> {
    vec((words(), words()).prop_map(|(unit, log)| UnitFailure { unit, log }), 0..3)
}

fn mode() -> impl Strategy<Value = ProbeMode> {
    prop_oneof![Just(ProbeMode::Enforce), Just(ProbeMode::Observe), Just(ProbeMode::Disabled)]
}

fn outcome() -> impl Strategy<Value = ProbeOutcome> {
    prop_oneof![Just(ProbeOutcome::Pass), words().prop_map(ProbeOutcome::Fail)]
}

fn terms() -> impl Strategy<Value = Terms> {
    let keep = any::<bool>().prop_map(|keep| if keep { OnFailure::Keep } else { OnFailure::Revert });
    let trial = any::<bool>().prop_map(|trial| if trial { RebootPolicy::Trial } else { RebootPolicy::Live });
    (closure(), proptest::array::uniform8(span()), keep, trial).prop_map(|(target, spans, on_failure, reboot)| Terms {
        target,
        soak: spans[0],
        failure_after: spans[1],
        switch_limit: spans[2],
        commit_limit: spans[3],
        rollback_limit: spans[4],
        reboot_limit: spans[5],
        stage_limit: spans[6],
        isolation_limit: spans[7],
        on_failure,
        reboot,
    })
}

fn staging() -> impl Strategy<Value = Staging> {
    prop_oneof![
        Just(Staging::Wanted),
        Just(Staging::Done),
        (words(), any::<u32>(), stamp()).prop_map(|(reason, tries, at)| Staging::Failed { reason, tries, at }),
    ]
}

fn rollback() -> impl Strategy<Value = Rollback> {
    prop_oneof![
        Just(Rollback::Due),
        stamp().prop_map(Rollback::Started),
        words().prop_map(Rollback::Impossible),
        Just(Rollback::Kept),
        Just(Rollback::Overtaken),
    ]
}

fn soaking() -> impl Strategy<Value = Soaking> {
    let probe = (mode(), of(outcome())).prop_map(|(mode, last)| Probe { mode, last });
    let probes = of(btree_map(label::<ProbeName>(), probe, 0..3));
    (closure(), stamp(), stamp(), probes, of(stamp()), of(stamp())).prop_map(
        |(prior, started, since, probes, failing_since, committed)| Soaking {
            prior,
            started,
            since,
            probes,
            failing_since,
            committed,
        },
    )
}

fn phase() -> impl Strategy<Value = Phase> {
    prop_oneof![
        (stamp(), staging(), of(stamp())).prop_map(|(since, staging, acked)| Phase::Pending(Pending {
            since,
            staging,
            acked
        })),
        (closure(), stamp(), stamp()).prop_map(|(prior, acked, started)| Phase::Activating(Activating {
            prior,
            acked,
            started
        })),
        (closure(), words(), stamp(), of(stamp()), of(stamp())).prop_map(|(prior, why, since, acked, trial)| {
            Phase::Deferred(Deferred { prior, why, since, acked, trial })
        }),
        soaking().prop_map(Phase::Soaking),
        (stamp(), any::<bool>(), of((stamp(), label::<ProbeName>())))
            .prop_map(|(at, activated, failing)| Phase::Converged(Converged { at, activated, failing })),
        (verdict(), stamp(), of(closure()), rollback())
            .prop_map(|(verdict, at, prior, rollback)| Phase::Failed(Failed { verdict, at, prior, rollback })),
        (verdict(), stamp()).prop_map(|(verdict, at)| Phase::Reverted(Reverted { verdict, at })),
        (words(), stamp()).prop_map(|(why, at)| Phase::Cancelled(Cancelled { why, at })),
    ]
}

pub(crate) fn progress() -> impl Strategy<Value = HostRollout> {
    let reboots = (any::<u32>(), any::<u32>()).prop_map(|(clean, unclean)| Reboots { clean, unclean });
    (any::<u32>(), terms(), phase(), reboots, of(closures())).prop_map(|(attempt, terms, phase, reboots, observed)| {
        HostRollout { attempt: Attempt(attempt), terms, phase, reboots, observed }
    })
}

fn memory() -> impl Strategy<Value = Memory> {
    prop_oneof![Just(Memory::Snapshot), Just(Memory::RootRecord), Just(Memory::JournalBase)]
}

pub(crate) fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Staged),
        words().prop_map(Event::StageFailed),
        Just(Event::DispatchAcked),
        words().prop_map(Event::PermitLapsed),
        closure().prop_map(|prior| Event::ActivationStarted { prior }),
        (stamp(), vec(words(), 0..3)).prop_map(|(at, notes)| Event::ActivationCompleted { at, notes }),
        words().prop_map(Event::ActivationDeferred),
        (verdict(), words(), unit_failures()).prop_map(|(verdict, log, units)| Event::ActivationFailed {
            verdict,
            log,
            units
        }),
        Just(Event::TrialBootStarted),
        btree_map(label::<ProbeName>(), mode(), 0..3).prop_map(Event::ProbeTopologyDeclared),
        (label(), outcome()).prop_map(|(probe, outcome)| Event::ProbeResult { probe, outcome }),
        verdict().prop_map(Event::SustainedFailure),
        (closure(), any::<bool>()).prop_map(|(into, clean)| Event::Rebooted { into, clean }),
        closure().prop_map(Event::Overtaken),
        verdict().prop_map(Event::RollbackStarted),
        Just(Event::RollbackCompleted),
        words().prop_map(Event::RollbackFailed),
        Just(Event::Committed),
        Just(Event::Converged),
        words().prop_map(Event::Cancelled),
        (memory(), progress()).prop_map(|(source, state)| Event::Adopted(Box::new(Adoption { source, state }))),
        (journal(), any::<u64>(), of(any::<u64>())).prop_map(|(journal, from, to)| Event::HistoryLost {
            journal,
            from,
            to
        }),
        (closures(), of(activation())).prop_map(|(closures, by)| Event::ClosureObserved(Observed { closures, by })),
    ]
}

fn activation() -> impl Strategy<Value = Activation> {
    let word = || "[a-z0-9-]{0,64}";
    (closure(), word(), word(), word(), timestamp()).prop_map(|(closure, action, boot, who, at)| Activation {
        closure,
        action,
        boot,
        who,
        at,
    })
}

pub(crate) fn host_body() -> impl Strategy<Value = HostBody> {
    let first = (of(closures()), vec(host_hold(), 0..3), of(words()), of(words()), vec(closure(), 0..3));
    let boots = (vec((label::<BootId>(), timestamp()), 0..3), of(activation()));
    (first, of(journal()), of(label()), boots, words()).prop_map(
        |(first, journal, boot, (boots, activated), agent_version)| {
            let (closures, holds, operator_hold, cloned, quarantined) = first;
            let drifted = quarantined.first().cloned();
            let resolved = boots.first().map(|(_, at)| *at);
            HostBody {
                closures,
                holds,
                operator_hold,
                cloned,
                quarantined,
                journal,
                boot,
                boots,
                agent_version,
                drifted,
                activated,
                resolved,
            }
        },
    )
}

pub(crate) fn record_body() -> impl Strategy<Value = RecordBody> {
    let times = (timestamp(), of(timestamp()), timestamp());
    (progress(), times, any::<u64>(), of(words()), any::<bool>()).prop_map(
        |(progress, (opened, permitted, state_since), invitation, revert, retry)| RecordBody {
            progress,
            opened,
            permitted,
            invitation,
            revert,
            retry,
            state_since,
        },
    )
}

fn rollout_state() -> impl Strategy<Value = RolloutState> {
    let halt = prop_oneof![
        (any::<u32>(), any::<u32>()).prop_map(|(failed, allowed)| Halt::TooManyFailures { failed, allowed }),
        (any::<u32>(), any::<u32>()).prop_map(|(possible, needed)| Halt::OutOfReach { possible, needed }),
    ];
    let place = prop_oneof![Just(Place::Opened), any::<usize>().prop_map(Place::Wave), Just(Place::Completed)];
    prop_oneof![
        Just(RolloutState::Opened),
        any::<usize>().prop_map(|wave| RolloutState::Advancing { wave }),
        Just(RolloutState::Completed),
        (halt, any::<usize>()).prop_map(|(why, wave)| RolloutState::Halted { why, wave }),
        (words(), place).prop_map(|(by, at)| RolloutState::Paused { by, at }),
        rollout_id().prop_map(|by| RolloutState::Superseded { by }),
        words().prop_map(|by| RolloutState::Cancelled { by }),
    ]
}

fn in_flight() -> impl Strategy<Value = InFlight> {
    prop_oneof![Just(InFlight::Finish), Just(InFlight::Revert)]
}

pub(crate) fn rollout_body() -> impl Strategy<Value = RolloutBody> {
    let rules = (any::<u32>(), any::<u32>(), span());
    let rules = rules.prop_map(|(min_success, max_failures, wait)| WaveRules { min_success, max_failures, wait });
    let memory = (
        btree_set(label::<HostName>(), 0..3),
        of(timestamp()),
        btree_map(any::<usize>(), of(timestamp()), 0..3),
        of(any::<usize>()),
    );
    let start = (rollout_id(), vec(rules, 0..3), rollout_state());
    (start, memory, in_flight(), in_flight(), any::<bool>(), vec(words(), 0..3)).prop_map(
        |((id, waves, state), (forgiven, wave_done_at, approved, promoted), on_halt, on_supersede, restored, notes)| {
            let rollout =
                Rollout { id, waves, state, forgiven, wave_done_at, approved, promoted, on_halt, on_supersede };
            RolloutBody { rollout, restored, notes }
        },
    )
}

fn root_state() -> impl Strategy<Value = RootState> {
    prop_oneof![
        Just(RootState::Launched),
        Just(RootState::Soaking),
        Just(RootState::Committing),
        Just(RootState::Committed),
        Just(RootState::Reverting),
        Just(RootState::Reverted),
        Just(RootState::Overtaken),
        Just(RootState::Kept),
    ]
}

pub(crate) fn root_record() -> impl Strategy<Value = RootRecord> {
    let result = prop_oneof![
        vec(words(), 0..3).prop_map(SwitchResult::Good),
        words().prop_map(SwitchResult::Deferred),
        (verdict(), words(), unit_failures()).prop_map(|(verdict, log, units)| SwitchResult::Bad {
            verdict,
            log,
            units
        }),
    ];
    let ids = (rollout_id(), any::<u32>(), closure(), closure());
    let times = (stamp(), of(stamp()), stamp(), vec(stamp(), 0..3));
    let ends = (of(verdict()), of(words()), of(label::<BootId>()), of(label::<BootId>()));
    let trouble = (words(), any::<u32>(), stamp()).prop_map(|(why, tries, at)| CommitTrouble { why, tries, at });
    let commits = (of(stamp()), of(trouble));
    (ids, times, ends, commits, root_state(), of((result, stamp())), terms(), span()).prop_map(
        |(ids, times, ends, commits, state, result, terms, agent_timeout)| RootRecord {
            rollout: ids.0,
            attempt: Attempt(ids.1),
            target: ids.2,
            prior: ids.3,
            started: times.0,
            state,
            result,
            deadline: times.1,
            end: times.2,
            trial_from: ends.2,
            trial_boot: ends.3,
            agent_starts: times.3,
            verdict: ends.0,
            rollback_trouble: ends.1,
            commit_began: commits.0,
            commit_trouble: commits.1,
            terms,
            agent_timeout,
        },
    )
}
