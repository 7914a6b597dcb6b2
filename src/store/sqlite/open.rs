//! Opening connections: which file is taken, which is refused, and how SQLite is set.

use crate::model::id::StoreId;
use crate::store::sqlite::failure::{Unread, io_error, store_error};
use crate::store::sqlite::{convert, copies, files, schema};
use crate::store::{StoreError, StoreMark};
use rusqlite::{Connection, OpenFlags};
use std::io;
use std::path::Path;
use std::time::Duration;

/// How long SQLite waits for another process (a backup's start, an operator's `sqlite3`) before it is `Busy`.
const BUSY: Duration = Duration::from_secs(5);

/// The writer's page cache, in KiB: the indexes' hot pages of a large fleet.
const WRITER_CACHE_KIB: i64 = 32 * 1024;

/// Each reader's page cache, in KiB.
const READER_CACHE_KIB: i64 = 8 * 1024;

/// Prepared statements kept for each connection: more than this folder has.
const STATEMENTS: usize = 160;

/// The log is cut to this size, in bytes, once it was copied into the database.
const LOG_BYTES: i64 = 64 * 1024 * 1024;

/// Pages in the log after which a commit copies it, should the writer not have done so before (32 MiB).
const LOG_PAGES: i64 = 8192;

/// Databases up to this size, in bytes, are read whole before they are used: about a second.
const CHECKED_BYTES: u64 = 256 * 1024 * 1024;

/// A database in use.
pub(crate) struct Opened {
    pub(crate) writer: Connection,
    pub(crate) readers: Vec<Connection>,
    pub(crate) mark: StoreMark,
}

/// Opens or creates the database; the caller holds its lock.
pub(crate) fn open(path: &Path, new_store_id: &StoreId, readers: usize) -> Result<Opened, StoreError> {
    if inspect(path)? == Found::Nothing {
        schema::create(path, schema::STEPS, new_store_id)?;
    }
    let mut writer = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    schema::check(&writer, path, schema::STEPS)?;
    check_damage(&writer, path)?;
    set_up_writer(&writer).map_err(|error| store_error(path, error))?;
    schema::migrate(&mut writer, path, schema::STEPS)?;
    let mark = read_mark(&writer).map_err(|error| store_error(path, error))?;
    let readers = (0..readers).map(|_| reader(path)).collect::<Result<_, _>>()?;
    Ok(Opened { writer, readers, mark })
}

/// What lies at the database's path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing, and nothing that belongs to a database either.
    Nothing,
    /// A file that is not empty.
    File,
}

/// Looks at the path without touching the file: closing a handle of it would drop SQLite's locks.
pub(crate) fn inspect(path: &Path) -> Result<Found, StoreError> {
    let corrupt = |detail: &str| StoreError::Corrupt { place: path.display().to_string(), detail: detail.to_owned() };
    if files::exists(&files::beside(path, copies::RESTORING)) {
        return Err(corrupt("a restore was interrupted, run it again"));
    }
    match path.metadata() {
        Ok(file) if file.is_dir() => {
            Err(StoreError::Engine(format!("{} is a directory: name a file in it", path.display())))
        }
        Ok(file) if !file.is_file() => Err(StoreError::Engine(format!("{} is not a file", path.display()))),
        Ok(file) if file.len() == 0 => Err(corrupt("the file is empty")),
        Ok(_) => Ok(Found::File),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let log = files::beside(path, "-wal");
            if log.metadata().is_ok_and(|log| log.len() > 0) {
                let log = log.display();
                let text = format!("it is missing, but its log {log} holds commits; remove that too to begin anew");
                return Err(corrupt(&text));
            }
            Ok(Found::Nothing)
        }
        Err(error) => Err(io_error(path, "open", &error)),
    }
}

/// Opens a connection that never creates a file.
pub(crate) fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(path, flags).and_then(|conn| {
        conn.busy_timeout(BUSY)?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS);
        conn.pragma_update(None, "trusted_schema", false)?;
        conn.pragma_update(None, "cell_size_check", true)?;
        // No memory mapping: a read error of the disk would then kill the process instead of failing one job.
        conn.pragma_update(None, "mmap_size", 0)?;
        conn.pragma_update(None, "temp_store", "memory")?;
        Ok(conn)
    });
    opened.map_err(|error| store_error(path, error))
}

fn set_up_writer(conn: &Connection) -> rusqlite::Result<()> {
    conn.pragma_update(None, "journal_mode", "wal")?;
    conn.pragma_update(None, "synchronous", "full")?;
    conn.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    conn.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    conn.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)
}

fn reader(path: &Path) -> Result<Connection, StoreError> {
    let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let set = conn.pragma_update(None, "cache_size", -READER_CACHE_KIB);
    set.map_err(|error| store_error(path, error))?;
    Ok(conn)
}

fn check_damage(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    if path.metadata().is_ok_and(|file| file.len() > CHECKED_BYTES) {
        return Ok(());
    }
    whole(conn, path, "quick_check")
}

/// Reads every page and says whether they fit together: `quick_check`, or `integrity_check` for indexes too.
pub(crate) fn whole(conn: &Connection, path: &Path, check: &str) -> Result<(), StoreError> {
    let said = conn.query_row(&format!("PRAGMA {check}(1)"), [], |row| row.get::<_, String>(0));
    match said.map_err(|error| store_error(path, error))? {
        said if said == "ok" => Ok(()),
        detail => Err(StoreError::Corrupt { place: path.display().to_string(), detail }),
    }
}

/// Reads which database this is.
pub(crate) fn read_mark(conn: &Connection) -> Result<StoreMark, Unread> {
    let mut found = conn.prepare_cached("SELECT store_id, commit_count FROM meta")?;
    let mut rows = found.query([])?;
    let Some(row) = rows.next()? else { return Err(convert::bad("meta", "it is empty")) };
    Ok(StoreMark { store_id: convert::id(row, 0)?, commit_count: convert::count(row, 1)? })
}
