//! What is asked of Nix: pure argument lists. Must not run anything.

use crate::model::id::Closure;
use crate::system::exec::ExecSpec;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

/// The most output that is kept of a call, in bytes: a closure of 20,000 paths.
const PATHS_CAP: usize = 4 * 1024 * 1024;
/// The most output that is kept where only the end matters, in bytes.
const END_CAP: usize = 8 * 1024;
/// How many paths are handed to one call: far below what a command line may hold.
pub const PATHS_AT_ONCE: usize = 1000;

/// How long one question to the store's database may take.
pub const QUERY_LIMIT: Duration = Duration::from_secs(20);

fn nix_store<I: IntoIterator<Item = OsString>>(args: I, timeout: Duration) -> ExecSpec {
    let args = args.into_iter().collect();
    ExecSpec { program: "nix-store".into(), args, env: Vec::new(), cwd: None, timeout, output_cap: END_CAP }
}

/// Fetches a closure and pins it by a link, so that the collector can't take it between fetch and use.
#[must_use]
pub fn realise(closure: &Closure, root: &Path, limit: Duration) -> ExecSpec {
    let words = ["--realise".into(), closure.as_str().into(), "--add-root".into(), root.into()];
    nix_store(words, limit)
}

/// Fails unless all are known to the store as whole.
#[must_use]
pub fn check_validity(closures: &[&Closure]) -> ExecSpec {
    let paths = closures.iter().map(|closure| closure.as_str().into());
    nix_store(std::iter::once("--check-validity".into()).chain(paths), QUERY_LIMIT)
}

/// Lists a closure's store paths, one a line.
#[must_use]
pub fn requisites(closure: &Closure) -> ExecSpec {
    let words = ["--query".into(), "--requisites".into(), closure.as_str().into()];
    ExecSpec { output_cap: PATHS_CAP, ..nix_store(words, QUERY_LIMIT) }
}

/// Fails unless the content of all paths is what was registered.
#[must_use]
pub fn verify_path(paths: &[String], limit: Duration) -> ExecSpec {
    nix_store(std::iter::once("--verify-path".into()).chain(paths.iter().map(Into::into)), limit)
}

/// Sets a profile to a closure: a new generation, unless it is the newest already.
#[must_use]
pub fn set_profile(profile: &Path, closure: &Closure) -> ExecSpec {
    let args = vec!["--profile".into(), profile.into(), "--set".into(), closure.as_str().into()];
    ExecSpec { program: "nix-env".into(), ..nix_store(args, QUERY_LIMIT) }
}

/// Returns the paths of one closure that another does not have.
#[must_use]
pub fn added(all: &[u8], old: &[u8]) -> Vec<String> {
    let lines = |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect::<Vec<_>>();
    let old: std::collections::BTreeSet<String> = lines(old).into_iter().collect();
    lines(all).into_iter().filter(|path| path.starts_with("/nix/store/") && !old.contains(path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(spec: &ExecSpec) -> String {
        let args: Vec<_> = spec.args.iter().map(|arg| arg.to_string_lossy()).collect();
        format!("{} {}", spec.program.to_string_lossy(), args.join(" "))
    }

    #[test]
    fn argument_lists_are_those_of_the_page() {
        let path = format!("/nix/store/{}-system", "a".repeat(32));
        let closure = Closure::new(&*path).unwrap();
        let limit = Duration::from_secs(9);
        assert_eq!(
            words(&realise(&closure, Path::new("/r"), limit)),
            format!("nix-store --realise {path} --add-root /r")
        );
        assert_eq!(words(&check_validity(&[&closure])), format!("nix-store --check-validity {path}"));
        assert_eq!(words(&requisites(&closure)), format!("nix-store --query --requisites {path}"));
        assert_eq!(words(&verify_path(&["/nix/store/b".to_owned()], limit)), "nix-store --verify-path /nix/store/b");
        assert_eq!(words(&set_profile(Path::new("/p"), &closure)), format!("nix-env --profile /p --set {path}"));
        assert_eq!(realise(&closure, Path::new("/r"), limit).timeout, limit);
    }

    #[test]
    fn only_what_is_new_has_to_be_verified() {
        let added = added(b"/nix/store/a\n/nix/store/b\nwarning: x\n", b"/nix/store/a\n");
        assert_eq!(added, ["/nix/store/b"]);
    }
}
