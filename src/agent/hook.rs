//! The hook of activation scripts: notes who activated what, for the agent to report. It needs no network, and can
//! neither fail nor delay a switch.

use crate::model::facts::Activation;
use crate::model::id::Closure;
use crate::model::time::Timestamp;
use crate::system::links;
use crate::system::place::Place;
use crate::wire::text;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The most notes that wait: more only say what the links say too.
const MOST_NOTES: usize = 64;
/// The largest note that is read, in bytes.
const MAX_NOTE: u64 = 4096;
/// The units of Convoy itself: what they activate is no news to the agent.
const OWN: &str = "convoy";

/// One activation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// The version of the note.
    pub v: u32,
    /// What was activated.
    #[serde(with = "text")]
    pub closure: Closure,
    /// `switch`, `test`, … or `boot` for the machine's own start.
    pub action: String,
    /// The boot that it happened in.
    pub boot: String,
    /// Who did it, as far as the machine knows.
    pub who: String,
    /// When, in milliseconds of wall time.
    pub at_ms: i64,
}

impl From<Note> for Activation {
    fn from(note: Note) -> Self {
        let Note { v: _, closure, action, boot, who, at_ms } = note;
        Self { closure, action, boot, who, at: Timestamp(at_ms) }
    }
}

/// What the environment of an activation says of it.
#[derive(Debug, Clone, Default)]
pub struct Around {
    /// `NIXOS_ACTION`.
    pub action: Option<String>,
    /// `SUDO_USER`.
    pub sudo_user: Option<String>,
    /// `/proc/self/loginuid`, as a name where it has one.
    pub login: Option<String>,
    /// `/proc/self/cgroup`.
    pub cgroup: String,
}

impl Around {
    /// Reads it from this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        let login = fs::read_to_string("/proc/self/loginuid").ok().and_then(|text| text.trim().parse::<u32>().ok());
        // The greatest number means that nobody logged in.
        let login = login.filter(|uid| *uid != u32::MAX).map(|uid| {
            let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)).ok().flatten();
            user.map_or_else(|| format!("uid {uid}"), |user| user.name)
        });
        Self {
            action: std::env::var("NIXOS_ACTION").ok(),
            sudo_user: std::env::var("SUDO_USER").ok(),
            login,
            cgroup: fs::read_to_string("/proc/self/cgroup").unwrap_or_default(),
        }
    }

    fn who(&self) -> String {
        if self.cgroup.contains("/convoy-switch.service") || self.cgroup.contains("/convoy-rollback.service") {
            return OWN.to_owned();
        }
        let person = self.sudo_user.clone().or_else(|| self.login.clone());
        person.unwrap_or_else(|| if self.action.is_some() { "root" } else { "the boot" }.to_owned())
    }
}

/// Notes an activation.
///
/// # Errors
/// When the note can't be written; the switch goes on all the same.
pub fn note(place: &Place, closure: &Closure, around: &Around, at: Timestamp) -> std::io::Result<()> {
    let spool = place.hook_spool();
    fs::create_dir_all(&spool)?;
    if fs::read_dir(&spool)?.count() >= MOST_NOTES {
        return Ok(());
    }
    let boot = links::boot_id(place).map_or_else(String::new, |boot| boot.to_string());
    let action = around.action.clone().unwrap_or_else(|| "boot".to_owned());
    let note = Note { v: 1, closure: closure.clone(), action, boot, who: around.who(), at_ms: at.0 };
    let name = format!("{:020}-{}", at.0, std::process::id());
    let beside = spool.join(format!(".{name}"));
    // The agent's user owns the directory: a link that it put there is not followed.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&beside)?;
    file.set_permissions(fs::Permissions::from_mode(0o644))?;
    file.write_all(&serde_json::to_vec(&note)?)?;
    fs::rename(&beside, spool.join(format!("{name}.json")))
}

/// A note that waits, and its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// What it says.
    pub done: Activation,
    path: PathBuf,
}

/// The spool as the agent reads it.
#[derive(Debug)]
pub struct Spool {
    place: Place,
    /// What was dealt with and could not be removed: told once, and not at every look.
    stuck: BTreeSet<PathBuf>,
}

impl Spool {
    /// Takes up the spool of a machine.
    #[must_use]
    pub fn of(place: Place) -> Self {
        Self { place, stuck: BTreeSet::new() }
    }

    /// Lists the notes that wait, oldest first. Rubbish, and notes of Convoy's own acts, are no news: they are dropped.
    pub fn waiting(&mut self) -> Vec<Waiting> {
        let Ok(entries) = fs::read_dir(self.place.hook_spool()) else { return Vec::new() };
        let mut paths: Vec<_> = entries.flatten().take(MOST_NOTES * 2).map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|end| end == "json") && !self.stuck.contains(path));
        paths.sort();
        let mut notes = Vec::new();
        for path in paths {
            match read(&path).filter(|note| note.who != OWN) {
                Some(note) => notes.push(Waiting { done: note.into(), path }),
                None => self.remove(&path),
            }
        }
        notes
    }

    /// Takes a note out of the spool, once it is in the journal.
    pub fn taken(&mut self, waiting: &Waiting) {
        self.remove(&waiting.path);
    }

    fn remove(&mut self, path: &Path) {
        if let Err(why) = fs::remove_file(path) {
            tracing::warn!("a note of the hook stays: {}: {why}", path.display());
            self.stuck.insert(path.to_owned());
        }
    }
}

fn read(path: &Path) -> Option<Note> {
    let small = fs::symlink_metadata(path).is_ok_and(|file| file.is_file() && file.len() <= MAX_NOTE);
    let text = small.then(|| fs::read_to_string(path).ok()).flatten()?;
    serde_json::from_str(&text).ok()
}

/// Says what speaks against a closure that is about to be activated by hand; `None` when nothing is known.
#[must_use]
pub fn warning(place: &Place, closure: &str) -> Option<String> {
    let list = fs::read_to_string(place.helper_state().join("quarantine")).ok()?;
    let failed = list.lines().any(|line| line == closure);
    failed.then(|| format!("convoy: {closure} failed on this host before and was undone; `convoy host show` says why"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closure() -> Closure {
        Closure::new(format!("/nix/store/{}-system", "a".repeat(32))).unwrap()
    }

    fn place() -> (tempfile::TempDir, Place) {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::below(dir.path());
        (dir, place)
    }

    #[test]
    fn a_note_says_who_and_waits_until_it_is_taken() {
        let (_dir, place) = place();
        let by = |user: &str| Around {
            action: Some("switch".to_owned()),
            sudo_user: Some(user.to_owned()),
            ..Around::default()
        };
        note(&place, &closure(), &by("bob"), Timestamp(2)).unwrap();
        note(&place, &closure(), &by("alice"), Timestamp(1)).unwrap();
        let mut spool = Spool::of(place.clone());
        let notes = spool.waiting();
        let who: Vec<_> = notes.iter().map(|note| (note.done.who.as_str(), note.done.action.as_str())).collect();
        assert_eq!(who, [("alice", "switch"), ("bob", "switch")]);
        assert_eq!(spool.waiting(), notes, "they wait until they are taken");
        notes.iter().for_each(|note| spool.taken(note));
        assert!(spool.waiting().is_empty());
        assert_eq!(fs::read_dir(place.hook_spool()).unwrap().count(), 0);
    }

    #[test]
    fn convoys_own_acts_are_no_news() {
        let (_dir, place) = place();
        let around = Around { cgroup: "0::/system.slice/convoy-switch.service\n".to_owned(), ..Around::default() };
        note(&place, &closure(), &around, Timestamp(1)).unwrap();
        assert!(Spool::of(place.clone()).waiting().is_empty());
        assert_eq!(fs::read_dir(place.hook_spool()).unwrap().count(), 0, "it is dropped");
        note(&place, &closure(), &Around::default(), Timestamp(2)).unwrap();
        assert_eq!(Spool::of(place.clone()).waiting()[0].done.who, "the boot");
    }

    #[test]
    fn notes_do_not_pile_up_and_rubbish_is_dropped() {
        let (_dir, place) = place();
        for at in 0..100 {
            note(&place, &closure(), &Around::default(), Timestamp(at)).unwrap();
        }
        fs::write(place.hook_spool().join("rubbish.json"), "{").unwrap();
        assert_eq!(Spool::of(place.clone()).waiting().len(), MOST_NOTES);
        assert!(!place.hook_spool().join("rubbish.json").exists());
    }

    #[test]
    fn a_closure_that_failed_here_is_warned_of() {
        let (_dir, place) = place();
        assert_eq!(warning(&place, closure().as_str()), None);
        fs::create_dir_all(place.helper_state()).unwrap();
        fs::write(place.helper_state().join("quarantine"), format!("{}\n", closure())).unwrap();
        assert!(warning(&place, closure().as_str()).unwrap().contains("failed"));
        assert_eq!(warning(&place, "/nix/store/other"), None);
    }

    #[test]
    fn a_note_that_can_not_be_removed_is_told_once() {
        let (_dir, place) = place();
        note(&place, &closure(), &Around::default(), Timestamp(1)).unwrap();
        let mut spool = Spool::of(place.clone());
        let gone = spool.waiting().remove(0);
        fs::remove_file(&gone.path).unwrap();
        spool.taken(&gone);
        note(&place, &closure(), &Around::default(), Timestamp(1)).unwrap();
        assert_eq!(spool.waiting(), []);
    }
}
