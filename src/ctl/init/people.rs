//! The first two that hold certificates: the control plane's server and an admin.

use crate::ctl::cert::issue::term_within;
use crate::ctl::exit::Mistake;
use crate::ctl::files::NewFile;
use crate::ctl::human::Span;
use crate::ctl::init::authority::Signs;
use crate::ctl::init::place::whole;
use crate::ctl::init::{Making, Named};
use crate::model::identity::{Identity, Role};
use crate::trust::authority::{Authority, Pair, pem_of, public_digest};
use crate::trust::certificate::{about, chain, presented};
use crate::trust::key::{read_pem, read_secret_pem};
use crate::trust::tls::{check_client, check_server};
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long certificates of server and admin count: as long as any authority issues them for.
const LASTS: Duration = Duration::from_secs(397 * 86_400);
/// The admin's name.
const ADMIN: &str = "admin";

/// Makes or takes the control plane's certificate.
pub(super) fn server(making: &mut Making<'_>, signs: &Signs) -> anyhow::Result<Named> {
    if let (Some(certificate), Some(key)) = (&making.args.server_certificate, &making.args.server_key) {
        let (certificate, key) = (whole(certificate)?, whole(key)?);
        let pem = pair_of(&certificate, &key)?;
        let ca = verifying(making, signs, &pem).with_context(|| certificate.display().to_string())?;
        return Ok(Named { certificate, key, ca });
    }
    let term = term_within(authority(signs)?, Span(LASTS), making.now)?;
    let pair = authority(signs)?.issue_server(&making.place.names, term, &mut making.rng)?;
    Ok(put(making, "server", pair, signs))
}

/// Makes or takes an admin's certificate.
pub(super) fn admin(making: &mut Making<'_>, signs: &Signs) -> anyhow::Result<Named> {
    if let (Some(certificate), Some(key)) = (&making.args.admin_certificate, &making.args.admin_key) {
        let (certificate, key) = (whole(certificate)?, whole(key)?);
        let pem = pair_of(&certificate, &key)?;
        let shown = certificate.display();
        check_client(&signs.bundle, &pem, making.now).map_err(|why| {
            let hint = "it has to be signed by the authority that is in use: give that with --ca-certificate";
            Mistake::new(format!("{shown}: {why}"), hint)
        })?;
        let who = presented(&chain("admin's certificate", &pem)?[0]).with_context(|| shown.to_string())?;
        if who.identity.role() != Role::Admin {
            let what = format!("{shown} is for {}, and an admin is needed", who.identity);
            return Err(Mistake::new(what, "its alternative names need one URI such as convoy://admin/alice").into());
        }
        return Ok(Named { certificate, key, ca: signs.certificate.clone() });
    }
    let identity = Identity::new(Role::Admin, ADMIN)?;
    let term = term_within(authority(signs)?, Span(LASTS), making.now)?;
    let pair = authority(signs)?.issue_client(&identity, term, &mut making.rng)?;
    Ok(put(making, "admin", pair, signs))
}

fn authority(signs: &Signs) -> anyhow::Result<&Authority> {
    signs.authority.as_ref().context("nothing can be issued without the authority's private key")
}

fn put(making: &mut Making<'_>, name: &str, pair: Pair, signs: &Signs) -> Named {
    let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
    making.files.push(NewFile::public(making.place.file(&certificate), pair.certificate));
    making.files.push(NewFile::secret(making.place.file(&key), pair.key));
    Named { certificate: certificate.into(), key: key.into(), ca: signs.certificate.clone() }
}

/// Reads a certificate, and checks that the private key is its own and nobody else's to read.
fn pair_of(certificate: &Path, key: &Path) -> anyhow::Result<String> {
    let pem = read_pem(certificate)?;
    let secret = read_secret_pem(key)?;
    let fits =
        || -> anyhow::Result<bool> { Ok(about(&chain("certificate", &pem)?[0])?.key == public_digest(&secret)?) };
    if !fits().with_context(|| format!("{} and {}", certificate.display(), key.display()))? {
        let what = format!("{} is not the private key of {}", key.display(), certificate.display());
        return Err(Mistake::new(what, "give the two that belong together").into());
    }
    Ok(pem)
}

/// Finds what verifies a server's certificate under all of its names: the fleet's authority, or else the
/// certificates above it in its own file, which then are kept as `server-ca.pem`.
fn verifying(making: &mut Making<'_>, signs: &Signs, pem: &str) -> anyhow::Result<PathBuf> {
    let now = making.now;
    let names =
        if making.args.names.is_empty() { vec![making.place.called().to_owned()] } else { making.place.names.clone() };
    let under = |authorities: &str| names.iter().try_for_each(|name| check_server(authorities, pem, (name, now)));
    let Err(why) = under(&signs.bundle) else { return Ok(signs.certificate.clone()) };
    let above: String = chain("server certificate", pem)?[1..].iter().map(|link| pem_of(link)).collect();
    if above.is_empty() {
        let hint = "give one that this fleet's authority signed, or append its own authority's certificate to the file; \
                    --name says what it is called by";
        return Err(Mistake::new(why.to_string(), hint).into());
    }
    under(&above)?;
    making.files.push(NewFile::public(making.place.file("server-ca.pem"), above));
    Ok(PathBuf::from("server-ca.pem"))
}
