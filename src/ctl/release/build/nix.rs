//! What is asked of Nix, and how it failed: pure argument lists, and one way to run them.

use crate::ctl::human::clean;
use crate::system::exec::{ExecError, ExecOutput, ExecSpec, Exit, run};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::time::Duration;

/// How long one call may take: a fleet of systems built from nothing. Whoever waits can interrupt it.
const LIMIT: Duration = Duration::from_secs(24 * 60 * 60);
/// How much output is kept, in bytes: a manifest of 64 MiB, or what is said of many store paths.
const OUTPUT: usize = 80 * 1024 * 1024;
/// How many systems or paths are handed to one call: far below what a command line may hold.
pub const AT_ONCE: usize = 500;
/// The most lines of a complaint that are shown: the end says most.
const SHOWN: usize = 60;
/// The words with which everybody complains of a full disk.
const NO_ROOM: [&str; 2] = ["No space left on device", "Disk quota exceeded"];

/// A step of a build that did not work; its text is what the program said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Failed {
    /// What failed, and what was said.
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failed {
    /// Makes one with a hint.
    pub fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: Some(hint.into()) }
    }
}

/// Returns where in a flake something of its fleet is.
#[must_use]
pub fn attribute(flake: &str, path: &str) -> String {
    format!("{flake}#convoyFleet.{path}")
}

/// Returns where a host's system is.
#[must_use]
pub fn toplevel(flake: &str, host: &str) -> String {
    attribute(flake, &format!("nixosConfigurations.\"{host}\".config.system.build.toplevel"))
}

/// The options that make `nix` of every version know these commands.
fn words(verb: &[&str]) -> Vec<OsString> {
    let first = ["--extra-experimental-features", "nix-command flakes"];
    first.iter().chain(verb).map(OsString::from).collect()
}

/// Evaluates what a function makes of something, to JSON.
#[must_use]
pub fn apply(installable: &str, function: &str) -> Vec<OsString> {
    words(&["eval", "--json", installable, "--apply", function])
}

/// Builds, leaves no link behind, and says what was built as JSON: older versions can't print the paths alone.
#[must_use]
pub fn build(installables: &[String]) -> Vec<OsString> {
    with(words(&["build", "--no-link", "--json"]), installables)
}

/// Says of each path, or of all below it too, how large it is.
#[must_use]
pub fn sizes(paths: &[String], recursive: bool) -> Vec<OsString> {
    let closure = if recursive { "--recursive" } else { "--closure-size" };
    with(words(&["path-info", "--json", closure]), paths)
}

/// Copies closures to a store.
#[must_use]
pub fn copy(to: &str, paths: &[String]) -> Vec<OsString> {
    with(words(&["copy", "--to", to]), paths)
}

fn with(mut words: Vec<OsString>, more: &[String]) -> Vec<OsString> {
    words.extend(more.iter().map(OsString::from));
    words
}

/// Runs `nix` and returns what it printed.
///
/// # Errors
/// [`Failed`]: `what` was not done, and what Nix said of it.
pub async fn nix(what: &str, args: Vec<OsString>) -> Result<String, Failed> {
    printed(what, ("nix".into(), args)).await
}

/// Runs a program and returns what it printed.
///
/// # Errors
/// [`Failed`].
pub async fn printed(what: &str, (program, args): (OsString, Vec<OsString>)) -> Result<String, Failed> {
    let shown = program.to_string_lossy().into_owned();
    let spec = ExecSpec { program, args, env: Vec::new(), cwd: None, timeout: LIMIT, output_cap: OUTPUT };
    let ended = run(spec).await.map_err(|error| not_started(what, &shown, &error))?;
    if ended.status == Exit::Code(0) && !ended.cut {
        return String::from_utf8(ended.stdout)
            .map_err(|_| Failed { what: format!("{what}: no text came"), hint: None });
    }
    Err(failure(what, &shown, &ended))
}

fn not_started(what: &str, program: &str, error: &ExecError) -> Failed {
    let missing = matches!(error, ExecError::Start { source, .. } if source.kind() == ErrorKind::NotFound);
    if missing {
        let hint = if program.starts_with("nix") {
            "install Nix, or run this on the machine where the fleet is built"
        } else {
            "give the program's path"
        };
        return Failed::new(format!("{what}: there is no {program} on PATH"), hint);
    }
    Failed { what: format!("{what}: {error}"), hint: None }
}

/// Says how a program failed: in its own words, as many of the last lines as a person reads.
fn failure(what: &str, program: &str, ended: &ExecOutput) -> Failed {
    let said = String::from_utf8_lossy(&ended.stderr);
    let lines: Vec<String> = said.lines().map(str::trim_end).filter(|line| !line.is_empty()).map(clean).collect();
    let told = lines[lines.len().saturating_sub(SHOWN)..].join("\n");
    let end = match (ended.timed_out, ended.cut) {
        (true, _) => format!("did not end within {} h", LIMIT.as_secs() / 3600),
        (false, true) => format!("said more than {OUTPUT} bytes"),
        (false, false) => format!("ended with {}", ended.status),
    };
    let told = if told.is_empty() { "it said nothing".to_owned() } else { told };
    let full = NO_ROOM.iter().any(|words| said.contains(words));
    let hint = full.then(|| "make room, for example with `nix-collect-garbage`, and run it again".to_owned());
    Failed { what: format!("{what}: {program} {end}:\n{told}"), hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(args: &[OsString]) -> String {
        args.iter().map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn argument_lists_are_those_of_the_page() {
        const FIRST: &str = "--extra-experimental-features nix-command flakes";
        assert_eq!(line(&apply(".#a", "a: a.b")), format!("{FIRST} eval --json .#a --apply a: a.b"));
        let system = toplevel(".", "web.1");
        assert_eq!(system, ".#convoyFleet.nixosConfigurations.\"web.1\".config.system.build.toplevel");
        assert_eq!(line(&build(std::slice::from_ref(&system))), format!("{FIRST} build --no-link --json {system}"));
        assert_eq!(line(&sizes(&["/p".into()], false)), format!("{FIRST} path-info --json --closure-size /p"));
        assert_eq!(line(&copy("file:///c", &["/p".into()])), format!("{FIRST} copy --to file:///c /p"));
    }

    async fn fails(script: &str) -> Failed {
        printed("building", ("sh".into(), vec!["-c".into(), script.into()])).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_failure_is_told_in_its_own_words() {
        let failed = fails("echo 'error: undefined variable' >&2; exit 3").await;
        assert_eq!(failed.what, "building: sh ended with exit status 3:\nerror: undefined variable");
        let full = fails("echo 'error: writing: No space left on device' >&2; exit 1").await;
        assert!(full.hint.unwrap().contains("make room"));
        let missing = printed("building", ("nix-of-nowhere".into(), Vec::new())).await.unwrap_err();
        assert!(missing.what.contains("no nix-of-nowhere on PATH") && missing.hint.is_some(), "{missing:?}");
    }

    #[tokio::test]
    async fn what_a_builder_prints_can_not_steer_the_terminal() {
        let failed = fails("printf '\\033[2Jgone\\n' >&2; exit 1").await;
        assert!(!failed.what.contains('\u{1b}'), "{failed:?}");
    }
}
