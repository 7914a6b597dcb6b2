//! The demo's directory: kept where that was asked for, else removed in the end unless something went wrong.

use crate::ctl::demo::telling::Telling;
use crate::ctl::exit::Mistake;
use anyhow::Context;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// How often removing is tried: a process that was killed an instant ago may still be making a file.
const REMOVE_TRIES: u32 = 100;
/// The pause between two tries.
const REMOVE_PAUSE: Duration = Duration::from_millis(50);

/// The demo's directory.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    /// Makes it.
    ///
    /// # Errors
    /// When it can't be made, or the one to keep is not empty.
    pub fn make(keep: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = keep else {
            let dir = tempfile::Builder::new().prefix("convoy-demo-").tempdir();
            return Ok(Self { path: dir.context("can't make a temporary directory")?.keep(), keep: false });
        };
        if path.exists() && fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()) {
            let what = format!("{} is not empty", path.display());
            return Err(Mistake::new(what, "give --keep a new directory").into());
        }
        fs::create_dir_all(path).with_context(|| format!("can't make {}", path.display()))?;
        let path = path.canonicalize().with_context(|| format!("can't find {}", path.display()))?;
        Ok(Self { path, keep: true })
    }

    /// Returns its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps it: something went wrong, and it may not happen again.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// Says where to look after a failure.
    #[must_use]
    pub fn hint(&self, error: anyhow::Error) -> anyhow::Error {
        error.context(format!("the demo stopped; its logs are in {}/logs", self.path.display()))
    }

    /// Says where everything is, if it is kept.
    pub fn tell(&self, telling: &Telling) {
        if self.keep {
            telling.note(&format!("Everything is kept in {}: start with its folder `logs`.", self.path.display()));
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        for _ in 0..REMOVE_TRIES {
            match fs::remove_dir_all(&self.path) {
                Ok(()) => return,
                Err(error) if error.kind() == ErrorKind::NotFound => return,
                Err(_) => thread::sleep(REMOVE_PAUSE),
            }
        }
        eprintln!("warning: {} could not be removed", self.path.display());
    }
}

#[cfg(test)]
mod tests {
    use crate::ctl::demo::folder::Folder;
    use std::fs;

    #[test]
    fn a_temporary_one_goes_and_a_kept_one_stays() {
        let gone = {
            let folder = Folder::make(None).unwrap();
            fs::write(folder.path().join("a"), "b").unwrap();
            folder.path().to_owned()
        };
        assert!(!gone.exists());
        let dir = tempfile::tempdir().unwrap();
        let kept = Folder::make(Some(&dir.path().join("new"))).unwrap().path().to_owned();
        assert!(kept.exists());
    }

    #[test]
    fn one_that_is_needed_to_find_a_fault_stays() {
        let mut folder = Folder::make(None).unwrap();
        folder.keep();
        let path = folder.path().to_owned();
        drop(folder);
        assert!(path.exists());
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn what_is_there_is_never_written_into() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "b").unwrap();
        assert!(Folder::make(Some(dir.path())).is_err());
    }
}
