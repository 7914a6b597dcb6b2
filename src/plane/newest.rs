//! Which rollouts still matter: those that are open, and the newest of each channel and of each host. Must not depend
//! on how many newer ones another channel has.

use crate::model::id::{Channel, HostName};
use crate::plane::advance::is_preparing;
use crate::plane::desk::{Desk, keep};
use crate::plane::error::{Done, PlaneError};
use crate::plane::ledger::Kept;
use crate::store::rows::RolloutRow;
use crate::wire::stored::read_rollout;
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// How many channels are looked at: more than any fleet has.
pub const MAX_CHANNELS: usize = 1024;
/// How many rollouts of a channel may be half published at once: each was interrupted, and the next look finishes it.
const MAX_PREPARING: usize = 16;

impl Desk<'_> {
    /// Lists the rollouts that are open or the newest of their channel, newest first.
    ///
    /// # Errors
    /// The store's.
    pub fn concerned(&self) -> Done<Vec<RolloutRow>> {
        let mut rows = self.tx.rollouts(true, MAX_CHANNELS)?;
        for newest in self.tx.newest_rollouts(MAX_CHANNELS)? {
            // Until that one is published whole, the one before it goes on.
            if preparing(&newest)? {
                rows.extend(self.newest_rollout(&newest.id.channel)?);
            }
            rows.push(newest);
        }
        let mut seen = BTreeSet::new();
        rows.retain(|row| seen.insert(row.id.clone()));
        rows.sort_by_key(|row| Reverse(row.opened));
        Ok(rows)
    }

    /// Finds a channel's newest rollout that is published whole.
    ///
    /// # Errors
    /// The store's.
    pub fn newest_rollout(&self, channel: &Channel) -> Done<Option<RolloutRow>> {
        for row in self.tx.rollouts_of(channel, MAX_PREPARING)? {
            if !preparing(&row)? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Finds a host's record in the newest rollout that names it.
    ///
    /// # Errors
    /// The store's.
    pub fn newest_record(&self, host: &HostName) -> Done<Option<Kept>> {
        self.tx.newest_records(host, 1)?.pop().map(keep).transpose()
    }

    /// Lists the rollouts whose records are still being made, oldest first.
    ///
    /// # Errors
    /// The store's.
    pub fn unfinished(&self) -> Done<Vec<RolloutRow>> {
        let mut rows = Vec::new();
        for newest in self.tx.newest_rollouts(MAX_CHANNELS)? {
            for row in self.tx.rollouts_of(&newest.id.channel, MAX_PREPARING)? {
                if preparing(&row)? {
                    rows.push(row);
                }
            }
        }
        rows.sort_by_key(|row| row.opened);
        Ok(rows)
    }
}

fn preparing(row: &RolloutRow) -> Done<bool> {
    if row.open {
        return Ok(false);
    }
    Ok(is_preparing(row, &read_rollout(&row.body).map_err(PlaneError::Stored)?.rollout))
}
