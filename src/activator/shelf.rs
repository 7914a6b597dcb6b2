//! The root helper's own files: each written beside, fsynced, renamed, and its directory fsynced. Must not decide.

use crate::model::id::{Attempt, Closure, RolloutId};
use crate::model::root_record::RootRecord;
use crate::system::SystemError;
use crate::wire::stored::{read_root_record, write_root_record};
use nix::fcntl::{Flock, FlockArg};
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The most records that are kept.
pub const MAX_RECORDS: usize = 8;
/// How often the lock is tried: each change under it takes seconds at most, and all of them together a minute.
const LOCK_TRIES: u32 = 600;
/// How long to wait between two tries.
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// Room that is held for a full disk, in bytes: hundreds of writes of a record. It is given up by the first write that finds
/// none left, since going back must be written down.
const BALLAST: u64 = 1 << 20;
/// Its file.
const BALLAST_FILE: &str = "ballast";

/// The directory of the root helper's files.
#[derive(Debug, Clone)]
pub struct Shelf {
    dir: PathBuf,
}

/// All records, newest first, and the files that are damaged.
#[derive(Debug, Default)]
pub struct Found {
    /// The records.
    pub records: Vec<RootRecord>,
    /// Files that can't be read, each with why.
    pub damaged: Vec<String>,
}

fn failed(what: &'static str, path: &Path) -> impl Fn(io::Error) -> SystemError {
    move |why| SystemError::Failed { what, detail: format!("{}: {why}", path.display()) }
}

/// Names an attempt's files.
#[must_use]
pub fn id_of(rollout: &RolloutId, attempt: Attempt) -> String {
    format!("{rollout}-{attempt}")
}

impl Shelf {
    /// Opens the directory, and makes it where it is not there.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn open(dir: PathBuf) -> Result<Self, SystemError> {
        for folder in ["records", "releases", "baselines", "begun"] {
            let path = dir.join(folder);
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
            made.map_err(failed("make the root helper's directory", &path))?;
        }
        Ok(Self { dir })
    }

    /// Takes the lock under which records change.
    ///
    /// # Errors
    /// When somebody else holds it for a minute.
    pub fn lock(&self) -> Result<Flock<File>, SystemError> {
        let path = self.dir.join("lock");
        let open = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let mut file = open.map_err(failed("open the root helper's lock", &path))?;
        for _ in 0..LOCK_TRIES {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(lock),
                Err((back, nix::errno::Errno::EWOULDBLOCK)) => file = back,
                Err((_, why)) => return Err(failed("lock the root helper's records", &path)(why.into())),
            }
            std::thread::sleep(LOCK_PAUSE);
        }
        Err(SystemError::Failed { what: "lock the root helper's records", detail: "held for a minute".to_owned() })
    }

    /// Reads all records, newest first.
    ///
    /// # Errors
    /// When the directory can't be read.
    pub fn records(&self) -> Result<Found, SystemError> {
        let folder = self.dir.join("records");
        let read = fs::read_dir(&folder).map_err(failed("read the root records", &folder))?;
        let mut found = Found::default();
        let files = read.flatten().map(|entry| entry.path());
        for path in files.filter(|path| path.extension().is_some_and(|end| end == "json")) {
            let text = fs::read_to_string(&path).map_err(|why| why.to_string());
            match text.and_then(|text| read_root_record(&text).map_err(|why| why.to_string())) {
                Ok(record) => found.records.push(record),
                Err(why) => found.damaged.push(format!("{}: {why}", path.display())),
            }
        }
        found.records.sort_by_key(|record| (record.is_final(), std::cmp::Reverse(record.started.wall)));
        Ok(found)
    }

    /// Writes a record durably.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn put_record(&self, record: &RootRecord) -> Result<(), SystemError> {
        let name = id_of(&record.rollout, record.attempt);
        self.put("records", &format!("{name}.json"), write_root_record(record).as_bytes())
    }

    /// Takes a record away that nothing was done for yet.
    ///
    /// # Errors
    /// When it can't be removed.
    pub fn forget(&self, rollout: &RolloutId, attempt: Attempt) -> Result<(), SystemError> {
        let path = self.dir.join("records").join(format!("{}.json", id_of(rollout, attempt)));
        let removed = fs::remove_file(&path).and_then(|()| sync_dir(&self.dir.join("records")));
        removed.map_err(failed("take the record back", &path))
    }

    /// Takes away what belongs to no record that is kept.
    pub fn prune(&self, kept: &[RootRecord]) {
        let ids: BTreeSet<String> = kept.iter().map(|record| id_of(&record.rollout, record.attempt)).collect();
        for folder in ["records", "releases", "baselines", "begun"] {
            let Ok(entries) = fs::read_dir(self.dir.join(folder)) else { continue };
            for path in entries.flatten().map(|entry| entry.path()) {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let known = ids.contains(name.strip_suffix(".json").unwrap_or(name));
                // What can't be removed is tried again by the next start.
                if !known {
                    let _ = fs::remove_file(&path);
                }
            }
        }
    }

    /// Writes one of the helper's files durably; an empty folder is the directory itself.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn put(&self, folder: &str, name: &str, content: &[u8]) -> Result<(), SystemError> {
        let folder = self.dir.join(folder);
        let (path, beside) = (folder.join(name), folder.join(format!("{name}.tmp")));
        let write = || {
            let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&beside, &path)?;
            sync_dir(&folder)
        };
        let mut written = write();
        if written.as_ref().is_err_and(|why| why.kind() == io::ErrorKind::StorageFull)
            && self.take_away("", BALLAST_FILE)
        {
            tracing::error!("the disk of {} is full: the room held for that is used up now", folder.display());
            written = write();
        }
        written.map_err(failed("write the root helper's files", &path))
    }

    /// Holds room for what has to be written when the disk is full.
    ///
    /// # Errors
    /// When there is none: then nothing should begin.
    pub fn hold_room(&self) -> Result<(), SystemError> {
        let path = self.dir.join(BALLAST_FILE);
        if fs::metadata(&path).is_ok_and(|file| file.len() == BALLAST) {
            return Ok(());
        }
        let fill = || {
            // Random, so that no file system compresses it away.
            let mut from = File::open("/dev/urandom")?.take(BALLAST);
            let mut to = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&path)?;
            io::copy(&mut from, &mut to)?;
            to.sync_all()
        };
        fill().map_err(failed("hold room for a full disk", &path))
    }

    /// Reads one of the helper's files; `None` when it is not there.
    ///
    /// # Errors
    /// When it is there and can't be read.
    pub fn get(&self, folder: &str, name: &str) -> Result<Option<String>, SystemError> {
        let path = self.dir.join(folder).join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(why) => Err(failed("read the root helper's files", &path)(why)),
        }
    }

    /// Takes one of the helper's files away; true when it was there.
    #[must_use]
    pub fn take_away(&self, folder: &str, name: &str) -> bool {
        let folder = self.dir.join(folder);
        fs::remove_file(folder.join(name)).and_then(|()| sync_dir(&folder)).is_ok()
    }

    /// Notes that a closure failed here, or that it did well after all.
    ///
    /// # Errors
    /// When the list can't be written.
    pub fn quarantine(&self, closure: &Closure, failed: bool) -> Result<(), SystemError> {
        let text = self.get("", "quarantine")?.unwrap_or_default();
        let mut closures: BTreeSet<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        let changes = if failed { closures.insert(closure.as_str()) } else { closures.remove(closure.as_str()) };
        if !changes {
            return Ok(());
        }
        let lines: String = closures.iter().map(|line| format!("{line}\n")).collect();
        self.put("", "quarantine", lines.as_bytes())
    }
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests;
