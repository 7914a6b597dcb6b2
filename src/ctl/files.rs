//! New files, secret ones among them: all of a set or none, and never over one that is there.

use crate::ctl::exit::Mistake;
use anyhow::Context;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Its owner only.
    Owner,
    /// Everybody.
    All,
}

/// A file to be written.
pub struct NewFile {
    /// Where.
    pub path: PathBuf,
    /// What.
    pub text: String,
    /// For whom.
    pub readers: Readers,
}

impl NewFile {
    /// Makes one that only its owner may read.
    pub fn secret(path: PathBuf, text: impl Into<String>) -> Self {
        Self { path, text: text.into(), readers: Readers::Owner }
    }

    /// Makes one that everybody may read.
    pub fn public(path: PathBuf, text: impl Into<String>) -> Self {
        Self { path, text: text.into(), readers: Readers::All }
    }

    fn write(&self) -> io::Result<()> {
        let mode = if self.readers == Readers::Owner { 0o600 } else { 0o644 };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&self.path)?;
        let written = file.write_all(self.text.as_bytes()).and_then(|()| file.sync_all());
        written.inspect_err(|_| {
            // The first error is the one to tell.
            let _ = fs::remove_file(&self.path);
        })
    }
}

/// What was made, for undoing it: in order.
#[derive(Default)]
struct Made(Vec<PathBuf>);

impl Made {
    fn undo(&self) {
        // What can't be removed is left: the first error is the one to tell.
        for path in self.0.iter().rev() {
            let _ = if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) };
        }
    }
}

/// Refuses files that are there already, before anything costly or irrevocable is done.
///
/// # Errors
/// A [`Mistake`] that names the first.
pub fn check_new<'a>(paths: impl IntoIterator<Item = &'a Path>) -> anyhow::Result<()> {
    match paths.into_iter().find(|path| path.symlink_metadata().is_ok()) {
        Some(path) => Err(there_already(path).into()),
        None => Ok(()),
    }
}

/// Writes all files, and the folders they need (for their owner only), durably. After a failure nothing of it is
/// left.
///
/// # Errors
/// A [`Mistake`] for a file that is there already, and what the system says.
pub fn write_all(files: &[NewFile]) -> anyhow::Result<()> {
    check_new(files.iter().map(|file| file.path.as_path()))?;
    let mut made = Made::default();
    let written = files.iter().try_for_each(|file| {
        let folder = folder_of(&file.path);
        make_folder(folder, &mut made).with_context(|| format!("can't make {}", folder.display()))?;
        match file.write() {
            Ok(()) => made.0.push(file.path.clone()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(there_already(&file.path).into()),
            Err(error) => return Err(error).with_context(|| format!("can't write {}", file.path.display())),
        }
        File::open(folder).and_then(|folder| folder.sync_all()).with_context(|| folder.display().to_string())
    });
    written.inspect_err(|_| made.undo())
}

/// Puts a new file into the place of another, as a whole.
///
/// # Errors
/// When it can't be written; the one before is then still there.
pub fn replace(file: &NewFile) -> anyhow::Result<()> {
    let name = file.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let new = NewFile { path: file.path.with_file_name(format!(".{name}.new")), text: file.text.clone(), ..*file };
    let put = || -> io::Result<()> {
        // One that a crash left.
        let _ = fs::remove_file(&new.path);
        new.write()?;
        fs::rename(&new.path, &file.path)?;
        File::open(folder_of(&file.path))?.sync_all()
    };
    put().with_context(|| format!("can't write {}", file.path.display()))
}

fn there_already(path: &Path) -> Mistake {
    let what = format!("{} is there already, and nothing is overwritten", path.display());
    Mistake::new(what, "move it away, or choose another folder")
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn make_folder(folder: &Path, made: &mut Made) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent().filter(|above| !above.as_os_str().is_empty()) {
        make_folder(above, made)?;
    }
    DirBuilder::new().mode(0o700).create(folder)?;
    made.0.push(folder.to_owned());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::ctl::exit::{Exit, of};
    use crate::ctl::files::{NewFile, replace, write_all};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn secrets_are_for_their_owner_and_folders_too() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join("a/b").join(name);
        write_all(&[NewFile::secret(file("key"), "k"), NewFile::public(file("pub"), "p")]).unwrap();
        let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file("key")), mode(&file("pub")), mode(&dir.path().join("a/b"))), (0o600, 0o644, 0o700));
        replace(&NewFile::secret(file("key"), "new")).unwrap();
        assert_eq!((fs::read_to_string(file("key")).unwrap().as_str(), mode(&file("key"))), ("new", 0o600));
        assert_eq!(fs::read_dir(dir.path().join("a/b")).unwrap().count(), 2);
    }

    #[test]
    fn nothing_is_overwritten_and_a_failure_half_way_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("there"), "old").unwrap();
        let files = |last: &str| {
            let new = NewFile::secret(dir.path().join("sub/new"), "n");
            [new, NewFile::secret(dir.path().join(last), "x")]
        };
        let error = write_all(&files("there")).unwrap_err();
        assert_eq!(of(&error), Exit::Usage);
        assert_eq!(fs::read_to_string(dir.path().join("there")).unwrap(), "old");
        // A file can't be a folder: this fails only once the first file was written.
        assert!(write_all(&files("there/below")).is_err());
        assert!(!dir.path().join("sub").exists(), "something was left behind");
    }
}
