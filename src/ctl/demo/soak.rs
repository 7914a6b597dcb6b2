//! Whether any soak was counted anew, or cut short. Pure.
//!
//! A soak counts from the moment at which the switch wrote its good result: the root record's, on the host's own
//! clock, within one boot. A soak clock was reset where anybody counted from a later moment, which shows in two
//! ways, each of which is enough:
//! 1. *Said.* An event of the host names a later one: `ActivationCompleted`, or a soaking state that was adopted
//!    from a snapshot, a root record or a journal's base.
//! 2. *Done.* An agent started in the middle of the soak (a third of it or more after the result), and the commit
//!    began only when a whole soak had passed since that start, although the control plane was there all the time
//!    from the due moment on. A commit that is late because nobody answered is not a reset, and neither is one that
//!    is no later than that of a host whose agent went on undisturbed: then the machine was slow.

use crate::ctl::demo::evidence::{Evidence, HostEvidence, StoredEvent};
use crate::model::host_rollout::{Event, Phase};
use crate::model::id::BootId;
use crate::model::root_record::{RootRecord, SwitchResult};
use crate::model::time::Stamp;
use crate::system::sim::log::{Act, Entry};

/// One good result: the soak counts from here.
struct Soak<'a> {
    record: &'a RootRecord,
    boot: &'a BootId,
    from_ms: u64,
    soak_ms: u64,
}

fn soaks(host: &HostEvidence) -> Vec<Soak<'_>> {
    let good = host.records.iter().filter_map(|record| match &record.result {
        Some((SwitchResult::Good(_), at)) => Some(Soak {
            record,
            boot: &at.boot,
            from_ms: ms(at),
            soak_ms: u64::try_from(record.terms.soak.as_millis()).unwrap_or(u64::MAX),
        }),
        Some((SwitchResult::Deferred(_) | SwitchResult::Bad { .. }, _)) | None => None,
    });
    good.collect()
}

fn ms(at: &Stamp) -> u64 {
    u64::try_from(at.uptime.as_millis()).unwrap_or(u64::MAX)
}

/// Counts the attempts whose soak clock was reset.
#[must_use]
pub fn resets(evidence: &Evidence) -> u64 {
    let mut count = 0;
    let slow = slowest_undisturbed(evidence);
    for host in &evidence.hosts {
        for soak in soaks(host) {
            let said = evidence.events.iter().any(|stored| says_later(stored, host, &soak));
            let done = lateness(host, &soak) > Some(slow) && done_later(evidence, host, &soak);
            count += u64::from(said || done);
        }
    }
    count
}

/// How late a soak's commit began, in milliseconds.
fn lateness(host: &HostEvidence, soak: &Soak<'_>) -> Option<u64> {
    commit_began(host, soak).map(|at| at.saturating_sub(soak.from_ms + soak.soak_ms))
}

/// How late the latest commit of an agent began that did not start amid its soak: nothing else than a slow machine, or
/// a control plane that was away, can have delayed it.
fn slowest_undisturbed(evidence: &Evidence) -> u64 {
    let of_host = |host: &HostEvidence| {
        let undisturbed = |soak: &Soak<'_>| restarts_amid(host, soak).next().is_none();
        soaks(host).iter().filter(|soak| undisturbed(soak)).filter_map(|soak| lateness(host, soak)).max()
    };
    evidence.hosts.iter().filter_map(of_host).max().unwrap_or(0)
}

/// Counts the commits that began before the soak had passed.
#[must_use]
pub fn early_commits(evidence: &Evidence) -> u64 {
    let early = |host: &HostEvidence| {
        let soaks = soaks(host);
        let early =
            soaks.iter().filter(|soak| commit_began(host, soak).is_some_and(|at| at < soak.from_ms + soak.soak_ms));
        u64::try_from(early.count()).unwrap_or(u64::MAX)
    };
    evidence.hosts.iter().map(early).sum()
}

fn says_later(stored: &StoredEvent, host: &HostEvidence, soak: &Soak<'_>) -> bool {
    let same = stored.host.as_ref() == Some(&host.name)
        && stored.rollout.as_ref() == Some(&soak.record.rollout)
        && stored.attempt == soak.record.attempt;
    let since = match &stored.event {
        Some(Event::ActivationCompleted { at, .. }) => at,
        Some(Event::Adopted(adoption)) => match &adoption.state.phase {
            Phase::Soaking(soaking) => &soaking.since,
            Phase::Pending(_)
            | Phase::Activating(_)
            | Phase::Deferred(_)
            | Phase::Converged(_)
            | Phase::Failed(_)
            | Phase::Reverted(_)
            | Phase::Cancelled(_) => return false,
        },
        _ => return false,
    };
    same && since.boot == *soak.boot && ms(since) > soak.from_ms
}

fn done_later(evidence: &Evidence, host: &HostEvidence, soak: &Soak<'_>) -> bool {
    let Some(commit) = commit_began(host, soak) else { return false };
    let due = soak.from_ms + soak.soak_ms;
    let there = !evidence.outages.iter().any(|(from, to)| *from <= commit && *to >= due);
    there && restarts_amid(host, soak).any(|at| commit >= at + soak.soak_ms)
}

/// When the agent started in the middle of a soak.
fn restarts_amid(host: &HostEvidence, soak: &Soak<'_>) -> impl Iterator<Item = u64> {
    let started = |entry: &&Entry| entry.boot == *soak.boot && matches!(entry.act, Act::AgentStarted);
    let amid = (soak.from_ms + soak.soak_ms / 3)..(soak.from_ms + soak.soak_ms);
    host.acts.iter().filter(started).map(|entry| entry.uptime_ms).filter(move |at| amid.contains(at))
}

/// When the boot default was written for this soak's closure.
fn commit_began(host: &HostEvidence, soak: &Soak<'_>) -> Option<u64> {
    let of_soak = host.acts.iter().filter(|entry| entry.boot == *soak.boot && entry.uptime_ms >= soak.from_ms);
    let mut commits = of_soak
        .filter(|entry| matches!(&entry.act, Act::DefaultWritten { closure, .. } if *closure == soak.record.target));
    commits.next().map(|entry| entry.uptime_ms)
}

#[cfg(test)]
mod tests;
