//! Free space and what a file system is; must only look.

use std::path::Path;

/// The bytes of a mebibyte.
const MIB: u64 = 1024 * 1024;

/// Returns the free space of the file system that a path is on, in MiB, for a process that is not root; `None` when it
/// can't be read.
#[must_use]
pub fn free_mib(path: &Path) -> Option<u64> {
    let space = nix::sys::statvfs::statvfs(path).ok()?;
    Some(space.blocks_available().saturating_mul(space.fragment_size()) / MIB)
}

/// Says where less than this many MiB are free; `None` where there is room, or where nobody can tell.
#[must_use]
pub fn too_little(path: &Path, least: u64) -> Option<String> {
    let free = free_mib(path)?;
    (free < least).then(|| format!("{}: {free} MiB free, {least} needed", path.display()))
}

/// Tells whether a path is on a file system that is gone at the next boot.
#[must_use]
pub fn is_volatile(path: &Path) -> bool {
    let kind = nix::sys::statfs::statfs(path).map(|found| found.filesystem_type());
    kind.is_ok_and(|kind| kind == nix::sys::statfs::TMPFS_MAGIC || kind == RAMFS_MAGIC)
}

/// `ramfs`, from linux/magic.h.
const RAMFS_MAGIC: nix::sys::statfs::FsType = nix::sys::statfs::FsType(0x8584_58f6);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_there_is_is_too_little() {
        let here = Path::new("/");
        assert!(free_mib(here).is_some() && too_little(here, 0).is_none());
        assert!(too_little(here, u64::MAX).unwrap().contains("needed"));
        assert_eq!(too_little(Path::new("/nonexistent"), 1), None);
    }
}
