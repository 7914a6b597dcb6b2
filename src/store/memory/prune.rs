//! What gets old, in memory.

use crate::model::id::{Author, RolloutId};
use crate::model::time::Timestamp;
use crate::store::memory::scan;
use crate::store::memory::tx::MemoryTx;
use crate::store::rows::RecordRow;
use crate::store::{StoreError, rules};

pub(crate) fn events(tx: &mut MemoryTx<'_>, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
    let old = scan::prunable(tx.state, before, limit);
    for row in &old {
        tx.set(|s| &mut s.events, row.place, None)?;
        if let (Some(host), Author::Journal(_)) = (&row.host, &row.author) {
            tx.set(|s| &mut s.event_keys, (host.clone(), row.author.clone(), row.seq), None)?;
        }
    }
    Ok(old.len())
}

pub(crate) fn rollout(tx: &mut MemoryTx<'_>, id: &RolloutId, limit: usize) -> Result<usize, StoreError> {
    let records: Vec<RecordRow> = tx.state.records.values().filter(|row| row.rollout == *id).cloned().collect();
    let is_open = tx.state.rollouts.get(id).is_some_and(|(_, row)| row.open);
    if is_open || records.iter().any(|row| !row.is_final) {
        return Err(rules::still_open(id));
    }
    let dropped = records.len().min(limit);
    for row in records.iter().take(limit) {
        tx.count(row, false)?;
        tx.set(|s| &mut s.records, (row.host.clone(), Some(id.clone())), None)?;
        tx.set(|s| &mut s.permits, (row.host.clone(), id.clone()), None)?;
    }
    if dropped < limit {
        tx.set(|s| &mut s.releases, id.clone(), None)?;
        tx.set(|s| &mut s.rollouts, id.clone(), None)?;
    }
    Ok(dropped)
}
