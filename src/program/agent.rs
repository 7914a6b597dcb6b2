//! The whole of `convoy-agent`: command line, wiring, exit code. Must not decide anything.

use crate::agent::config::{Config, MAX_CONFIG};
use crate::agent::hook;
use crate::agent::identity::board::Board;
use crate::agent::identity::keeper::{Dial, Keeper, KeeperParts};
use crate::agent::identity::report::{self, Report};
use crate::agent::journal::file::DiskFile;
use crate::agent::{Connect, Parts, STALL};
use crate::client::http::{BadAddress, HttpTransport};
use crate::client::{Request, Transport};
use crate::model::id::Closure;
use crate::runtime::alive::Alive;
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
use std::io::{ErrorKind, Read, Write};
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
    /// Show who this host is to its control plane: its key's digest, until when its certificate counts, its files
    Identity {
        /// The settings, as JSON
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Print JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Try the control plane of the settings once: 0 when it answers, else 1
    Reach {
        /// The settings, as JSON
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Note an activation of this machine, for activation scripts; never fails
    Hook {
        /// The closure that is activated
        #[arg(long, value_name = "PATH")]
        closure: String,
    },
    /// Warn of a closure that failed here before, as a check before a switch; never refuses
    PreSwitchCheck {
        /// The closure that is about to be activated
        closure: String,
        /// What is done with it
        #[arg(default_value = "switch")]
        action: String,
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
        Verb::CheckConfig { config } => {
            let config = read(&config).map_err(wrong)?;
            let checked = report::check(&config.host, &config.identity);
            let notes = checked.map_err(|mistakes| wrong(mistakes.join("\n")))?;
            println!("the settings are valid");
            notes.iter().for_each(|note| println!("{note}"));
            Ok(())
        }
        Verb::Identity { config, json } => {
            let config = read(&config).map_err(wrong)?;
            show(&Report::of(&config.host, &config.identity, SystemClock.wall()), json).map_err(failed)
        }
        Verb::Run { config } => {
            let config = read(&config).map_err(wrong)?;
            block_on(live(config)).map_err(failed)
        }
        Verb::Reach { config } => {
            let config = read(&config).map_err(wrong)?;
            block_on(reach(config)).map_err(failed)
        }
        Verb::Hook { closure } => {
            note(&closure);
            Ok(())
        }
        Verb::PreSwitchCheck { closure, action } => {
            if let Some(warning) = hook::warning(&Place::real(), &closure) {
                eprintln!("warning: {warning} ({action} goes on)");
            }
            Ok(())
        }
        Verb::Simulate { verb } => {
            block_on(async move { cli::run(verb).await.map_err(|why| chain(&why)) }).map_err(failed)
        }
    }
}

/// Notes an activation; whatever goes wrong, the switch goes on.
fn note(closure: &str) {
    let closure = match Closure::new(closure) {
        Ok(closure) => closure,
        Err(why) => return eprintln!("convoy: {why}"),
    };
    let around = hook::Around::of_this_process();
    if let Err(why) = hook::note(&Place::real(), &closure, &around, SystemClock.wall()) {
        eprintln!("convoy: the activation can't be noted: {why}");
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
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = std::path::absolute(folder).map_err(cannot)?;
    Config::parse(&text, &folder).map_err(|why| chain(&why))
}

fn show(report: &Report, json: bool) -> Result<(), String> {
    let text = if json { serde_json::to_string_pretty(report).map(|text| text + "\n") } else { Ok(report.render()) };
    let text = text.map_err(|why| why.to_string())?;
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(why) if why.kind() != ErrorKind::BrokenPipe => Err(format!("can't write to standard output: {why}")),
        _ => Ok(()),
    }
}

/// Makes the transports: under this host's identity, and over plain HTTP on loopback.
fn connect(config: &Config, clock: Arc<dyn Clock>, board: Arc<Board>) -> Result<Connect, String> {
    let dial: Dial = Arc::new(|address, tls| shared(HttpTransport::new(address, Some(tls))));
    let rng = Box::new(entropy::generator().map_err(|error| error.to_string())?);
    let parts = KeeperParts { host: config.host.clone(), clock, rng, dial, board };
    let keeper = Keeper::new(config.identity.clone(), parts);
    Ok(Arc::new(move |address| match &keeper {
        Some(keeper) if address.starts_with("https://") => Ok(keeper.connect(address)),
        // Without an authority, or on loopback without TLS: the transport itself says what it can't do.
        _ => shared(HttpTransport::new(address, None)),
    }))
}

fn shared(made: Result<HttpTransport, BadAddress>) -> Result<Arc<dyn Transport>, String> {
    made.map(|transport| Arc::new(transport) as Arc<dyn Transport>).map_err(|why| why.to_string())
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
    let quiet = Arc::new(Board::new(config.host.clone(), Box::new(|_| ())));
    let transport = connect(&config, Arc::new(SystemClock), quiet)?(&address)?;
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
    let board = Arc::new(Board::new(config.host.clone(), Box::new(systemd::status)));
    let connect = connect(&config, Arc::clone(&clock), Arc::clone(&board))?;
    systemd::ready("starting");
    let alive = Alive::new();
    let watched = alive.clone();
    tokio::spawn(systemd::watchdog(stop.clone(), move || watched.within(STALL)));
    let parts = Parts {
        host: config.host,
        clock,
        system,
        rng: Box::new(entropy::generator().map_err(|error| error.to_string())?),
        connect,
        journal: Box::new(journal),
        net: crate::agent::real_net(),
        say: Box::new(move |line| board.say(line)),
        heartbeat_floor: config.heartbeat_floor,
        hook: config.simulate.is_none().then(Place::real),
        alive,
        stop,
    };
    crate::agent::run(parts).await.map_err(|why| chain(&why))?;
    systemd::stopping("asked to end");
    Ok(())
}
