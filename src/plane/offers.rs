//! Invitations that are out: so that a free slot calls as many hosts as it takes, and not the whole wave. Only a
//! courtesy: what counts is the permit.

use crate::model::id::{HostName, RolloutId, Tag};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Invitations in memory.
#[derive(Debug, Default)]
pub struct Offers {
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    out: BTreeMap<(HostName, RolloutId), Offer>,
    to_invite: BTreeSet<(RolloutId, usize)>,
}

/// One invitation.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The wave, from 0.
    pub wave: u32,
    /// The budgets that the host counts in.
    pub budgets: Vec<Tag>,
    /// Until when it counts against the free slots, on the process's own clock.
    pub until: Duration,
}

/// What an invitation would take, and how much of it is free.
#[derive(Debug, Clone)]
pub struct Room {
    /// Free slots of the wave; `None` is no limit.
    pub wave: Option<u32>,
    /// Free slots of each budget.
    pub budgets: BTreeMap<Tag, u32>,
}

impl Offers {
    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for the host; false when other hosts are invited for every free slot.
    pub fn take(&self, key: (&HostName, &RolloutId), offer: Offer, (room, up): (&Room, Duration)) -> bool {
        if room.wave.is_none() && room.budgets.is_empty() {
            return true;
        }
        let key = (key.0.clone(), key.1.clone());
        let mut tables = self.lock();
        if tables.out.contains_key(&key) {
            return true;
        }
        let live = || tables.out.iter().filter(|(_, other)| other.until > up);
        let count = |fits: &dyn Fn(&RolloutId, &Offer) -> bool| {
            u32::try_from(live().filter(|((_, rollout), other)| fits(rollout, other)).count()).unwrap_or(u32::MAX)
        };
        let wave_full =
            room.wave.is_some_and(|free| count(&|id, other| *id == key.1 && other.wave == offer.wave) >= free);
        let spent = room.budgets.iter().any(|(tag, free)| count(&|_, other| other.budgets.contains(tag)) >= *free);
        if wave_full || spent {
            return false;
        }
        tables.out.insert(key, offer);
        true
    }

    /// Ends an invitation: it was answered, or there is nothing to invite to any more.
    pub fn settled(&self, host: &HostName, rollout: &RolloutId) {
        self.lock().out.remove(&(host.clone(), rollout.clone()));
    }

    /// Returns the rollouts with an invitation that ran out within `(from, to]`; forgets those that ran out before, so
    /// that their hosts are invited anew where there is room.
    pub fn ran_out(&self, from: Duration, to: Duration) -> BTreeSet<RolloutId> {
        let mut tables = self.lock();
        tables.out.retain(|_, offer| from < offer.until);
        let out = tables.out.iter().filter(|(_, offer)| offer.until <= to);
        out.map(|((_, rollout), _)| rollout.clone()).collect()
    }

    /// Notes that a whole wave has to look at its orders.
    pub fn invite(&self, rollout: &RolloutId, wave: usize) {
        self.lock().to_invite.insert((rollout.clone(), wave));
    }

    /// Returns the waves noted since the last time.
    pub fn waves(&self) -> BTreeSet<(RolloutId, usize)> {
        std::mem::take(&mut self.lock().to_invite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(offers: &Offers, host: &str, free: u32, up: u64) -> bool {
        let (host, rollout) = (HostName::new(host).unwrap(), "stable@1".parse().unwrap());
        let offer = Offer { wave: 0, budgets: Vec::new(), until: Duration::from_secs(up + 10) };
        let room = Room { wave: Some(free), budgets: BTreeMap::new() };
        offers.take((&host, &rollout), offer, (&room, Duration::from_secs(up)))
    }

    #[test]
    fn as_many_hosts_are_invited_as_slots_are_free() {
        let offers = Offers::default();
        assert!(take(&offers, "a", 2, 0) && take(&offers, "b", 2, 0));
        assert!(!take(&offers, "c", 2, 0));
        assert!(take(&offers, "a", 2, 0), "an invitation holds");
        offers.settled(&HostName::new("a").unwrap(), &"stable@1".parse().unwrap());
        assert!(take(&offers, "c", 2, 0));
    }

    #[test]
    fn an_invitation_that_nobody_answers_goes_to_the_next() {
        let offers = Offers::default();
        assert!(take(&offers, "dead", 1, 0));
        assert!(!take(&offers, "next", 1, 9));
        assert!(take(&offers, "next", 1, 10));
        assert_eq!(offers.ran_out(Duration::from_secs(9), Duration::from_secs(10)).len(), 1);
        assert!(offers.ran_out(Duration::from_secs(10), Duration::from_secs(11)).is_empty());
        assert_eq!(offers.lock().out.len(), 1, "the one long out is forgotten");
        assert!(!take(&offers, "dead", 1, 11), "and its place is another's");
    }
}
