//! The figures of the report, counted from evidence only: rows of the store, and the hosts' own logs. Pure.

use crate::ctl::demo::evidence::{Evidence, HostEvidence, StoredEvent};
use crate::ctl::demo::soak;
use crate::model::host_rollout::{Event, HostRolloutState, Memory};
use crate::model::id::{Author, Closure, HostName, JournalId};
use crate::system::sim::log::{Act, By};
use crate::system::sim::tally;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Which closures were meant for the hosts, and in which wave each stands.
#[derive(Debug, Clone, Default)]
pub struct Meant {
    /// What release 1 brings; empty when it was not rolled out.
    pub good: BTreeMap<HostName, Closure>,
    /// What the bad release brings; empty when it was not rolled out.
    pub bad: BTreeMap<HostName, Closure>,
    /// What each host runs in the end.
    pub end: BTreeMap<HostName, Closure>,
    /// The hosts of the first wave: nobody else may start the bad release.
    pub canaries: BTreeSet<HostName>,
    /// The most hosts that may be under way at once.
    pub wave_limit: u64,
}

/// What the demo did to the fleet, counted as it was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Blows {
    /// Agents killed with SIGKILL.
    pub agent_kills: u64,
    /// Control planes killed with SIGKILL.
    pub cp_kills: u64,
    /// State directories deleted.
    pub state_wipes: u64,
}

/// The figures, under the names of the report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Hosts in the fleet.
    pub hosts: u64,
    /// Hosts that committed release 1 and run and boot it (unless a bad release was undone on top of it).
    pub converged: u64,
    /// Hosts on which the bad release was activated and undone: they run and boot what they ran before.
    pub reverted: u64,
    /// Hosts on which a switch to the bad release began.
    pub bad_reached: u64,
    /// Hosts that are neither what the good nor what the bad release should have left.
    pub failed: u64,
    /// Hosts under way when everything had ended, by the store or by their own log.
    pub in_flight: u64,
    /// Activations of a closure, forward and back, from the hosts' own logs.
    pub activations: u64,
    /// Activations of a closure that ran already.
    pub duplicate_activations: u64,
    /// Events in the store.
    pub events_stored: u64,
    /// Numbers of a journal that are neither stored nor marked as lost.
    pub events_missing: u64,
    /// The most hosts under way at one instant, from the hosts' own logs.
    pub max_in_flight: u64,
    /// The most that were allowed.
    pub wave_limit: u64,
    /// See [`Blows`].
    pub agent_kills: u64,
    /// See [`Blows`].
    pub cp_kills: u64,
    /// See [`Blows`].
    pub state_wipes: u64,
    /// States that an agent took over from the control plane's snapshot.
    pub snapshots_applied: u64,
    /// Soaks that were counted from a later moment than the switch's own result.
    pub soak_clock_resets: u64,
    /// Commits before the whole soak had passed.
    pub early_commits: u64,
    /// How long it all took, in milliseconds.
    pub wall_ms: u64,
}

/// Counts.
#[must_use]
pub fn count(evidence: &Evidence, meant: &Meant, blows: Blows) -> Figures {
    let failed = evidence.hosts.iter().filter(|host| !is_as_meant(evidence, host, meant)).count();
    let converged = evidence.hosts.iter().filter(|host| has_converged(evidence, host, meant)).count();
    let reverted = evidence.hosts.iter().filter(|host| has_reverted(evidence, host, meant)).count();
    let intervals: Vec<_> = evidence.hosts.iter().map(|host| tally::in_flight_intervals(&host.acts)).collect();
    let over = |count: fn(&[crate::system::sim::log::Entry]) -> usize| -> u64 {
        evidence.hosts.iter().map(|host| wide(count(&host.acts))).sum()
    };
    Figures {
        hosts: wide(evidence.hosts.len()),
        converged: wide(converged),
        reverted: wide(reverted),
        bad_reached: wide(evidence.hosts.iter().filter(|host| began(host, meant.bad.get(&host.name))).count()),
        failed: wide(failed),
        in_flight: wide(evidence.hosts.iter().filter(|host| is_under_way(evidence, host)).count()),
        activations: over(tally::activations),
        duplicate_activations: over(tally::duplicate_activations),
        events_stored: wide(evidence.events.len()),
        events_missing: evidence.hosts.iter().map(|host| missing(evidence, host)).sum(),
        max_in_flight: wide(tally::max_in_flight(&intervals)),
        wave_limit: meant.wave_limit,
        agent_kills: blows.agent_kills,
        cp_kills: blows.cp_kills,
        state_wipes: blows.state_wipes,
        snapshots_applied: wide(evidence.events.iter().filter(|stored| is_snapshot(stored)).count()),
        soak_clock_resets: soak::resets(evidence),
        early_commits: soak::early_commits(evidence),
        wall_ms: 0,
    }
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn is_snapshot(stored: &StoredEvent) -> bool {
    matches!(&stored.event, Some(Event::Adopted(adoption)) if adoption.source == Memory::Snapshot)
}

fn began(host: &HostEvidence, target: Option<&Closure>) -> bool {
    host.acts
        .iter()
        .any(|entry| matches!(&entry.act, Act::SwitchStarted { by: By::Forward, to, .. } if Some(to) == target))
}

fn ran(host: &HostEvidence, target: Option<&Closure>) -> bool {
    host.acts
        .iter()
        .any(|entry| matches!(&entry.act, Act::Activated { by: By::Forward, closure, .. } if Some(closure) == target))
}

fn committed(host: &HostEvidence, target: Option<&Closure>) -> bool {
    host.acts.iter().any(|entry| matches!(&entry.act, Act::Committed { closure } if Some(closure) == target))
}

/// The host runs and boots what it should in the end.
fn ends_well(host: &HostEvidence, meant: &Meant) -> bool {
    let end = meant.end.get(&host.name);
    end.is_some() && Some(&host.running) == end && host.default.as_ref() == end
}

fn state_of(evidence: &Evidence, host: &HostName, target: Option<&Closure>) -> Option<HostRolloutState> {
    let record = evidence.records.iter().find(|record| record.host == *host && Some(&record.target) == target);
    record.map(|record| record.state)
}

fn has_converged(evidence: &Evidence, host: &HostEvidence, meant: &Meant) -> bool {
    let good = meant.good.get(&host.name);
    good.is_some()
        && committed(host, good)
        && state_of(evidence, &host.name, good) == Some(HostRolloutState::Converged)
        && ends_well(host, meant)
}

fn has_reverted(evidence: &Evidence, host: &HostEvidence, meant: &Meant) -> bool {
    let bad = meant.bad.get(&host.name);
    ran(host, bad)
        && !committed(host, bad)
        && state_of(evidence, &host.name, bad) == Some(HostRolloutState::Reverted)
        && ends_well(host, meant)
}

fn is_as_meant(evidence: &Evidence, host: &HostEvidence, meant: &Meant) -> bool {
    let good = meant.good.is_empty() || has_converged(evidence, host, meant);
    let touched = began(host, meant.bad.get(&host.name));
    let bad = !touched || (meant.canaries.contains(&host.name) && has_reverted(evidence, host, meant));
    good && bad && ends_well(host, meant)
}

fn is_under_way(evidence: &Evidence, host: &HostEvidence) -> bool {
    let by_store = evidence.records.iter().any(|record| record.host == host.name && record.in_flight);
    by_store || tally::in_flight_intervals(&host.acts).iter().any(|interval| interval.until_ms.is_none())
}

/// Counts the numbers of a host's journals that are neither stored nor marked as lost: up to the last that the
/// control plane says it holds, and up to the last that the journal itself has on the host's disk.
fn missing(evidence: &Evidence, host: &HostEvidence) -> u64 {
    let mut last: BTreeMap<&JournalId, u64> = BTreeMap::new();
    let held = evidence.journals.iter().filter(|journal| journal.host == host.name);
    let ends = held
        .map(|journal| (&journal.journal, journal.last_seq))
        .chain(host.journals.iter().map(|(id, seq)| (id, *seq)));
    for (journal, seq) in ends {
        let known = last.entry(journal).or_default();
        *known = (*known).max(seq);
    }
    last.into_iter().map(|(journal, last)| missing_of(evidence, &host.name, (journal, last))).sum()
}

fn missing_of(evidence: &Evidence, host: &HostName, (journal, last): (&JournalId, u64)) -> u64 {
    let of_host = || evidence.events.iter().filter(|stored| stored.host.as_ref() == Some(host));
    let author = Author::Journal(journal.clone());
    let stored: BTreeSet<u64> = of_host().filter(|event| event.author == author).map(|event| event.seq).collect();
    let marks: Vec<(u64, u64)> = of_host()
        .filter_map(|stored| match &stored.event {
            Some(Event::HistoryLost { journal: lost, from, to }) if lost == journal => {
                Some((*from, to.unwrap_or(u64::MAX)))
            }
            _ => None,
        })
        .collect();
    let is_marked = |seq: u64| marks.iter().any(|(from, to)| (*from..=*to).contains(&seq));
    wide((1..=last).filter(|seq| !stored.contains(seq) && !is_marked(*seq)).count())
}

#[cfg(test)]
mod tests;
