//! What the control plane and its agents prove themselves with: one authority, a certificate for each agent.

use crate::body::host;
use anyhow::Result;
use convoy::model::identity::{Identity, Role};
use convoy::runtime::clock::{Clock, SystemClock};
use convoy::runtime::entropy;
use convoy::trust::authority::{Authority, Pair, Term};
use convoy::trust::tls::{self, Credentials};
use convoy::trust::{SigningKey, TrustFile};
use rustls::ClientConfig;
use serde_json::json;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long its certificates count: longer than any run.
const LASTS: Duration = Duration::from_secs(86_400);

/// A folder with settings, keys and certificates, and the agents' own.
pub struct Fleet {
    pub dir: tempfile::TempDir,
    /// Signs the release.
    pub release_key: SigningKey,
    ca: String,
    programs: Option<PathBuf>,
    admin: Option<Pair>,
    agents: Vec<Pair>,
}

impl Fleet {
    /// Makes everything for this many agents; without certificates it is for plain HTTP.
    pub fn make(agents: usize, plain: bool, programs: Option<PathBuf>) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let mut rng = entropy::generator()?;
        let release_key = SigningKey::generate("load", &mut rng)?;
        let trust = TrustFile::new(1, [release_key.public()])?.to_json();
        let mut made = Self { dir, release_key, ca: String::new(), programs, admin: None, agents: Vec::new() };
        made.put("trust.json", &trust)?;
        let mut settings = json!({ "listen": "127.0.0.1:0", "database": "convoy.db", "trustFile": "trust.json" });
        if !plain {
            let term = Term { from: SystemClock.wall(), lasts: LASTS };
            let (authority, own) = Authority::generate("load", term, &mut rng)?;
            let server = authority.issue_server(&["127.0.0.1".to_owned()], term, &mut rng)?;
            let files =
                [("ca.pem", &own.certificate), ("server.pem", &server.certificate), ("server.key", &server.key)];
            files.iter().try_for_each(|(name, text)| made.put(name, text))?;
            settings["tlsCertificate"] = json!("server.pem");
            settings["tlsKey"] = json!("server.key");
            settings["clientAuthorities"] = json!("ca.pem");
            made.admin = Some(authority.issue_client(&Identity::new(Role::Admin, "load")?, term, &mut rng)?);
            for n in 0..agents {
                made.agents.push(authority.issue_client(&Identity::new(Role::Agent, &host(n))?, term, &mut rng)?);
            }
            made.ca = own.certificate;
        }
        made.put("control-plane.json", &settings.to_string())?;
        Ok(made)
    }

    /// Names a file of the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file that only this user can read.
    pub fn put(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path(name);
        fs::write(&path, text)?;
        Ok(fs::set_permissions(&path, Permissions::from_mode(0o600))?)
    }

    /// Certificate and key of an agent; `None` over plain HTTP.
    pub fn agent(&self, n: usize) -> Option<&Pair> {
        self.agents.get(n)
    }

    /// TLS settings of an agent, with no session to go on with.
    pub fn tls_of(&self, n: usize) -> Result<Option<Arc<ClientConfig>>> {
        self.tls(self.agents.get(n))
    }

    /// TLS settings of the admin.
    pub fn tls_of_admin(&self) -> Result<Option<Arc<ClientConfig>>> {
        self.tls(self.admin.as_ref())
    }

    fn tls(&self, pair: Option<&Pair>) -> Result<Option<Arc<ClientConfig>>> {
        let own = pair.map(|pair| Credentials { certificate: &pair.certificate, key: &pair.key });
        Ok(own.map(|own| tls::client(&self.ca, Some(own))).transpose()?.map(Arc::new))
    }

    /// Where a program is that is measured.
    pub fn program(&self, built: &str) -> PathBuf {
        let built = Path::new(built);
        match (&self.programs, built.file_name()) {
            (Some(folder), Some(name)) => folder.join(name),
            (Some(_) | None, _) => built.to_owned(),
        }
    }
}
