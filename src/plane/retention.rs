//! What is old goes, in small chunks: events, but those of rollouts with open records stay; tokens that ended; and
//! rollouts that ended, with their releases and records, but the newest of each channel stay.

use crate::model::id::{Channel, RolloutId};
use crate::model::time::Timestamp;
use crate::plane::Plane;
use crate::plane::desk::Desk;
use crate::plane::error::Done;
use crate::store::rows::RecordFilter;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many rows one transaction deletes: short enough that permits do not wait behind it.
const CHUNK: usize = 500;

/// How many of the newest rollouts of a channel stay however old they are: enough to look back, and to go back to.
const KEPT: usize = 10;

/// How many rollouts are looked at, the newest first: more than are made in ten years of one each hour.
const MOST: usize = 100_000;

impl Plane {
    /// Deletes what is older than the retention.
    ///
    /// # Errors
    /// The store's; the rest goes next time.
    pub async fn prune(self: &Arc<Self>) -> Done<()> {
        let before = self.now().minus(self.config().retention);
        self.prune_events(before).await?;
        self.prune_tokens(before).await?;
        for id in self.look(move |desk| desk.old_rollouts(before)).await? {
            self.prune_rollout(&id).await?;
        }
        Ok(())
    }

    async fn prune_events(self: &Arc<Self>, before: Timestamp) -> Done<()> {
        loop {
            let deleted = self.transact(move |desk| Ok(desk.tx.prune_events(before, CHUNK)?)).await?;
            if deleted > 0 {
                tracing::info!("{deleted} events older than the retention were deleted");
            }
            if deleted < CHUNK {
                return Ok(());
            }
        }
    }

    /// Spent or not; while one may still be spent it has to be known.
    async fn prune_tokens(self: &Arc<Self>, before: Timestamp) -> Done<()> {
        loop {
            let deleted = self.transact(move |desk| Ok(desk.tx.prune_tokens(before, CHUNK)?)).await?;
            if deleted > 0 {
                tracing::info!("{deleted} tokens that ended before the retention were deleted");
            }
            if deleted < CHUNK {
                return Ok(());
            }
        }
    }

    async fn prune_rollout(self: &Arc<Self>, id: &RolloutId) -> Done<()> {
        loop {
            let one = id.clone();
            let chunk = move |desk: &mut Desk<'_>| {
                desk.follow.forget.push(one.clone());
                Ok(desk.tx.prune_rollout(&one, CHUNK)?)
            };
            if self.transact(chunk).await? < CHUNK {
                tracing::info!(rollout.id = %id, "rollout {id} ended before the retention and was deleted");
                return Ok(());
            }
        }
    }
}

impl Desk<'_> {
    /// Lists the rollouts that may be deleted.
    fn old_rollouts(&self, before: Timestamp) -> Done<Vec<RolloutId>> {
        let mut newer: BTreeMap<Channel, usize> = BTreeMap::new();
        let mut old = Vec::new();
        for row in self.tx.rollouts(false, MOST)? {
            let newer = newer.entry(row.id.channel.clone()).or_default();
            *newer += 1;
            if *newer <= KEPT || row.open || row.updated >= before {
                continue;
            }
            let open = RecordFilter { rollout: Some(row.id.clone()), open_only: true, ..RecordFilter::default() };
            if self.tx.records(&open, None, 1)?.is_empty() {
                old.push(row.id);
            }
        }
        Ok(old)
    }
}
