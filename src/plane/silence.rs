//! Lost and set-aside hosts: views over facts that move a wave's counts and never a row.

use crate::model::id::{HostName, RolloutId, Tag};
use crate::model::rollout::{Rollout, Tally};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a silent host's record counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Judged {
    /// Permitted, past its limit and grace: a failure until it returns.
    Lost,
    /// The same, of one that has failed already and was going back: it is a failure as it is, and not in flight any more.
    LostFailing,
    /// The same, but its failure was forgiven by name.
    LostForgiven,
    /// Without a permit past the grace: neither waited for nor counted.
    SetAside,
    /// The store was restored and the host may have been permitted in what was lost: in flight.
    AssumedInFlight,
}

/// One judged record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The rollout.
    pub rollout: RolloutId,
    /// The wave, from 0.
    pub wave: u32,
    /// What it counts as.
    pub judged: Judged,
    /// The budgets it takes from.
    pub budgets: Vec<Tag>,
}

/// The judged records of all silent hosts.
#[derive(Debug, Default)]
pub struct Silence {
    judged: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    hosts: BTreeMap<HostName, Vec<Verdict>>,
    waves: BTreeMap<(RolloutId, u32), Counts>,
    lost_in: BTreeMap<Tag, u32>,
    assumed_in: BTreeMap<Tag, u32>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    lost: u32,
    failing: u32,
    forgiven: u32,
    set_aside: u32,
    assumed: u32,
}

impl Counts {
    fn of(&mut self, judged: Judged) -> &mut u32 {
        match judged {
            Judged::Lost => &mut self.lost,
            Judged::LostFailing => &mut self.failing,
            Judged::LostForgiven => &mut self.forgiven,
            Judged::SetAside => &mut self.set_aside,
            Judged::AssumedInFlight => &mut self.assumed,
        }
    }
}

impl Judged {
    /// Returns what it counts as once an operator has forgiven the host's failure by name.
    fn forgiven(self) -> Self {
        match self {
            Self::Lost | Self::LostFailing | Self::LostForgiven => Self::LostForgiven,
            Self::SetAside | Self::AssumedInFlight => self,
        }
    }

    /// Tells whether the host held a permit past its limit and grace.
    #[must_use]
    pub fn is_lost(self) -> bool {
        match self {
            Self::Lost | Self::LostFailing | Self::LostForgiven => true,
            Self::SetAside | Self::AssumedInFlight => false,
        }
    }
}

impl Tables {
    fn count(&mut self, verdict: &Verdict, up: bool) {
        let moved = |n: &mut u32| *n = if up { n.saturating_add(1) } else { n.saturating_sub(1) };
        let counts = self.waves.entry((verdict.rollout.clone(), verdict.wave)).or_default();
        moved(counts.of(verdict.judged));
        let table = match verdict.judged {
            Judged::Lost | Judged::LostFailing | Judged::LostForgiven => &mut self.lost_in,
            Judged::AssumedInFlight => &mut self.assumed_in,
            Judged::SetAside => return,
        };
        for tag in &verdict.budgets {
            moved(table.entry(tag.clone()).or_default());
        }
    }
}

impl Tables {
    fn counts(&self, rollout: &Rollout, wave: u32) -> Counts {
        let mut counts = self.waves.get(&(rollout.id.clone(), wave)).copied().unwrap_or_default();
        let judged = rollout.forgiven.iter().filter_map(|host| self.hosts.get(host)).flatten();
        for verdict in judged.filter(|verdict| verdict.rollout == rollout.id && verdict.wave == wave) {
            let forgiven = verdict.judged.forgiven();
            if forgiven != verdict.judged {
                let left = counts.of(verdict.judged);
                *left = left.saturating_sub(1);
                *counts.of(forgiven) += 1;
            }
        }
        counts
    }
}

impl Silence {
    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.judged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces what is said of a host; empty when it was heard. Returns the rollouts whose counts changed.
    pub fn replace(&self, host: &HostName, verdicts: Vec<Verdict>) -> BTreeSet<RolloutId> {
        let mut tables = self.lock();
        let old = tables.hosts.remove(host).unwrap_or_default();
        if old == verdicts {
            if !old.is_empty() {
                tables.hosts.insert(host.clone(), old);
            }
            return BTreeSet::new();
        }
        old.iter().for_each(|verdict| tables.count(verdict, false));
        verdicts.iter().for_each(|verdict| tables.count(verdict, true));
        let touched = old.iter().chain(&verdicts).map(|verdict| verdict.rollout.clone()).collect();
        if !verdicts.is_empty() {
            tables.hosts.insert(host.clone(), verdicts);
        }
        touched
    }

    /// Returns what the host's record counts as; `None` as its row says.
    #[must_use]
    pub fn of(&self, host: &HostName, rollout: &RolloutId) -> Option<Judged> {
        let tables = self.lock();
        let verdict = tables.hosts.get(host)?.iter().find(|verdict| verdict.rollout == *rollout)?;
        Some(verdict.judged)
    }

    /// Returns the hosts of a rollout that count as lost failures, by name.
    #[must_use]
    pub fn lost(&self, rollout: &RolloutId) -> Vec<HostName> {
        let is_lost = |verdict: &Verdict| verdict.rollout == *rollout && verdict.judged == Judged::Lost;
        let tables = self.lock();
        let lost = tables.hosts.iter().filter(|(_, verdicts)| verdicts.iter().any(is_lost));
        lost.map(|(host, _)| host.clone()).collect()
    }

    /// Moves a wave's counts from what the rows say to what silence makes of them. A host that an operator has
    /// forgiven since it was judged counts as forgiven at once.
    #[must_use]
    pub fn over(&self, (rollout, wave): (&Rollout, u32), mut tally: Tally) -> Tally {
        let counts = self.lock().counts(rollout, wave);
        let shift = |from: &mut u32, to: &mut u32, n: u32| {
            let n = n.min(*from);
            *from -= n;
            *to += n;
        };
        shift(&mut tally.in_flight, &mut tally.failed, counts.lost);
        tally.in_flight = tally.in_flight.saturating_sub(counts.failing);
        shift(&mut tally.in_flight, &mut tally.neutral, counts.forgiven);
        shift(&mut tally.waiting, &mut tally.set_aside, counts.set_aside);
        shift(&mut tally.waiting, &mut tally.in_flight, counts.assumed);
        tally
    }

    /// Counts the hosts that are assumed to be in flight and do not stand in a budget's counter.
    #[must_use]
    pub fn assumed_in_budget(&self, budget: &Tag) -> u32 {
        self.lock().assumed_in.get(budget).copied().unwrap_or(0)
    }

    /// Counts the lost hosts that still stand in a budget's counter.
    #[must_use]
    pub fn lost_in_budget(&self, budget: &Tag) -> u32 {
        self.lock().lost_in.get(budget).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fleet::InFlight;
    use crate::model::rollout::RolloutState;

    /// A rollout of which only the name and the forgiven hosts matter here.
    fn rollout(forgiven: &[&str]) -> Rollout {
        Rollout {
            id: "stable@1".parse().unwrap(),
            waves: Vec::new(),
            state: RolloutState::Opened,
            forgiven: forgiven.iter().map(|host| HostName::new(*host).unwrap()).collect(),
            wave_done_at: None,
            approved: BTreeMap::new(),
            promoted: None,
            on_halt: InFlight::Finish,
            on_supersede: InFlight::Finish,
        }
    }

    fn verdict(judged: Judged) -> Verdict {
        let budgets = vec![Tag::new("db").unwrap()];
        Verdict { rollout: "stable@1".parse().unwrap(), wave: 0, judged, budgets }
    }

    #[test]
    fn a_lost_host_is_a_failure_and_frees_its_slot_until_it_returns() {
        let (silence, host, rollout) = (Silence::default(), HostName::new("a").unwrap(), rollout(&[]));
        let rows = Tally { in_flight: 2, waiting: 1, ..Tally::default() };
        assert!(silence.replace(&host, vec![verdict(Judged::Lost)]).contains(&rollout.id));
        let moved = silence.over((&rollout, 0), rows);
        assert_eq!((moved.in_flight, moved.failed, moved.waiting), (1, 1, 1));
        assert_eq!(silence.lost_in_budget(&Tag::new("db").unwrap()), 1);
        assert!(silence.replace(&host, vec![verdict(Judged::Lost)]).is_empty());
        silence.replace(&host, Vec::new());
        assert_eq!(silence.over((&rollout, 0), rows), rows);
        assert_eq!(silence.lost_in_budget(&Tag::new("db").unwrap()), 0);
    }

    #[test]
    fn a_set_aside_host_is_not_waited_for_and_an_assumed_one_is_in_flight() {
        let (silence, rollout) = (Silence::default(), rollout(&[]));
        silence.replace(&HostName::new("a").unwrap(), vec![verdict(Judged::SetAside)]);
        silence.replace(&HostName::new("b").unwrap(), vec![verdict(Judged::AssumedInFlight)]);
        let moved = silence.over((&rollout, 0), Tally { waiting: 3, ..Tally::default() });
        assert_eq!((moved.waiting, moved.set_aside, moved.in_flight), (1, 1, 1));
    }

    #[test]
    fn a_lost_host_that_was_forgiven_since_is_no_failure() {
        let silence = Silence::default();
        silence.replace(&HostName::new("a").unwrap(), vec![verdict(Judged::Lost)]);
        silence.replace(&HostName::new("b").unwrap(), vec![verdict(Judged::Lost)]);
        let rows = Tally { in_flight: 2, ..Tally::default() };
        let moved = silence.over((&rollout(&["a"]), 0), rows);
        assert_eq!((moved.in_flight, moved.failed, moved.neutral), (0, 1, 1));
        assert_eq!(silence.over((&rollout(&["a"]), 1), rows), rows, "in its own wave only");
    }

    #[test]
    fn a_host_that_had_failed_when_it_was_lost_is_one_failure() {
        let (silence, failing) = (Silence::default(), Tally { in_flight: 2, failed: 1, ..Tally::default() });
        silence.replace(&HostName::new("a").unwrap(), vec![verdict(Judged::LostFailing)]);
        let moved = silence.over((&rollout(&[]), 0), failing);
        assert_eq!((moved.in_flight, moved.failed), (1, 1));
        // Forgiven, its row counts as in flight only.
        let moved = silence.over((&rollout(&["a"]), 0), Tally { in_flight: 2, ..Tally::default() });
        assert_eq!((moved.in_flight, moved.failed, moved.neutral), (1, 0, 1));
    }

    #[test]
    fn counts_never_move_more_than_there_is() {
        let (silence, rollout) = (Silence::default(), rollout(&[]));
        silence.replace(&HostName::new("a").unwrap(), vec![verdict(Judged::SetAside)]);
        assert_eq!(silence.over((&rollout, 0), Tally::default()), Tally::default());
    }
}
