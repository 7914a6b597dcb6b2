//! Where a journal's bytes live: a trait, the real file, and one in memory. Must not know what the bytes mean.

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most bytes of a journal that are read; compaction keeps it far below.
pub const MAX_JOURNAL: u64 = 64 * 1024 * 1024;
/// The most damaged or replaced journals that are kept for people, of each kind.
const KEPT_ASIDE: u32 = 8;

/// Keeps bytes so that they survive a power cut.
pub trait JournalFile: Send {
    /// Reads everything, at most [`MAX_JOURNAL`] bytes.
    ///
    /// # Errors
    /// What the file system said.
    fn read_all(&mut self) -> io::Result<Vec<u8>>;
    /// Adds to the end and waits until it is durable. After an error nothing has been added.
    ///
    /// # Errors
    /// What the file system said.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Puts these bytes in the place of all others: after a power cut either the old or the new are there, and what
    /// is added later is durable only with the new.
    ///
    /// # Errors
    /// What the file system said; the old bytes are still there.
    fn replace(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Keeps bytes for people, under a name with this word in it, and returns the name. At most eight of one word
    /// are kept.
    ///
    /// # Errors
    /// What the file system said.
    fn keep_aside(&mut self, word: &str, bytes: &[u8]) -> io::Result<String>;
}

/// A state directory that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// Another process holds it.
    #[error("another agent uses the state directory {0:?}: stop it, or give this one a stateDir of its own")]
    InUse(PathBuf),
    /// The file system refused.
    #[error("can't {what} {path:?}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// The journal on disk, locked for one process.
pub struct DiskFile {
    dir: PathBuf,
    file: File,
    /// The length up to which everything is whole.
    good: u64,
    /// A failed append may have left bytes behind that could not be cut off yet.
    torn: bool,
    /// The directory does not durably name this file yet: owed before anything is added.
    unnamed: bool,
    _lock: Flock<File>,
}

impl DiskFile {
    /// Opens or makes the journal in a state directory, and locks the directory until dropped.
    ///
    /// # Errors
    /// [`StateDirError`] when another agent uses it or the file system refuses.
    pub fn open(dir: &Path) -> Result<Self, StateDirError> {
        let failed = |what: &'static str, path: &Path| {
            let path = path.to_owned();
            move |source: io::Error| StateDirError::Io { what, path, source }
        };
        std::fs::create_dir_all(dir).map_err(failed("make", dir))?;
        let lock_path = dir.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.map_err(failed("open", &lock_path))?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(|(_, why)| {
            let held = why == Errno::EWOULDBLOCK;
            let failed = || StateDirError::Io { what: "lock", path: lock_path.clone(), source: why.into() };
            if held { StateDirError::InUse(dir.to_owned()) } else { failed() }
        })?;
        let path = dir.join("journal");
        let file = open_journal(&path).map_err(failed("open", &path))?;
        let good = file.metadata().map_err(failed("read", &path))?.len();
        Ok(Self { dir: dir.to_owned(), file, good, torn: false, unnamed: false, _lock: lock })
    }

    fn write_aside(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::create(self.dir.join(name))?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn mend(&mut self) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.good)?;
            self.torn = false;
        }
        Ok(())
    }

    /// Makes the file's name durable, where that is still owed.
    fn settle_name(&mut self) -> io::Result<()> {
        if self.unnamed {
            File::open(&self.dir)?.sync_all()?;
            self.unnamed = false;
        }
        Ok(())
    }
}

fn open_journal(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).read(true).append(true).open(path)
}

impl JournalFile for DiskFile {
    fn read_all(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(self.dir.join("journal"))?.take(MAX_JOURNAL).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.settle_name()?;
        self.mend()?;
        let written = self.file.write_all(bytes).and_then(|()| self.file.sync_data());
        if let Err(why) = written {
            self.torn = true;
            // The error that matters is the first one; a cut that fails is tried again before the next append.
            let _ = self.mend();
            return Err(why);
        }
        self.good += bytes.len() as u64;
        Ok(())
    }

    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_aside("journal.new", bytes)?;
        let new = self.dir.join("journal.new");
        // Opened before it gets its name, so that after the rename nothing can fail: whatever is added goes where
        // the name points.
        let file = open_journal(&new)?;
        std::fs::rename(&new, self.dir.join("journal"))?;
        (self.file, self.good, self.torn, self.unnamed) = (file, bytes.len() as u64, false, true);
        if let Err(why) = self.settle_name() {
            tracing::warn!("the journal's new name is not durable yet: {why}");
        }
        Ok(())
    }

    fn keep_aside(&mut self, word: &str, bytes: &[u8]) -> io::Result<String> {
        let name = |n: u32| format!("journal.{word}-{n}");
        let free = (1..KEPT_ASIDE).find(|n| !self.dir.join(name(*n)).exists());
        let name = name(free.unwrap_or(KEPT_ASIDE));
        self.write_aside(&name, bytes)?;
        Ok(name)
    }
}

/// A journal in memory. A clone is the same file, as a second process would see it.
#[derive(Debug, Clone, Default)]
pub struct MemoryFile {
    inner: Arc<Mutex<Memory>>,
}

#[derive(Debug, Default)]
struct Memory {
    bytes: Vec<u8>,
    aside: Vec<(String, Vec<u8>)>,
    full: bool,
}

impl MemoryFile {
    /// Makes one that holds these bytes.
    #[must_use]
    pub fn with(bytes: &[u8]) -> Self {
        let file = Self::default();
        file.lock().bytes = bytes.to_vec();
        file
    }

    /// Returns what it holds.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.lock().bytes.clone()
    }

    /// Puts other bytes in, as a restored backup or a wipe would.
    pub fn set(&self, bytes: &[u8]) {
        self.lock().bytes = bytes.to_vec();
    }

    /// Returns what was kept aside, by name.
    #[must_use]
    pub fn aside(&self) -> Vec<(String, Vec<u8>)> {
        self.lock().aside.clone()
    }

    /// Makes every write fail, as on a full disk, or work again.
    pub fn set_full(&self, full: bool) {
        self.lock().full = full;
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writable(&self) -> io::Result<MutexGuard<'_, Memory>> {
        let memory = self.lock();
        if memory.full { Err(io::Error::from(io::ErrorKind::StorageFull)) } else { Ok(memory) }
    }
}

impl JournalFile for MemoryFile {
    fn read_all(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.bytes())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writable()?.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writable()?.bytes = bytes.to_vec();
        Ok(())
    }

    fn keep_aside(&mut self, word: &str, bytes: &[u8]) -> io::Result<String> {
        let mut memory = self.writable()?;
        let name = format!("journal.{word}-{}", memory.aside.len() + 1);
        memory.aside.push((name.clone(), bytes.to_vec()));
        Ok(name)
    }
}

#[cfg(test)]
mod tests;
