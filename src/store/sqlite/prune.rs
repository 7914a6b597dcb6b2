//! What gets old, in SQL.

use crate::model::id::{HostName, RolloutId};
use crate::model::time::Timestamp;
use crate::store::rows::Bucket;
use crate::store::sqlite::convert::{bucket, bucket_word, count, id, plain};
use crate::store::sqlite::tx::{SqliteTx, limit};
use crate::store::{StoreError, rules};
use rusqlite::params;

pub(crate) fn events(tx: &SqliteTx<'_>, before: Timestamp, most: usize) -> Result<usize, StoreError> {
    let sql = "DELETE FROM events WHERE place IN (
            SELECT e.place FROM events AS e INDEXED BY events_by_age
            WHERE e.received < ?1
                AND NOT EXISTS (SELECT 1 FROM records AS r WHERE r.rollout = e.rollout AND r.is_final = 0)
            ORDER BY e.received, e.place LIMIT ?2)";
    tx.execute(sql, params![before.0, limit(most)])
}

pub(crate) fn rollout(tx: &SqliteTx<'_>, rollout: &RolloutId, most: usize) -> Result<usize, StoreError> {
    let name = rollout.to_string();
    let sql = "SELECT 1 FROM rollouts WHERE id = ?1 AND open = 1
        UNION ALL SELECT 1 FROM records WHERE rollout = ?1 AND is_final = 0 LIMIT 1";
    if tx.first(sql, params![name], |row| plain::<i64>(row, 0))?.is_some() {
        return Err(rules::still_open(rollout));
    }
    let sql = "SELECT host, wave, changed, bucket FROM records WHERE rollout = ?1 ORDER BY host LIMIT ?2";
    let rows = tx.list(sql, params![name, limit(most)], |row| {
        Ok((id::<HostName>(row, 0)?, count::<u32>(row, 1)?, plain::<bool>(row, 2)?, bucket(row, 3)?))
    })?;
    for (host, wave, changed, bucket) in &rows {
        drop_record(tx, (host.as_str(), &name), (*wave, *changed, *bucket))?;
    }
    if rows.len() < most {
        for table in ["DELETE FROM tallies WHERE rollout = ?1", "DELETE FROM releases WHERE id = ?1"] {
            tx.execute(table, params![name])?;
        }
        tx.execute("DELETE FROM rollouts WHERE id = ?1", params![name])?;
    }
    Ok(rows.len())
}

/// Deletes a final record. It takes from no budget any more, so that only its tally moves.
fn drop_record(
    tx: &SqliteTx<'_>,
    (host, rollout): (&str, &str),
    (wave, changed, bucket): (u32, bool, Bucket),
) -> Result<(), StoreError> {
    let sql = "UPDATE tallies SET n = n - 1
        WHERE rollout = ?1 AND wave = ?2 AND changed = ?3 AND bucket = ?4 AND n > 0";
    if tx.execute(sql, params![rollout, wave, changed, bucket_word(bucket)])? != 1 {
        return Err(tx.damaged(format!("the tally of {rollout} wave {wave} is short")));
    }
    for table in ["permits", "records"] {
        tx.execute(&format!("DELETE FROM {table} WHERE host = ?1 AND rollout = ?2"), params![host, rollout])?;
    }
    Ok(())
}
