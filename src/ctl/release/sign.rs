//! `convoy release sign` and `renew`: a manifest becomes a signed release, a lease becomes a newer one.

use crate::ctl::exit::{Exit, Mistake};
use crate::ctl::human::{Span, date, span};
use crate::ctl::release::signer::Outside;
use crate::ctl::release::{lease_of, load, load_keys};
use crate::ctl::session::{Session, read_file, write_file};
use crate::ctl::table::fields;
use crate::model::fleet::Release;
use crate::model::time::Timestamp;
use crate::trust::unsigned::Unsigned;
use crate::trust::{Lease, SigningKey, draft};
use crate::wire::v1::release::{MAX_RELEASE, SignedRelease};
use anyhow::Context;
use serde_json::json;
use std::path::{Path, PathBuf};

/// What to sign.
#[derive(Debug, clap::Args)]
pub struct SignArgs {
    /// The manifest (JSON)
    #[arg(long, value_name = "FILE")]
    pub manifest: PathBuf,
    /// How it is signed
    #[command(flatten)]
    pub signing: Signing,
    /// The release's place in the one sequence of the fleet; the seconds since 1970 when left out, which only grow
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub sequence: Option<u64>,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Check the manifest and show what would be signed; write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// What to renew.
#[derive(Debug, clap::Args)]
pub struct RenewArgs {
    /// The signed release
    pub file: PathBuf,
    /// How it is signed
    #[command(flatten)]
    pub signing: Signing,
    /// The file to write; FILE itself when left out
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Keys and the lease's length.
#[derive(Debug, clap::Args)]
pub struct Signing {
    /// A secret key; give it again for each further one. The settings' `releaseKey` when none is given
    #[arg(long = "key", value_name = "FILE")]
    pub keys: Vec<PathBuf>,
    /// A key that is not here
    #[command(flatten)]
    pub outside: Outside,
    /// How long hosts may start the release
    #[arg(long, value_name = "SPAN", default_value = "14d")]
    pub valid_for: Span,
}

/// Runs `sign`.
///
/// # Errors
/// See [`crate::ctl::run`].
pub async fn sign(session: &Session, args: &SignArgs) -> anyhow::Result<Exit> {
    let signed = signed(session, (&args.manifest, args.sequence), &args.signing).await?;
    report(session, &signed, (&args.out, args.dry_run))
}

/// Reads a manifest and signs it. The sequence is the seconds since 1970 where none is given: they only grow, over
/// all machines that sign, and a control plane that has accepted a higher one refuses the release.
///
/// # Errors
/// See [`crate::ctl::run`].
pub async fn signed(
    session: &Session,
    (manifest, sequence): (&Path, Option<u64>),
    signing: &Signing,
) -> anyhow::Result<SignedRelease> {
    let text = read_file(manifest, "manifest", MAX_RELEASE)?;
    let release = draft(&text).with_context(|| manifest.display().to_string())?;
    sign_draft(session, (&release, sequence), signing).await
}

/// Signs a release that was read before.
///
/// # Errors
/// See [`crate::ctl::run`].
pub async fn sign_draft(
    session: &Session,
    (release, sequence): (&Release, Option<u64>),
    signing: &Signing,
) -> anyhow::Result<SignedRelease> {
    let keys = signing.keys(session)?;
    let now = session.now();
    let sequence = sequence.unwrap_or_else(|| u64::try_from(now.0 / 1000).unwrap_or(1));
    let unsigned = Unsigned::release(release, &lease(sequence, now, signing.valid_for))?;
    let elsewhere = signing.outside.sign(&unsigned).await?;
    Ok(unsigned.signed(&keys, &elsewhere)?)
}

/// Runs `renew`. The sequence stays: the lease is another, the release is the same.
///
/// # Errors
/// See [`crate::ctl::run`].
pub async fn renew(session: &Session, args: &RenewArgs) -> anyhow::Result<Exit> {
    let old = load(&args.file)?;
    let sequence = lease_of(&old)?.sequence;
    let keys = args.signing.keys(session)?;
    let unsigned = Unsigned::renewal(&old, &lease(sequence, session.now(), args.signing.valid_for))?;
    let elsewhere = args.signing.outside.sign(&unsigned).await?;
    let signed = unsigned.signed(&keys, &elsewhere)?;
    report(session, &signed, (args.out.as_ref().unwrap_or(&args.file), false))
}

impl Signing {
    /// Reads the keys that are here: those given, or the settings' own where nothing else signs.
    ///
    /// # Errors
    /// A [`Mistake`] when nothing signs, and when a key can't be read.
    pub fn keys(&self, session: &Session) -> anyhow::Result<Vec<SigningKey>> {
        if !self.keys.is_empty() || self.outside.signer.is_some() {
            return load_keys(&self.keys);
        }
        let own = session.settings()?.release_key.ok_or_else(|| {
            let hint = "give a secret key with --key, or a command with --signer; `convoy keygen` makes keys";
            Mistake::new("nothing was given to sign with", hint)
        })?;
        load_keys(&[own])
    }
}

fn lease(sequence: u64, now: Timestamp, valid_for: Span) -> Lease {
    Lease { sequence, issued: now, expires: now.plus(valid_for.0) }
}

/// Writes a signed release to a file, whole or not at all.
///
/// # Errors
/// When it can't be written.
pub fn write_signed(out: &Path, signed: &SignedRelease) -> anyhow::Result<()> {
    let text = serde_json::to_string(signed).context("can't write the release as JSON")?;
    write_file(out, &format!("{text}\n"))
}

fn report(session: &Session, signed: &SignedRelease, (out, dry_run): (&Path, bool)) -> anyhow::Result<Exit> {
    let lease = lease_of(signed)?;
    if !dry_run {
        write_signed(out, signed)?;
    }
    let by: Vec<&str> = signed.lease.signatures.iter().map(|signature| signature.key.as_str()).collect();
    if session.json() {
        let written = (!dry_run).then_some(out);
        let made = json!({
            "id": lease.release.to_string(), "digest": lease.manifest_digest.to_string(), "sequence": lease.sequence,
            "issued": lease.issued, "expires": lease.expires, "signedBy": by, "written": written,
        });
        return session.show(&made, |_| String::new());
    }
    let length = (lease.expires - lease.issued).to_std().unwrap_or_default();
    let file = out.display();
    session.print(&fields(&[
        ("release", lease.release.to_string()),
        ("digest", lease.manifest_digest.to_string()),
        ("sequence", lease.sequence.to_string()),
        ("lease until", format!("{} ({})", date(lease.expires), span(length))),
        ("signed by", by.join(", ")),
        ("written", if dry_run { format!("nothing (dry run; would be {file})") } else { file.to_string() }),
    ]))
}
