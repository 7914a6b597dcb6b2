//! `convoy release …`: make, look at and publish signed releases.

use crate::ctl::exit::Exit;
use crate::ctl::session::Session;

/// Verbs about releases.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Publish a signed release
    Publish,
}

/// Runs a verb.
///
/// # Errors
/// See [`crate::ctl::run`].
pub async fn run(_: &Session, _: Verb) -> anyhow::Result<Exit> {
    anyhow::bail!("not there yet")
}
