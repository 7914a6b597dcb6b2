//! The lock that gives a database to one process.

use crate::store::StoreError;
use crate::store::sqlite::failure::io_error;
use crate::store::sqlite::files;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::path::Path;

/// Held as long as the database is open. A lock file of its own: handles of the database file would take SQLite's
/// locks with them when they are closed.
#[derive(Debug)]
pub(crate) struct DatabaseLock {
    _held: Flock<File>,
}

impl DatabaseLock {
    /// Takes `<path>.lock`, or says at once that another process has it. The kernel frees it when a process dies.
    pub(crate) fn take(path: &Path) -> Result<Self, StoreError> {
        let place = files::beside(path, ".lock");
        let file = files::create(&place, path).map_err(|error| io_error(&place, "open", &error))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => Ok(Self { _held: held }),
            Err((_, Errno::EWOULDBLOCK)) => Err(StoreError::Locked { place: path.display().to_string() }),
            Err((_, errno)) => Err(io_error(&place, "lock", &errno.into())),
        }
    }
}
