//! What to do with what was made: in order, and to be copied into a shell.

use crate::ctl::files::{NewFile, Readers};
use crate::ctl::init::Making;
use std::fmt::Write as _;
use std::path::Path;

/// Lists the files that were made, and the next steps.
pub(super) fn steps(making: &Making<'_>, release_key: Option<&Path>) -> String {
    let dir = quoted(making.place.file("").as_path());
    let dir = dir.trim_end_matches('/');
    let mut text = format!("made {dir}:\n");
    for file in &making.files {
        let note = if file.readers == Readers::Owner { "  (secret)" } else { "" };
        let _ = writeln!(text, "  {}{note}", shown(making, file));
    }
    let _ = writeln!(text, "\nStart the control plane; it will be {}:", making.place.url());
    let _ = writeln!(text, "  convoy-cp run --config {dir}/control-plane.json");
    for host in &making.args.hosts {
        let _ = writeln!(text, "Let {host} in, and remove its token here afterwards:");
        let _ = writeln!(
            text,
            "  scp -p {dir}/hosts/ca.pem {dir}/hosts/{host}.json {dir}/hosts/{host}.token {host}:/etc/convoy/"
        );
        let _ = writeln!(text, "  ssh {host} convoy-agent run --config /etc/convoy/{host}.json");
    }
    if making.args.hosts.is_empty() && making.args.ca_certificate.is_some() && making.args.ca_key.is_none() {
        let _ = writeln!(
            text,
            "Give each host `ca`, `certificate` and `key` in its agent's settings (URI convoy://agent/NAME)."
        );
    } else {
        let _ = writeln!(text, "Let further hosts in:");
        let _ = writeln!(text, "  convoy --config {dir}/convoy.json token create --host NAME --out {dir}/hosts");
    }
    let key = release_key.map_or_else(|| "RELEASE.key".to_owned(), |key| format!("{dir}/{}", key.display()));
    let _ = writeln!(text, "Put {dir}/trust.json into the hosts' closures, and publish what they should run:");
    let _ = writeln!(text, "  convoy --config {dir}/convoy.json release publish --manifest release.json --key {key}");
    let _ = writeln!(text, "Look at the fleet; as ~/.config/convoy/config.json the settings need no flag:");
    let _ = writeln!(text, "  convoy --config {dir}/convoy.json status");
    let secrets: Vec<&str> = kept_apart(making, release_key);
    if !secrets.is_empty() {
        let _ = writeln!(text, "Keep {} away from the control plane's machine.", secrets.join(" and "));
    }
    text
}

/// What the control plane must not have: whoever takes it could say what runs, or come as an admin.
fn kept_apart(making: &Making<'_>, release_key: Option<&Path>) -> Vec<&'static str> {
    let admin = making.args.admin_key.is_none().then_some("admin.key");
    release_key.map(|_| "release.key").into_iter().chain(admin).collect()
}

fn shown(making: &Making<'_>, file: &NewFile) -> String {
    let inside = file.path.strip_prefix(making.place.file("")).unwrap_or(&file.path);
    inside.display().to_string()
}

/// Writes a path as one word of a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | '@' | ':');
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
