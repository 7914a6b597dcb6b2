//! The authority that signs certificates: made here, or taken from elsewhere.

use crate::ctl::files::NewFile;
use crate::ctl::init::Making;
use crate::ctl::init::place::whole;
use crate::trust::authority::{Authority, Term};
use crate::trust::certificate::chain;
use crate::trust::key::read_pem;
use anyhow::Context;
use std::path::PathBuf;
use std::time::Duration;

/// How long a new authority counts: ten years, since changing it means visiting every host.
const LASTS: Duration = Duration::from_secs(10 * 365 * 86_400);

/// The authority in use.
pub(super) struct Signs {
    /// What verifies hosts and people, as PEM.
    pub(super) bundle: String,
    /// Signs, where its key is at hand.
    pub(super) authority: Option<Authority>,
    /// Its certificate, as settings name it.
    pub(super) certificate: PathBuf,
    /// Its private key, as settings name it.
    pub(super) key: Option<PathBuf>,
}

/// Makes or takes the authority; its certificate is in the folder in both cases, for hosts and people to have.
pub(super) fn make(making: &mut Making<'_>) -> anyhow::Result<Signs> {
    let certificate = PathBuf::from("ca.pem");
    let signs = match (&making.args.ca_certificate, &making.args.ca_key) {
        (Some(from), Some(key)) => {
            let authority = Authority::load(from, key).with_context(|| from.display().to_string())?;
            let bundle = authority.bundle().to_owned();
            Signs { bundle, authority: Some(authority), certificate, key: Some(whole(key)?) }
        }
        (Some(from), None) => {
            let bundle = read_pem(from)?;
            chain("authority", &bundle).with_context(|| from.display().to_string())?;
            Signs { bundle, authority: None, certificate, key: None }
        }
        (None, _) => {
            let name = format!("convoy fleet of {}", making.place.called());
            let term = Term { from: making.now, lasts: LASTS };
            let (authority, pair) = Authority::generate(&name, term, &mut making.rng)?;
            let key = PathBuf::from("ca.key");
            making.files.push(NewFile::secret(making.place.file("ca.key"), pair.key));
            Signs { bundle: pair.certificate, authority: Some(authority), certificate, key: Some(key) }
        }
    };
    making.files.push(NewFile::public(making.place.file("ca.pem"), &*signs.bundle));
    Ok(signs)
}
