//! Simulated closures: what a system does when it is switched to, read from files in a simulated store.

use crate::model::id::Closure;
use crate::system::sim::error::SimError;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// The largest file of a simulated closure that is read, in bytes: they are written by tests and the demo.
const MAX_FILE: u64 = 4 * 1024 * 1024;
/// Nix's base 32: no e, o, t, u.
const NIX32: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

/// One simulated closure: its path and all its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimClosure {
    /// Its store path.
    pub path: Closure,
    /// How it behaves: `sim.json`.
    pub behaviour: Behaviour,
    /// What its agent is told: `agent.json`.
    pub agent: AgentFile,
    /// `health-checks.json`; empty when it declares none.
    pub health_checks: String,
    /// `trust.json`: the trust file that it ships; empty when it ships none.
    pub trust: String,
}

/// How a simulated closure behaves. Every default is the good case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Behaviour {
    /// How long its `switch-to-configuration` takes, in milliseconds.
    pub switch_ms: u64,
    /// When within that time `/run/current-system` moves, in milliseconds.
    pub activate_at_ms: u64,
    /// How its switch ends.
    pub switch: SwitchOutcome,
    /// Its units, by name.
    pub units: BTreeMap<String, UnitState>,
    /// Whether the host's network works while it runs.
    pub network: Network,
    /// Kernel, initrd and so on: where they differ from the booted ones, a reboot is needed.
    pub boot_components: String,
    /// It ships no guard for a trial boot.
    pub no_trial_guard: bool,
    /// How it boots.
    pub boots: Boots,
    /// How long it takes to fetch, in milliseconds.
    pub stage_ms: u64,
    /// Whether the binary cache has it.
    pub stage: Stage,
    /// How long making it the boot default takes, in milliseconds.
    pub commit_ms: u64,
    /// Going back to it live fails: only a boot brings it back.
    pub only_by_boot: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            switch_ms: 40,
            activate_at_ms: 20,
            switch: SwitchOutcome::Ok,
            units: BTreeMap::new(),
            network: Network::Ok,
            boot_components: String::new(),
            no_trial_guard: false,
            boots: Boots::Ok,
            stage_ms: 5,
            stage: Stage::Ok,
            commit_ms: 20,
            only_by_boot: false,
        }
    }
}

impl Behaviour {
    /// Returns the time until the closure runs, and the time from then until its units have settled.
    #[must_use]
    pub fn switch_times(&self) -> (Duration, Duration) {
        let activate = self.activate_at_ms.min(self.switch_ms);
        (Duration::from_millis(activate), Duration::from_millis(self.switch_ms - activate))
    }

    /// Returns the units that are failed this long after the activation.
    #[must_use]
    pub fn failed_units(&self, after: Duration) -> Vec<String> {
        let failed = self.units.iter().filter(|(_, unit)| unit.is_failed(after));
        failed.map(|(name, _)| name.clone()).collect()
    }
}

/// How a switch ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SwitchOutcome {
    /// Exit status 0, or 4 where units failed.
    Ok,
    /// Exit status 1 before anything is activated: a pre-switch check refused.
    Refused,
    /// Exit status 2: activated, but the activation script failed.
    Fails,
    /// Activated, then it never ends.
    Hangs,
    /// Exit status 4, whatever its units do.
    Exits4,
    /// Exit status 100: nothing activated, a reboot is needed.
    Exit100,
}

/// What a unit does once its closure runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UnitState {
    /// Stays active.
    Ok,
    /// Fails at once.
    Fails,
    /// Fails so many milliseconds after the activation.
    FailsAfterMs(u64),
}

impl UnitState {
    /// Tells whether it is failed this long after the activation.
    #[must_use]
    pub fn is_failed(self, after: Duration) -> bool {
        match self {
            Self::Ok => false,
            Self::Fails => true,
            Self::FailsAfterMs(ms) => after >= Duration::from_millis(ms),
        }
    }
}

/// Whether a closure's network works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Network {
    /// It does.
    Ok,
    /// It does not.
    Broken,
}

/// How a closure boots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Boots {
    /// Well.
    Ok,
    /// It hangs until the hardware watchdog resets the machine.
    Hangs,
}

/// Whether a closure can be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// It can.
    Ok,
    /// The cache does not have it.
    Fails,
}

/// What a closure's agent is told: where this differs, a switch restarts the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgentFile {
    /// What its agent does.
    pub agent: AgentKind,
    /// Where its control plane is, such as `http://127.0.0.1:7600`.
    pub control_plane: String,
    /// Tells versions of the agent apart.
    #[serde(default)]
    pub version: String,
}

/// What a closure's agent does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AgentKind {
    /// It runs.
    Ok,
    /// It dies as soon as it is started.
    CrashLoop,
    /// There is none.
    Missing,
}

impl SimClosure {
    /// Makes a good closure. Its path follows from name and content, as in a real store; change its fields
    /// through [`SimClosure::with`], so that it keeps doing so.
    ///
    /// # Errors
    /// [`SimError::Invalid`] when the name does not fit into a store path.
    pub fn new(name: &str, control_plane: &str) -> Result<Self, SimError> {
        let agent = AgentFile { agent: AgentKind::Ok, control_plane: control_plane.to_owned(), version: String::new() };
        let blank = Self {
            path: store_path(name, b"")?,
            behaviour: Behaviour::default(),
            agent,
            health_checks: String::new(),
            trust: String::new(),
        };
        Ok(blank.with(|_| ()))
    }

    /// Changes the content, and the path with it.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        let name = self.path.base()[33..].to_owned();
        let content = format!("{:?}", (&self.behaviour, &self.agent, &self.health_checks, &self.trust));
        if let Ok(path) = store_path(&name, content.as_bytes()) {
            self.path = path;
        }
        self
    }

    fn files(&self) -> Result<[(&'static str, String); 4], SimError> {
        let json = |what, text: serde_json::Result<String>| text.map_err(|error| SimError::invalid(what, &error));
        Ok([
            ("sim.json", json("sim.json", serde_json::to_string_pretty(&self.behaviour))?),
            ("agent.json", json("agent.json", serde_json::to_string_pretty(&self.agent))?),
            ("health-checks.json", self.health_checks.clone()),
            ("trust.json", self.trust.clone()),
        ])
    }
}

/// Returns a valid store path for a name and content.
///
/// # Errors
/// [`SimError::Invalid`] when the name does not fit into a store path.
pub fn store_path(name: &str, content: &[u8]) -> Result<Closure, SimError> {
    let digest = Sha256::new().chain_update(name).chain_update([0]).chain_update(content).finalize();
    let hash: String = digest.iter().map(|byte| char::from(NIX32[usize::from(byte & 31)])).collect();
    let path = Closure::new(format!("/nix/store/{hash}-{name}"));
    path.map_err(|error| SimError::invalid("name of a closure", &error))
}

/// Writes a closure into a simulated store; repeating it changes nothing.
///
/// # Errors
/// [`SimError`] when the files can't be written.
pub fn write(store: &Path, closure: &SimClosure) -> Result<(), SimError> {
    let folder = store.join(closure.path.base());
    fs::create_dir_all(&folder).map_err(|source| SimError::io("make", &folder, source))?;
    for (name, text) in closure.files()? {
        let file = folder.join(name);
        fs::write(&file, text).map_err(|source| SimError::io("write", &file, source))?;
    }
    Ok(())
}

/// Reads a closure from a simulated store.
///
/// # Errors
/// [`SimError`] when a file is missing, too large or makes no sense.
pub fn read(store: &Path, path: &Closure) -> Result<SimClosure, SimError> {
    let folder = store.join(path.base());
    let text = |name: &str| {
        let file = folder.join(name);
        let size = fs::metadata(&file).map_err(|source| SimError::io("read", &file, source))?.len();
        if size > MAX_FILE {
            return Err(SimError::invalid("closure", &format!("{} has {size} bytes", file.display())));
        }
        fs::read_to_string(&file).map_err(|source| SimError::io("read", &file, source))
    };
    let behaviour = serde_json::from_str(&text("sim.json")?).map_err(|error| SimError::invalid("sim.json", &error))?;
    let agent = serde_json::from_str(&text("agent.json")?).map_err(|error| SimError::invalid("agent.json", &error))?;
    let (health_checks, trust) = (text("health-checks.json")?, text("trust.json")?);
    Ok(SimClosure { path: path.clone(), behaviour, agent, health_checks, trust })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_follows_from_the_content() {
        let good = SimClosure::new("web-1", "http://127.0.0.1:1").unwrap();
        let bad = good.clone().with(|closure| closure.behaviour.network = Network::Broken);
        assert_ne!(good.path, bad.path);
        assert_eq!(good, SimClosure::new("web-1", "http://127.0.0.1:1").unwrap());
        assert!(bad.path.as_str().ends_with("-web-1"));
        assert!(SimClosure::new("no/slash", "").is_err() && SimClosure::new("", "").is_err());
    }

    #[test]
    fn what_is_written_is_read_again() {
        let store = tempfile::tempdir().unwrap();
        let closure = SimClosure::new("web-1", "http://127.0.0.1:1").unwrap().with(|closure| {
            closure.behaviour.units.insert("web.service".to_owned(), UnitState::FailsAfterMs(30));
            closure.agent.agent = AgentKind::CrashLoop;
            closure.health_checks = "{}".to_owned();
        });
        write(store.path(), &closure).unwrap();
        assert_eq!(read(store.path(), &closure.path).unwrap(), closure);
        assert!(read(store.path(), &store_path("other", b"").unwrap()).is_err());
    }

    #[test]
    fn a_unit_fails_when_its_time_has_come() {
        let mut behaviour = Behaviour::default();
        behaviour.units.insert("late.service".to_owned(), UnitState::FailsAfterMs(30));
        behaviour.units.insert("never.service".to_owned(), UnitState::Ok);
        assert!(behaviour.failed_units(Duration::from_millis(29)).is_empty());
        assert_eq!(behaviour.failed_units(Duration::from_millis(30)), ["late.service"]);
    }
}
