//! Looking at this machine as an unprivileged user.

use crate::model::facts::{Closures, HostHold};
use crate::model::id::Closure;
use crate::system::nixos::{NixosHost, ask};
use crate::system::{AgentSettings, Observation, SystemError, disk, links};
use crate::wire::helper::{Answer, Request};
use std::path::{Path, PathBuf};
use tokio::fs;

/// The largest file of settings that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;
/// How many fetched closures stay pinned: what runs, what is next, and one before.
const PINS: usize = 3;

impl NixosHost {
    pub(super) async fn see(&self) -> Result<Observation, SystemError> {
        let what = "look at itself";
        let nameless = || SystemError::Failed { what, detail: "the kernel names no boot".to_owned() };
        let boot = links::boot_id(&self.place).ok_or_else(nameless)?;
        let answer = self.ask(Request::Machine, None).await?;
        let Answer::Machine { default, holds } = answer else { return Err(ask::unexpected(&answer)) };
        let mut holds: Vec<HostHold> = holds.into_iter().map(Into::into).collect();
        if links::switch_is_locked(&self.place) {
            holds.push(HostHold::Lock);
        }
        if disk::is_volatile(&self.state_dir) {
            holds.push(HostHold::StateNotPersistent);
        }
        let closures = Closures { running: links::running(&self.place), booted: links::booted(&self.place), default };
        let clean_shutdown = links::clean_shutdown(&self.place, &boot);
        Ok(Observation { boot, closures, clean_shutdown, holds })
    }

    /// Reads what the running closure ships for its agent.
    pub(super) async fn shipped(&self) -> Result<AgentSettings, SystemError> {
        let folder = self.place.running().join("etc/convoy");
        let trust = read(&folder.join("trust.json")).await?.unwrap_or_default();
        let health_checks = read(&folder.join("health-checks.json")).await?.unwrap_or_default();
        let own = read(&folder.join("agent.json")).await?.and_then(|text| control_plane(&text));
        Ok(AgentSettings { control_plane: own.unwrap_or_else(|| self.control_plane.clone()), health_checks, trust })
    }

    /// Lets go of closures that were fetched long ago; the newest stay.
    pub(super) async fn drop_old_pins(&self, roots: &Path, newest: &Closure) {
        let Ok(mut entries) = fs::read_dir(roots).await else { return };
        let mut pins: Vec<(std::time::SystemTime, PathBuf)> = Vec::new();
        while let Ok(Some(entry)) = entries.next_entry().await {
            let made = fs::symlink_metadata(entry.path()).await.and_then(|link| link.modified());
            if let Ok(made) = made
                && entry.file_name() != newest.base()
            {
                pins.push((made, entry.path()));
            }
        }
        pins.sort();
        let over = (pins.len() + 1).saturating_sub(PINS);
        for (_, link) in pins.into_iter().take(over) {
            if let Err(why) = fs::remove_file(&link).await {
                tracing::warn!(host.name = %self.host, "{}: {why}", link.display());
            }
        }
    }
}

/// The address that an agent's settings name.
fn control_plane(text: &str) -> Option<String> {
    let settings: serde_json::Value = serde_json::from_str(text).ok()?;
    Some(settings.get("controlPlane")?.as_str()?.to_owned())
}

/// Reads a file; `None` when it is not there.
async fn read(path: &Path) -> Result<Option<String>, SystemError> {
    let failed = |why: &dyn std::fmt::Display| SystemError::Failed {
        what: "read its agent's settings",
        detail: format!("{}: {why}", path.display()),
    };
    match fs::metadata(path).await {
        Ok(file) if file.len() > MAX_FILE => Err(failed(&"it is too large")),
        Ok(_) => fs::read_to_string(path).await.map(Some).map_err(|why| failed(&why)),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(failed(&why)),
    }
}
