//! The files as texts, and the set that they make: all of it, or what is wrong with which file.

use crate::model::identity::{Identity, Role};
use crate::model::time::Timestamp;
use crate::plane::config::PlaneConfig;
use crate::plane::credentials::{Issuer, Set, Tls};
use crate::plane::digest::sha256;
use crate::runtime::entropy::seeded;
use crate::trust::authority::{Authority, BACKDATE, Term};
use crate::trust::certificate::{chain, validity};
use crate::trust::key::{read_pem, read_secret_pem};
use crate::trust::{TrustError, TrustFile, tls};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{setting} {}: {source}", path.display())]
pub struct BadFile {
    /// The setting that names it.
    pub setting: &'static str,
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub source: TrustError,
}

type Done<T> = Result<T, BadFile>;

/// What the files hold.
pub struct Texts {
    trust: String,
    tls: Option<[String; 3]>,
    issuer: Option<[String; 2]>,
}

fn at<'a>(setting: &'static str, path: &'a Path) -> impl Fn(TrustError) -> BadFile + 'a {
    move |source| BadFile { setting, path: path.to_owned(), source }
}

fn public(setting: &'static str, path: &Path) -> Done<String> {
    read_pem(path).map_err(at(setting, path))
}

fn secret(setting: &'static str, path: &Path) -> Done<String> {
    read_secret_pem(path).map_err(at(setting, path))
}

impl Texts {
    /// Reads all of them.
    ///
    /// # Errors
    /// [`BadFile`].
    pub fn read(config: &PlaneConfig) -> Done<Self> {
        let trust = public("trustFile", &config.trust_file)?;
        Ok(Self { trust, ..Self::read_without_trust(config)? })
    }

    /// Reads the others.
    ///
    /// # Errors
    /// [`BadFile`].
    pub fn read_without_trust(config: &PlaneConfig) -> Done<Self> {
        let tls = match &config.tls {
            None => None,
            Some(files) => Some([
                public("tlsCertificate", &files.certificate)?,
                secret("tlsKey", &files.key)?,
                public("clientAuthorities", &files.client_authorities)?,
            ]),
        };
        let issuer = match &config.issuer {
            None => None,
            Some(files) => Some([public("issuerCertificate", &files.certificate)?, secret("issuerKey", &files.key)?]),
        };
        Ok(Self { trust: String::new(), tls, issuer })
    }

    /// Returns a digest over everything, to see a change.
    #[must_use]
    pub fn digest(&self) -> String {
        let each = [&self.trust].into_iter().chain(self.tls.iter().flatten()).chain(self.issuer.iter().flatten());
        let parts: String = each.map(|text| format!("{} ", sha256(text.as_bytes()))).collect();
        sha256(parts.as_bytes()).to_string()
    }

    /// Makes the set.
    ///
    /// # Errors
    /// [`BadFile`].
    pub fn load(&self, config: &PlaneConfig) -> Done<Set> {
        let trust = TrustFile::parse(&self.trust).map_err(at("trustFile", &config.trust_file))?;
        self.load_with(config, Arc::new(trust))
    }

    /// Makes the set with a trust file that was read before.
    ///
    /// # Errors
    /// [`BadFile`].
    pub fn load_with(&self, config: &PlaneConfig, trust: Arc<TrustFile>) -> Done<Set> {
        let tls = match (&config.tls, &self.tls) {
            (Some(files), Some([certificate, key, authorities])) => {
                let bad = at("clientAuthorities", &files.client_authorities);
                chain("clients' authorities", authorities).map_err(bad)?;
                let bad = at("tlsCertificate", &files.certificate);
                let own = tls::Credentials { certificate, key };
                let made = tls::server(own, authorities).map_err(&bad)?;
                let expires = expires("server certificate", certificate).map_err(&bad)?;
                Some(Tls { config: Arc::new(made), expires })
            }
            (Some(_) | None, _) => None,
        };
        let issuer = match (&config.issuer, &self.issuer) {
            (Some(files), Some([certificate, key])) => {
                let bad = at("issuerCertificate", &files.certificate);
                let authority = Authority::from_pem(certificate, key).map_err(&bad)?;
                let expires = expires("authority", certificate).map_err(&bad)?;
                if let (Some(tls), Some([_, _, authorities])) = (&config.tls, &self.tls) {
                    let bad = at("clientAuthorities", &tls.client_authorities);
                    check_believed(&authority, certificate, authorities).map_err(bad)?;
                }
                Some(Arc::new(Issuer { authority, expires, life: files.life }))
            }
            (Some(_) | None, _) => None,
        };
        Ok(Set { trust, tls, issuer })
    }
}

/// Lists the files that the settings name and that are not there, each with its setting; the trust file aside.
#[must_use]
pub fn missing(config: &PlaneConfig) -> Vec<(&'static str, &Path)> {
    let tls = config.tls.iter().flat_map(|files| {
        let authorities = ("clientAuthorities", files.client_authorities.as_path());
        [("tlsCertificate", files.certificate.as_path()), ("tlsKey", files.key.as_path()), authorities]
    });
    let issuer = config
        .issuer
        .iter()
        .flat_map(|files| [("issuerCertificate", files.certificate.as_path()), ("issuerKey", files.key.as_path())]);
    tls.chain(issuer).filter(|(_, path)| path.try_exists().is_ok_and(|there| !there)).collect()
}

/// Checks the clients' authorities by themselves, where the rest of the set is not there.
///
/// # Errors
/// [`BadFile`].
pub fn check_authorities(path: &Path) -> Done<()> {
    const SETTING: &str = "clientAuthorities";
    chain("clients' authorities", &public(SETTING, path)?).map(drop).map_err(at(SETTING, path))
}

/// Checks that what the issuing authority issues will be believed: else each host that enrolls would be shut out by its
/// first handshake.
fn check_believed(authority: &Authority, certificate: &str, authorities: &str) -> Result<(), TrustError> {
    const WHAT: &str = "clients' authorities";
    let wrong = |why: &dyn std::fmt::Display| {
        let what = "they do not verify what issuerCertificate issues, so that no host could come in";
        let detail = format!("{what}: append the issuer's own authority to this file ({why})");
        TrustError::Certificate { what: WHAT, detail }
    };
    let who = Identity::new(Role::Agent, "nobody").map_err(|why| wrong(&why))?;
    // Checked at a time when the issuer itself counts: whether it still does is another question.
    let from =
        chain("authority", certificate)?.first().map_or(Ok(Timestamp(0)), |own| validity(own).map(|own| own.0))?;
    let term = Term { from: from.plus(BACKDATE), lasts: BACKDATE };
    // Nobody ever sees this certificate: its number may be any.
    let issued = authority.issue_client(&who, term, &mut seeded(0))?;
    tls::check_client(authorities, &issued.certificate, term.from).map_err(|why| wrong(&why))
}

fn expires(what: &'static str, pem: &str) -> Result<Timestamp, TrustError> {
    let links = chain(what, pem)?;
    // A chain has at least one link.
    links.first().map_or(Ok(Timestamp(0)), |first| validity(first).map(|(_, expires)| expires))
}
