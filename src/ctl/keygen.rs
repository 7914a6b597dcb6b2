//! `convoy keygen NAME`: makes a signing key.

use crate::ctl::exit::Exit;
use crate::ctl::session::Session;

/// Which key, and where to.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// See [`crate::ctl::run`].
pub fn run(_: &Session, _: &Args) -> anyhow::Result<Exit> {
    anyhow::bail!("not there yet")
}
