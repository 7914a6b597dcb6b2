//! The history in SQL.

use crate::model::id::{Attempt, Author, HostName};
use crate::store::rows::{EventFilter, EventRow};
use crate::store::sqlite::convert::{count, digest_bytes, hex, hex_or_none, id_or_none, journal_bytes, plain, time};
use crate::store::sqlite::failure::Unread;
use crate::store::sqlite::tx::{SqliteTx, limit};
use crate::store::{StoreError, rules};
use rusqlite::{Row, params};

const COLUMNS: &str = "place, host, rollout, attempt, author, seq, digest, received, kind, body, refused";

pub(crate) fn append(tx: &SqliteTx<'_>, row: &EventRow) -> Result<u64, StoreError> {
    rules::check_event(row)?;
    let (author, seq) = match &row.author {
        Author::Journal(journal) => (Some(journal_bytes(journal)), Some(rules::number("sequence number", row.seq)?)),
        Author::ControlPlane => (None, None),
    };
    let sql = "INSERT INTO events (host, rollout, attempt, author, seq, digest, received, kind, body, refused)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let values = params![
        row.host.as_ref().map(HostName::as_str),
        row.rollout.as_ref().map(ToString::to_string),
        row.attempt.0,
        author,
        seq,
        digest_bytes(&row.digest),
        row.received.0,
        row.kind,
        row.body,
        row.refused,
    ];
    match tx.execute(sql, values) {
        // The one rule that a row can break here is the author's number.
        Err(StoreError::Conflict(_)) => Err(rules::repeated(row)),
        Err(error) => Err(error),
        Ok(_) => tx.last_place(),
    }
}

pub(crate) fn event(
    tx: &SqliteTx<'_>,
    host: &HostName,
    author: &Author,
    seq: u64,
) -> Result<Option<EventRow>, StoreError> {
    // No event has a number that a column can't hold.
    let Ok(seq) = rules::number("sequence number", seq) else { return Ok(None) };
    match author {
        Author::Journal(journal) => {
            let sql = format!("SELECT {COLUMNS} FROM events WHERE host = ?1 AND author = ?2 AND seq = ?3");
            tx.first(&sql, params![host.as_str(), journal_bytes(journal), seq], event_row)
        }
        Author::ControlPlane => {
            let sql = format!("SELECT {COLUMNS} FROM events WHERE place = ?1 AND host = ?2 AND author IS NULL");
            tx.first(&sql, params![seq, host.as_str()], event_row)
        }
    }
}

pub(crate) fn events(
    tx: &SqliteTx<'_>,
    after: u64,
    filter: &EventFilter,
    most: usize,
) -> Result<Vec<EventRow>, StoreError> {
    let Ok(after) = rules::number("place", after) else { return Ok(Vec::new()) };
    let host = filter.host.as_ref().map(HostName::as_str);
    let rollout = filter.rollout.as_ref().map(ToString::to_string);
    let mut sql = format!("SELECT {COLUMNS} FROM events WHERE place > ?1");
    for (wanted, condition) in [
        (host.is_some(), " AND host = ?2"),
        (rollout.is_some(), " AND rollout = ?3"),
        (filter.refused_only, " AND refused IS NOT NULL"),
    ] {
        sql.push_str(if wanted { condition } else { "" });
    }
    sql.push_str(" ORDER BY place LIMIT ?4");
    tx.list(&sql, params![after, host, rollout, limit(most)], event_row)
}

pub(crate) fn set_refusal(tx: &SqliteTx<'_>, place: u64, refused: Option<&str>) -> Result<(), StoreError> {
    let at = rules::number("place", place)?;
    match tx.execute("UPDATE events SET refused = ?2 WHERE place = ?1", params![at, refused])? {
        0 => Err(rules::no_event(place)),
        _ => Ok(()),
    }
}

fn event_row(row: &Row<'_>) -> Result<EventRow, Unread> {
    let place = count(row, 0)?;
    let (author, seq) = match hex_or_none(row, 4)? {
        Some(journal) => (Author::Journal(journal), count(row, 5)?),
        None => (Author::ControlPlane, place),
    };
    Ok(EventRow {
        place,
        host: id_or_none(row, 1)?,
        rollout: id_or_none(row, 2)?,
        attempt: Attempt(count(row, 3)?),
        author,
        seq,
        digest: hex(row, 6)?,
        received: time(row, 7)?,
        kind: plain(row, 8)?,
        body: plain(row, 9)?,
        refused: plain(row, 10)?,
    })
}
