//! The folder of a new fleet: every file or none, secrets for their owner only.

use crate::ctl::init::materials::Materials;
use crate::ctl::table::fields;
use anyhow::Context;
use serde_json::Value;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const SECRET: u32 = 0o600;
const PUBLIC: u32 = 0o644;
const PRIVATE_FOLDER: u32 = 0o700;

/// The files that were written.
pub(crate) struct Folder {
    names: Vec<String>,
}

impl Folder {
    /// Makes the folder beside its final place and moves it there as a whole.
    pub(crate) fn write(dir: &Path, materials: &Materials) -> anyhow::Result<Self> {
        let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let cannot = || format!("can't make {}", dir.display());
        let new = tempfile::Builder::new().prefix(".convoy-init-").tempdir_in(parent).with_context(cannot)?;
        let files = files(materials);
        for (name, text, mode) in &files {
            write(new.path(), name, (text, *mode)).with_context(|| format!("can't write {name}; nothing was made"))?;
        }
        File::open(new.path()).and_then(|folder| folder.sync_all()).with_context(cannot)?;
        // Fails where something came there meanwhile, unless that is an empty folder.
        fs::rename(new.path(), dir).with_context(cannot)?;
        // What it was is there no more: nothing is left to remove.
        let _moved = new.keep();
        File::open(parent).and_then(|folder| folder.sync_all()).with_context(cannot)?;
        Ok(Self { names: files.into_iter().map(|(name, _, _)| name).collect() })
    }

    /// Lists the files, from the folder on.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }
}

fn files(materials: &Materials) -> Vec<(String, String, u32)> {
    let pretty = |value: &Value| format!("{value:#}\n");
    let mut files: Vec<(String, String, u32)> = Vec::new();
    let mut add = |name: &str, text: &str, mode: u32| files.push((name.to_owned(), text.to_owned(), mode));
    if let Some(key) = &materials.release_key {
        add("release.key", key, SECRET);
    }
    add("release.pub", &materials.release_public, PUBLIC);
    add("trust.json", &materials.trust, PUBLIC);
    for (name, pair) in [("ca", &materials.authority), ("server", &materials.server), ("admin", &materials.admin)] {
        add(&format!("{name}.pem"), &pair.certificate, PUBLIC);
        add(&format!("{name}.key"), &pair.key, SECRET);
    }
    add("control-plane.json", &pretty(&materials.control_plane()), PUBLIC);
    add("convoy.json", &pretty(&materials.command()), PUBLIC);
    if !materials.hosts.is_empty() {
        add("first-tokens.json", &pretty(&materials.first_tokens()), SECRET);
    }
    for ticket in &materials.hosts {
        let host = &ticket.host;
        add(&format!("hosts/{host}.token"), &format!("{}\n", ticket.token.to_text()), SECRET);
        add(&format!("hosts/{host}.json"), &pretty(&materials.agent(host)), PUBLIC);
    }
    files
}

fn write(dir: &Path, name: &str, (text, mode): (&str, u32)) -> io::Result<()> {
    let path = dir.join(name);
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(PRIVATE_FOLDER).create(folder)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Says what was made, and what to do next, in order.
pub(crate) fn next_steps(dir: &Path, materials: &Materials) -> String {
    let at = |name: &str| dir.join(name).display().to_string();
    let key = match &materials.release_key {
        Some(_) => format!("{} signs releases: keep it off the control plane", at("release.key")),
        None => "elsewhere, as you wished".to_owned(),
    };
    let mut text = fields(&[
        ("made", dir.display().to_string()),
        ("control plane", materials.url.clone()),
        ("release key", key),
        ("authority", format!("{} issues certificates", at("ca.key"))),
        ("you", format!("{}, role admin", at("admin.pem"))),
    ]);
    text.push_str("\nNext:\n");
    let mut steps = vec![
        format!("convoy-cp run --config {}", at("control-plane.json")),
        format!("export CONVOY_CONFIG={}", absolute(&dir.join("convoy.json")).display()),
    ];
    match materials.hosts.first() {
        Some(first) => steps.push(format!(
            "on each host: ca.pem and trust.json to /etc/convoy, hosts/{0}.json to /etc/convoy/agent.json, \
             hosts/{0}.token to /var/lib/convoy-identity/token; then: convoy-agent run --config /etc/convoy/agent.json",
            first.host
        )),
        None => steps.push("convoy token create --host HOST      # for each host, then start its agent".to_owned()),
    }
    let key = if materials.release_key.is_some() { at("release.key") } else { "KEY".to_owned() };
    steps.push(format!("convoy release publish --manifest release.json --key {key}"));
    steps.push("convoy watch".to_owned());
    for (number, step) in steps.iter().enumerate() {
        text.push_str(&format!("  {}. {step}\n", number + 1));
    }
    text
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use crate::ctl::init::folder::write;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_new_and_has_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "hosts/web1.token", ("x", 0o600)).unwrap();
        let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("hosts/web1.token"), mode("hosts")), (0o600, 0o700));
        assert!(write(dir.path(), "hosts/web1.token", ("y", 0o600)).is_err());
        assert_eq!(fs::read_to_string(dir.path().join("hosts/web1.token")).unwrap(), "x");
    }
}
