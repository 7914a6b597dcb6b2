//! What a start reads into memory: who was heard when, and each host's newest attempt.

use crate::model::id::{HostName, RolloutId};
use crate::model::time::Timestamp;
use crate::plane::Plane;
use crate::plane::error::Done;
use crate::plane::liveness::Newest;
use crate::store::rows::{RecordFilter, RecordRow};
use crate::wire::stored::read_record;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How many rows are read at once.
const PAGE: usize = 1000;

impl Plane {
    /// Reads what has to be in memory.
    ///
    /// # Errors
    /// The store's.
    pub async fn load(self: &Arc<Self>) -> Done<()> {
        self.load_hosts().await?;
        // The newest last, so that it is what is remembered.
        for row in self.look(|desk| desk.concerned()).await?.into_iter().rev() {
            self.load_records(&row.id, row.opened).await?;
        }
        if let Some(loss) = self.look(|desk| desk.loss()).await? {
            self.restored.store(loss.open, Ordering::Release);
            self.noticed_loss();
        }
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
