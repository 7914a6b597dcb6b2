//! The control plane's settings: what the file says, and the checked values that the program uses.

use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// The shortest heartbeat interval of a real fleet: below it heartbeats cost more than they tell.
const MIN_HEARTBEAT: Duration = Duration::from_secs(5);
/// The shortest one with `testing`: below it timers of the machine are too coarse.
const MIN_HEARTBEAT_TESTING: Duration = Duration::from_millis(100);
/// The longest: a host that is not heard from for longer can't be told from a dead one.
const MAX_HEARTBEAT: Duration = Duration::from_secs(15 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The settings as the file holds them; every field may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RawConfig {
    /// Address and port to listen on; loopback only until hosts have identities. Default `127.0.0.1:7600`.
    pub listen: Option<String>,
    /// The database. Default `/var/lib/convoy-cp/convoy.db`.
    pub database: Option<PathBuf>,
    /// The trust file: public keys that sign releases, and how many must. Default `/etc/convoy/trust`.
    pub trust_file: Option<PathBuf>,
    /// How often each host reports, in milliseconds: 5000 to 900000. Default 60000.
    pub heartbeat_interval_ms: Option<u64>,
    /// How long events of finished rollouts are kept, in days: 1 to 3650. Default 90.
    pub event_retention_days: Option<u32>,
    /// How often the times of last contact are written to the database, in seconds: 1 to 3600. Default 60.
    pub liveness_flush_secs: Option<u64>,
    /// How long a SIGTERM waits for requests to finish, in seconds: 1 to 300. Default 10.
    pub drain_limit_secs: Option<u64>,
    /// The most short requests worked on at once: 16 to 65536. More are answered `busy`. Default 1024.
    pub max_requests: Option<usize>,
    /// The most event feeds open at once: 1 to 4096. Default 64.
    pub max_feeds: Option<usize>,
    /// Allows heartbeat intervals from 100 ms on: for tests and the demo only. Default false.
    pub testing: bool,
}

/// The settings that the program uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaneConfig {
    /// See [`RawConfig::listen`].
    pub listen: SocketAddr,
    /// See [`RawConfig::database`].
    pub database: PathBuf,
    /// See [`RawConfig::trust_file`].
    pub trust_file: PathBuf,
    /// See [`RawConfig::heartbeat_interval_ms`].
    pub heartbeat: Duration,
    /// See [`RawConfig::event_retention_days`].
    pub retention: Duration,
    /// See [`RawConfig::liveness_flush_secs`].
    pub flush: Duration,
    /// See [`RawConfig::drain_limit_secs`].
    pub drain: Duration,
    /// See [`RawConfig::max_requests`].
    pub max_requests: usize,
    /// See [`RawConfig::max_feeds`].
    pub max_feeds: usize,
}

/// A setting that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file is not JSON of this shape.
    #[error("the settings can't be read: {0}")]
    Unreadable(String),
    /// One value is wrong.
    #[error("setting {name}: {why}")]
    Wrong {
        /// Which, as in the file.
        name: &'static str,
        /// The rule.
        why: String,
    },
}

fn wrong(name: &'static str, why: impl Into<String>) -> ConfigError {
    ConfigError::Wrong { name, why: why.into() }
}

fn within<T: PartialOrd + std::fmt::Display>(
    name: &'static str,
    value: T,
    (least, most): (T, T),
) -> Result<T, ConfigError> {
    let fits = least <= value && value <= most;
    if fits { Ok(value) } else { Err(wrong(name, format!("{value} is not between {least} and {most}"))) }
}

impl PlaneConfig {
    /// Reads settings from JSON.
    ///
    /// # Errors
    /// [`ConfigError`] with the first wrong one.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let raw: RawConfig = serde_json::from_str(text).map_err(|why| ConfigError::Unreadable(why.to_string()))?;
        Self::check(raw)
    }

    /// Checks settings and fills in the defaults.
    ///
    /// # Errors
    /// [`ConfigError`] with the first wrong one.
    pub fn check(raw: RawConfig) -> Result<Self, ConfigError> {
        let least = if raw.testing { MIN_HEARTBEAT_TESTING } else { MIN_HEARTBEAT };
        let heartbeat = raw.heartbeat_interval_ms.map_or(Duration::from_secs(60), Duration::from_millis);
        if heartbeat < least || heartbeat > MAX_HEARTBEAT {
            let why = format!(
                "{} is not between {} and {}",
                heartbeat.as_millis(),
                least.as_millis(),
                MAX_HEARTBEAT.as_millis()
            );
            return Err(wrong("heartbeatIntervalMs", why));
        }
        let days = within("eventRetentionDays", raw.event_retention_days.unwrap_or(90), (1, 3650))?;
        let flush = within("livenessFlushSecs", raw.liveness_flush_secs.unwrap_or(60), (1, 3600))?;
        let drain = within("drainLimitSecs", raw.drain_limit_secs.unwrap_or(10), (1, 300))?;
        Ok(Self {
            listen: listen(raw.listen.as_deref())?,
            database: raw.database.unwrap_or_else(|| PathBuf::from("/var/lib/convoy-cp/convoy.db")),
            trust_file: raw.trust_file.unwrap_or_else(|| PathBuf::from("/etc/convoy/trust")),
            heartbeat,
            retention: DAY * days,
            flush: Duration::from_secs(flush),
            drain: Duration::from_secs(drain),
            max_requests: within("maxRequests", raw.max_requests.unwrap_or(1024), (16, 65536))?,
            max_feeds: within("maxFeeds", raw.max_feeds.unwrap_or(64), (1, 4096))?,
        })
    }
}

fn listen(text: Option<&str>) -> Result<SocketAddr, ConfigError> {
    let Some(text) = text else { return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7600)) };
    let address: SocketAddr = text
        .parse()
        .map_err(|_| wrong("listen", format!("{text:?} is not an address and port such as 127.0.0.1:7600")))?;
    check_loopback(&address)?;
    Ok(address)
}

/// Refuses every address but loopback: hosts have no identities yet, so anyone who reached the port could speak for
/// any host.
///
/// # Errors
/// [`ConfigError::Wrong`] that says why and what to do.
pub fn check_loopback(address: &SocketAddr) -> Result<(), ConfigError> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    let why = format!(
        "{address} is not a loopback address. This version speaks plain HTTP and takes a host's name on trust, so \
         anyone on the network could speak for any host. Listen on 127.0.0.1 or [::1]; hosts elsewhere can come \
         through a tunnel of your own, such as SSH or WireGuard with a local forward"
    );
    Err(wrong("listen", why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str) -> String {
        PlaneConfig::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn an_empty_file_gives_the_documented_defaults() {
        let config = PlaneConfig::parse("{}").unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:7600");
        assert_eq!(config.heartbeat, Duration::from_secs(60));
        assert_eq!(config.retention, Duration::from_secs(90 * 86400));
    }

    #[test]
    fn an_unknown_setting_is_named() {
        assert!(why(r#"{"hartbeat": 1}"#).contains("hartbeat"));
    }

    #[test]
    fn only_loopback_is_listened_on_and_the_error_says_what_to_do() {
        let said = why(r#"{"listen": "0.0.0.0:7600"}"#);
        assert!(said.contains("0.0.0.0:7600") && said.contains("127.0.0.1"), "{said}");
        assert!(PlaneConfig::parse(r#"{"listen": "[::1]:7600"}"#).is_ok());
    }

    #[test]
    fn short_heartbeats_are_for_tests_only() {
        assert!(why(r#"{"heartbeatIntervalMs": 200}"#).contains("heartbeatIntervalMs"));
        assert!(PlaneConfig::parse(r#"{"heartbeatIntervalMs": 200, "testing": true}"#).is_ok());
        assert!(why(r#"{"heartbeatIntervalMs": 99, "testing": true}"#).contains("100"));
        assert!(why(r#"{"heartbeatIntervalMs": 900001}"#).contains("900000"));
    }

    #[test]
    fn values_out_of_range_say_the_range() {
        assert!(why(r#"{"eventRetentionDays": 0}"#).contains("between 1 and 3650"));
        assert!(why(r#"{"maxFeeds": 0}"#).contains("maxFeeds"));
    }
}
