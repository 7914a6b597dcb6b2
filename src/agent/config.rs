//! `convoy-agent`'s settings: read as JSON, checked whole, each with its default.

use crate::agent::identity::{IdentitySettings, Source};
use crate::model::id::HostName;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The largest settings file that is read, in bytes.
pub const MAX_CONFIG: usize = 64 * 1024;
/// Heartbeats are not sent more often than this unless the settings say so: the control plane's own lower end.
const HEARTBEAT_FLOOR_MS: u64 = 5_000;
/// Apart from the state directory: whoever loses that must not lose the identity with it.
const IDENTITY_DIR: &str = "/var/lib/convoy-identity";

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
    ca: Option<PathBuf>,
    #[serde(default)]
    identity_dir: Option<PathBuf>,
    #[serde(default)]
    token_file: Option<PathBuf>,
    #[serde(default)]
    certificate: Option<PathBuf>,
    #[serde(default)]
    key: Option<PathBuf>,
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
    /// Who this host is to its control plane. Relative paths of these are relative to the settings' folder:
    /// - `ca`: the authority that verifies the control plane (PEM); needed for `https` addresses.
    /// - `identityDir`: where the agent keeps its key and certificate; `/var/lib/convoy-identity` unless said. Must
    ///   survive a reboot, and not lie in `stateDir`.
    /// - `tokenFile`: the token that lets this host in for the first time; may be gone afterwards.
    /// - `certificate` and `key`: instead of `identityDir` and `tokenFile`, files that others renew (PEM).
    pub identity: IdentitySettings,
    /// `controlPlane`: its address, such as `https://convoy.example.org:7600`; the file in the running closure
    /// decides where that names one too. Needed without `simulate`.
    pub control_plane: Option<String>,
}

/// Settings that can't be used: every mistake, one a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the agent's settings are not valid:\n{0}")]
pub struct BadConfig(pub String);

impl Config {
    /// Reads the settings; `folder` is where their file lies.
    ///
    /// # Errors
    /// [`BadConfig`] with every mistake.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, BadConfig> {
        if text.len() > MAX_CONFIG {
            return Err(BadConfig(format!("they are {} bytes long; at most {MAX_CONFIG} are read", text.len())));
        }
        let raw: Raw = serde_json::from_str(text).map_err(|why| BadConfig(why.to_string()))?;
        let mut mistakes = Vec::new();
        let host = HostName::new(raw.host.clone()).map_err(|why| mistakes.push(format!("host: {why}")));
        let identity = identity(&raw, folder, &mut mistakes);
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
                identity,
                control_plane: raw.control_plane,
            }),
            Ok(_) | Err(()) => Err(BadConfig(mistakes.join("\n"))),
        }
    }
}

fn identity(raw: &Raw, folder: &Path, mistakes: &mut Vec<String>) -> IdentitySettings {
    let within = |path: &PathBuf| folder.join(path);
    let ca = raw.ca.as_ref().map(within);
    if raw.certificate.is_some() != raw.key.is_some() {
        let (there, missing) = if raw.key.is_some() { ("key", "certificate") } else { ("certificate", "key") };
        mistakes.push(format!("{missing}: {there} is set, and the two go together"));
    }
    let own = [("identityDir", raw.identity_dir.is_some()), ("tokenFile", raw.token_file.is_some())];
    for (name, _) in own.iter().filter(|(_, set)| *set && (raw.certificate.is_some() || raw.key.is_some())) {
        let why = "is for a key that the agent makes itself: leave it out, or certificate and key";
        mistakes.push(format!("{name}: {why}"));
    }
    let others = [raw.certificate.is_some(), raw.key.is_some(), raw.token_file.is_some()];
    if ca.is_none() && others.contains(&true) {
        mistakes.push("ca: it is needed beside tokenFile, certificate and key, to verify the control plane".to_owned());
    }
    let dir = raw.identity_dir.clone().unwrap_or_else(|| PathBuf::from(IDENTITY_DIR));
    let dir = within(&dir);
    if dir.starts_with(&raw.state_dir) {
        let why = "lies in stateDir: whoever loses the one must not lose the other with it";
        mistakes.push(format!("identityDir: {} {why}", dir.display()));
    }
    let source = match (&raw.certificate, &raw.key) {
        (Some(certificate), Some(key)) => Source::Elsewhere { certificate: within(certificate), key: within(key) },
        _ => Source::Own { dir, token: raw.token_file.as_ref().map(within) },
    };
    IdentitySettings { ca, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, BadConfig> {
        Config::parse(text, Path::new("/etc/convoy"))
    }

    #[test]
    fn the_least_that_is_needed_is_the_host() {
        let config = parse(r#"{"host":"web1"}"#).unwrap();
        assert_eq!(config.state_dir, PathBuf::from("/var/lib/convoy-agent"));
        assert_eq!((config.heartbeat_floor, config.simulate), (Duration::from_secs(5), None));
        let source = Source::Own { dir: "/var/lib/convoy-identity".into(), token: None };
        assert_eq!(config.identity, IdentitySettings { ca: None, source });
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let text =
            r#"{"host":"-","stateDir":"here","simulate":"there","heartbeatFloorMs":1,"key":"k","tokenFile":"t"}"#;
        let mistakes = parse(text).unwrap_err().to_string();
        for word in ["host:", "stateDir:", "simulate:", "heartbeatFloorMs:", "certificate:", "tokenFile:", "ca:"] {
            assert!(mistakes.contains(word), "{word} is not in {mistakes}");
        }
    }

    #[test]
    fn files_of_the_identity_lie_beside_the_settings_unless_said() {
        let own = parse(r#"{"host":"web1","ca":"ca.pem","tokenFile":"web1.token","identityDir":"/id"}"#).unwrap();
        let source = Source::Own { dir: "/id".into(), token: Some("/etc/convoy/web1.token".into()) };
        assert_eq!(own.identity, IdentitySettings { ca: Some("/etc/convoy/ca.pem".into()), source });
        let elsewhere = parse(r#"{"host":"web1","ca":"/ca","certificate":"c","key":"/run/k"}"#).unwrap();
        let source = Source::Elsewhere { certificate: "/etc/convoy/c".into(), key: "/run/k".into() };
        assert_eq!(elsewhere.identity, IdentitySettings { ca: Some("/ca".into()), source });
    }

    #[test]
    fn the_identity_is_not_lost_with_the_state() {
        let text = r#"{"host":"web1","stateDir":"/var/lib/a","identityDir":"/var/lib/a/id"}"#;
        assert!(parse(text).unwrap_err().0.contains("identityDir"));
    }

    #[test]
    fn unknown_and_missing_settings_are_refused() {
        assert!(parse(r#"{"host":"a","hots":1}"#).unwrap_err().0.contains("hots"));
        assert!(parse("{}").unwrap_err().0.contains("host"));
        assert!(parse(&" ".repeat(MAX_CONFIG + 1)).unwrap_err().0.contains("bytes long"));
    }
}
