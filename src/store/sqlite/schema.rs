//! The tables, step by step, and bringing a database from one step to the next. Forward only.

use crate::model::id::StoreId;
use crate::store::StoreError;
use crate::store::sqlite::failure::{io_error, store_error};
use crate::store::sqlite::{copies, files};
use rusqlite::{Connection, params};
use std::path::Path;

/// Marks a database as Convoy's: "Cnvy".
const APPLICATION_ID: i32 = 0x436e_7679;

/// The steps; step `n` (from 1) leads from version `n - 1` to `n`. Never change one that was released, add one.
pub(crate) const STEPS: &[&str] = &[include_str!("v1.sql"), include_str!("v2.sql")];

/// Makes a new database, complete or not at all.
pub(crate) fn create(path: &Path, steps: &[&str], store_id: &StoreId) -> Result<(), StoreError> {
    let new = files::beside(path, ".new");
    files::remove(&new).map_err(|error| io_error(&new, "remove", &error))?;
    files::create(&new, path).map_err(|error| io_error(&new, "create", &error))?;
    let fill = |conn: &mut Connection| {
        conn.pragma_update(None, "application_id", APPLICATION_ID)?;
        let tx = conn.transaction()?;
        for (step, version) in steps.iter().zip(1_u32..) {
            tx.execute_batch(step)?;
            tx.pragma_update(None, "user_version", version)?;
        }
        tx.execute("INSERT INTO meta (store_id, commit_count) VALUES (?1, 0)", params![store_id.as_str()])?;
        tx.commit()
    };
    let filled = Connection::open(&new).and_then(|mut conn| fill(&mut conn));
    filled.map_err(|error| store_error(&new, error))?;
    let placed = files::sync(&new).and_then(|()| files::put_in_place(&new, path));
    placed.map_err(|error| io_error(path, "create", &error))
}

/// Returns the version, or says why this is not a database that this program may use.
pub(crate) fn check(conn: &Connection, path: &Path, steps: &[&str]) -> Result<u32, StoreError> {
    let pragma = |name: &str| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let read = pragma("application_id").and_then(|id| Ok((id, pragma("user_version")?)));
    let (id, version) = read.map_err(|error| store_error(path, error))?;
    let place = path.display().to_string();
    if id != i64::from(APPLICATION_ID) || version < 1 {
        let detail = "it is an SQLite database, but not one of convoy-cp".to_owned();
        return Err(StoreError::Corrupt { place, detail });
    }
    let known = u32::try_from(steps.len()).unwrap_or(u32::MAX);
    let found = u32::try_from(version).unwrap_or(u32::MAX);
    if found > known { Err(StoreError::TooNew { place, found, known }) } else { Ok(found) }
}

/// Brings the database to the newest version, one transaction for each step, after keeping a copy of it.
pub(crate) fn migrate(conn: &mut Connection, path: &Path, steps: &[&str]) -> Result<(), StoreError> {
    let mut version = check(conn, path, steps)?;
    while let Some(step) = usize::try_from(version).ok().and_then(|done| steps.get(done)) {
        version = version.saturating_add(1);
        copies::keep(conn, path, &files::beside(path, &format!(".before-v{version}")))?;
        let taken = conn.transaction().and_then(|tx| {
            tx.execute_batch(step)?;
            tx.pragma_update(None, "user_version", version)?;
            tx.commit()
        });
        taken.map_err(|error| store_error(path, error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
