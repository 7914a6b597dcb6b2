//! What boots: boot loaders' files read, their one-shot entries as argument lists, boot components compared. Must not
//! write anything.

pub mod components;
pub mod grub;
pub mod systemd_boot;

use crate::model::id::Closure;
use crate::system::exec::ExecSpec;
use crate::system::place::Place;
use std::path::{Path, PathBuf};

/// The boot loader of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loader {
    /// systemd-boot, or what keeps its files.
    SystemdBoot,
    /// GRUB 2.
    Grub,
    /// None that Convoy knows: the profile alone says what boots.
    None,
}

/// A boot loader with its files.
#[derive(Debug, Clone)]
pub struct Boot {
    /// Which.
    pub loader: Loader,
    /// Where its files are.
    pub mount: PathBuf,
    /// The directory of EFI variables.
    pub variables: PathBuf,
}

/// What boots by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BootDefault {
    /// This closure.
    Is(Closure),
    /// The loader's files could not be understood.
    Unknown,
    /// The profile says it: there is no loader to ask.
    ByProfile,
}

impl Boot {
    /// Finds the loader of a machine; `wanted` where the settings name it.
    #[must_use]
    pub fn find(place: &Place, mount: &str, wanted: Option<Loader>) -> Self {
        let at = place.at(mount);
        let found = if at.join("loader/loader.conf").exists() {
            Loader::SystemdBoot
        } else if at.join("grub/grub.cfg").exists() {
            Loader::Grub
        } else {
            Loader::None
        };
        Self { loader: wanted.unwrap_or(found), mount: at, variables: place.at("/sys/firmware/efi/efivars") }
    }

    /// Reads what boots by default.
    #[must_use]
    pub fn default(&self) -> BootDefault {
        let read = match self.loader {
            Loader::SystemdBoot => systemd_boot::default(self),
            Loader::Grub => grub::default(&self.mount),
            Loader::None => return BootDefault::ByProfile,
        };
        read.map_or(BootDefault::Unknown, BootDefault::Is)
    }

    /// Tells whether somebody has set the default in the firmware: what an installation of the loader writes does not
    /// count then.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        match self.loader {
            Loader::SystemdBoot => systemd_boot::pinned(self).is_some(),
            Loader::Grub | Loader::None => false,
        }
    }

    /// Says why no closure can be booted just once; `None` where it can.
    #[must_use]
    pub fn no_oneshot(&self, mounts: &str) -> Option<String> {
        match self.loader {
            Loader::SystemdBoot => None,
            Loader::Grub => grub::no_oneshot(&self.mount, mounts),
            Loader::None => Some("there is no boot loader with a one-shot entry".to_owned()),
        }
    }

    /// Returns the call that boots a closure just once; `None` when the loader has no entry for it.
    #[must_use]
    pub fn oneshot(&self, closure: &Closure) -> Option<ExecSpec> {
        match self.loader {
            Loader::SystemdBoot => {
                systemd_boot::entry_of(&self.mount, closure).map(|name| systemd_boot::oneshot(&name))
            }
            Loader::Grub => grub::oneshot(&self.mount, closure),
            Loader::None => None,
        }
    }
}

impl Boot {
    /// Returns the call that takes an ordered one-shot back; `None` where there can be none.
    #[must_use]
    pub fn no_more_oneshot(&self) -> Option<ExecSpec> {
        match self.loader {
            Loader::SystemdBoot => Some(systemd_boot::oneshot("")),
            Loader::Grub => Some(grub::no_more_oneshot(&self.mount)),
            Loader::None => None,
        }
    }
}

/// Finds the closure whose `init` a kernel command line names.
fn init_of(text: &str) -> Option<Closure> {
    let init = text.split_whitespace().find_map(|word| word.strip_prefix("init="))?;
    Closure::new(Path::new(init).parent()?.to_str()?).ok()
}
