//! GRUB's files: menu, default, one-shot. Must not write them.

use crate::model::id::Closure;
use crate::system::boot::init_of;
use crate::system::exec::ExecSpec;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// How long writing the environment block may take.
const CALL_LIMIT: Duration = Duration::from_secs(20);
/// File systems on which GRUB can't write its environment block; there a one-shot would never clear.
const READ_ONLY: [&str; 4] = ["btrfs", "zfs", "bcachefs", "f2fs"];

/// Reads what boots by default.
pub(super) fn default(mount: &Path) -> Option<Closure> {
    let menu = fs::read_to_string(mount.join("grub/grub.cfg")).ok()?;
    let number: usize = default_of(&menu)?.parse().ok()?;
    entries(&menu).into_iter().nth(number)?
}

/// Boots the entry of a closure just once; `None` when the menu has none.
pub(super) fn oneshot(mount: &Path, closure: &Closure) -> Option<ExecSpec> {
    let menu = fs::read_to_string(mount.join("grub/grub.cfg")).ok()?;
    let number = entries(&menu).iter().position(|entry| entry.as_ref() == Some(closure))?;
    let args = vec![format!("--boot-directory={}", mount.display()).into(), number.to_string().into()];
    Some(ExecSpec {
        program: "grub-reboot".into(),
        args,
        env: Vec::new(),
        cwd: None,
        timeout: CALL_LIMIT,
        output_cap: 4 * 1024,
    })
}

/// Says why a one-shot can't be made, or would never clear; `None` where it can. `mounts` is `/proc/self/mounts`.
pub(super) fn no_oneshot(mount: &Path, mounts: &str) -> Option<String> {
    if !mount.join("grub/grubenv").exists() {
        return Some("GRUB has no environment block (grub/grubenv)".to_owned());
    }
    let (device, kind) = file_system(mount, mounts)?;
    if READ_ONLY.contains(&kind) {
        return Some(format!("GRUB can't write its environment block on {kind}"));
    }
    let mapped = device.starts_with("/dev/mapper/") || device.starts_with("/dev/dm-") || device.starts_with("/dev/md");
    mapped.then(|| format!("GRUB can't write its environment block on {device}"))
}

/// Finds device and kind of the file system that a path is on: the longest mount point above it, and of those the
/// last.
fn file_system<'a>(path: &Path, mounts: &'a str) -> Option<(&'a str, &'a str)> {
    let rows = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some((words.next()?, words.next()?, words.next()?))
    });
    let above = rows.filter(|(_, point, _)| path.starts_with(point));
    above.max_by_key(|(_, point, _)| point.len()).map(|(device, _, kind)| (device, kind))
}

/// The last `set default=` that is written out.
fn default_of(menu: &str) -> Option<String> {
    let set = menu.lines().filter_map(|line| line.trim().strip_prefix("set default="));
    let mut plain = set.map(|value| value.trim_matches(['"', '\''])).filter(|value| !value.contains('$'));
    plain.next_back().map(str::to_owned)
}

/// The menu's entries in order, with the closure of each; what lies in a submenu is not counted.
fn entries(menu: &str) -> Vec<Option<Closure>> {
    let mut found: Vec<Option<Closure>> = Vec::new();
    let mut depth = 0_usize;
    let mut outer = false;
    for line in menu.lines().map(str::trim) {
        let opens = line.ends_with('{');
        if depth == 0 && opens && (line.starts_with("menuentry ") || line.starts_with("submenu ")) {
            outer = line.starts_with("menuentry ");
            found.push(None);
        } else if depth == 1
            && outer
            && line.starts_with("linux")
            && let Some(last @ None) = found.last_mut()
        {
            *last = init_of(line);
        }
        if opens {
            depth += 1;
        } else if line == "}" {
            depth = depth.saturating_sub(1);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closure(letter: char) -> Closure {
        Closure::new(format!("/nix/store/{}-nixos-system-web1-26.05", letter.to_string().repeat(32))).unwrap()
    }

    fn menu() -> String {
        let entry = |name: &str, letter| {
            format!(
                "menuentry \"{name}\" --class nixos {{\n  search --set=drive1\n  linux ($drive1)/k init={}/init loglevel=4\n}}\n",
                closure(letter).as_str()
            )
        };
        format!(
            "if [ -s $prefix/grubenv ]; then\n  load_env\nfi\nif [ \"${{next_entry}}\" ]; then\n  set default=\"${{next_entry}}\"\n\
             else\n  set default=\"0\"\nfi\n{}submenu \"All\" {{\n{}}}\n{}",
            entry("NixOS", 'b'),
            entry("NixOS - 1", 'a'),
            entry("NixOS - trial", 'c')
        )
    }

    fn mount() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("grub")).unwrap();
        fs::write(dir.path().join("grub/grub.cfg"), menu()).unwrap();
        dir
    }

    #[test]
    fn the_default_is_the_numbered_entry() {
        let dir = mount();
        assert_eq!(default(dir.path()), Some(closure('b')));
        fs::write(dir.path().join("grub/grub.cfg"), menu().replace("default=\"0\"", "default=saved")).unwrap();
        assert_eq!(default(dir.path()), None);
    }

    #[test]
    fn a_one_shot_counts_a_submenu_as_one_entry() {
        let dir = mount();
        let spec = oneshot(dir.path(), &closure('c')).unwrap();
        assert_eq!(spec.args.last().unwrap(), "2");
        assert!(oneshot(dir.path(), &closure('a')).is_none());
    }

    #[test]
    fn no_one_shot_where_it_would_never_clear() {
        let dir = mount();
        let on = |row: &str| no_oneshot(dir.path(), row);
        assert!(on("/dev/sda1 / ext4 rw 0 0").unwrap().contains("grubenv"));
        fs::write(dir.path().join("grub/grubenv"), "").unwrap();
        assert_eq!(on("/dev/sda1 / ext4 rw 0 0"), None);
        assert!(on("/dev/sda1 / btrfs rw 0 0").unwrap().contains("btrfs"));
        assert!(on("/dev/mapper/root / ext4 rw 0 0").unwrap().contains("mapper"));
        let longest = format!("/dev/md0 / ext4 rw 0 0\n/dev/sda1 {} vfat rw 0 0", dir.path().display());
        assert_eq!(on(&longest), None);
    }
}
