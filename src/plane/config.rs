//! The control plane's settings: what the file says, and the checked values that the program uses.

pub mod identity;

use crate::plane::config::identity::{IssuerFiles, TlsFiles, issuer_files, tls_files};
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
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
    /// Address and port to listen on; loopback only without `tlsCertificate`. Default `127.0.0.1:7600`.
    pub listen: Option<String>,
    /// The database. Default `/var/lib/convoy-cp/convoy.db`.
    pub database: Option<PathBuf>,
    /// The trust file: public keys that sign releases, and how many must. Default `/etc/convoy/trust`.
    pub trust_file: Option<PathBuf>,
    /// How often each host reports, in milliseconds: 5000 to 900000. Default 60000.
    pub heartbeat_interval_ms: Option<u64>,
    /// How long events of finished rollouts are kept, in days: 1 to 3650. Default 90. Rollouts that ended before go too,
    /// with their releases, but the ten newest of each channel stay.
    pub event_retention_days: Option<u32>,
    /// How often the times of last contact are written to the database, in seconds: 1 to 3600. Default 60.
    pub liveness_flush_secs: Option<u64>,
    /// How long a SIGTERM waits for requests to finish, in seconds: 1 to 300. Default 10.
    pub drain_limit_secs: Option<u64>,
    /// The most short requests worked on at once: 16 to 65536. More are answered `busy`. Default 1024.
    pub max_requests: Option<usize>,
    /// The most event feeds open at once: 1 to 4096. Default 64.
    pub max_feeds: Option<usize>,
    /// The server's certificate, then those above it (PEM). With `tlsKey` and `clientAuthorities` the control plane
    /// speaks TLS only; the three go together. Default: plain HTTP on loopback.
    pub tls_certificate: Option<PathBuf>,
    /// Its private key (PEM), readable by its owner only.
    pub tls_key: Option<PathBuf>,
    /// The authorities whose certificates hosts and people come in with (PEM).
    pub client_authorities: Option<PathBuf>,
    /// The authority that issues certificates to hosts, then those above it (PEM). Without it and `issuerKey`
    /// certificates come from elsewhere, and nobody can enroll.
    pub issuer_certificate: Option<PathBuf>,
    /// Its private key (PEM), readable by its owner only.
    pub issuer_key: Option<PathBuf>,
    /// How long a host's certificate counts, in days: 1 to 397. Default 30.
    pub agent_certificate_days: Option<u32>,
    /// The same in seconds, from 5 on: with `testing` only.
    pub agent_certificate_secs: Option<u64>,
    /// Enrollment tokens that `convoy init` made, without secrets (JSON): taken over at the start, each once.
    pub first_tokens: Option<PathBuf>,
    /// Allows heartbeat intervals from 100 ms on, and certificates of seconds: for tests and the demo only. Default
    /// false.
    pub testing: bool,
}

impl RawConfig {
    /// Makes relative paths start at the directory that holds the settings file.
    #[must_use]
    pub fn relative_to(mut self, directory: &Path) -> Self {
        let paths = [
            &mut self.database,
            &mut self.trust_file,
            &mut self.tls_certificate,
            &mut self.tls_key,
            &mut self.client_authorities,
            &mut self.issuer_certificate,
            &mut self.issuer_key,
            &mut self.first_tokens,
        ];
        for path in paths.into_iter().flatten() {
            *path = directory.join(&*path);
        }
        self
    }
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
    /// See [`RawConfig::tls_certificate`]; `None` is plain HTTP on loopback.
    pub tls: Option<TlsFiles>,
    /// See [`RawConfig::issuer_certificate`].
    pub issuer: Option<IssuerFiles>,
    /// See [`RawConfig::first_tokens`].
    pub first_tokens: Option<PathBuf>,
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
        let tls = tls_files(&raw)?;
        let issuer = issuer_files(&raw)?;
        let listen = listen(raw.listen.as_deref())?;
        if tls.is_none() {
            check_loopback(&listen)?;
        }
        let days = within("eventRetentionDays", raw.event_retention_days.unwrap_or(90), (1, 3650))?;
        let flush = within("livenessFlushSecs", raw.liveness_flush_secs.unwrap_or(60), (1, 3600))?;
        let drain = within("drainLimitSecs", raw.drain_limit_secs.unwrap_or(10), (1, 300))?;
        Ok(Self {
            listen,
            database: raw.database.unwrap_or_else(|| PathBuf::from("/var/lib/convoy-cp/convoy.db")),
            trust_file: raw.trust_file.unwrap_or_else(|| PathBuf::from("/etc/convoy/trust")),
            heartbeat,
            retention: DAY * days,
            flush: Duration::from_secs(flush),
            drain: Duration::from_secs(drain),
            max_requests: within("maxRequests", raw.max_requests.unwrap_or(1024), (16, 65536))?,
            max_feeds: within("maxFeeds", raw.max_feeds.unwrap_or(64), (1, 4096))?,
            tls,
            issuer,
            first_tokens: raw.first_tokens,
        })
    }
}

fn listen(text: Option<&str>) -> Result<SocketAddr, ConfigError> {
    let Some(text) = text else { return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7600)) };
    text.parse().map_err(|_| wrong("listen", format!("{text:?} is not an address and port such as 127.0.0.1:7600")))
}

/// Refuses every address but loopback: without certificates anyone who reached the port could speak for any host.
///
/// # Errors
/// [`ConfigError::Wrong`] that says why and what to do.
pub fn check_loopback(address: &SocketAddr) -> Result<(), ConfigError> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    let why = format!(
        "{address} is not a loopback address, and without certificates anyone on the network could speak for any \
         host. Run `convoy init DIR` and start with the control-plane.json that it writes, or set tlsCertificate, \
         tlsKey and clientAuthorities; without them listen on 127.0.0.1 or [::1]"
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
