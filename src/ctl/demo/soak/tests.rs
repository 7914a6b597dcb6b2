//! Soaks that were counted anew, and soaks that only ended late.

use super::*;
use crate::ctl::demo::release::tests_terms;
use crate::model::host_rollout::{Adoption, HostRollout, Memory, Soaking};
use crate::model::id::{Attempt, Author, Closure, HostName, JournalId};
use crate::model::root_record::{Launch, RootState};
use crate::model::time::Timestamp;
use crate::system::sim::closure::store_path;
use crate::system::sim::log::By;
use std::time::Duration;

/// The soak of the terms is 3000 ms; its result was written at 10 000 ms.
const FROM: u64 = 10_000;

fn at(ms: u64) -> Stamp {
    let wall = Timestamp(i64::try_from(ms).unwrap());
    Stamp { wall, boot: BootId::new("b").unwrap(), uptime: Duration::from_millis(ms) }
}

fn target() -> Closure {
    tests_terms().target
}

fn host(acts: &[(u64, Act)]) -> HostEvidence {
    let prior = store_path("old", b"").unwrap();
    let (terms, span) = (tests_terms(), Duration::from_secs(100));
    let rollout = "stable@1".parse().unwrap();
    let launch = Launch { rollout, attempt: Attempt::FIRST, prior, terms, agent_timeout: span, end_after: span };
    let mut record = RootRecord::launch(launch, &at(FROM - 500));
    record.state = RootState::Committed;
    record.result = Some((SwitchResult::Good(Vec::new()), at(FROM)));
    let boot = BootId::new("b").unwrap();
    let entry = |(n, (ms, act)): (u64, &(u64, Act))| Entry {
        n,
        boot: boot.clone(),
        uptime_ms: *ms,
        wall_ms: 0,
        act: act.clone(),
    };
    HostEvidence {
        name: HostName::new("host-01").unwrap(),
        acts: (1..).zip(acts).map(entry).collect(),
        running: target(),
        default: Some(target()),
        records: vec![record],
        journals: Vec::new(),
    }
}

fn commit() -> Act {
    Act::DefaultWritten { by: By::Forward, closure: target() }
}

fn evidence(acts: &[(u64, Act)], event: Option<Event>) -> Evidence {
    let host = host(acts);
    let stored = StoredEvent {
        host: Some(host.name.clone()),
        rollout: Some("stable@1".parse().unwrap()),
        attempt: Attempt::FIRST,
        author: Author::Journal(JournalId::new("a".repeat(32)).unwrap()),
        seq: 1,
        event,
    };
    Evidence { hosts: vec![host], events: vec![stored], ..Evidence::default() }
}

fn soaking_since(ms: u64) -> Event {
    let soaking = Soaking {
        prior: store_path("old", b"").unwrap(),
        started: at(FROM - 500),
        since: at(ms),
        probes: None,
        failing_since: None,
        committed: None,
    };
    let open = HostRollout::open(Attempt::FIRST, tests_terms(), &at(0));
    let state = HostRollout { phase: Phase::Soaking(soaking), ..open };
    Event::Adopted(Box::new(Adoption { source: Memory::Snapshot, state }))
}

#[test]
fn a_soak_that_counts_from_the_result_is_no_reset() {
    let acts = [(FROM + 1_500, Act::AgentStarted), (FROM + 3_050, commit())];
    let completed = Event::ActivationCompleted { at: at(FROM), notes: Vec::new() };
    for event in [None, Some(soaking_since(FROM)), Some(completed)] {
        assert_eq!(resets(&evidence(&acts, event)), 0);
    }
}

#[test]
fn a_later_start_that_is_said_is_a_reset() {
    let acts = [(FROM + 3_050, commit())];
    assert_eq!(resets(&evidence(&acts, Some(soaking_since(FROM + 1)))), 1);
    let completed = Event::ActivationCompleted { at: at(FROM + 1_500), notes: Vec::new() };
    assert_eq!(resets(&evidence(&acts, Some(completed))), 1);
}

#[test]
fn a_whole_soak_after_a_restart_is_a_reset_unless_nobody_answered() {
    let acts = [(FROM + 1_500, Act::AgentStarted), (FROM + 4_600, commit())];
    let mut anew = evidence(&acts, None);
    assert_eq!(resets(&anew), 1);
    anew.outages = vec![(FROM + 2_900, FROM + 4_500)];
    assert_eq!(resets(&anew), 0);
}

#[test]
fn a_late_commit_without_a_restart_amid_the_soak_is_no_reset() {
    let acts = [(FROM + 100, Act::AgentStarted), (FROM + 4_600, commit())];
    assert_eq!(resets(&evidence(&acts, None)), 0);
}

#[test]
fn a_commit_as_late_as_that_of_an_undisturbed_agent_is_no_reset() {
    let restarted = [(FROM + 1500, Act::AgentStarted), (FROM + 4600, commit())];
    for (undisturbed, wanted) in [(FROM + 3020, 1), (FROM + 4700, 0)] {
        let mut found = evidence(&restarted, None);
        assert_eq!(resets(&found), 1);
        found.hosts.push(host(&[(undisturbed, commit())]));
        assert_eq!(resets(&found), wanted, "{undisturbed}");
    }
}

#[test]
fn a_commit_before_its_time_is_early() {
    assert_eq!(early_commits(&evidence(&[(FROM + 2_999, commit())], None)), 1);
    assert_eq!(early_commits(&evidence(&[(FROM + 3_000, commit())], None)), 0);
}
