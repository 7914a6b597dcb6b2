//! The whole of `convoy-agent`: command line, wiring, exit code. Must not decide anything.

use crate::agent::config::{Config, MAX_CONFIG};
use crate::agent::journal::file::DiskFile;
use crate::agent::{Connect, Parts};
use crate::client::http::HttpTransport;
use crate::client::{Request, Transport};
use crate::runtime::clock::{Clock, SystemClock};
use crate::runtime::log::{LogFormat, start};
use crate::runtime::signals::{Shutdown, survive_size_limit};
use crate::runtime::{entropy, systemd};
use crate::system::System;
use crate::system::nixos::NixosHost;
use crate::system::place::Place;
use crate::system::sim::{cli, disk};
use clap::{Parser, Subcommand};
use std::error::Error;
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// How long one try of the control plane may take: shorter than what its asker waits.
const REACH_LIMIT: Duration = Duration::from_secs(10);

/// Takes this host from one signed release to the next.
#[derive(Debug, Parser)]
#[command(
    name = "convoy-agent",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 ended as asked, 1 failed, 2 wrong command line or settings."
)]
struct Cli {
    /// How log lines look: auto (JSON under systemd), text or json
    #[arg(long, global = true, default_value = "auto", value_name = "FORMAT")]
    log_format: LogFormat,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the agent until it is told to end
    Run {
        /// The settings, as JSON
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Check the settings and say what is wrong with them
    CheckConfig {
        /// The settings, as JSON
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Try the control plane of the settings once: 0 when it answers, else 1
    Reach {
        /// The settings, as JSON
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Simulates a host.
    #[command(hide = true)]
    Simulate {
        #[command(subcommand)]
        verb: cli::Simulate,
    },
}

/// A failure with the code that the program ends with.
struct Failure {
    code: u8,
    why: String,
}

const FAILED: u8 = 1;
const WRONG_SETTINGS: u8 = 2;

/// Runs the program to its end; `argv` begins with its name. Must be called outside of any async runtime.
pub fn run(argv: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = Cli::parse_from(argv);
    start(cli.log_format);
    match carry_out(cli.verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, why }) => {
            eprintln!("error: {why}");
            ExitCode::from(code)
        }
    }
}

fn carry_out(verb: Verb) -> Result<(), Failure> {
    let failed = |why| Failure { code: FAILED, why };
    let wrong = |why| Failure { code: WRONG_SETTINGS, why };
    match verb {
        Verb::CheckConfig { config } => read(&config).map(|_| println!("the settings are valid")).map_err(wrong),
        Verb::Run { config } => {
            let config = read(&config).map_err(wrong)?;
            block_on(live(config)).map_err(failed)
        }
        Verb::Reach { config } => {
            let config = read(&config).map_err(wrong)?;
            block_on(reach(config)).map_err(failed)
        }
        Verb::Simulate { verb } => {
            block_on(async move { cli::run(verb).await.map_err(|why| chain(&why)) }).map_err(failed)
        }
    }
}

/// Tells an error with its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        let more = deeper.to_string();
        if !text.contains(&more) {
            text.push_str(&format!(": {more}"));
        }
        cause = deeper.source();
    }
    text
}

fn block_on(work: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    // One thread: the agent waits nearly all of its life, and a host has better uses for the memory.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| format!("can't start: {error}"))?.block_on(work)
}

fn read(path: &Path) -> Result<Config, String> {
    let cannot = |error: std::io::Error| format!("can't read the settings in {}: {error}", path.display());
    let file = std::fs::File::open(path).map_err(cannot)?;
    let mut text = String::new();
    file.take(MAX_CONFIG as u64 + 1).read_to_string(&mut text).map_err(cannot)?;
    Config::parse(&text).map_err(|why| chain(&why))
}

/// Makes the transports.
fn connect() -> Connect {
    Arc::new(|address| match HttpTransport::new(address, None) {
        Ok(transport) => Ok(Arc::new(transport) as Arc<dyn Transport>),
        Err(why) => Err(why.to_string()),
    })
}

/// A machine and its clocks.
type Machine = (Arc<dyn System>, Arc<dyn Clock>);

/// The machine that the agent looks after: a simulated one where the settings say so, else this one.
fn machine(config: &Config) -> Result<Machine, String> {
    if let Some(simulated) = &config.simulate {
        let machine = disk::attach(simulated).map_err(|why| chain(&why))?;
        let clock = machine.clock();
        return Ok((Arc::new(machine), clock));
    }
    let control_plane = config.control_plane.clone();
    let control_plane = control_plane.ok_or("the agent's settings name no control plane: set `controlPlane`")?;
    let (place, state_dir, host) = (Place::real(), config.state_dir.clone(), config.host.clone());
    Ok((Arc::new(NixosHost { place, state_dir, control_plane, host }), Arc::new(SystemClock)))
}

/// Tries the control plane of the settings once: what the root helper asks of a prior closure.
async fn reach(config: Config) -> Result<(), String> {
    let address = config.control_plane.clone().ok_or("the agent's settings name no control plane")?;
    let transport = connect()(&address)?;
    let request = Request::get("/healthz").limit(REACH_LIMIT);
    match transport.send(request).await {
        Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
        Ok(answer) => Err(format!("{address} answers with status {}", answer.status)),
        Err(why) => Err(chain(&why)),
    }
}

async fn live(config: Config) -> Result<(), String> {
    let stop = Shutdown::on_signals().map_err(|error| format!("can't listen for signals: {error}"))?;
    survive_size_limit().map_err(|error| format!("can't catch SIGXFSZ: {error}"))?;
    let (system, clock) = machine(&config)?;
    let journal = DiskFile::open(&config.state_dir).map_err(|why| chain(&why))?;
    let connect = connect();
    systemd::ready("starting");
    tokio::spawn(systemd::watchdog(stop.clone(), || true));
    let parts = Parts {
        host: config.host,
        clock,
        system,
        rng: Box::new(entropy::generator().map_err(|error| error.to_string())?),
        connect,
        journal: Box::new(journal),
        net: crate::agent::real_net(),
        say: Box::new(systemd::status),
        heartbeat_floor: config.heartbeat_floor,
        stop,
    };
    crate::agent::run(parts).await.map_err(|why| chain(&why))?;
    systemd::stopping("asked to end");
    Ok(())
}
