//! What the figures must show when something is off.

use super::*;
use crate::ctl::demo::evidence::StoredRecord;
use crate::model::host_rollout::{Adoption, HostRollout, Terms};
use crate::model::id::{Attempt, BootId};
use crate::model::time::{Stamp, Timestamp};
use crate::store::rows::JournalRow;
use crate::system::sim::closure::store_path;
use crate::system::sim::log::Entry;
use std::time::Duration;

fn host() -> HostName {
    HostName::new("host-01").unwrap()
}

fn path(name: &str) -> Closure {
    store_path(name, b"").unwrap()
}

fn journal(digit: char) -> JournalId {
    JournalId::new(digit.to_string().repeat(32)).unwrap()
}

fn acts(acts: Vec<(u64, Act)>) -> Vec<Entry> {
    let boot = BootId::new("b").unwrap();
    let entry = |(n, (at, act))| Entry { n, boot: boot.clone(), uptime_ms: at, wall_ms: 0, act };
    (1..).zip(acts).map(entry).collect()
}

fn activated(by: By, was: &str, closure: &str) -> Act {
    Act::Activated { by, was: path(was), closure: path(closure) }
}

fn started(from: &str, to: &str) -> Act {
    Act::SwitchStarted { by: By::Forward, from: path(from), to: path(to), action: "test".to_owned() }
}

fn record(target: &str, state: HostRolloutState) -> StoredRecord {
    StoredRecord { host: host(), target: path(target), state, in_flight: false }
}

fn event(author: Author, seq: u64, event: Option<Event>) -> StoredEvent {
    StoredEvent { host: Some(host()), rollout: None, attempt: Attempt::FIRST, author, seq, event }
}

/// One host that took release 1, then the bad release, which was undone.
fn good() -> Evidence {
    let log = acts(vec![
        (10, started("old", "good")),
        (15, activated(By::Forward, "old", "good")),
        (40, Act::Committed { closure: path("good") }),
        (50, started("good", "bad")),
        (55, activated(By::Forward, "good", "bad")),
        (70, activated(By::Rollback, "bad", "good")),
        (75, Act::Reverted { closure: path("good"), verdict: "probes".to_owned() }),
    ]);
    let evidence = HostEvidence {
        name: host(),
        acts: log,
        running: path("good"),
        default: Some(path("good")),
        records: Vec::new(),
        journals: vec![(journal('a'), 3)],
    };
    let own = |seq| event(Author::Journal(journal('a')), seq, None);
    let row = JournalRow { host: host(), journal: journal('a'), last_seq: 3, opened: Timestamp(0), fenced: None };
    Evidence {
        hosts: vec![evidence],
        events: (1..=3).map(own).collect(),
        journals: vec![row],
        records: vec![record("good", HostRolloutState::Converged), record("bad", HostRolloutState::Reverted)],
        ..Evidence::default()
    }
}

fn meant() -> Meant {
    let all = |name: &str| BTreeMap::from([(host(), path(name))]);
    let canaries = BTreeSet::from([host()]);
    Meant { good: all("good"), bad: all("bad"), end: all("good"), canaries, wave_limit: 2 }
}

fn figures(evidence: &Evidence) -> Figures {
    count(evidence, &meant(), Blows::default())
}

#[test]
fn a_host_that_went_there_and_back_counts_as_both() {
    let counted = figures(&good());
    assert_eq!((counted.converged, counted.reverted, counted.failed, counted.in_flight), (1, 1, 0, 0));
    assert_eq!(counted.bad_reached, 1);
    assert_eq!((counted.activations, counted.duplicate_activations, counted.max_in_flight), (3, 0, 1));
    assert_eq!((counted.events_stored, counted.events_missing), (3, 0));
}

#[test]
fn a_host_that_runs_or_boots_something_else_in_the_end_has_failed() {
    let mut runs = good();
    runs.hosts[0].running = path("bad");
    let mut boots = good();
    boots.hosts[0].default = Some(path("old"));
    let mut differs = good();
    differs.hosts[0].default = None;
    for evidence in [runs, boots, differs] {
        let counted = figures(&evidence);
        assert_eq!((counted.converged, counted.reverted, counted.failed), (0, 0, 1));
    }
}

#[test]
fn a_host_of_a_later_wave_that_ran_the_bad_release_has_failed() {
    let meant = Meant { canaries: BTreeSet::new(), ..meant() };
    assert_eq!(count(&good(), &meant, Blows::default()).failed, 1);
}

#[test]
fn what_the_store_says_must_agree_with_the_host() {
    let mut evidence = good();
    evidence.records[0].state = HostRolloutState::Soaking;
    assert_eq!(figures(&evidence).converged, 0);
    evidence.records[0].in_flight = true;
    assert_eq!(figures(&evidence).in_flight, 1);
}

#[test]
fn a_switch_without_an_end_is_under_way() {
    let mut evidence = good();
    evidence.hosts[0].acts.pop();
    assert_eq!(figures(&evidence).in_flight, 1);
}

#[test]
fn a_hole_is_missing_unless_it_is_marked() {
    let mut evidence = good();
    evidence.events.remove(1);
    assert_eq!(figures(&evidence).events_missing, 1);
    let mark = Event::HistoryLost { journal: journal('a'), from: 2, to: Some(2) };
    evidence.events.push(event(Author::ControlPlane, 9, Some(mark)));
    assert_eq!(figures(&evidence).events_missing, 0);
}

#[test]
fn what_the_host_wrote_and_the_store_never_saw_is_missing() {
    let mut evidence = good();
    evidence.hosts[0].journals = vec![(journal('a'), 5), (journal('b'), 1)];
    assert_eq!(figures(&evidence).events_missing, 3);
    let mark = Event::HistoryLost { journal: journal('a'), from: 4, to: None };
    evidence.events.push(event(Author::ControlPlane, 9, Some(mark)));
    assert_eq!(figures(&evidence).events_missing, 1);
}

#[test]
fn only_adoptions_from_a_snapshot_are_snapshots() {
    let terms = crate::ctl::demo::release::tests_terms();
    let boot = BootId::new("b").unwrap();
    let now = Stamp { wall: Timestamp(0), boot, uptime: Duration::ZERO };
    let terms = Terms { target: path("good"), ..terms };
    let adopted = |source| {
        let state = HostRollout::open(Attempt::FIRST, terms.clone(), &now);
        event(Author::Journal(journal('a')), 4, Some(Event::Adopted(Box::new(Adoption { source, state }))))
    };
    let mut evidence = good();
    evidence.events.extend([adopted(Memory::Snapshot), adopted(Memory::RootRecord), adopted(Memory::JournalBase)]);
    assert_eq!(figures(&evidence).snapshots_applied, 1);
}
