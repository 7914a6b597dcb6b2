//! The settings of `convoy-cp`: a file, and flags that are stronger than it; reading and checking what they name.

use crate::ctl::human::Span;
use crate::ctl::session::read_file;
use crate::model::time::{Spoken, Timestamp};
use crate::plane::config::{PlaneConfig, RawConfig};
use crate::plane::credentials::Set;
use crate::plane::credentials::files::{self, BadFile};
use crate::plane::credentials::watch::WARN_BEFORE;
use crate::program::control_plane::{Done, SETTINGS, failed};
use crate::trust::TrustFile;
use crate::wire::stored::first_tokens::{FirstToken, MAX_FIRST_TOKENS, read_first_tokens};
use anyhow::{Context, anyhow};
use std::path::{Path, PathBuf};

/// The largest settings file that is read, in bytes: real ones have a few hundred.
const MAX_CONFIG: usize = 64 * 1024;

/// Where the settings come from: a file, and flags that are stronger than it.
#[derive(Debug, clap::Args)]
pub(super) struct Settings {
    /// The settings file (JSON)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address and port to listen on, loopback only without certificates; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// The database; made when it is not there
    #[arg(long, value_name = "FILE")]
    database: Option<PathBuf>,
    /// The trust file: the public keys that sign releases, and how many must
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// How often each host reports, such as 60s
    #[arg(long, value_name = "SPAN")]
    heartbeat_interval: Option<Span>,
    /// Allow intervals that are too short for a real fleet
    #[arg(long, hide = true)]
    testing: bool,
}

impl Settings {
    /// Reads file and flags, and the trust file that they name.
    pub(super) fn read(&self) -> Done<(PlaneConfig, TrustFile)> {
        let mut raw = match &self.config {
            None => RawConfig::default(),
            Some(path) => {
                let text = read_file(path, "settings file", MAX_CONFIG).map_err(failed(SETTINGS))?;
                let raw = serde_json::from_str(&text).with_context(|| format!("the settings {}", path.display()));
                let raw: RawConfig = raw.map_err(failed(SETTINGS))?;
                raw.relative_to(path.parent().unwrap_or(Path::new("")))
            }
        };
        raw.listen = self.listen.clone().or(raw.listen);
        raw.database = self.database.clone().or(raw.database);
        raw.trust_file = self.trust.clone().or(raw.trust_file);
        let millis = |span: Span| u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX);
        raw.heartbeat_interval_ms = self.heartbeat_interval.map(millis).or(raw.heartbeat_interval_ms);
        raw.testing |= self.testing;
        let config = PlaneConfig::check(raw).map_err(|why| failed(SETTINGS)(why.into()))?;
        let trust = TrustFile::load(&config.trust_file)
            .with_context(|| {
                format!("no release can be believed without the trust file {}", config.trust_file.display())
            })
            .map_err(failed(SETTINGS))?;
        Ok((config, trust))
    }

    /// Reads everything that the settings name, and says what it found. What is not there yet is only noted: settings
    /// are checked where a system is built, and its secrets are elsewhere.
    pub(super) fn check(&self, now: Timestamp) -> Done<Vec<String>> {
        let (config, _) = self.read()?;
        let tokens = first_tokens(&config)?;
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        let good = format!("settings and trust file are good: would listen on {} ({scheme})", config.listen);
        let mut said = vec![good];
        let later = files::missing(&config);
        said.extend(later.iter().map(|(setting, path)| format!("{setting}: {} is not there yet", path.display())));
        let there = whole_sets(&config, &later).map_err(|bad| failed(SETTINGS)(bad.into()))?;
        let set = Set::read(&there).map_err(|bad| failed(SETTINGS)(bad.into()))?;
        for (what, at) in set.ends() {
            if now >= at {
                return Err(failed(SETTINGS)(anyhow!("the {what} is over since {at}: put a new one in its place")));
            }
            said.push(format!("the {what} counts until {at}"));
            if at.since(now) < WARN_BEFORE {
                said.push(format!("warning: that is in {}: put a new one in its place", Spoken(at.since(now))));
            }
        }
        if !tokens.is_empty() {
            said.push(format!("{} first tokens would be taken over, each once", tokens.len()));
        }
        Ok(said)
    }
}

/// Returns the settings without the sets of files of which one is not there.
fn whole_sets(config: &PlaneConfig, missing: &[(&str, &Path)]) -> Result<PlaneConfig, BadFile> {
    let lacks = |names: &[&str]| missing.iter().any(|(setting, _)| names.contains(setting));
    let mut there = config.clone();
    if lacks(&["issuerCertificate", "issuerKey"]) {
        there.issuer = None;
    }
    if lacks(&["tlsCertificate", "tlsKey", "clientAuthorities"]) {
        there.tls = None;
        if let Some(files) = config.tls.as_ref().filter(|_| !lacks(&["clientAuthorities"])) {
            files::check_authorities(&files.client_authorities)?;
        }
    }
    Ok(there)
}

/// Reads the tokens that `convoy init` made. The file may be gone once they were taken over.
pub(super) fn first_tokens(config: &PlaneConfig) -> Done<Vec<FirstToken>> {
    let Some(path) = &config.first_tokens else { return Ok(Vec::new()) };
    if !path.exists() {
        tracing::info!("{} is not there: no first tokens are taken over", path.display());
        return Ok(Vec::new());
    }
    let text = read_file(path, "list of first tokens", MAX_FIRST_TOKENS).map_err(failed(SETTINGS))?;
    let read = read_first_tokens(&text).with_context(|| format!("the list {}", path.display()));
    read.map_err(failed(SETTINGS))
}
