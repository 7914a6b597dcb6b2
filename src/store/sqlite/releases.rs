//! Releases, rollouts, permits and quarantines in SQL.

use crate::model::id::{Attempt, Channel, Closure, HostName, RolloutId};
use crate::store::rows::{PermitRow, QuarantineRow, ReleaseRow, RolloutRow};
use crate::store::sqlite::convert::{count, digest_bytes, hex, id, journal_bytes, plain, time};
use crate::store::sqlite::failure::Unread;
use crate::store::sqlite::tx::{SqliteTx, limit};
use crate::store::{StoreError, rules};
use rusqlite::{Row, params};

pub(crate) fn release(tx: &SqliteTx<'_>, id: &RolloutId) -> Result<Option<ReleaseRow>, StoreError> {
    let sql = "SELECT id, digest, sequence, published, body FROM releases WHERE id = ?1";
    tx.first(sql, params![id.to_string()], release_row)
}

pub(crate) fn put_release(tx: &SqliteTx<'_>, row: &ReleaseRow) -> Result<(), StoreError> {
    rules::check_release(release(tx, &row.id)?.as_ref(), row)?;
    let sequence = rules::number("sequence", row.sequence)?;
    let sql = "INSERT INTO releases (id, digest, sequence, published, body) VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT DO UPDATE SET digest = excluded.digest, sequence = excluded.sequence,
            published = excluded.published, body = excluded.body";
    let values = params![row.id.to_string(), digest_bytes(&row.digest), sequence, row.published.0, row.body];
    tx.execute(sql, values).map(drop)
}

fn release_row(row: &Row<'_>) -> Result<ReleaseRow, Unread> {
    Ok(ReleaseRow {
        id: id(row, 0)?,
        digest: hex(row, 1)?,
        sequence: count(row, 2)?,
        published: time(row, 3)?,
        body: plain(row, 4)?,
    })
}

pub(crate) fn rollout(tx: &SqliteTx<'_>, id: &RolloutId) -> Result<Option<RolloutRow>, StoreError> {
    let sql = "SELECT id, open, opened, updated, body FROM rollouts WHERE id = ?1";
    tx.first(sql, params![id.to_string()], rollout_row)
}

pub(crate) fn put_rollout(tx: &SqliteTx<'_>, row: &RolloutRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO rollouts (id, channel, open, opened, updated, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
        ON CONFLICT (id) DO UPDATE SET open = excluded.open, opened = excluded.opened, updated = excluded.updated,
            body = excluded.body";
    let (id, channel) = (row.id.to_string(), row.id.channel.as_str());
    tx.execute(sql, params![id, channel, row.open, row.opened.0, row.updated.0, row.body]).map(drop)
}

pub(crate) fn rollouts(tx: &SqliteTx<'_>, open_only: bool, most: usize) -> Result<Vec<RolloutRow>, StoreError> {
    let which = if open_only { "WHERE open = 1" } else { "" };
    let sql = format!(
        "SELECT id, open, opened, updated, body FROM rollouts {which} ORDER BY opened DESC, born DESC LIMIT ?1"
    );
    tx.list(&sql, params![limit(most)], rollout_row)
}

pub(crate) fn newest_rollouts(tx: &SqliteTx<'_>, most: usize) -> Result<Vec<RolloutRow>, StoreError> {
    let sql = "SELECT id, open, opened, updated, body FROM rollouts WHERE born IN (
            SELECT (SELECT o.born FROM rollouts AS o WHERE o.channel = c.channel ORDER BY o.opened DESC, o.born DESC LIMIT 1)
            FROM (SELECT DISTINCT channel FROM rollouts) AS c)
        ORDER BY opened DESC, born DESC LIMIT ?1";
    tx.list(sql, params![limit(most)], rollout_row)
}

pub(crate) fn rollouts_of(tx: &SqliteTx<'_>, channel: &Channel, most: usize) -> Result<Vec<RolloutRow>, StoreError> {
    let sql = "SELECT id, open, opened, updated, body FROM rollouts WHERE channel = ?1
        ORDER BY opened DESC, born DESC LIMIT ?2";
    tx.list(sql, params![channel.as_str(), limit(most)], rollout_row)
}

fn rollout_row(row: &Row<'_>) -> Result<RolloutRow, Unread> {
    Ok(RolloutRow {
        id: id(row, 0)?,
        open: plain(row, 1)?,
        opened: time(row, 2)?,
        updated: time(row, 3)?,
        body: plain(row, 4)?,
    })
}

pub(crate) fn permit(tx: &SqliteTx<'_>, host: &HostName, rollout: &RolloutId) -> Result<Option<PermitRow>, StoreError> {
    let sql = "SELECT host, rollout, attempt, journal, seq, granted, holds, at FROM permits
        WHERE host = ?1 AND rollout = ?2";
    tx.first(sql, params![host.as_str(), rollout.to_string()], permit_row)
}

pub(crate) fn put_permit(tx: &SqliteTx<'_>, row: &PermitRow) -> Result<(), StoreError> {
    let seq = rules::number("sequence number", row.seq)?;
    let sql = "INSERT INTO permits (host, rollout, attempt, journal, seq, granted, holds, at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
        ON CONFLICT DO UPDATE SET attempt = excluded.attempt, journal = excluded.journal, seq = excluded.seq,
            granted = excluded.granted, holds = excluded.holds, at = excluded.at";
    let values = params![
        row.host.as_str(),
        row.rollout.to_string(),
        row.attempt.0,
        journal_bytes(&row.journal),
        seq,
        row.granted,
        row.holds,
        row.at.0,
    ];
    tx.execute(sql, values).map(drop)
}

fn permit_row(row: &Row<'_>) -> Result<PermitRow, Unread> {
    Ok(PermitRow {
        host: id(row, 0)?,
        rollout: id(row, 1)?,
        attempt: Attempt(count(row, 2)?),
        journal: hex(row, 3)?,
        seq: count(row, 4)?,
        granted: plain(row, 5)?,
        holds: plain(row, 6)?,
        at: time(row, 7)?,
    })
}

pub(crate) fn quarantines(tx: &SqliteTx<'_>, channel: &Channel) -> Result<Vec<QuarantineRow>, StoreError> {
    let sql = "SELECT channel, closure, why, at FROM quarantines WHERE channel = ?1 ORDER BY closure";
    tx.list(sql, params![channel.as_str()], |row| {
        Ok(QuarantineRow { channel: id(row, 0)?, closure: id(row, 1)?, why: plain(row, 2)?, at: time(row, 3)? })
    })
}

pub(crate) fn put_quarantine(tx: &SqliteTx<'_>, row: &QuarantineRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO quarantines (channel, closure, why, at) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT DO UPDATE SET why = excluded.why, at = excluded.at";
    tx.execute(sql, params![row.channel.as_str(), row.closure.as_str(), row.why, row.at.0]).map(drop)
}

pub(crate) fn lift_quarantine(tx: &SqliteTx<'_>, channel: &Channel, closure: &Closure) -> Result<(), StoreError> {
    let sql = "DELETE FROM quarantines WHERE channel = ?1 AND closure = ?2";
    tx.execute(sql, params![channel.as_str(), closure.as_str()]).map(drop)
}
