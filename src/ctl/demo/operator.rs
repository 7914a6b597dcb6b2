//! What the demo does as an operator: it runs the very verbs that an operator would, as processes.

use crate::ctl::demo::place::Place;
use crate::ctl::demo::telling::Telling;
use crate::model::fleet::Release;
use crate::model::id::HostName;
use crate::system::exec::{ExecSpec, run};
use crate::wire::v1::release::ManifestBody;
use anyhow::{Context, bail};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The most time that one verb may take.
const LIMIT: Duration = Duration::from_secs(60);
/// How much of a verb's output is kept, in bytes.
const OUTPUT: usize = 64 * 1024;

/// Runs the operator's verbs.
#[derive(Debug, Clone)]
pub struct Operator {
    /// This program.
    pub program: PathBuf,
    /// Where everything lies.
    pub place: Place,
    /// Tells which verbs are run.
    pub telling: Arc<Telling>,
}

impl Operator {
    /// Makes the fleet's keys, certificates and tokens, and returns the trust file's path.
    ///
    /// # Errors
    /// When the verb fails.
    pub async fn init(&self, hosts: &[HostName]) -> anyhow::Result<PathBuf> {
        let fleet = self.place.fleet();
        let mut words: Vec<OsString> = vec!["init".into(), fleet.clone().into()];
        words.extend(["--name", "127.0.0.1", "--listen", "127.0.0.1:7600"].map(OsString::from));
        words.extend(hosts.iter().flat_map(|host| ["--host".into(), host.as_str().into()]));
        self.verb(&words).await?;
        Ok(fleet.join("trust.json"))
    }

    /// Signs a release as number `sequence` of the fleet's sequence, and publishes it.
    ///
    /// # Errors
    /// When a verb fails.
    pub async fn release(&self, release: &Release, sequence: u64, control_plane: &str) -> anyhow::Result<()> {
        let folder = self.place.releases();
        let manifest = folder.join(format!("{}.json", release.id));
        let signed = folder.join(format!("{}.signed.json", release.id));
        let text = serde_json::to_string_pretty(&ManifestBody::from(release)).context("can't write the manifest")?;
        fs::write(&manifest, text).with_context(|| format!("can't write {}", manifest.display()))?;
        let key = self.place.fleet().join("release.key");
        let mut sign: Vec<OsString> = vec!["release".into(), "sign".into(), "--manifest".into(), manifest.into()];
        sign.extend(["--key".into(), key.into(), "--sequence".into(), sequence.to_string().into()]);
        sign.extend(["--out".into(), signed.clone().into()]);
        self.verb(&sign).await?;
        let publish = ["release".into(), "publish".into(), signed.into()];
        self.verb(&[&publish[..], &["--control-plane".into(), control_plane.into()]].concat()).await?;
        Ok(())
    }

    /// Asks what a host waits for, and returns the answer as it is shown.
    ///
    /// # Errors
    /// When the verb fails.
    pub async fn why(&self, host: &HostName, control_plane: &str) -> anyhow::Result<String> {
        self.verb(&["why".into(), host.as_str().into(), "--control-plane".into(), control_plane.into()]).await
    }

    async fn verb(&self, args: &[OsString]) -> anyhow::Result<String> {
        let words: Vec<String> = args.iter().map(|arg| self.short(Path::new(arg))).collect();
        let shown = words.join(" ");
        let told = shown.split(" --control-plane").next().unwrap_or(&shown);
        self.telling.say(&format!("$ convoy {}", told.split(" --host").next().unwrap_or(told)));
        let config = ("CONVOY_CONFIG".into(), self.place.fleet().join("convoy.json").into());
        let spec = ExecSpec {
            program: self.program.clone().into(),
            args: args.to_vec(),
            env: if args.first().is_some_and(|verb| verb == "init") { Vec::new() } else { vec![config] },
            cwd: None,
            timeout: LIMIT,
            output_cap: OUTPUT,
        };
        let output = run(spec).await?;
        if !output.status.is_success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("convoy {shown} ended with {}: {}", output.status, said.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Shows paths from the demo's directory on.
    fn short(&self, arg: &Path) -> String {
        arg.strip_prefix(self.place.root()).unwrap_or(arg).display().to_string()
    }
}
