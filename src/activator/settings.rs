//! The root helper's settings: `etc/convoy/activator.json` of a closure, read whole, each with its default.

use crate::model::id::{Closure, HostName};
use crate::system::boot::Loader;
use crate::system::place::Place;
use crate::wire::text;
use serde::Deserialize;
use std::fs;

/// The largest file of settings that is read, in bytes.
const MAX_SETTINGS: u64 = 256 * 1024;

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// This host's name in the fleet. Needed.
    #[serde(with = "text")]
    pub host: HostName,
    /// Who else than root may ask; `convoy-agent` unless said.
    #[serde(default = "agent_user")]
    pub agent_user: String,
    /// Units whose failure is never judged; `*` stands for anything.
    #[serde(default)]
    pub ignore_units: Vec<String>,
    /// The boot loader; found by its files unless said.
    #[serde(default)]
    pub boot_loader: LoaderName,
    /// Where its files are; `/boot` unless said.
    #[serde(default = "boot_mount")]
    pub boot_mount: String,
    /// Less free space on `/nix`, in MiB, holds a start; 512 unless said.
    #[serde(default = "free_nix", rename = "freeNixMiB")]
    pub free_nix_mib: u64,
    /// Less free space where the loader's files are, in MiB, holds a start and a commit; 32 unless said.
    #[serde(default = "free_boot", rename = "freeBootMiB")]
    pub free_boot_mib: u64,
}

/// How the settings name a boot loader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoaderName {
    /// The one whose files are there.
    #[default]
    Auto,
    /// systemd-boot.
    SystemdBoot,
    /// GRUB 2.
    Grub,
    /// The profile alone says what boots.
    None,
}

fn agent_user() -> String {
    "convoy-agent".to_owned()
}

fn boot_mount() -> String {
    "/boot".to_owned()
}

fn free_nix() -> u64 {
    512
}

fn free_boot() -> u64 {
    32
}

impl LoaderName {
    /// Returns the loader that is named; `None` when it has to be found.
    #[must_use]
    pub fn wanted(self) -> Option<Loader> {
        match self {
            Self::Auto => None,
            Self::SystemdBoot => Some(Loader::SystemdBoot),
            Self::Grub => Some(Loader::Grub),
            Self::None => Some(Loader::None),
        }
    }
}

impl Settings {
    /// Reads the settings.
    ///
    /// # Errors
    /// The mistake with its place.
    pub fn parse(text: &str) -> Result<Self, String> {
        let read: Self = serde_json::from_str(text).map_err(|why| why.to_string())?;
        if !read.boot_mount.starts_with('/') {
            return Err(format!("bootMount: {:?} is not an absolute path", read.boot_mount));
        }
        Ok(read)
    }

    /// Reads what a closure ships.
    ///
    /// # Errors
    /// What is wrong, with the file.
    pub fn of(place: &Place, closure: &Closure) -> Result<Self, String> {
        let path = place.closure(closure).join("etc/convoy/activator.json");
        let named = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
        let size = fs::metadata(&path).map_err(|why| named(&why))?.len();
        if size > MAX_SETTINGS {
            return Err(named(&format_args!("{size} bytes are more than the {MAX_SETTINGS} that are read")));
        }
        let text = fs::read_to_string(&path).map_err(|why| named(&why))?;
        Self::parse(&text).map_err(|why| named(&why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_that_is_needed_is_the_host() {
        let settings = Settings::parse(r#"{"host":"web1"}"#).unwrap();
        assert_eq!((settings.agent_user.as_str(), settings.boot_mount.as_str()), ("convoy-agent", "/boot"));
        assert_eq!((settings.free_nix_mib, settings.free_boot_mib), (512, 32));
        assert_eq!(settings.boot_loader.wanted(), None);
        let named = Settings::parse(r#"{"host":"web1","bootLoader":"systemd-boot","freeNixMiB":1}"#).unwrap();
        assert_eq!((named.boot_loader.wanted(), named.free_nix_mib), (Some(Loader::SystemdBoot), 1));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, word) in [
            ("{}", "host"),
            (r#"{"host":"web1","hots":1}"#, "hots"),
            (r#"{"host":"-"}"#, "host name"),
            (r#"{"host":"web1","bootMount":"boot"}"#, "bootMount"),
            (r#"{"host":"web1","bootLoader":"lilo"}"#, "lilo"),
        ] {
            assert!(Settings::parse(text).unwrap_err().contains(word), "{text}");
        }
    }
}
