//! GRUB's files: menu, default, one-shot. Must not write them.

use crate::model::id::Closure;
use crate::system::boot::init_of;
use crate::system::exec::ExecSpec;
use std::ffi::OsString;
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
    entries(&menu).into_iter().find(|(path, _)| *path == [number])?.1
}

/// Boots the entry of a closure just once; `None` when the menu has none.
pub(super) fn oneshot(mount: &Path, closure: &Closure) -> Option<ExecSpec> {
    let menu = fs::read_to_string(mount.join("grub/grub.cfg")).ok()?;
    let (path, _) = entries(&menu).into_iter().find(|(_, entry)| entry.as_ref() == Some(closure))?;
    let args = vec![format!("--boot-directory={}", mount.display()).into(), written(&path).into()];
    Some(call("grub-reboot", args))
}

/// Takes an ordered one-shot back.
pub(super) fn no_more_oneshot(mount: &Path) -> ExecSpec {
    call("grub-editenv", vec![mount.join("grub/grubenv").into(), "unset".into(), "next_entry".into()])
}

fn call(program: &str, args: Vec<OsString>) -> ExecSpec {
    let program = program.into();
    ExecSpec { program, args, env: Vec::new(), cwd: None, timeout: CALL_LIMIT, output_cap: 4 * 1024 }
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

/// An entry: the numbers that lead to it, through its submenus, and the closure that it boots.
type Entry = (Vec<usize>, Option<Closure>);

/// What a brace opened.
#[derive(PartialEq, Eq)]
enum Block {
    Entry,
    Submenu,
    Other,
}

/// Lists the entries of a menu and its submenus, in order.
fn entries(menu: &str) -> Vec<Entry> {
    let mut found: Vec<Entry> = Vec::new();
    let (mut blocks, mut path, mut counts) = (Vec::new(), Vec::new(), vec![0_usize]);
    for line in menu.lines().map(str::trim) {
        if line.ends_with('{') {
            let block = match line.split(' ').next() {
                Some("menuentry") => Block::Entry,
                Some("submenu") => Block::Submenu,
                Some(_) | None => Block::Other,
            };
            if let (Block::Entry | Block::Submenu, Some(count)) = (&block, counts.last_mut()) {
                path.push(*count);
                *count += 1;
            }
            match block {
                Block::Entry => found.push((path.clone(), None)),
                Block::Submenu => counts.push(0),
                Block::Other => {}
            }
            blocks.push(block);
        } else if line == "}" {
            match blocks.pop() {
                Some(Block::Entry) => drop(path.pop()),
                Some(Block::Submenu) => drop((path.pop(), counts.pop())),
                Some(Block::Other) | None => {}
            }
        } else if line.starts_with("linux")
            && blocks.last() == Some(&Block::Entry)
            && let Some((_, last @ None)) = found.last_mut()
        {
            *last = init_of(line);
        }
    }
    found
}

/// Writes the way to an entry as GRUB reads it.
fn written(path: &[usize]) -> String {
    path.iter().map(usize::to_string).collect::<Vec<_>>().join(">")
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
    fn a_one_shot_counts_a_submenu_as_one_entry_and_looks_into_it() {
        let dir = mount();
        let number = |letter| oneshot(dir.path(), &closure(letter)).map(|spec| spec.args.last().unwrap().clone());
        assert_eq!(number('b').unwrap(), "0");
        assert_eq!(number('c').unwrap(), "2");
        // NixOS lists the generations of a profile in a submenu of its own.
        assert_eq!(number('a').unwrap(), "1>0");
        assert_eq!(number('d'), None);
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
