//! Backups while the control plane runs, restores while it does not, and the copy before a migration.
//!
//! A restored database keeps its commit count and gets a new store id: what was committed after the backup is lost, and
//! every agent that knew the database before says so, however few those commits were.

use crate::model::id::StoreId;
use crate::store::sqlite::failure::{io_error, store_error};
use crate::store::sqlite::lock::DatabaseLock;
use crate::store::sqlite::open::{Found, connect, inspect, read_mark, whole};
use crate::store::sqlite::{files, schema};
use crate::store::{StoreError, StoreMark};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags, params};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Beside a database while a restore replaces it: from then on only the restore may go on.
pub(crate) const RESTORING: &str = ".restoring";

/// Pages that are copied between two looks at whether the other side is busy: 16 MiB.
const STEP_PAGES: i32 = 4096;

/// How long a busy step waits before it is tried again, and how often in all: 30 s.
const STEP_WAIT: Duration = Duration::from_millis(100);
const STEP_TRIES: u32 = 300;

/// Replaced databases that are kept beside a database, at most; then an operator has to clear up.
const KEPT: u32 = 1000;

/// A finished backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Which database it is, and its commits.
    pub mark: StoreMark,
    /// Its size, in bytes.
    pub bytes: u64,
}

/// A finished restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Which database it is, and its commits.
    pub mark: StoreMark,
    /// Where the database that it replaced is kept.
    pub replaced: Option<PathBuf>,
}

/// Copies the database at `path`, as it is at one moment, to the file `to`, also while a control plane uses it.
/// The copy is read whole before it replaces an earlier file of that name. Blocks.
///
/// # Errors
/// [`StoreError::Corrupt`] when the database or the copy is damaged, [`StoreError::Full`], or
/// [`StoreError::Engine`]; `to` is then as it was.
pub fn backup(path: &Path, to: &Path) -> Result<Copied, StoreError> {
    refuse_same(path, to)?;
    let from = source(path)?;
    let partial = files::beside(to, ".partial");
    let mark = copy(&from, path, &partial, to)?;
    drop(from);
    files::put_in_place(&partial, to).map_err(|error| io_error(to, "write", &error))?;
    let bytes = to.metadata().map_or(0, |file| file.len());
    Ok(Copied { mark, bytes })
}

/// Puts the backup `from` in the place of the database at `to`, which is kept as `<to>.replaced-<n>`. The backup is
/// read whole before, and gets the identity `new_store_id`, made at random by the caller. Blocks. After a crash in the
/// middle, run it again.
///
/// # Errors
/// [`StoreError::Locked`] while a control plane runs on `to`; [`StoreError::TooNew`] for the backup;
/// [`StoreError::Full`]; [`StoreError::Engine`], also when the backup is damaged. `to` is then as it was.
pub fn restore(from: &Path, to: &Path, new_store_id: &StoreId) -> Result<Restored, StoreError> {
    refuse_same(to, from)?;
    let _lock = DatabaseLock::take(to)?;
    let partial = files::beside(to, ".restoring-partial");
    let copied = source(from).and_then(|opened| copy(&opened, from, &partial, to));
    copied.map_err(|error| no_backup(error, to))?;
    let mark = rename(&partial, new_store_id)?;
    let replaced = replace(&partial, to).map_err(|error| io_error(to, "replace", &error))?;
    Ok(Restored { mark, replaced })
}

/// Makes a copy another database than the one it is a copy of.
fn rename(copy: &Path, id: &StoreId) -> Result<StoreMark, StoreError> {
    let conn = connect(copy, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let renamed = conn.execute("UPDATE meta SET store_id = ?1", params![id.as_str()]);
    renamed.map_err(|error| store_error(copy, error))?;
    let mark = read_mark(&conn).map_err(|error| store_error(copy, error))?;
    drop(conn);
    files::sync(copy).map_err(|error| io_error(copy, "write", &error))?;
    Ok(mark)
}

fn no_backup(error: StoreError, to: &Path) -> StoreError {
    match error {
        StoreError::Corrupt { place, detail } => StoreError::Engine(format!(
            "the backup {place} is damaged ({detail}): restore an older one; {} was left as it is",
            to.display()
        )),
        error @ (StoreError::Full { .. }
        | StoreError::TooNew { .. }
        | StoreError::Locked { .. }
        | StoreError::Conflict(_)
        | StoreError::Closed
        | StoreError::Busy
        | StoreError::Engine(_)
        | StoreError::Undone(_)) => error,
    }
}

/// Keeps a copy of an open database, for the way back from a migration.
pub(crate) fn keep(conn: &Connection, path: &Path, to: &Path) -> Result<(), StoreError> {
    let partial = files::beside(to, ".partial");
    copy(conn, path, &partial, path)?;
    files::put_in_place(&partial, to).map_err(|error| io_error(to, "write", &error))
}

fn source(path: &Path) -> Result<Connection, StoreError> {
    if inspect(path)? == Found::Nothing {
        return Err(StoreError::Engine(format!("there is no database at {}", path.display())));
    }
    let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    schema::check(&conn, path, schema::STEPS)?;
    Ok(conn)
}

/// A copy onto the database itself or onto one of SQLite's own files would destroy it.
fn refuse_same(path: &Path, other: &Path) -> Result<(), StoreError> {
    let real = |path: &Path| {
        path.canonicalize().or_else(|_| {
            let directory = files::directory(path).canonicalize()?;
            path.file_name().map(|name| directory.join(name)).ok_or(io::Error::from(io::ErrorKind::InvalidInput))
        })
    };
    let other_real = real(other).map_err(|error| io_error(other, "reach", &error))?;
    let path = real(path).map_err(|error| io_error(path, "reach", &error))?;
    let own = ["", "-wal", "-shm", "-journal", ".lock", ".new", RESTORING];
    if own.iter().any(|ending| files::beside(&path, ending) == other_real) {
        let other = other.display();
        return Err(StoreError::Engine(format!("{other} belongs to the database {} itself", path.display())));
    }
    Ok(())
}

/// Copies one moment of a database into a new file, reads that whole, and makes it last. It belongs to whom
/// `model` belongs to.
fn copy(from: &Connection, path: &Path, to: &Path, model: &Path) -> Result<StoreMark, StoreError> {
    let fresh = files::remove(to).and_then(|()| files::create(to, model));
    fresh.map(drop).map_err(|error| io_error(to, "create", &error))?;
    let copied = fill(from, path, to).and_then(|mark| {
        files::sync(to).map_err(|error| io_error(to, "write", &error))?;
        Ok(mark)
    });
    if copied.is_err() {
        // The error matters more than a leftover, which the next copy removes.
        let _ = files::remove(to);
    }
    copied
}

fn fill(from: &Connection, path: &Path, to: &Path) -> Result<StoreMark, StoreError> {
    let mut copy = connect(to, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // One open read keeps the whole copy at one moment; without it every commit would start it again.
    let moment = from.unchecked_transaction().map_err(|error| store_error(path, error))?;
    read_mark(&moment).map_err(|error| store_error(path, error))?;
    step_through(&moment, &mut copy).map_err(|error| {
        let error = store_error(to, error);
        // Reading the source fails through the copy.
        if let StoreError::Corrupt { detail, .. } = error {
            return StoreError::Corrupt { place: path.display().to_string(), detail };
        }
        error
    })?;
    drop(moment);
    // One file that needs no log beside it, wherever it is carried.
    copy.pragma_update(None, "journal_mode", "delete").map_err(|error| store_error(to, error))?;
    // What is wrong in the copy was wrong before.
    whole(&copy, path, "integrity_check")?;
    read_mark(&copy).map_err(|error| store_error(to, error))
}

fn step_through(from: &Connection, to: &mut Connection) -> rusqlite::Result<()> {
    let backup = Backup::new(from, to)?;
    for _ in 0..STEP_TRIES {
        let mut said = StepResult::More;
        while said == StepResult::More {
            said = backup.step(STEP_PAGES)?;
        }
        if said == StepResult::Done {
            return Ok(());
        }
        std::thread::sleep(STEP_WAIT);
    }
    let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
    Err(rusqlite::Error::SqliteFailure(busy, None))
}

/// Changes the files. From the first rename on, `open` refuses the database until the last one is done, so that
/// neither a database without its log nor a log without its database is ever used.
fn replace(partial: &Path, to: &Path) -> io::Result<Option<PathBuf>> {
    let ready = files::beside(to, RESTORING);
    let aside = aside(to)?;
    if let Some(aside) = &aside {
        for ending in ["", "-wal"] {
            let (old, kept) = (files::beside(to, ending), files::beside(aside, ending));
            if files::exists(&old) {
                // A second name, so that at every moment there is either the old database or the new one.
                std::fs::hard_link(&old, &kept).or_else(|_| std::fs::copy(&old, &kept).map(drop))?;
                files::sync(&kept)?;
            }
        }
    }
    files::put_in_place(partial, &ready)?;
    for ending in ["-wal", "-shm", "-journal"] {
        files::remove(&files::beside(to, ending))?;
    }
    files::sync_directory(to)?;
    files::put_in_place(&ready, to)?;
    Ok(aside)
}

fn aside(to: &Path) -> io::Result<Option<PathBuf>> {
    let log = files::beside(to, "-wal").metadata().map_or(0, |log| log.len());
    if !files::exists(to) && log == 0 {
        return Ok(None);
    }
    let taken = |path: &Path| files::exists(path) || files::exists(&files::beside(path, "-wal"));
    let free = (1..=KEPT).map(|n| files::beside(to, &format!(".replaced-{n}"))).find(|path| !taken(path));
    free.map(Some).ok_or_else(|| io::Error::other(format!("{KEPT} replaced databases are kept beside it already")))
}
