//! systemd-boot's files: entries, the default, one-shot. Must not write them.

use crate::model::id::Closure;
use crate::system::boot::{Boot, init_of};
use crate::system::exec::ExecSpec;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// The vendor id that systemd-boot's EFI variables carry.
const VENDOR: &str = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// How long setting an EFI variable may take: firmware is slow.
const CALL_LIMIT: Duration = Duration::from_secs(20);

/// Reads what boots by default: the EFI variable, else the file.
pub(super) fn default(boot: &Boot) -> Option<Closure> {
    let text = fs::read_to_string(boot.mount.join("loader/loader.conf")).ok();
    let pattern = pinned(boot).or_else(|| text.as_deref().and_then(default_line))?;
    let entries = entries(&boot.mount);
    let name = pick(&pattern, entries.iter().map(|(name, _)| name.as_str()))?;
    entries.into_iter().find(|(entry, _)| *entry == name).and_then(|(_, text)| closure_of(&text))
}

/// Reads the default that was set in the firmware, by a key in the loader's menu or by `bootctl set-default`.
pub(super) fn pinned(boot: &Boot) -> Option<String> {
    utf16(&fs::read(boot.variables.join(format!("LoaderEntryDefault-{VENDOR}"))).ok()?)
}

/// Names the entry of a closure; of several the newest.
pub(super) fn entry_of(mount: &Path, closure: &Closure) -> Option<String> {
    let of = entries(mount).into_iter().filter(|(_, text)| closure_of(text).as_ref() == Some(closure));
    of.map(|(name, _)| name).max_by_key(|name| generation(name))
}

/// Boots an entry just once; an empty name takes that back.
pub(super) fn oneshot(name: &str) -> ExecSpec {
    let args = vec!["set-oneshot".into(), name.into()];
    ExecSpec { program: "bootctl".into(), args, env: Vec::new(), cwd: None, timeout: CALL_LIMIT, output_cap: 4 * 1024 }
}

fn entries(mount: &Path) -> Vec<(String, String)> {
    let Ok(folder) = fs::read_dir(mount.join("loader/entries")) else { return Vec::new() };
    let files = folder.flatten().filter(|entry| entry.path().extension().is_some_and(|end| end == "conf"));
    files
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, fs::read_to_string(entry.path()).ok()?)))
        .collect()
}

fn closure_of(entry: &str) -> Option<Closure> {
    entry.lines().find_map(|line| init_of(line.trim_start().strip_prefix("options")?))
}

fn default_line(conf: &str) -> Option<String> {
    let mut words = conf.lines().map(str::split_whitespace);
    words.find_map(|mut words| (words.next() == Some("default")).then(|| words.next()).flatten().map(str::to_owned))
}

/// Reads an EFI variable: four bytes of attributes, then UTF-16 with a zero at its end.
fn utf16(bytes: &[u8]) -> Option<String> {
    let units = bytes.get(4..)?.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let text = String::from_utf16(&units.take_while(|unit| *unit != 0).collect::<Vec<_>>()).ok()?;
    (!text.is_empty()).then_some(text)
}

/// Picks the entry that a pattern with `*` names; of several the newest generation, as the loader does.
fn pick<'a>(pattern: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let fits = |name: &&str| {
        let bare = name.strip_suffix(".conf").unwrap_or(name);
        crate::system::pattern::fits(pattern, name)
            || crate::system::pattern::fits(pattern, bare)
            || counted(pattern, name)
    };
    names.filter(fits).max_by_key(|name| generation(name)).map(str::to_owned)
}

/// Tells whether a file is the entry of that name with boot counters, such as `x+3-1.conf` for `x.conf`.
fn counted(pattern: &str, name: &str) -> bool {
    let bare = |text: &str| text.strip_suffix(".conf").unwrap_or(text).to_owned();
    bare(name).rsplit_once('+').is_some_and(|(entry, _)| entry == bare(pattern))
}

/// The number in `nixos-generation-12.conf` and in `nixos-trial-generation-3+2.conf`.
fn generation(name: &str) -> u64 {
    let after = name.rsplit_once("generation-").map_or("", |(_, after)| after);
    after.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::boot::{BootDefault, Loader};
    use crate::system::place::Place;

    fn closure(letter: char) -> Closure {
        Closure::new(format!("/nix/store/{}-nixos-system-web1-26.05", letter.to_string().repeat(32))).unwrap()
    }

    fn boot(default: &str) -> (tempfile::TempDir, Boot) {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::below(dir.path());
        fs::create_dir_all(place.at("/boot/loader/entries")).unwrap();
        fs::write(place.at("/boot/loader/loader.conf"), format!("timeout 5\n{default}\nconsole-mode keep\n")).unwrap();
        for (number, letter) in [(9, 'a'), (10, 'b')] {
            let text = format!("title NixOS\nlinux /k\noptions init={}/init loglevel=4\n", closure(letter).as_str());
            fs::write(place.at(&format!("/boot/loader/entries/nixos-generation-{number}.conf")), text).unwrap();
        }
        let found = Boot::find(&place, "/boot", None);
        (dir, found)
    }

    #[test]
    fn the_default_is_what_the_file_names() {
        for (line, letter) in [
            ("default nixos-generation-9.conf", 'a'),
            ("default   nixos-generation-10.conf", 'b'),
            ("default nixos-generation-9", 'a'),
            ("default nixos-*", 'b'),
        ] {
            let (_dir, boot) = boot(line);
            assert_eq!(boot.loader, Loader::SystemdBoot);
            assert_eq!(boot.default(), BootDefault::Is(closure(letter)), "{line}");
        }
        for line in ["", "default nixos-generation-8.conf", "default @saved"] {
            assert_eq!(boot(line).1.default(), BootDefault::Unknown, "{line}");
        }
    }

    #[test]
    fn the_firmwares_variable_is_stronger_than_the_file() {
        let (_dir, boot) = boot("default nixos-generation-10.conf");
        fs::create_dir_all(&boot.variables).unwrap();
        let mut bytes = vec![6, 0, 0, 0];
        bytes.extend("nixos-generation-9.conf\0".encode_utf16().flat_map(u16::to_le_bytes));
        fs::write(boot.variables.join(format!("LoaderEntryDefault-{VENDOR}")), bytes).unwrap();
        assert_eq!(boot.default(), BootDefault::Is(closure('a')));
        assert!(boot.is_pinned());
        fs::remove_dir_all(&boot.variables).unwrap();
        assert!(!boot.is_pinned());
    }

    #[test]
    fn a_one_shot_names_the_entry_of_the_closure() {
        let (_dir, boot) = boot("default nixos-generation-10.conf");
        let spec = boot.oneshot(&closure('a')).unwrap();
        assert_eq!(
            (spec.program, spec.args),
            ("bootctl".into(), vec!["set-oneshot".into(), "nixos-generation-9.conf".into()])
        );
        assert!(boot.oneshot(&closure('c')).is_none() && boot.no_oneshot("").is_none());
    }

    #[test]
    fn boot_counters_do_not_hide_an_entry() {
        assert!(counted("nixos-generation-9.conf", "nixos-generation-9+3-1.conf"));
        assert!(!counted("nixos-generation-9.conf", "nixos-generation-19+3.conf"));
        assert_eq!(generation("nixos-trial-generation-12+2.conf"), 12);
    }
}
