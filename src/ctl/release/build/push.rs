//! Brings closures to where hosts fetch from: by `nix copy`, or by a command of the operator's own.

use crate::ctl::exit::Mistake;
use crate::ctl::release::build::nix::{self, Failed};
use std::ffi::OsString;

/// Copies closures to a store; what is there already is skipped by Nix.
///
/// # Errors
/// [`Failed`] with what Nix said.
pub async fn copy(to: &str, paths: &[String]) -> Result<(), Failed> {
    let what = format!("copying the closures to {}", without_secrets(to));
    for some in paths.chunks(nix::AT_ONCE) {
        nix::nix(&what, nix::copy(to, some)).await.map_err(|failed| Failed {
            hint: failed.hint.or(Some("is the cache there, and may you write to it? then run it again".to_owned())),
            ..failed
        })?;
    }
    Ok(())
}

/// Runs a command with the closures' store paths behind its own arguments.
///
/// # Errors
/// A [`Mistake`] when no command is named, [`Failed`] with what it said.
pub async fn hook(command: &str, paths: &[String]) -> anyhow::Result<()> {
    let words: Vec<OsString> = command.split_whitespace().map(OsString::from).collect();
    let (program, args) =
        words.split_first().ok_or_else(|| Mistake::new("--push-hook names no command", "give the program's path"))?;
    for some in paths.chunks(nix::AT_ONCE) {
        let all = args.iter().cloned().chain(some.iter().map(OsString::from)).collect();
        nix::printed("pushing the closures", (program.clone(), all)).await?;
    }
    Ok(())
}

/// Leaves out of a store's address what may be secret: its parameters, and a password.
#[must_use]
pub fn without_secrets(to: &str) -> String {
    let shown = to.split('?').next().unwrap_or_default();
    match shown.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", rest.rsplit_once('@').map_or(rest, |(_, place)| place)),
        None => shown.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_what_is_secret() {
        assert_eq!(without_secrets("file:///cache?secret-key=/k"), "file:///cache");
        assert_eq!(without_secrets("ssh://me:word@host"), "ssh://host");
        assert_eq!(without_secrets("/a/store"), "/a/store");
    }

    #[tokio::test]
    async fn a_hook_gets_the_paths_behind_its_arguments() {
        let dir = tempfile::tempdir().unwrap();
        let paths: Vec<String> = ["a", "b"].map(|name| dir.path().join(name).display().to_string()).into();
        hook("touch --", &paths).await.unwrap();
        assert!(paths.iter().all(|path| std::path::Path::new(path).exists()));
        let failed = hook("false", &paths).await.unwrap_err().to_string();
        assert!(failed.contains("pushing the closures") && failed.contains("exit status 1"), "{failed}");
        assert!(hook(" ", &paths).await.is_err());
    }
}
