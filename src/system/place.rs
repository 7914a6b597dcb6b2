//! Where a NixOS machine keeps what says what runs, boots and is locked; must not look at any of it.

use crate::model::id::Closure;
use std::path::{Path, PathBuf};

/// The places of one machine. The programs know only the real one; tests put it below a directory of theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    root: PathBuf,
}

impl Place {
    /// This machine.
    #[must_use]
    pub fn real() -> Self {
        Self { root: PathBuf::from("/") }
    }

    /// A machine below a directory.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Returns where an absolute path of the machine is.
    #[must_use]
    pub fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Returns where a closure is.
    #[must_use]
    pub fn closure(&self, closure: &Closure) -> PathBuf {
        self.at(closure.as_str())
    }

    /// `/run/current-system`: what was activated last.
    #[must_use]
    pub fn running(&self) -> PathBuf {
        self.at("/run/current-system")
    }

    /// `/run/booted-system`: whose kernel runs.
    #[must_use]
    pub fn booted(&self) -> PathBuf {
        self.at("/run/booted-system")
    }

    /// The system's profile.
    #[must_use]
    pub fn profile(&self) -> PathBuf {
        self.at("/nix/var/nix/profiles/system")
    }

    /// The profile that gives a trial boot its entry. GRUB on NixOS skips names with anything but letters, digits, `_`.
    #[must_use]
    pub fn trial_profile(&self) -> PathBuf {
        self.at("/nix/var/nix/profiles/system-profiles/convoy_trial")
    }

    /// Where root pins what an attempt needs.
    #[must_use]
    pub fn gc_roots(&self) -> PathBuf {
        self.at("/nix/var/nix/gcroots/convoy")
    }

    /// The lock of `switch-to-configuration`.
    #[must_use]
    pub fn switch_lock(&self) -> PathBuf {
        self.at("/run/nixos/switch-to-configuration.lock")
    }

    /// The root helper's own directory.
    #[must_use]
    pub fn helper_state(&self) -> PathBuf {
        self.at("/var/lib/convoy-activator")
    }

    /// The root helper's socket.
    #[must_use]
    pub fn helper_socket(&self) -> PathBuf {
        self.at("/run/convoy/activator.sock")
    }

    /// Holds the boot id of a boot that followed a clean shutdown.
    #[must_use]
    pub fn clean_shutdown(&self) -> PathBuf {
        self.at("/run/convoy/clean-shutdown")
    }

    /// What the dead-man remembers from one look to the next, within a boot.
    #[must_use]
    pub fn dead_man_ticks(&self) -> PathBuf {
        self.at("/run/convoy/dead-man-ticks")
    }

    /// Where the hook leaves its notes.
    #[must_use]
    pub fn hook_spool(&self) -> PathBuf {
        self.at("/run/convoy/hook")
    }

    /// The kernel's id of this boot.
    #[must_use]
    pub fn boot_id(&self) -> PathBuf {
        self.at("/proc/sys/kernel/random/boot_id")
    }

    /// The file locks that are held.
    #[must_use]
    pub fn locks(&self) -> PathBuf {
        self.at("/proc/locks")
    }
}
