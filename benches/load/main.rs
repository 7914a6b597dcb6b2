//! Loads a real `convoy-cp` over loopback, each agent with its own certificate, and prints what it bears.
//! `cargo bench --bench load -- --help` lists the knobs.
//!
//! It speaks to a control plane that it starts itself on a port of 127.0.0.1, for a bounded time, and stops it.

mod fleet;
mod server;
mod line;
mod body;
mod drive;
mod polling;
mod reconnect;
mod idle;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use fleet::Fleet;
use server::Server;
use std::path::PathBuf;
use std::time::Duration;

/// The longest run that may be asked for, in seconds.
const LONGEST: u64 = 600;
/// The most agents that connect at once: each costs two file descriptors on this machine.
const MOST_AGENTS: usize = 5000;

/// Measures a control plane under load.
#[derive(Parser)]
#[command(name = "load")]
struct Args {
    /// Hosts that the release names.
    #[arg(long, default_value_t = 1000)]
    hosts: usize,
    /// Kept-alive connections that send at once, each of another host.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Seconds for each measurement, at most 600.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Events in one batch.
    #[arg(long, default_value_t = 32)]
    batch: usize,
    /// Agents that hold a long poll open while memory is read.
    #[arg(long, default_value_t = 500)]
    polling: usize,
    /// Agents that come back at once after the control plane was killed.
    #[arg(long, default_value_t = 500)]
    agents: usize,
    /// Speak plain HTTP instead of mutual TLS.
    #[arg(long)]
    plain: bool,
    /// Measure this only; give it again for each further one.
    #[arg(long, value_enum)]
    only: Vec<What>,
    /// The folder with the `convoy-cp` and `convoy-agent` to measure, instead of those built beside this program.
    #[arg(long)]
    programs: Option<PathBuf>,
    /// What `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What can be measured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Heartbeats a second.
    Heartbeats,
    /// Durable events a second.
    Events,
    /// Memory of the control plane for each agent that polls.
    Polling,
    /// Agents that come back after the control plane was killed.
    Reconnect,
    /// Memory of an agent that has nothing to do.
    Agent,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> Result<()> {
    let args = Args::parse();
    ensure!(args.seconds <= LONGEST, "--seconds is at most {LONGEST}");
    let agents = args.agents.max(args.polling).max(args.connections);
    ensure!((1..=MOST_AGENTS).contains(&agents), "at most {MOST_AGENTS} agents connect at once");
    ensure!(agents <= args.hosts, "--hosts is at least the {agents} agents that connect");
    let wanted = |what: What| args.only.is_empty() || args.only.contains(&what);
    let fleet = Fleet::make(agents, args.plain, args.programs.clone())?;
    let span = Duration::from_secs(args.seconds);
    let mut server = Server::start(&fleet).await?;
    server::publish(&server, &fleet, args.hosts).await?;
    println!("control plane with {} hosts: {} KiB resident", args.hosts, server::resident(server.pid())?);
    if wanted(What::Polling) {
        polling::measure(&server, &fleet, args.polling).await?;
    }
    if wanted(What::Heartbeats) {
        let beats = drive::drive(&server, &fleet, (&args, span), drive::Kind::Heartbeat).await?;
        println!("heartbeats: {beats:.0} a second over {} kept-alive connections", args.connections);
    }
    if wanted(What::Reconnect) {
        reconnect::measure(&mut server, &fleet, args.agents).await?;
    }
    if wanted(What::Agent) {
        idle::measure(&server, &fleet, span).await?;
    }
    if wanted(What::Events) {
        let events = drive::drive(&server, &fleet, (&args, span), drive::Kind::Events).await?;
        println!("durable events: {events:.0} a second in batches of {}", args.batch);
    }
    Ok(())
}
