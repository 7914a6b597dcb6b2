//! What can't be changed on a running system: boot components and switch inhibitors of two closures compared.

use crate::model::id::Closure;
use crate::system::place::Place;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The links that older systems without `reboot-triggers` are compared by.
const PARTS: [&str; 3] = ["kernel", "initrd", "kernel-modules"];
/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// Lists what a closure boots with and the booted one does differently; empty when no reboot is needed.
#[must_use]
pub fn reboot_needed(place: &Place, booted: &Closure, target: &Closure) -> Vec<String> {
    let (booted, target) = (place.closure(booted), place.closure(target));
    let read = |closure: &Path| object(&closure.join("reboot-triggers"));
    if let (Some(old), Some(new)) = (read(&booted), read(&target)) {
        return differing(&old, &new);
    }
    let part = |closure: &Path, name: &str| fs::read_link(closure.join(name)).ok();
    let differs = |name: &&&str| part(&booted, name) != part(&target, name);
    PARTS.iter().filter(differs).map(ToString::to_string).collect()
}

/// Lists why a live switch between two closures is refused; empty when it is not.
#[must_use]
pub fn inhibitors(place: &Place, running: &Closure, target: &Closure) -> Vec<String> {
    let read = |closure: &Closure| object(&place.closure(closure).join("switch-inhibitors")).unwrap_or_default();
    differing(&read(running), &read(target))
}

fn differing(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<String> {
    let differs = |(key, value): &(&String, &String)| new.get(*key).is_some_and(|other| other != *value);
    old.iter().filter(differs).map(|(key, _)| key.clone()).collect()
}

/// Reads a JSON object; values that are no text count by their spelling.
fn object(path: &Path) -> Option<BTreeMap<String, String>> {
    if fs::metadata(path).ok()?.len() > MAX_FILE {
        return None;
    }
    let read: BTreeMap<String, serde_json::Value> = serde_json::from_str(&fs::read_to_string(path).ok()?).ok()?;
    Some(read.into_iter().map(|(key, value)| (key, value.to_string())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn closure(letter: char) -> Closure {
        Closure::new(format!("/nix/store/{}-system", letter.to_string().repeat(32))).unwrap()
    }

    fn world(file: &str, old: &str, new: &str) -> (tempfile::TempDir, Place) {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::below(dir.path());
        for (letter, text) in [('a', old), ('b', new)] {
            let path = place.closure(&closure(letter));
            fs::create_dir_all(&path).unwrap();
            if !text.is_empty() {
                fs::write(path.join(file), text).unwrap();
            }
        }
        (dir, place)
    }

    #[test]
    fn only_keys_of_both_are_compared() {
        let (_dir, place) = world("reboot-triggers", r#"{"kernel":"1","gone":"x"}"#, r#"{"kernel":"1","new":"y"}"#);
        assert!(reboot_needed(&place, &closure('a'), &closure('b')).is_empty());
        let (_dir, place) = world("switch-inhibitors", r#"{"dbus":"1"}"#, r#"{"dbus":"2"}"#);
        assert_eq!(inhibitors(&place, &closure('a'), &closure('b')), ["dbus"]);
        let (_dir, place) = world("switch-inhibitors", r#"{"dbus":"1"}"#, "");
        assert!(inhibitors(&place, &closure('a'), &closure('b')).is_empty());
    }

    #[test]
    fn older_systems_are_compared_by_their_links() {
        let (_dir, place) = world("reboot-triggers", "", r#"{"kernel":"1"}"#);
        assert!(reboot_needed(&place, &closure('a'), &closure('b')).is_empty());
        for (letter, kernel) in [('a', "/nix/store/k1"), ('b', "/nix/store/k2")] {
            symlink(kernel, place.closure(&closure(letter)).join("kernel")).unwrap();
        }
        assert_eq!(reboot_needed(&place, &closure('a'), &closure('b')), ["kernel"]);
    }
}
