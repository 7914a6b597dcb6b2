//! What a start reads into memory: who was heard when, and each host's newest attempt.

use crate::model::id::{Channel, HostName, RolloutId};
use crate::model::time::Timestamp;
use crate::plane::Plane;
use crate::plane::error::Done;
use crate::plane::liveness::Newest;
use crate::store::rows::{RecordFilter, RecordRow};
use crate::wire::stored::read_record;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How many rows are read at once.
const PAGE: usize = 1000;
/// How many rollouts are looked at: the open ones and the newest of each channel.
const RECENT: usize = 64;

impl Plane {
    /// Reads what has to be in memory.
    ///
    /// # Errors
    /// The store's.
    pub async fn load(self: &Arc<Self>) -> Done<()> {
        self.load_hosts().await?;
        for (id, opened) in self.look(|desk| desk.concerned().map_err(Into::into)).await? {
            self.load_records(&id, opened).await?;
        }
        let open = self.look(|desk| Ok(desk.loss()?.is_some_and(|loss| loss.open))).await?;
        self.restored.store(open, Ordering::Release);
        Ok(())
    }

    async fn load_hosts(self: &Arc<Self>) -> Done<()> {
        let mut after: Option<HostName> = None;
        loop {
            let from = after.take();
            let page = self.look(move |desk| Ok(desk.tx.hosts(from.as_ref(), PAGE)?)).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.name.clone());
            for row in page {
                self.live.with(&row.name, |seen| {
                    seen.heard = row.heard;
                    seen.flushed = row.heard;
                });
            }
        }
    }

    async fn load_records(self: &Arc<Self>, id: &RolloutId, opened: Timestamp) -> Done<()> {
        let filter = RecordFilter { rollout: Some(id.clone()), ..RecordFilter::default() };
        let mut after: Option<HostName> = None;
        loop {
            let (from, filter) = (after.take(), filter.clone());
            let page = self.look(move |desk| Ok(desk.tx.records(&filter, from.as_ref(), PAGE)?)).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.host.clone());
            page.iter().for_each(|row| self.remember(&row.host, newest(row, opened)));
        }
    }
}

fn newest(row: &RecordRow, opened: Timestamp) -> Newest {
    let since = read_record(&row.body).map_or(row.updated, |body| body.state_since);
    Newest { rollout: row.rollout.clone(), opened, state: row.state, since, job: 0 }
}

impl crate::plane::desk::Desk<'_> {
    /// Lists the rollouts that are open or the newest of their channel, with when they were opened, oldest first.
    fn concerned(&self) -> Result<Vec<(RolloutId, Timestamp)>, crate::store::StoreError> {
        let mut channels: BTreeSet<Channel> = BTreeSet::new();
        let rows = self.tx.rollouts(false, RECENT)?;
        let mut ids: Vec<_> = rows
            .into_iter()
            .filter(|row| channels.insert(row.id.channel.clone()) || row.open)
            .map(|row| (row.id, row.opened))
            .collect();
        ids.reverse();
        Ok(ids)
    }
}
