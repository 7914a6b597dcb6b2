//! `convoy release …`: make, look at and publish signed releases.

pub mod build;
pub mod sign;
pub mod signer;
pub mod show;
pub mod publish;

use crate::ctl::exit::{Exit, Mistake};
use crate::ctl::session::{Session, read_file};
use crate::trust::{SigningKey, TrustFile, parse_signed};
use crate::wire::v1::release::{LeaseBody, MAX_RELEASE, SignedRelease};
use anyhow::Context;
use std::path::{Path, PathBuf};

/// Verbs about releases.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Build a fleet's flake, show what changes on each host, push, sign and publish
    Build(Box<build::Args>),
    /// Check a manifest and sign it
    Sign(sign::SignArgs),
    /// Give a signed release a new lease; manifest and rollout stay as they are
    Renew(sign::RenewArgs),
    /// Send a signed release to the control plane, which opens its rollout
    Publish(publish::Args),
    /// Show what a release does: waves, hosts, rules, lease, and how fast hosts bring themselves back
    Show(show::ShowArgs),
    /// Check signatures and lease against a trust file
    Verify(show::VerifyArgs),
}

/// Runs a verb.
///
/// # Errors
/// See [`crate::ctl::run`].
pub async fn run(session: &Session, verb: Verb) -> anyhow::Result<Exit> {
    match verb {
        Verb::Build(args) => build::run(session, &args).await,
        Verb::Sign(args) => sign::sign(session, &args).await,
        Verb::Renew(args) => sign::renew(session, &args).await,
        Verb::Publish(args) => publish::run(session, &args).await,
        Verb::Show(args) => show::show(session, &args).await,
        Verb::Verify(args) => show::verify(session, &args),
    }
}

/// Reads a signed release; nothing of it is believed yet.
fn load(path: &Path) -> anyhow::Result<SignedRelease> {
    let text = read_file(path, "signed release", MAX_RELEASE)?;
    parse_signed(text.as_bytes()).with_context(|| path.display().to_string())
}

/// Reads what a lease says, without believing it.
fn lease_of(signed: &SignedRelease) -> anyhow::Result<LeaseBody> {
    serde_json::from_str(&signed.lease.statement).map_err(|error| {
        Mistake::new(format!("the lease can't be read: {error}"), "renew it with `convoy release renew`").into()
    })
}

fn load_keys(paths: &[PathBuf]) -> anyhow::Result<Vec<SigningKey>> {
    Ok(paths.iter().map(|path| SigningKey::load(path)).collect::<Result<Vec<_>, _>>()?)
}

fn load_trust(path: &Path) -> anyhow::Result<TrustFile> {
    TrustFile::load(path).with_context(|| format!("trust file {}", path.display()))
}
