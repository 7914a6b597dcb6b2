//! Which pointer says what: running, booted and profile closures, this boot, the switch's lock. Must only look.

use crate::model::id::{BootId, Closure};
use crate::system::place::Place;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How many links a pointer may go through: the profile has two.
const MOST_HOPS: usize = 4;

/// Follows a pointer to a closure; `None` when it leads to none.
#[must_use]
pub fn follow(place: &Place, link: &Path) -> Option<Closure> {
    let mut link = link.to_owned();
    for _ in 0..MOST_HOPS {
        let target = fs::read_link(&link).ok()?;
        let text = target.to_str()?;
        if let Ok(closure) = Closure::new(text) {
            return Some(closure);
        }
        link = if target.is_absolute() { place.at(text) } else { link.parent()?.join(&target) };
    }
    None
}

/// Returns what runs. A specialisation of the profile's closure counts as that closure: a person chose it at the
/// boot menu, and nothing has drifted.
#[must_use]
pub fn running(place: &Place) -> Option<Closure> {
    let running = follow(place, &place.running())?;
    match profile(place) {
        Some(parent) if is_specialisation(place, &parent, &running) => Some(parent),
        Some(_) | None => Some(running),
    }
}

/// Returns what was booted; a specialisation counts as its parent, as in [`running`].
#[must_use]
pub fn booted(place: &Place) -> Option<Closure> {
    let booted = follow(place, &place.booted())?;
    match profile(place) {
        Some(parent) if is_specialisation(place, &parent, &booted) => Some(parent),
        Some(_) | None => Some(booted),
    }
}

/// Returns what the system's profile says.
#[must_use]
pub fn profile(place: &Place) -> Option<Closure> {
    follow(place, &place.profile())
}

fn is_specialisation(place: &Place, parent: &Closure, child: &Closure) -> bool {
    let Ok(entries) = fs::read_dir(place.closure(parent).join("specialisation")) else { return false };
    entries.flatten().any(|entry| follow(place, &entry.path()).as_ref() == Some(child))
}

/// Returns the id of this boot; `None` when the kernel does not say.
#[must_use]
pub fn boot_id(place: &Place) -> Option<BootId> {
    BootId::new(fs::read_to_string(place.boot_id()).ok()?.trim()).ok()
}

/// Tells whether the machine was shut down cleanly before this boot.
#[must_use]
pub fn clean_shutdown(place: &Place, boot: &BootId) -> bool {
    fs::read_to_string(place.clean_shutdown()).is_ok_and(|text| text.trim() == boot.as_str())
}

/// Tells whether a switch holds its lock. Looks at the kernel's table: to try the lock could fail a switch that
/// takes it at that moment.
#[must_use]
pub fn switch_is_locked(place: &Place) -> bool {
    let Ok(file) = fs::metadata(place.switch_lock()) else { return false };
    let Ok(table) = fs::read_to_string(place.locks()) else { return false };
    is_locked(&table, file.ino())
}

/// Reads the kernel's table: `1: FLOCK  ADVISORY  WRITE 708 00:17:1234 0 EOF`.
fn is_locked(table: &str, inode: u64) -> bool {
    let inode = inode.to_string();
    // A line with an arrow is one that waits for the lock.
    let held = table.lines().filter(|line| !line.contains("->"));
    held.filter_map(|line| line.split_whitespace().nth(5)).any(|id| id.rsplit(':').next() == Some(inode.as_str()))
}

/// Returns the program that a closure ships, as its store path; `None` when it ships none.
#[must_use]
pub fn program(place: &Place, closure: &Closure, name: &str) -> Option<PathBuf> {
    fs::canonicalize(place.closure(closure).join("sw/bin").join(name)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn closure(letter: char) -> Closure {
        Closure::new(format!("/nix/store/{}-system", letter.to_string().repeat(32))).unwrap()
    }

    fn world() -> (tempfile::TempDir, Place) {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::below(dir.path());
        for folder in ["run", "nix/var/nix/profiles", "nix/store"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        (dir, place)
    }

    #[test]
    fn the_profile_leads_over_its_generation() {
        let (_dir, place) = world();
        assert_eq!(profile(&place), None);
        symlink("system-7-link", place.profile()).unwrap();
        symlink(closure('a').as_str(), place.at("/nix/var/nix/profiles/system-7-link")).unwrap();
        assert_eq!(profile(&place), Some(closure('a')));
    }

    #[test]
    fn a_specialisation_counts_as_its_parent() {
        let (_dir, place) = world();
        symlink(closure('a').as_str(), place.profile()).unwrap();
        symlink(closure('b').as_str(), place.running()).unwrap();
        assert_eq!(running(&place), Some(closure('b')));
        let folder = place.closure(&closure('a')).join("specialisation");
        fs::create_dir_all(&folder).unwrap();
        symlink(closure('b').as_str(), folder.join("gaming")).unwrap();
        assert_eq!(running(&place), Some(closure('a')));
    }

    #[test]
    fn a_link_that_leads_in_a_circle_leads_nowhere() {
        let (_dir, place) = world();
        symlink("/run/booted-system", place.running()).unwrap();
        symlink("/run/current-system", place.booted()).unwrap();
        assert_eq!((running(&place), booted(&place)), (None, None));
    }

    #[test]
    fn the_kernels_table_tells_who_holds_a_lock() {
        let table = "1: POSIX  ADVISORY  WRITE 7 00:17:11 0 EOF\n2: FLOCK  ADVISORY  WRITE 708 00:17:1234 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 709 00:17:99 0 EOF\n";
        assert!(is_locked(table, 1234) && is_locked(table, 11));
        assert!(!is_locked(table, 34) && !is_locked(table, 99) && !is_locked("", 1));
    }

    #[test]
    fn a_lock_that_is_held_is_seen() {
        let (_dir, place) = world();
        fs::create_dir_all(place.at("/run/nixos")).unwrap();
        fs::create_dir_all(place.at("/proc")).unwrap();
        let file = fs::File::create(place.switch_lock()).unwrap();
        let kernel = |place: &Place| fs::copy("/proc/locks", place.locks()).unwrap();
        kernel(&place);
        assert!(!switch_is_locked(&place));
        let held = nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusive).unwrap();
        kernel(&place);
        assert!(switch_is_locked(&place));
        drop(held);
    }
}
