//! Where everything of one demo lies. Must not hold anything open.

use crate::model::id::HostName;
use std::path::{Path, PathBuf};

/// The directory of one demo.
#[derive(Debug, Clone)]
pub struct Place {
    root: PathBuf,
}

impl Place {
    /// Takes the directory.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What `convoy init` makes: keys, certificates, tokens, settings.
    #[must_use]
    pub fn fleet(&self) -> PathBuf {
        self.root.join("fleet")
    }

    /// Where a host's agent keeps its key and certificate.
    #[must_use]
    pub fn identity(&self, host: &HostName) -> PathBuf {
        self.root.join("identities").join(host.as_str())
    }

    /// Manifests and signed releases.
    #[must_use]
    pub fn releases(&self) -> PathBuf {
        self.root.join("releases")
    }

    /// The control plane's own folder.
    #[must_use]
    pub fn control_plane(&self) -> PathBuf {
        self.root.join("control-plane")
    }

    /// The control plane's database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.control_plane().join("convoy.db")
    }

    /// The simulated Nix store that all hosts share.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    /// A simulated host: its disk, its log of acts.
    #[must_use]
    pub fn host(&self, host: &HostName) -> PathBuf {
        self.root.join("hosts").join(host.as_str())
    }

    /// The state directory of a host's agent.
    #[must_use]
    pub fn agent_state(&self, host: &HostName) -> PathBuf {
        self.root.join("agents").join(host.as_str())
    }

    /// The settings of a host's agent.
    #[must_use]
    pub fn agent_settings(&self, host: &HostName) -> PathBuf {
        self.root.join("agents").join(format!("{host}.json"))
    }

    /// Where a state directory goes that is taken away: for the agent it is deleted, for the count it is evidence.
    #[must_use]
    pub fn lost_state(&self, host: &HostName) -> PathBuf {
        self.root.join("lost").join(host.as_str())
    }

    /// Where a host's processes write their logs.
    #[must_use]
    pub fn host_log(&self, host: &HostName) -> PathBuf {
        self.root.join("logs").join(format!("{host}.log"))
    }

    /// Where the control plane writes its log.
    #[must_use]
    pub fn control_plane_log(&self) -> PathBuf {
        self.root.join("logs").join("control-plane.log")
    }

    /// Every folder that has to be there before anything starts.
    #[must_use]
    pub fn folders(&self) -> Vec<PathBuf> {
        let names = ["hosts", "agents", "identities", "lost", "logs"].map(|name| self.root.join(name));
        let own = [self.releases(), self.control_plane(), self.store()];
        names.into_iter().chain(own).collect()
    }
}
