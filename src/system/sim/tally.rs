//! Figures from act logs: activations, and who ran something unproven when. Pure.

use crate::model::id::Closure;
use crate::system::sim::log::{Act, By, Entry};

/// A time in which a host ran, or might have run, an unproven closure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interval {
    /// The unproven closure.
    pub target: Closure,
    /// From the start of its switch, in milliseconds of the machine's uptime.
    pub from_ms: u64,
    /// Until it was committed or the host ran something else for certain; `None` while it lasts.
    pub until_ms: Option<u64>,
}

/// Returns the times in which the host ran something unproven, in order.
#[must_use]
pub fn in_flight_intervals(entries: &[Entry]) -> Vec<Interval> {
    let mut found: Vec<Interval> = Vec::new();
    for entry in entries {
        let open = found.last_mut().filter(|last| last.until_ms.is_none());
        match (&entry.act, open) {
            (Act::SwitchStarted { by: By::Forward, to, .. } | Act::TrialOrdered { closure: to }, None) => {
                found.push(Interval { target: to.clone(), from_ms: entry.uptime_ms, until_ms: None });
            }
            (act, Some(open)) if ends(act, &open.target) => open.until_ms = Some(entry.uptime_ms),
            (_, _) => {}
        }
    }
    found
}

fn ends(act: &Act, target: &Closure) -> bool {
    match act {
        Act::Committed { .. } | Act::Reverted { .. } | Act::Overtaken | Act::Kept | Act::Deferred { .. } => true,
        Act::Booted { closure, .. } => closure != target,
        Act::SwitchStarted { .. }
        | Act::Activated { .. }
        | Act::SwitchEnded { .. }
        | Act::DefaultWritten { .. }
        | Act::DeadManFired { .. }
        | Act::RollbackFailed { .. }
        | Act::TrialOrdered { .. }
        | Act::AgentStarted
        | Act::AgentEnded
        | Act::Rebooted { .. }
        | Act::PowerCut
        | Act::BootHung { .. }
        | Act::ManualSwitch { .. } => false,
    }
}

/// Returns the most intervals, over all hosts of one machine, that overlap at one instant. Where one ends at the
/// millisecond in which another begins, they count as one after the other.
#[must_use]
pub fn max_in_flight(hosts: &[Vec<Interval>]) -> usize {
    let mut edges: Vec<(u64, bool)> = Vec::new();
    for interval in hosts.iter().flatten() {
        edges.push((interval.from_ms, true));
        edges.extend(interval.until_ms.map(|until| (until, false)));
    }
    edges.sort_unstable();
    let (mut now, mut most) = (0_usize, 0);
    for (_, begins) in edges {
        now = if begins { now + 1 } else { now.saturating_sub(1) };
        most = most.max(now);
    }
    most
}

/// Counts the activations by the root helper, forward and back.
#[must_use]
pub fn activations(entries: &[Entry]) -> usize {
    let by_helper = |entry: &&Entry| matches!(entry.act, Act::Activated { by: By::Forward | By::Rollback, .. });
    entries.iter().filter(by_helper).count()
}

/// Counts the forward activations of a closure that already ran.
#[must_use]
pub fn duplicate_activations(entries: &[Entry]) -> usize {
    let twice =
        |entry: &&Entry| matches!(&entry.act, Act::Activated { by: By::Forward, was, closure } if was == closure);
    entries.iter().filter(twice).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::BootId;
    use crate::system::sim::closure::store_path;

    fn entries(acts: &[(u64, Act)]) -> Vec<Entry> {
        let boot = BootId::new("b").unwrap();
        let entry = |(n, (at, act)): (usize, &(u64, Act))| Entry {
            n: n as u64 + 1,
            boot: boot.clone(),
            uptime_ms: *at,
            wall_ms: 0,
            act: act.clone(),
        };
        acts.iter().enumerate().map(entry).collect()
    }

    fn closure(name: &str) -> Closure {
        store_path(name, b"").unwrap()
    }

    fn started(to: &str) -> Act {
        Act::SwitchStarted { by: By::Forward, from: closure("old"), to: closure(to), action: "test".to_owned() }
    }

    #[test]
    fn an_interval_lasts_until_the_host_certainly_runs_something_proven() {
        let reverted = Act::Reverted { closure: closure("old"), verdict: String::new() };
        let booted = |name| Act::Booted { closure: closure(name), clean: false };
        let log = entries(&[
            (1, started("a")),
            (5, Act::PowerCut),
            (9, booted("old")),
            (9, reverted.clone()),
            (20, started("b")),
            (22, booted("b")),
            (30, Act::Committed { closure: closure("b") }),
            (40, started("c")),
        ]);
        let times: Vec<_> = in_flight_intervals(&log).into_iter().map(|i| (i.from_ms, i.until_ms)).collect();
        assert_eq!(times, [(1, Some(9)), (20, Some(30)), (40, None)]);
    }

    #[test]
    fn overlaps_are_counted_over_hosts() {
        let span = |from_ms, until_ms| Interval { target: closure("a"), from_ms, until_ms };
        let one = vec![span(1, Some(5)), span(7, Some(9))];
        assert_eq!(max_in_flight(&[]), 0);
        assert_eq!(max_in_flight(&[one.clone(), vec![span(5, Some(7))]]), 1);
        assert_eq!(max_in_flight(&[one.clone(), vec![span(4, Some(6))]]), 2);
        assert_eq!(max_in_flight(&[one, vec![span(4, None)], vec![span(8, None)]]), 3);
    }

    #[test]
    fn only_a_forward_activation_of_what_runs_is_a_duplicate() {
        let activated = |by, was, is| Act::Activated { by, was: closure(was), closure: closure(is) };
        let log = entries(&[
            (1, activated(By::Forward, "old", "a")),
            (2, activated(By::Forward, "a", "a")),
            (3, activated(By::Rollback, "a", "a")),
            (4, activated(By::Boot, "a", "a")),
        ]);
        assert_eq!((activations(&log), duplicate_activations(&log)), (3, 1));
    }
}
