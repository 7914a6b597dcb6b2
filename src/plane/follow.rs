//! What follows a commit: waking, counting, remembering. Never before it, and never after an undone one.

use crate::model::id::{HostName, RolloutId};
use crate::model::identity::Identity;
use crate::plane::Plane;
use crate::plane::identity::Entry;
use crate::plane::liveness::{MAX_UNSETTLED, Newest};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

/// What has to be done once the transaction is durable.
#[derive(Debug, Default)]
pub struct FollowUp {
    /// Hosts whose orders may have changed.
    pub wake: BTreeSet<HostName>,
    /// Hosts whose rows changed, each with its newest attempt where one was written.
    pub changed: BTreeMap<HostName, Option<Newest>>,
    /// Identities as they were written.
    pub identities: Vec<(Identity, Entry)>,
    /// Waves to invite.
    pub invite: Vec<(RolloutId, usize)>,
    /// Rollouts in which a slot may have become free.
    pub nudge: BTreeSet<RolloutId>,
    /// Releases whose copy in memory is old.
    pub forget: Vec<RolloutId>,
    /// Attempts cancelled here that the agent may still hold.
    pub cancelled: Vec<(HostName, RolloutId)>,
    /// The last place written in the history.
    pub last_place: Option<u64>,
    /// There is work for the chores.
    pub chores: bool,
    /// Whether the store waits for an operator after a loss, where that changed.
    pub restored: Option<bool>,
    /// What the log says of rollouts once the commit is durable; a dry run says nothing.
    pub told: Vec<(RolloutId, String)>,
}

impl Plane {
    /// Does what follows a commit.
    pub(crate) fn follow(&self, follow: FollowUp) {
        for (id, line) in follow.told {
            tracing::info!(rollout.id = %id, "{line}");
        }
        // First of all: who was shut out must not be let in by a request that what follows sets off.
        for (identity, entry) in follow.identities {
            self.identities.put(identity, entry);
        }
        for (host, newest) in follow.changed {
            self.live.changed(&host);
            if let Some(newest) = newest {
                self.remember(&host, newest);
            }
        }
        for (host, rollout) in follow.cancelled {
            self.live.with(&host, |seen| {
                if seen.unsettled.len() < MAX_UNSETTLED && !seen.unsettled.contains(&rollout) {
                    seen.unsettled.push(rollout);
                }
            });
        }
        follow.forget.iter().for_each(|id| self.releases.forget(id));
        follow.wake.iter().for_each(|host| self.wakes.wake(host));
        for (id, wave) in follow.invite {
            self.offers.invite(&id, wave);
            self.nudge(id);
        }
        follow.nudge.into_iter().for_each(|id| self.nudge(id));
        if let Some(place) = follow.last_place {
            self.places.send_if_modified(|last| std::mem::replace(last, (*last).max(place)) < place);
        }
        if let Some(restored) = follow.restored {
            self.restored.store(restored, Ordering::Release);
            if restored {
                self.noticed_loss();
            }
        }
        if follow.chores {
            self.chores_left.store(true, Ordering::Release);
            self.busy.notify_one();
        }
    }

    /// Remembers a host's newest attempt, unless a later one or a later job's word is known.
    pub(crate) fn remember(&self, host: &HostName, newest: Newest) {
        self.live.with(host, |seen| {
            let keep = seen.newest.as_ref().is_some_and(|known| {
                let later = known.opened > newest.opened;
                later || (known.rollout == newest.rollout && known.job > newest.job)
            });
            if !keep {
                seen.newest = Some(newest);
            }
        });
    }
}
