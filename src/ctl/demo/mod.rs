//! `convoy demo`: the main job in one command, on this machine, with simulated hosts; everything else is real.
//!
//! ```text
//! plan → place → server, machines (processes) → release 1, bad release (the operator's own verbs)
//!                      faults strike, story tells
//!                evidence (store, hosts' logs) → figures → verdict
//! ```

pub mod plan;
pub mod place;
pub mod release;
pub mod part;
pub mod server;
pub mod machines;
pub mod faults;
pub mod story;
pub mod telling;
pub mod evidence;
pub mod soak;
pub mod figures;
pub mod verdict;
mod operator;
mod folder;
mod show;

use crate::ctl::demo::plan::{FEWEST_HOSTS, MOST_HOSTS, Scenario};
use crate::ctl::exit::Exit;
use crate::ctl::session::Session;
use crate::runtime::signals::Shutdown;
use std::path::PathBuf;

/// How large the demo is, and what happens in it.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Makes keys, starts a control plane and simulated hosts with real agents in a temporary \
    directory, signs and publishes releases, and kills processes on the way. Needs no root, no Nix and no network \
    beyond loopback, and leaves nothing behind unless something went wrong. Exits with 0 only if everything that had \
    to hold held.")]
pub struct Args {
    /// How many hosts
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = in_range)]
    pub hosts: usize,
    /// Fixes what is killed when; another number each time when left out
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// What is shown
    #[arg(long, value_enum, default_value_t = Scenario::All)]
    pub scenario: Scenario,
    /// Keep everything (logs, database, hosts) in this new directory
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

fn in_range(text: &str) -> Result<usize, String> {
    let hosts: usize = text.parse().map_err(|_| format!("{text:?} is not a number of hosts"))?;
    let fits = (FEWEST_HOSTS..=MOST_HOSTS).contains(&hosts);
    if fits { Ok(hosts) } else { Err(format!("the demo takes {FEWEST_HOSTS} to {MOST_HOSTS} hosts")) }
}

/// Runs the demo.
///
/// # Errors
/// When a process can't be started or a rollout does not come to an end; see also [`crate::ctl::run`].
pub async fn run(session: &Session, args: Args) -> anyhow::Result<Exit> {
    let shutdown = Shutdown::on_signals()?;
    tokio::select! {
        ended = show::run(session, args) => ended,
        () = shutdown.asked() => {
            eprintln!("interrupted: every process of the demo was ended");
            Ok(Exit::Interrupted)
        }
    }
}
