//! What every verb is given: where the control plane is, how to print, what time it is.

use crate::client::http::HttpTransport;
use crate::ctl::exit::{Exit, Mistake};
use crate::ctl::settings::Settings;
use crate::model::time::Timestamp;
use crate::runtime::clock::{Clock, SystemClock};
use crate::trust::TrustError;
use crate::trust::key::{read_pem, read_secret_pem};
use crate::trust::tls::{self, Credentials};
use anyhow::Context;
use rustls::ClientConfig;
use serde::Serialize;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Where the control plane is when nothing says so.
const LOCAL: &str = "http://127.0.0.1:7600";

/// Options that every verb understands.
#[derive(Debug, Clone, clap::Args)]
pub struct Global {
    /// Address of the control plane; the settings file's when left out, else http://127.0.0.1:7600
    #[arg(
        long,
        global = true,
        help_heading = "Everywhere",
        value_name = "URL",
        env = "CONVOY_CONTROL_PLANE",
        hide_env_values = true
    )]
    pub control_plane: Option<String>,
    /// The settings file (JSON): controlPlane, ca, certificate, key, releaseKey; ~/.config/convoy/config.json when
    /// left out
    #[arg(
        long,
        global = true,
        help_heading = "Everywhere",
        value_name = "FILE",
        env = "CONVOY_CONFIG",
        hide_env_values = true
    )]
    pub config: Option<PathBuf>,
    /// The authority that verifies the control plane (PEM)
    #[arg(long, global = true, help_heading = "Everywhere", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// The certificate that says who asks (PEM)
    #[arg(long, global = true, help_heading = "Everywhere", value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, global = true, help_heading = "Everywhere", value_name = "FILE")]
    pub certificate_key: Option<PathBuf>,
    /// Print JSON instead of text
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub json: bool,
}

/// What is done once for each call of the command.
#[derive(Debug)]
pub struct Session {
    global: Global,
}

impl Session {
    /// Makes one; nothing is connected yet.
    #[must_use]
    pub fn new(global: Global) -> Self {
        Self { global }
    }

    /// Tells whether JSON was asked for.
    #[must_use]
    pub fn json(&self) -> bool {
        self.global.json
    }

    /// Makes the transport to the control plane.
    ///
    /// # Errors
    /// When the address, or the files that say who asks, can't be used.
    pub fn transport(&self) -> anyhow::Result<HttpTransport> {
        let settings = self.settings()?;
        let address = settings.control_plane.as_deref().unwrap_or(LOCAL);
        let tls = if address.starts_with("https://") { secure(&settings)? } else { None };
        Ok(HttpTransport::new(address, tls)?)
    }

    /// Returns the settings: flags before the file.
    ///
    /// # Errors
    /// When the file can't be used.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        let file = Settings::find(self.global.config.as_deref())?;
        let given = self.global.clone();
        Ok(Settings {
            control_plane: given.control_plane.or(file.control_plane),
            ca: given.ca.or(file.ca),
            certificate: given.certificate.or(file.certificate),
            key: given.certificate_key.or(file.key),
            release_key: file.release_key,
        })
    }

    /// Returns the wall time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        SystemClock.wall()
    }

    /// Prints a view: as JSON, or as the text that `render` makes of it.
    ///
    /// # Errors
    /// When standard output can't be written.
    pub fn show<T: Serialize>(&self, view: &T, render: impl FnOnce(&T) -> String) -> anyhow::Result<Exit> {
        if !self.json() {
            return self.print(&render(view));
        }
        let text = serde_json::to_string_pretty(view).context("can't write the answer as JSON")?;
        self.print(&text)
    }

    /// Prints one JSON value on a line of its own, at once.
    ///
    /// # Errors
    /// When standard output can't be written.
    pub fn json_line<T: Serialize>(&self, value: &T) -> anyhow::Result<()> {
        let text = serde_json::to_string(value).context("can't write the answer as JSON")?;
        self.print(&text).map(drop)
    }

    /// Prints text, ending its last line.
    ///
    /// # Errors
    /// When standard output can't be written.
    pub fn print(&self, text: &str) -> anyhow::Result<Exit> {
        let mut out = io::stdout().lock();
        let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        let written = write!(out, "{text}{end}").and_then(|()| out.flush());
        written.context("can't write to standard output")?;
        Ok(Exit::Success)
    }
}

/// Makes the TLS settings: who is believed, and who asks. `None` without an authority: the transport says so.
fn secure(settings: &Settings) -> anyhow::Result<Option<ClientConfig>> {
    let Some(ca) = &settings.ca else { return Ok(None) };
    let authorities = read_pem(ca)?;
    let wrong = |error: TrustError| Mistake::new(error.to_string(), "look at them with `convoy cert show FILE`");
    let own = match (&settings.certificate, &settings.key) {
        (Some(certificate), Some(key)) => Some((read_pem(certificate)?, read_secret_pem(key)?)),
        (None, None) => None,
        (Some(_), None) => return Err(incomplete("certificate", "--certificate-key", "key").into()),
        (None, Some(_)) => return Err(incomplete("private key", "--certificate", "certificate").into()),
    };
    let own = own.as_ref().map(|(certificate, key)| Credentials { certificate, key });
    Ok(Some(tls::client(&authorities, own).map_err(wrong)?))
}

fn incomplete(given: &str, flag: &str, name: &str) -> Mistake {
    Mistake::new(
        format!("a {given} was given alone, and certificate and private key go together"),
        format!("give the other with {flag}, or as `{name}` in the settings file"),
    )
}

/// Reads a text file that the caller named, at most `most` bytes.
///
/// # Errors
/// A [`Mistake`] that names the file.
pub fn read_file(path: &Path, what: &str, most: usize) -> anyhow::Result<String> {
    let shown = path.display();
    let unreadable = |error: io::Error| {
        let hints =
            [(io::ErrorKind::NotFound, "check the path"), (io::ErrorKind::PermissionDenied, "check who may read it")];
        let known = hints.iter().find(|(kind, _)| *kind == error.kind());
        let hint = known.map_or("check that it is a readable text file", |(_, hint)| hint);
        Mistake::new(format!("can't read the {what} {shown}: {error}"), hint)
    };
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let mut text = String::new();
    fs::File::open(path).and_then(|file| file.take(limit).read_to_string(&mut text)).map_err(unreadable)?;
    if text.len() > most {
        let what = format!("the {what} {shown} is larger than {most} bytes");
        return Err(Mistake::new(what, "is it the right file?").into());
    }
    Ok(text)
}

/// Writes a file whole or not at all, through a new file beside it.
///
/// # Errors
/// When it can't be written; what was there before is still there.
pub fn write_file(path: &Path, text: &str) -> anyhow::Result<()> {
    let name = path.file_name().ok_or_else(|| {
        Mistake::new(format!("{} is not the name of a file", path.display()), "give a file name with --out")
    })?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        let prefix = format!(".{}.", name.to_string_lossy());
        let mut new = tempfile::Builder::new().prefix(&prefix).permissions(mode(0o644)).tempfile_in(folder)?;
        new.write_all(text.as_bytes())?;
        new.as_file().sync_all()?;
        new.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().with_context(|| format!("can't write {}", path.display()))
}

fn mode(bits: u32) -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    fs::Permissions::from_mode(bits)
}

#[cfg(test)]
mod tests {
    use crate::ctl::exit::{Exit, of};
    use crate::ctl::session::{read_file, write_file};
    use std::fs;
    use std::path::Path;

    #[test]
    fn a_missing_file_is_named_and_is_the_callers_mistake() {
        let error = read_file(Path::new("/nowhere/trust"), "trust file", 10).unwrap_err();
        assert!(error.to_string().contains("trust file /nowhere/trust"), "{error}");
        assert_eq!(of(&error), Exit::Usage);
    }

    #[test]
    fn a_file_over_its_cap_or_not_text_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read_file(&path, "x", 5).unwrap(), "12345");
        assert!(read_file(&path, "x", 4).unwrap_err().to_string().contains("larger than 4 bytes"));
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert_eq!(of(&read_file(&path, "x", 5).unwrap_err()), Exit::Usage);
    }

    #[test]
    fn writing_replaces_and_leaves_nothing_else_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        write_file(&path, "one").unwrap();
        write_file(&path, "two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(write_file(&dir.path().join("no/such/folder"), "x").is_err());
    }
}
