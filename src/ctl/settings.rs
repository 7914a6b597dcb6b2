//! The operator's settings file: where the control plane is, and who asks. Flags are stronger. Must not connect.

use crate::ctl::exit::Mistake;
use crate::ctl::session::read_file;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::env;
use std::path::{Path, PathBuf};

/// The largest settings file that is read, in bytes: real ones have some hundred.
const MAX_SETTINGS: usize = 64 * 1024;
/// Where the file is looked for below the user's folder of settings.
const FILE: &str = "convoy/config.json";

/// What the file may say; relative paths are relative to the file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// Address of the control plane.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_plane: Option<String>,
    /// The authority that verifies it (PEM).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// The certificate that says who asks (PEM).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// Its private key (PEM).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// The key that signs releases, where none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release_key: Option<PathBuf>,
}

impl Settings {
    /// Reads the file that was given, or the user's own if there is one.
    ///
    /// # Errors
    /// When the file that was given is not there, and when either can't be understood.
    pub fn find(given: Option<&Path>) -> anyhow::Result<Self> {
        match given {
            Some(path) => Self::read(path),
            None => match users_own(|name| env::var_os(name).map(PathBuf::from)) {
                Some(path) if path.exists() => Self::read(&path),
                Some(_) | None => Ok(Self::default()),
            },
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// A [`Mistake`] that names it.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = read_file(path, "settings file", MAX_SETTINGS)?;
        let wrong = |error: serde_json::Error| {
            let hint = "it is JSON such as {\"controlPlane\": \"https://cp.example.org:7600\", \"ca\": \"ca.pem\", \
                        \"certificate\": \"me.pem\", \"key\": \"me.key\"}";
            Mistake::new(format!("the settings file {} can't be used: {error}", path.display()), hint)
        };
        let mut read: Self = serde_json::from_str(&text).map_err(wrong)?;
        let whole = std::path::absolute(path).with_context(|| path.display().to_string())?;
        let folder = whole.parent().unwrap_or(Path::new("/"));
        for path in [&mut read.ca, &mut read.certificate, &mut read.key, &mut read.release_key].into_iter().flatten() {
            *path = folder.join(&*path);
        }
        Ok(read)
    }
}

/// Names the user's own file: below `$XDG_CONFIG_HOME`, or `~/.config`.
fn users_own(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let given = variable("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    let folder = given.or_else(|| Some(variable("HOME").filter(|path| path.is_absolute())?.join(".config")))?;
    Some(folder.join(FILE))
}

#[cfg(test)]
mod tests {
    use crate::ctl::exit::{Exit, hint, of};
    use crate::ctl::settings::{Settings, users_own};
    use std::fs;
    use std::path::{Path, PathBuf};

    #[test]
    fn the_users_own_file_follows_the_usual_variables() {
        let both = |name: &str| Some(PathBuf::from(if name == "HOME" { "/home/ann" } else { "/settings" }));
        assert_eq!(users_own(both), Some("/settings/convoy/config.json".into()));
        let home = |name: &str| (name == "HOME").then(|| PathBuf::from("/home/ann"));
        assert_eq!(users_own(home), Some("/home/ann/.config/convoy/config.json".into()));
        assert_eq!(users_own(|name| (name != "HOME").then(|| "relative".into())), None);
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("convoy.json");
        fs::write(&path, r#"{"controlPlane":"https://cp:1","ca":"ca.pem","key":"/run/key"}"#).unwrap();
        let read = Settings::find(Some(&path)).unwrap();
        assert_eq!(read.ca, Some(dir.path().join("ca.pem")));
        assert_eq!((read.key, read.certificate), (Some("/run/key".into()), None));
        assert_eq!(read.control_plane.as_deref(), Some("https://cp:1"));
    }

    #[test]
    fn a_given_file_that_is_not_there_or_strange_is_the_callers_mistake() {
        assert_eq!(of(&Settings::find(Some(Path::new("/nowhere/c.json"))).unwrap_err()), Exit::Usage);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.json");
        fs::write(&path, r#"{"controlplane":"x"}"#).unwrap();
        let error = Settings::find(Some(&path)).unwrap_err();
        assert!(
            error.to_string().contains("controlplane") && hint(&error).unwrap().contains("controlPlane"),
            "{error}"
        );
    }
}
