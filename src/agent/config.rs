//! `convoy-agent`'s settings: read as JSON, checked whole, each with its default.

use crate::model::id::HostName;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// The largest settings file that is read, in bytes.
pub const MAX_CONFIG: usize = 64 * 1024;
/// Heartbeats are not sent more often than this unless the settings say so: the control plane's own lower end.
const HEARTBEAT_FLOOR_MS: u64 = 5_000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Raw {
    host: String,
    #[serde(default = "default_state_dir")]
    state_dir: PathBuf,
    #[serde(default)]
    simulate: Option<PathBuf>,
    #[serde(default = "default_floor")]
    heartbeat_floor_ms: u64,
    #[serde(default)]
    control_plane: Option<String>,
}

fn default_state_dir() -> PathBuf {
    PathBuf::from("/var/lib/convoy-agent")
}

fn default_floor() -> u64 {
    HEARTBEAT_FLOOR_MS
}

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `host`: this host's name in the fleet. Needed.
    pub host: HostName,
    /// `stateDir`: where the journal lives; `/var/lib/convoy-agent` unless said. Must survive a reboot.
    pub state_dir: PathBuf,
    /// `simulate`: a directory with a simulated host instead of this machine; for the demo and tests.
    pub simulate: Option<PathBuf>,
    /// `heartbeatFloorMs`: heartbeats come no more often than this; 5000 unless said, at least 20.
    pub heartbeat_floor: Duration,
    /// `controlPlane`: its address, such as `https://convoy.example.org:7600`; the file in the running closure
    /// decides where that names one too. Needed without `simulate`.
    pub control_plane: Option<String>,
}

/// Settings that can't be used: every mistake, one a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the agent's settings are not valid:\n{0}")]
pub struct BadConfig(pub String);

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    /// [`BadConfig`] with every mistake.
    pub fn parse(text: &str) -> Result<Self, BadConfig> {
        if text.len() > MAX_CONFIG {
            return Err(BadConfig(format!("they are {} bytes long; at most {MAX_CONFIG} are read", text.len())));
        }
        let raw: Raw = serde_json::from_str(text).map_err(|why| BadConfig(why.to_string()))?;
        let mut mistakes = Vec::new();
        let host = HostName::new(raw.host).map_err(|why| mistakes.push(format!("host: {why}")));
        if !raw.state_dir.is_absolute() {
            mistakes.push(format!("stateDir: {:?} is not an absolute path", raw.state_dir));
        }
        if let Some(dir) = raw.simulate.as_ref().filter(|dir| !dir.is_absolute()) {
            mistakes.push(format!("simulate: {dir:?} is not an absolute path"));
        }
        if !(20..=900_000).contains(&raw.heartbeat_floor_ms) {
            mistakes.push(format!("heartbeatFloorMs: {} is not from 20 to 900000", raw.heartbeat_floor_ms));
        }
        match host {
            Ok(host) if mistakes.is_empty() => Ok(Self {
                host,
                state_dir: raw.state_dir,
                simulate: raw.simulate,
                heartbeat_floor: Duration::from_millis(raw.heartbeat_floor_ms),
                control_plane: raw.control_plane,
            }),
            Ok(_) | Err(()) => Err(BadConfig(mistakes.join("\n"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_that_is_needed_is_the_host() {
        let config = Config::parse(r#"{"host":"web1"}"#).unwrap();
        assert_eq!(config.state_dir, PathBuf::from("/var/lib/convoy-agent"));
        assert_eq!((config.heartbeat_floor, config.simulate), (Duration::from_secs(5), None));
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let text = r#"{"host":"-","stateDir":"here","simulate":"there","heartbeatFloorMs":1}"#;
        let mistakes = Config::parse(text).unwrap_err().to_string();
        for word in ["host:", "stateDir:", "simulate:", "heartbeatFloorMs:"] {
            assert!(mistakes.contains(word), "{word} is not in {mistakes}");
        }
    }

    #[test]
    fn unknown_and_missing_settings_are_refused() {
        assert!(Config::parse(r#"{"host":"a","hots":1}"#).unwrap_err().0.contains("hots"));
        assert!(Config::parse("{}").unwrap_err().0.contains("host"));
        assert!(Config::parse(&" ".repeat(MAX_CONFIG + 1)).unwrap_err().0.contains("bytes long"));
    }
}
