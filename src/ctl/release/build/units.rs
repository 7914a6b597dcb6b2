//! What a switch from one closure to another does to units, from their files alone: it can't know which ones run.

use crate::ctl::release::build::unit::{Fate, Unit};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

/// Where a closure has its units.
const UNITS: &str = "etc/systemd/system";
/// The largest unit file that is read, in bytes; real ones have some thousands.
const MAX_UNIT: u64 = 1024 * 1024;

/// The units of a closure.
#[derive(Debug, Default)]
pub struct Units {
    units: BTreeMap<String, Unit>,
    /// What targets want or require.
    wanted: BTreeSet<String>,
}

/// What becomes of units, where they run; each list in order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fates {
    /// Gone from the new closure.
    pub stopped: Vec<String>,
    /// Changed, and restarted.
    pub restarted: Vec<String>,
    /// Changed, and reloaded.
    pub reloaded: Vec<String>,
    /// Wanted by the new closure only.
    pub started: Vec<String>,
    /// Changed, and left as they are.
    pub kept: Vec<String>,
}

impl Units {
    /// Reads the units of a closure; none where it has no such folder.
    ///
    /// # Errors
    /// What the system says of a file that can't be read.
    pub fn read(closure: &Path) -> io::Result<Self> {
        let mut read = Self::default();
        let folder = closure.join(UNITS);
        let mut dropped: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in listed(&folder)? {
            let path = folder.join(&name);
            if let Some(unit) = name.strip_suffix(".d") {
                dropped.insert(unit.to_owned(), drop_ins(&path)?);
            } else if name.ends_with(".wants") || name.ends_with(".requires") {
                read.wanted.extend(listed(&path)?);
            } else if let Some(text) = unit_text(&path)? {
                texts.insert(name, vec![text]);
            }
        }
        for (name, mut parts) in texts {
            parts.extend(dropped.remove(&name).unwrap_or_default());
            read.units.insert(name, Unit::parse(&parts));
        }
        Ok(read)
    }

    /// Says what becomes of these units in a switch to others.
    #[must_use]
    pub fn switched_to(&self, new: &Self) -> Fates {
        let mut fates = Fates::default();
        for (name, old) in &self.units {
            match new.units.get(name) {
                None if old.says(("Unit", "X-StopOnRemoval"), true) => fates.stopped.push(name.clone()),
                None => fates.kept.push(name.clone()),
                Some(unit) => match old.replaced_by(unit, name) {
                    Fate::Same => {}
                    Fate::Kept => fates.kept.push(name.clone()),
                    Fate::Reloaded => fates.reloaded.push(name.clone()),
                    Fate::Restarted => fates.restarted.push(name.clone()),
                },
            }
        }
        let starts = |name: &&String| {
            let unit = new.units.get(*name).or_else(|| new.units.get(&template(name)?));
            unit.is_some_and(|unit| !unit.is_manual())
        };
        fates.started = new.wanted.difference(&self.wanted).filter(starts).cloned().collect();
        let twice: BTreeSet<String> = fates.started.iter().cloned().collect();
        fates.restarted.retain(|name| !twice.contains(name));
        fates
    }
}

/// Returns the template of an instance.
fn template(name: &str) -> Option<String> {
    let (stem, rest) = name.split_once('@')?;
    Some(format!("{stem}@.{}", rest.rsplit_once('.')?.1))
}

/// Lists a folder's names; nothing where there is none.
fn listed(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Reads a unit's own text; `None` for another name of a unit, one that is masked, and what is no file.
fn unit_text(path: &Path) -> io::Result<Option<String>> {
    let is_alias = fs::read_link(path).is_ok_and(|to| to.is_relative() || to == Path::new("/dev/null"));
    if is_alias || !path.is_file() {
        return Ok(None);
    }
    text(path).map(Some)
}

fn drop_ins(folder: &Path) -> io::Result<Vec<String>> {
    let names = listed(folder)?.into_iter().filter(|name| name.ends_with(".conf"));
    names.map(|name| text(&folder.join(name))).collect()
}

fn text(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > MAX_UNIT {
        let why = format!("{} has more than {MAX_UNIT} bytes", path.display());
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn closure(units: &[(&str, &str)], wanted: &[&str]) -> (tempfile::TempDir, Units) {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join(UNITS);
        fs::create_dir_all(folder.join("multi-user.target.wants")).unwrap();
        for (name, text) in units {
            fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
            fs::write(folder.join(name), text).unwrap();
        }
        for name in wanted {
            symlink(format!("../{name}"), folder.join("multi-user.target.wants").join(name)).unwrap();
        }
        symlink("a.service", folder.join("alias.service")).unwrap();
        symlink("/dev/null", folder.join("masked.service")).unwrap();
        let read = Units::read(dir.path()).unwrap();
        (dir, read)
    }

    #[test]
    fn every_fate_is_told_once() {
        let gone = "[Service]\nExecStart=/gone";
        let stays = "[Unit]\nX-StopOnRemoval=false";
        let (_old_dir, old) = closure(
            &[("a.service", "[Service]\nExecStart=/1"), ("gone.service", gone), ("stays.service", stays)],
            &["a.service", "gone.service"],
        );
        let (_new_dir, new) = closure(
            &[
                ("a.service", "[Service]\nExecStart=/2"),
                ("new.service", "[Service]\nExecStart=/new"),
                ("manual.service", "[Unit]\nX-OnlyManualStart=true"),
                ("b@.service", "[Service]\nExecStart=/b"),
                ("unwanted.service", "[Service]\nExecStart=/u"),
            ],
            &["a.service", "new.service", "manual.service", "b@1.service", "of-systemd.service"],
        );
        let fates = old.switched_to(&new);
        assert_eq!(fates.stopped, ["gone.service"]);
        assert_eq!(fates.restarted, ["a.service"]);
        assert_eq!(fates.started, ["b@1.service", "new.service"]);
        assert_eq!(fates.kept, ["stays.service"]);
        assert_eq!(old.switched_to(&old), Fates::default());
    }

    #[test]
    fn a_new_drop_in_restarts_its_unit() {
        let (_a, old) = closure(&[("a.service", "[Service]\nExecStart=/1")], &["a.service"]);
        let both = [("a.service", "[Service]\nExecStart=/1"), ("a.service.d/more.conf", "[Service]\nNice=1")];
        let (_b, new) = closure(&both, &["a.service"]);
        assert_eq!(old.switched_to(&new).restarted, ["a.service"]);
    }

    #[test]
    fn a_closure_without_units_has_none() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Units::read(dir.path()).unwrap().units.is_empty());
    }
}
