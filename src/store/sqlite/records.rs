//! Records in SQL, and the counters kept with them. Writing one costs the same in a fleet of any size.

use crate::model::id::{Attempt, HostName, RolloutId, Tag};
use crate::model::rollout::Tally;
use crate::store::rows::{Bucket, RecordFilter, RecordRow};
use crate::store::sqlite::convert::{bucket, bucket_word, count, id, plain, state, state_word, tags, tags_text, time};
use crate::store::sqlite::failure::Unread;
use crate::store::sqlite::tx::{SqliteTx, limit};
use crate::store::{StoreError, rules};
use rusqlite::{Row, params};

const COLUMNS: &str =
    "r.host, r.rollout, r.attempt, r.wave, r.state, r.is_final, r.changed, r.bucket, r.budgets, r.updated, r.body";

pub(crate) fn record(tx: &SqliteTx<'_>, host: &HostName, rollout: &RolloutId) -> Result<Option<RecordRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM records AS r WHERE r.host = ?1 AND r.rollout = ?2");
    tx.first(&sql, params![host.as_str(), rollout.to_string()], record_row)
}

pub(crate) fn put(tx: &SqliteTx<'_>, row: &RecordRow) -> Result<(), StoreError> {
    let sql = "SELECT wave, changed, bucket, budgets FROM records WHERE host = ?1 AND rollout = ?2";
    let old = tx.first(sql, params![row.host.as_str(), row.rollout.to_string()], |row| {
        Ok(Counted { wave: count(row, 0)?, changed: plain(row, 1)?, bucket: bucket(row, 2)?, budgets: tags(row, 3)? })
    })?;
    recount(tx, old.as_ref(), row)?;
    let sql = "INSERT INTO records
            (host, rollout, attempt, wave, state, is_final, changed, bucket, budgets, updated, body)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
        ON CONFLICT DO UPDATE SET attempt = excluded.attempt, wave = excluded.wave, state = excluded.state,
            is_final = excluded.is_final, changed = excluded.changed, bucket = excluded.bucket,
            budgets = excluded.budgets, updated = excluded.updated, body = excluded.body";
    let values = params![
        row.host.as_str(),
        row.rollout.to_string(),
        row.attempt.0,
        row.wave,
        state_word(row.state),
        row.is_final,
        row.changed,
        bucket_word(row.bucket),
        tags_text(&row.budgets),
        row.updated.0,
        row.body,
    ];
    tx.execute(sql, values).map(drop)
}

/// What a stored record counts as.
struct Counted {
    wave: u32,
    changed: bool,
    bucket: Bucket,
    budgets: Vec<Tag>,
}

/// Moves the counters from the old row to the new one, as far as they differ.
fn recount(tx: &SqliteTx<'_>, old: Option<&Counted>, new: &RecordRow) -> Result<(), StoreError> {
    let moved = |old: &Counted| (old.wave, old.changed, old.bucket) != (new.wave, new.changed, new.bucket);
    if let Some(old) = old.filter(|old| moved(old)) {
        let sql = "UPDATE tallies SET n = n - 1
            WHERE rollout = ?1 AND wave = ?2 AND changed = ?3 AND bucket = ?4 AND n > 0";
        let values = params![new.rollout.to_string(), old.wave, old.changed, bucket_word(old.bucket)];
        one(tx, tx.execute(sql, values)?, || format!("the tally of {} wave {} is short", new.rollout, old.wave))?;
    }
    if old.is_none_or(moved) {
        let sql = "INSERT INTO tallies (rollout, wave, changed, bucket, n) VALUES (?1, ?2, ?3, ?4, 1)
            ON CONFLICT DO UPDATE SET n = n + 1";
        tx.execute(sql, params![new.rollout.to_string(), new.wave, new.changed, bucket_word(new.bucket)])?;
    }
    let was = old.map(|old| rules::taken(old.bucket, &old.budgets)).unwrap_or_default();
    let is = rules::taken(new.bucket, &new.budgets);
    for tag in was.difference(&is) {
        let freed = tx.execute("UPDATE budgets SET n = n - 1 WHERE tag = ?1 AND n > 0", params![tag.as_str()])?;
        one(tx, freed, || format!("the count of budget {tag} is short"))?;
    }
    for tag in is.difference(&was) {
        let sql = "INSERT INTO budgets (tag, n) VALUES (?1, 1) ON CONFLICT DO UPDATE SET n = n + 1";
        tx.execute(sql, params![tag.as_str()])?;
    }
    Ok(())
}

fn one(tx: &SqliteTx<'_>, touched: usize, detail: impl FnOnce() -> String) -> Result<(), StoreError> {
    if touched == 1 { Ok(()) } else { Err(tx.damaged(detail())) }
}

pub(crate) fn open(tx: &SqliteTx<'_>, host: &HostName) -> Result<Vec<RecordRow>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM records AS r LEFT JOIN rollouts AS o ON o.id = r.rollout
        WHERE r.host = ?1 AND r.is_final = 0 ORDER BY o.opened NULLS FIRST, o.born, r.rollout"
    );
    tx.list(&sql, params![host.as_str()], record_row)
}

/// Reads indexes only until it knows which rows to read.
pub(crate) fn newest(tx: &SqliteTx<'_>, host: &HostName, most: usize) -> Result<Vec<RecordRow>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM (
            SELECT o.id, o.opened, o.born FROM records AS x JOIN rollouts AS o ON o.id = x.rollout
            WHERE x.host = ?1 ORDER BY o.opened DESC, o.born DESC LIMIT ?2) AS n
        JOIN records AS r ON r.host = ?1 AND r.rollout = n.id ORDER BY n.opened DESC, n.born DESC"
    );
    tx.list(&sql, params![host.as_str(), limit(most)], record_row)
}

pub(crate) fn records(
    tx: &SqliteTx<'_>,
    filter: &RecordFilter,
    after: Option<&HostName>,
    most: usize,
) -> Result<Vec<RecordRow>, StoreError> {
    let rollout = filter.rollout.as_ref().map(ToString::to_string);
    let chosen = format!("SELECT {COLUMNS} FROM records AS r WHERE {}", conditions(filter));
    let sql = format!("{chosen} AND r.host > ?3 ORDER BY r.host, r.rollout LIMIT ?4");
    // Every name is after the empty text.
    let after = after.map_or("", HostName::as_str);
    let mut rows = tx.list(&sql, params![rollout, filter.wave, after, limit(most)], record_row)?;
    if let Some(last) = rows.last().filter(|_| rows.len() == most && filter.rollout.is_none()) {
        let sql = format!("{chosen} AND r.host = ?3 AND r.rollout > ?4 ORDER BY r.rollout");
        let values = params![rollout, filter.wave, last.host.as_str(), last.rollout.to_string()];
        rows.extend(tx.list(&sql, values, record_row)?);
    }
    Ok(rows)
}

fn conditions(filter: &RecordFilter) -> String {
    let mut parts = vec!["1 = 1".to_owned()];
    if filter.rollout.is_some() {
        parts.push("r.rollout = ?1".to_owned());
    }
    if filter.wave.is_some() {
        parts.push("r.wave = ?2".to_owned());
    }
    // In the order of `ALL`, each once, so that there are few different statements to keep.
    let wanted = Bucket::ALL.into_iter().filter(|bucket| filter.buckets.contains(bucket));
    let words: Vec<_> = wanted.map(|bucket| format!("'{}'", bucket_word(bucket))).collect();
    if !words.is_empty() {
        parts.push(format!("r.bucket IN ({})", words.join(", ")));
    }
    if filter.open_only {
        parts.push("r.is_final = 0".to_owned());
    }
    parts.join(" AND ")
}

pub(crate) fn tally(tx: &SqliteTx<'_>, rollout: &RolloutId, wave: u32) -> Result<Tally, StoreError> {
    let sql = "SELECT changed, bucket, n FROM tallies WHERE rollout = ?1 AND wave = ?2";
    let cells = tx.list(sql, params![rollout.to_string(), wave], |row| {
        Ok((plain::<bool>(row, 0)?, bucket(row, 1)?, count::<u32>(row, 2)?))
    })?;
    let mut tally = Tally::default();
    for (changed, bucket, n) in cells {
        rules::add(&mut tally, changed, bucket, n);
    }
    Ok(tally)
}

pub(crate) fn budget_in_flight(tx: &SqliteTx<'_>, budget: &Tag) -> Result<u32, StoreError> {
    let n = tx.first("SELECT n FROM budgets WHERE tag = ?1", params![budget.as_str()], |row| count(row, 0))?;
    Ok(n.unwrap_or(0))
}

fn record_row(row: &Row<'_>) -> Result<RecordRow, Unread> {
    Ok(RecordRow {
        host: id(row, 0)?,
        rollout: id(row, 1)?,
        attempt: Attempt(count(row, 2)?),
        wave: count(row, 3)?,
        state: state(row, 4)?,
        is_final: plain(row, 5)?,
        changed: plain(row, 6)?,
        bucket: bucket(row, 7)?,
        budgets: tags(row, 8)?,
        updated: time(row, 9)?,
        body: plain(row, 10)?,
    })
}
