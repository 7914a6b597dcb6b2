//! What there is of a host's identity, for people: read, and never changed. Must not show a secret.

use crate::agent::identity::files::{self, Files, Held};
use crate::agent::identity::{IdentitySettings, Source};
use crate::model::id::HostName;
use crate::model::time::Timestamp;
use crate::trust::TrustError;
use crate::trust::authority::public_digest;
use crate::trust::certificate::chain;
use crate::trust::key::{read_pem, read_secret_pem};
use crate::trust::tls;
use crate::wire::v1::release::date;
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::io::ErrorKind;
use std::path::PathBuf;

/// See the module.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    host: String,
    /// `good`, `expired`, `key-only`, `none` or `unusable`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issued: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<DateTime<Utc>>,
    managed_by_agent: bool,
    ca: Option<PathBuf>,
    certificate: PathBuf,
    key: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_file: Option<PathBuf>,
}

fn files_of(settings: &IdentitySettings) -> Files {
    let ca = settings.ca.clone().unwrap_or_default();
    match &settings.source {
        Source::Own { dir, .. } => Files::of_own(&ca, dir),
        Source::Elsewhere { certificate, key } => Files { ca, certificate: certificate.clone(), key: key.clone() },
    }
}

impl Report {
    /// Reads what there is.
    #[must_use]
    pub fn of(host: &HostName, settings: &IdentitySettings, now: Timestamp) -> Self {
        let files = files_of(settings);
        let token_file = match &settings.source {
            Source::Own { token, .. } => token.clone(),
            Source::Elsewhere { .. } => None,
        };
        let mut report = Self {
            host: host.to_string(),
            state: "none",
            why: None,
            key_digest: None,
            issued: None,
            expires: None,
            managed_by_agent: matches!(settings.source, Source::Own { .. }),
            ca: settings.ca.clone(),
            certificate: files.certificate.clone(),
            key: files.key.clone(),
            token_file,
        };
        match files.held(host) {
            Ok(Held::Nothing) => {}
            Ok(Held::Key(why, key)) => {
                (report.state, report.why) = ("key-only", Some(why));
                report.key_digest = public_digest(&key).ok().map(|digest| digest.to_string());
            }
            Ok(Held::Whole(whole)) => {
                let seen = whole.presented;
                report.state = if now < seen.expires { "good" } else { "expired" };
                report.key_digest = Some(seen.key.to_string());
                (report.issued, report.expires) = (Some(date(seen.issued)), Some(date(seen.expires)));
            }
            Err(why) => (report.state, report.why) = ("unusable", Some(why.to_string())),
        }
        report
    }

    /// Writes it for people, one fact a line.
    #[must_use]
    pub fn render(&self) -> String {
        let shown = |path: &PathBuf| path.display().to_string();
        let day = |at: DateTime<Utc>| at.format("%Y-%m-%d %H:%M:%S UTC").to_string();
        let state = match &self.why {
            Some(why) => format!("{}: {why}", self.state),
            None => self.state.to_owned(),
        };
        let by = if self.managed_by_agent { "this agent" } else { "others" };
        let lines = [
            ("host", Some(self.host.clone())),
            ("identity", Some(state)),
            ("key digest", self.key_digest.clone()),
            ("issued", self.issued.map(day)),
            ("expires", self.expires.map(day)),
            ("managed by", Some(by.to_owned())),
            ("certificate", Some(shown(&self.certificate))),
            ("key", Some(shown(&self.key))),
            ("ca", Some(self.ca.as_ref().map_or_else(|| "none: plain loopback only".to_owned(), shown))),
            ("token file", self.token_file.as_ref().map(shown)),
        ];
        let told = lines.into_iter().filter_map(|(name, value)| value.map(|value| (format!("{name}:"), value)));
        told.map(|(name, value)| format!("{name:<13} {value}\n")).collect()
    }
}

/// Reads every file that the settings name, and says what is wrong with each. What is not there yet is only noted:
/// settings are checked where a system is built, and its secrets are elsewhere.
///
/// # Errors
/// Every mistake.
pub fn check(host: &HostName, settings: &IdentitySettings) -> Result<Vec<String>, Vec<String>> {
    let (mut mistakes, mut notes) = (Vec::new(), Vec::new());
    let mut note = |name: &str, done: Result<(), TrustError>| match done {
        Err(TrustError::File { path, source, .. }) if source.kind() == ErrorKind::NotFound => {
            notes.push(format!("{name}: {} is not there yet", path.display()));
        }
        Err(why) => mistakes.push(format!("{name}: {why}")),
        Ok(()) => {}
    };
    if let Some(ca) = &settings.ca {
        let read = read_pem(ca).and_then(|pem| {
            chain("authority of the control plane", &pem)?;
            tls::client(&pem, None).map(drop)
        });
        note("ca", read);
    }
    let files = files_of(settings);
    match &settings.source {
        Source::Own { token, .. } => {
            note("identityDir", files.held(host).map(drop));
            note("tokenFile", token.as_deref().map_or(Ok(()), |path| files::token(path).map(drop)));
        }
        Source::Elsewhere { certificate, key } => {
            note("certificate", read_pem(certificate).map(drop));
            note("key", read_secret_pem(key).map(drop));
            note("certificate and key", pair(&files, host));
        }
    }
    if mistakes.is_empty() { Ok(notes) } else { Err(mistakes) }
}

/// Checks a pair that others renew, once both files are there.
fn pair(files: &Files, host: &HostName) -> Result<(), TrustError> {
    let there = read_pem(&files.certificate).is_ok() && read_secret_pem(&files.key).is_ok();
    match files.held(host) {
        Ok(Held::Key(detail, _)) if there => Err(TrustError::Certificate { what: "host's certificate", detail }),
        Err(why) if there => Err(why),
        // What can't be read was told with its own name.
        Ok(_) | Err(_) => Ok(()),
    }
}
