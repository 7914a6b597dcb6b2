//! The database's neighbours on disk: their names, and making files and names last.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

/// The database's files are its owner's alone.
const MODE: u32 = 0o600;

/// Returns the path with an ending after its name: `x.db` and `-wal` give `x.db-wal`.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    PathBuf::from(name)
}

/// Returns the directory that holds the path.
pub(crate) fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Tells whether something is there; a link that leads nowhere counts as nothing.
pub(crate) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Opens or creates a file that belongs to whom the model, or else its directory, belongs to: a command run by
/// root must not leave files that the service can't open.
pub(crate) fn create(path: &Path, model: &Path) -> io::Result<File> {
    let new = !exists(path);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(MODE).open(path)?;
    if new && let Ok(owner) = model.metadata().or_else(|_| directory(path).metadata()) {
        // Only root may give files away; anyone else owns them already.
        let _ = chown(path, Some(owner.uid()), Some(owner.gid()));
    }
    Ok(file)
}

/// Makes a file's content last. No connection may be open on a database: closing any handle of it drops the locks.
pub(crate) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes the names in the path's directory last.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(directory(path))?.sync_all()
}

/// Puts a finished file in its place, for good.
pub(crate) fn put_in_place(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)?;
    sync_directory(to)
}

/// Removes a file and what SQLite keeps beside it; what is not there is as good as removed.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    for ending in ["", "-wal", "-shm", "-journal"] {
        match std::fs::remove_file(beside(path, ending)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}
