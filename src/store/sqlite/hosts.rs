//! Settings, hosts and journals in SQL.

use crate::model::id::{HostName, JournalId};
use crate::model::time::Timestamp;
use crate::store::rows::{HostRow, JournalRow};
use crate::store::sqlite::convert::{count, hex, id, journal_bytes, plain, time};
use crate::store::sqlite::failure::Unread;
use crate::store::sqlite::tx::{SqliteTx, limit};
use crate::store::{StoreError, rules};
use rusqlite::{Row, params};

pub(crate) fn setting(tx: &SqliteTx<'_>, name: &str) -> Result<Option<String>, StoreError> {
    tx.first("SELECT value FROM settings WHERE name = ?1", params![name], |row| plain(row, 0))
}

pub(crate) fn put_setting(tx: &SqliteTx<'_>, name: &str, value: &str) -> Result<(), StoreError> {
    let sql = "INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value";
    tx.execute(sql, params![name, value]).map(drop)
}

pub(crate) fn host(tx: &SqliteTx<'_>, host: &HostName) -> Result<Option<HostRow>, StoreError> {
    tx.first("SELECT name, heard, body FROM hosts WHERE name = ?1", params![host.as_str()], host_row)
}

pub(crate) fn put_host(tx: &SqliteTx<'_>, row: &HostRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO hosts (name, heard, body) VALUES (?1, ?2, ?3)
        ON CONFLICT DO UPDATE SET heard = excluded.heard, body = excluded.body";
    tx.execute(sql, params![row.name.as_str(), row.heard.map(|heard| heard.0), row.body]).map(drop)
}

pub(crate) fn hosts(tx: &SqliteTx<'_>, after: Option<&HostName>, most: usize) -> Result<Vec<HostRow>, StoreError> {
    // Every name is after the empty text.
    let after = after.map_or("", HostName::as_str);
    let sql = "SELECT name, heard, body FROM hosts WHERE name > ?1 ORDER BY name LIMIT ?2";
    tx.list(sql, params![after, limit(most)], host_row)
}

fn host_row(row: &Row<'_>) -> Result<HostRow, Unread> {
    let heard = plain::<Option<i64>>(row, 1)?.map(Timestamp);
    Ok(HostRow { name: id(row, 0)?, heard, body: plain(row, 2)? })
}

pub(crate) fn journal(
    tx: &SqliteTx<'_>,
    host: &HostName,
    journal: &JournalId,
) -> Result<Option<JournalRow>, StoreError> {
    let sql = "SELECT host, journal, last_seq, opened, fenced FROM journals WHERE host = ?1 AND journal = ?2";
    tx.first(sql, params![host.as_str(), journal_bytes(journal)], journal_row)
}

pub(crate) fn put_journal(tx: &SqliteTx<'_>, row: &JournalRow) -> Result<(), StoreError> {
    let last_seq = rules::number("sequence number", row.last_seq)?;
    let sql = "INSERT INTO journals (host, journal, last_seq, opened, fenced) VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT (host, journal)
        DO UPDATE SET last_seq = excluded.last_seq, opened = excluded.opened, fenced = excluded.fenced";
    let values = params![row.host.as_str(), journal_bytes(&row.journal), last_seq, row.opened.0, row.fenced];
    tx.execute(sql, values).map(drop)
}

pub(crate) fn journals(tx: &SqliteTx<'_>, host: &HostName) -> Result<Vec<JournalRow>, StoreError> {
    let sql = "SELECT host, journal, last_seq, opened, fenced FROM journals WHERE host = ?1 ORDER BY opened, born";
    tx.list(sql, params![host.as_str()], journal_row)
}

fn journal_row(row: &Row<'_>) -> Result<JournalRow, Unread> {
    Ok(JournalRow {
        host: id(row, 0)?,
        journal: hex(row, 1)?,
        last_seq: count(row, 2)?,
        opened: time(row, 3)?,
        fenced: plain(row, 4)?,
    })
}
