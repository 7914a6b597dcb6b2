//! The files of a simulated host: replaced as a whole, appended to without holes, read with a limit.

use crate::system::sim::error::SimError;
use crate::system::sim::log::Entry;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The largest file that is read, in bytes: a signed release may have 64 MiB, and is kept as it came.
const MAX_FILE: u64 = 128 * 1024 * 1024;
/// How much of the end of the log is read to find its last line, in bytes: longer than any line.
const TAIL: u64 = 64 * 1024;

/// Takes the lock, waiting for whoever holds it: nobody holds it for longer than one change.
pub(crate) fn lock(path: &Path) -> Result<Flock<File>, SimError> {
    let open = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = open.map_err(|source| SimError::io("open", path, source))?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| SimError::io("lock", path, errno.into()))
}

/// Reads a file.
pub(crate) fn read(path: &Path) -> Result<String, SimError> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE).read_to_string(&mut text));
    read.map_err(|source| SimError::io("read", path, source))?;
    Ok(text)
}

/// Replaces a file as a whole: after a crash it is the old one or the new one.
pub(crate) fn replace(path: &Path, text: &str) -> Result<(), SimError> {
    // Two writers of one file never meet: every caller holds the host's lock, or is the only one to write it.
    let new = path.with_extension("new");
    let write = || {
        let mut file = File::create(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        std::fs::rename(&new, path)?;
        path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
    };
    write().map_err(|source| SimError::io("replace", path, source))
}

/// Returns what tells one version of a replaced file from the next.
pub(crate) fn identity(path: &Path) -> Option<(u64, i64, i64)> {
    let data = std::fs::metadata(path).ok()?;
    Some((data.ino(), data.mtime(), data.mtime_nsec()))
}

/// Appends those acts that are not in the log yet, and returns the number that the next act gets at least.
pub(crate) fn append_acts(path: &Path, acts: &[Entry]) -> Result<u64, SimError> {
    let append = || {
        let mut file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
        let last = last_act(&mut file)?;
        let mut text = String::new();
        for act in acts.iter().filter(|act| act.n > last) {
            text.push_str(&serde_json::to_string(act)?);
            text.push('\n');
        }
        if !text.is_empty() {
            file.write_all(text.as_bytes())?;
            file.sync_data()?;
        }
        Ok(acts.last().map_or(last, |act| act.n.max(last)) + 1)
    };
    append().map_err(|source| SimError::io("write", path, source))
}

/// Returns the number of the last act, and leaves the file at the end of its last whole line.
fn last_act(file: &mut File) -> std::io::Result<u64> {
    let length = file.metadata()?.len();
    let from = length.saturating_sub(TAIL);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    Read::by_ref(file).take(TAIL).read_to_end(&mut tail)?;
    let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let end = from + u64::try_from(whole).unwrap_or(0);
    if end < length {
        // A line was torn by a crash; its acts are still in the state's file.
        file.set_len(end)?;
    }
    file.seek(SeekFrom::Start(end))?;
    let line = tail[..whole].trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.is_empty() {
        return Ok(0);
    }
    Ok(serde_json::from_slice::<Entry>(line)?.n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::BootId;
    use crate::system::sim::log::{self, Act};

    fn entry(n: u64) -> Entry {
        Entry { n, boot: BootId::new("b").unwrap(), uptime_ms: n, wall_ms: 0, act: Act::AgentStarted }
    }

    #[test]
    fn an_act_comes_into_the_log_once_and_a_torn_line_is_mended() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(log::FILE);
        assert_eq!(append_acts(&file, &[]).unwrap(), 1);
        assert_eq!(append_acts(&file, &[entry(1), entry(2)]).unwrap(), 3);
        assert_eq!(append_acts(&file, &[entry(1), entry(2)]).unwrap(), 3);
        OpenOptions::new().append(true).open(&file).unwrap().write_all(b"{\"n\":3,\"bo").unwrap();
        assert_eq!(append_acts(&file, &[entry(3)]).unwrap(), 4);
        let text = read(&file).unwrap();
        let numbers: Vec<u64> = text.lines().map(|line| serde_json::from_str::<Entry>(line).unwrap().n).collect();
        assert_eq!(numbers, [1, 2, 3]);
    }

    #[test]
    fn a_replaced_file_can_be_told_from_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state.json");
        replace(&file, "one").unwrap();
        let before = identity(&file);
        replace(&file, "two").unwrap();
        assert_ne!(identity(&file), before);
        assert_eq!(read(&file).unwrap(), "two");
    }
}
