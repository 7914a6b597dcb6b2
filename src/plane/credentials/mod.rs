//! What the control plane proves itself with, and whom it believes: server certificate, clients' authorities, the
//! authority that issues, the trust file. Read from files, and again when they change. Must not decide who may do what.

pub mod files;
pub mod watch;

use crate::model::time::Timestamp;
use crate::plane::config::PlaneConfig;
use crate::plane::credentials::files::{BadFile, Texts};
use crate::trust::TrustFile;
use crate::trust::authority::Authority;
use rustls::ServerConfig;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

/// What TLS is made of.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The settings of new connections.
    pub config: Arc<ServerConfig>,
    /// Until when the server's certificate counts.
    pub expires: Timestamp,
}

/// The authority that issues certificates to hosts.
#[derive(Debug)]
pub struct Issuer {
    /// It.
    pub authority: Authority,
    /// Until when its own certificate counts.
    pub expires: Timestamp,
    /// How long an issued certificate counts.
    pub life: Duration,
}

/// One set that belongs together.
#[derive(Debug, Clone)]
pub struct Set {
    /// The keys that sign releases.
    pub trust: Arc<TrustFile>,
    /// `None` is plain HTTP.
    pub tls: Option<Tls>,
    /// `None`: certificates come from elsewhere.
    pub issuer: Option<Arc<Issuer>>,
}

/// The set in use.
#[derive(Debug)]
pub struct Credentials {
    set: RwLock<Set>,
    /// What the files held when they were last looked at: their digest, or what was wrong.
    seen: Mutex<String>,
    stale: AtomicBool,
}

impl Set {
    /// Reads all files that the settings name.
    ///
    /// # Errors
    /// [`BadFile`].
    pub fn read(config: &PlaneConfig) -> Result<Self, BadFile> {
        Texts::read(config)?.load(config)
    }

    /// Lists what is over at some time, for people: name and date.
    #[must_use]
    pub fn ends(&self) -> Vec<(&'static str, Timestamp)> {
        let server = self.tls.as_ref().map(|tls| ("server certificate (tlsCertificate)", tls.expires));
        let issuer = self.issuer.as_ref().map(|issuer| ("issuing authority (issuerCertificate)", issuer.expires));
        server.into_iter().chain(issuer).collect()
    }
}

impl Credentials {
    /// Reads what the settings name; the trust file was read before.
    ///
    /// # Errors
    /// [`BadFile`].
    pub fn open(config: &PlaneConfig, trust: TrustFile) -> Result<Self, BadFile> {
        let texts = Texts::read_without_trust(config)?;
        let set = texts.load_with(config, Arc::new(trust))?;
        let seen = Texts::read(config).map(|texts| texts.digest()).unwrap_or_default();
        Ok(Self { set: RwLock::new(set), seen: Mutex::new(seen), stale: AtomicBool::new(false) })
    }

    /// Returns the set in use.
    #[must_use]
    pub fn set(&self) -> Set {
        self.set.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells whether the files hold something that can't be used, so that an older set is in use.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Acquire)
    }

    /// Looks at the files; a changed set that can be used replaces the one in use, for new connections. Blocks.
    pub fn look(&self, config: &PlaneConfig) {
        let found = Texts::read(config);
        let now = found.as_ref().map_or_else(ToString::to_string, Texts::digest);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == now {
            return;
        }
        *seen = now;
        match found.and_then(|texts| texts.load(config)) {
            Ok(set) => {
                for (what, at) in set.ends() {
                    tracing::info!("certificates and keys were read again: the {what} counts until {at}");
                }
                *self.set.write().unwrap_or_else(PoisonError::into_inner) = set;
                self.stale.store(false, Ordering::Release);
            }
            Err(bad) => {
                self.stale.store(true, Ordering::Release);
                tracing::error!("{bad}; what was read before stays in use until the files are mended");
            }
        }
    }
}
