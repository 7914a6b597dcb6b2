//! `convoy demo`: the main job in one command, on this machine, with simulated hosts.

use crate::ctl::exit::Exit;
use crate::ctl::session::Session;

/// How large the demo is.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the demo.
///
/// # Errors
/// See [`crate::ctl::run`].
pub async fn run(_: &Session, _: Args) -> anyhow::Result<Exit> {
    anyhow::bail!("the demo is not part of this build")
}
