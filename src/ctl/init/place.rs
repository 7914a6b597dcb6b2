//! Where things go, and how the control plane is called.

use crate::ctl::exit::Mistake;
use crate::ctl::init::{Args, Making, Named};
use crate::ctl::settings::Settings;
use anyhow::Context;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Names that always mean this machine.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// Where the kernel says what this machine is called.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// The new folder, and the control plane's names.
pub(super) struct Place {
    dir: PathBuf,
    /// What the server's certificate is for.
    pub(super) names: Vec<String>,
    called: String,
    port: u16,
}

impl Place {
    /// Works it out.
    pub(super) fn of(args: &Args) -> anyhow::Result<Self> {
        let names = if args.names.is_empty() { own_names() } else { args.names.clone() };
        let (ip, port) = (args.listen.ip(), args.listen.port());
        let heard = |name: &&String| !ip.is_loopback() || is_local(name);
        // Who listens on one address only is called by that, where its certificate has it.
        let exact = names.iter().find(|name| name.parse::<IpAddr>().is_ok_and(|name| name == ip));
        let Some(called) = exact.or_else(|| names.iter().find(heard)) else {
            let what = format!("a control plane that listens on {ip} only is not reached as {}", names.join(" or "));
            return Err(
                Mistake::new(what, format!("add --name {ip}, or listen on another address with --listen")).into()
            );
        };
        let called = called.clone();
        Ok(Self { dir: args.dir.clone(), called, names, port })
    }

    /// Names a file of the folder.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Where the control plane will be.
    pub(super) fn url(&self) -> String {
        let host = if self.called.contains(':') { format!("[{}]", self.called) } else { self.called.clone() };
        format!("https://{host}:{}", self.port)
    }

    /// The first name, for the authority's own.
    pub(super) fn called(&self) -> &str {
        &self.called
    }
}

/// Makes a path of the command line whole, so that settings elsewhere can name it.
pub(super) fn whole(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| path.display().to_string())
}

/// The operator's settings file.
pub(super) fn operators_settings(
    making: &Making<'_>,
    server: &Named,
    (admin, release): (&Named, Option<&Path>),
) -> String {
    let settings = Settings {
        control_plane: Some(making.place.url()),
        ca: Some(server.ca.clone()),
        certificate: Some(admin.certificate.clone()),
        key: Some(admin.key.clone()),
        release_key: release.map(Path::to_owned),
    };
    serde_json::to_string_pretty(&settings).expect("texts and paths that came as text are JSON") + "\n"
}

fn own_names() -> Vec<String> {
    let own = fs::read_to_string(HOST_NAME).unwrap_or_default();
    let own = Some(own.trim().to_owned()).filter(|name| !name.is_empty() && name != "localhost" && name != "(none)");
    own.into_iter().chain(LOCAL.map(str::to_owned)).collect()
}

fn is_local(name: &str) -> bool {
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
