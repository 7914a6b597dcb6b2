//! What SQLite and the file system say, as errors of the store.

use crate::store::StoreError;
use crate::store::sqlite::files;
use nix::errno::Errno;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use rusqlite::{Error, ffi};
use std::io::{self, Write};
use std::path::Path;

/// How much is written to find out whether a disk has room, in bytes: more than one page and its frame.
const PROBE_BYTES: usize = 64 * 1024;

/// Why a row was not read.
#[derive(Debug)]
pub(crate) enum Unread {
    /// SQLite failed.
    Engine(Error),
    /// A value breaks a rule of its type.
    Bad(String),
}

impl From<Error> for Unread {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

/// Turns what went wrong on the database at `path` into the store's error.
pub(crate) fn store_error(path: &Path, error: impl Into<Unread>) -> StoreError {
    let place = || path.display().to_string();
    match error.into() {
        Unread::Bad(detail) => StoreError::Corrupt { place: place(), detail },
        Unread::Engine(Error::SqliteFailure(code, text)) => {
            let text = text.unwrap_or_else(|| code.to_string());
            from_code(path, code.extended_code, text)
        }
        Unread::Engine(error) => StoreError::Engine(format!("{}: {error}", place())),
    }
}

fn from_code(path: &Path, extended: i32, text: String) -> StoreError {
    let place = path.display().to_string();
    match (extended & 0xff, extended) {
        (ffi::SQLITE_FULL, _) => StoreError::Full { place },
        (ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB, _) | (_, ffi::SQLITE_IOERR_SHORT_READ) => {
            StoreError::Corrupt { place, detail: text }
        }
        (ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED, _) => StoreError::Busy,
        (ffi::SQLITE_CONSTRAINT, _) => StoreError::Conflict(text),
        // SQLite knows ENOSPC only; a quota, a limit on file sizes and a full disk under a mapping look like this.
        (ffi::SQLITE_IOERR, _) if extended != ffi::SQLITE_IOERR_READ && out_of_room(path) => StoreError::Full { place },
        // A table or column that every version has.
        (ffi::SQLITE_ERROR, _) if text.starts_with("no such ") => StoreError::Corrupt { place, detail: text },
        _ => StoreError::Engine(format!("{place}: {text} (SQLite code {extended})")),
    }
}

/// Turns a failed act on a file into the store's error.
pub(crate) fn io_error(path: &Path, act: &str, error: &io::Error) -> StoreError {
    let place = path.display().to_string();
    if is_full(error) {
        StoreError::Full { place }
    } else {
        StoreError::Engine(format!("cannot {act} {place}: {error}"))
    }
}

fn is_full(error: &io::Error) -> bool {
    let full = [Errno::ENOSPC, Errno::EDQUOT, Errno::EFBIG];
    error.raw_os_error().is_some_and(|code| full.contains(&Errno::from_raw(code)))
}

/// Finds out whether a write failed for want of room: a limit on file sizes, then a trial write beside the file.
fn out_of_room(path: &Path) -> bool {
    // SQLite does not tell which write was too far out, so that a limit at all is taken for the reason.
    if getrlimit(Resource::RLIMIT_FSIZE).is_ok_and(|(soft, _)| soft != RLIM_INFINITY) {
        return true;
    }
    let probe = files::beside(path, ".probe");
    let tried = files::create(&probe, path).and_then(|mut file| {
        file.write_all(&[0; PROBE_BYTES])?;
        file.sync_all()
    });
    // A leftover is overwritten by the next probe.
    let _ = std::fs::remove_file(&probe);
    tried.is_err_and(|error| is_full(&error))
}

/// Says the same again, for each job of a commit that failed.
pub(crate) fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::Full { place } => StoreError::Full { place: place.clone() },
        StoreError::Corrupt { place, detail } => StoreError::Corrupt { place: place.clone(), detail: detail.clone() },
        StoreError::TooNew { place, found, known } => {
            StoreError::TooNew { place: place.clone(), found: *found, known: *known }
        }
        StoreError::Locked { place } => StoreError::Locked { place: place.clone() },
        StoreError::Conflict(text) => StoreError::Conflict(text.clone()),
        StoreError::Closed => StoreError::Closed,
        StoreError::Busy => StoreError::Busy,
        StoreError::Engine(text) => StoreError::Engine(text.clone()),
        StoreError::Undone(_) => StoreError::Engine("another job of the same commit failed".to_owned()),
    }
}
