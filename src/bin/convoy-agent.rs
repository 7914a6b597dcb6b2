//! `convoy-agent`: parses, wires, runs, exit code.

use anyhow::{Context, anyhow};
use clap::{Parser, Subcommand};
use convoy::agent::config::{Config, MAX_CONFIG};
use convoy::agent::journal::file::DiskFile;
use convoy::agent::{Connect, Parts, run};
use convoy::client::Transport;
use convoy::client::http::HttpTransport;
use convoy::runtime::log::{LogFormat, start};
use convoy::runtime::signals::{Shutdown, survive_size_limit};
use convoy::runtime::{entropy, systemd};
use convoy::system::sim::{cli, disk};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

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
    why: anyhow::Error,
}

const FAILED: u8 = 1;
const WRONG_SETTINGS: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    start(cli.log_format);
    match carry_out(cli.verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, why }) => {
            eprintln!("error: {why:#}");
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
            block_on(async move { live(config).await }).map_err(failed)
        }
        Verb::Simulate { verb } => {
            block_on(async move { cli::run(verb).await.map_err(|why| anyhow!("{why}")) }).map_err(failed)
        }
    }
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    // One thread: the agent waits nearly all of its life, and a host has better uses for the memory.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("can't start")?;
    runtime.block_on(work)
}

fn read(path: &Path) -> anyhow::Result<Config> {
    let cannot = || format!("can't read the settings in {}", path.display());
    let file = std::fs::File::open(path).with_context(cannot)?;
    let mut text = String::new();
    file.take(MAX_CONFIG as u64 + 1).read_to_string(&mut text).with_context(cannot)?;
    Ok(Config::parse(&text)?)
}

async fn live(config: Config) -> anyhow::Result<()> {
    let stop = Shutdown::on_signals().context("can't listen for signals")?;
    survive_size_limit().context("can't catch SIGXFSZ")?;
    let Some(simulated) = &config.simulate else {
        return Err(anyhow!("real hosts need convoy-activator, which this version does not have: set `simulate`"));
    };
    let machine = disk::attach(simulated).map_err(|why| anyhow!("{why}"))?;
    let journal = DiskFile::open(&config.state_dir)?;
    let connect: Connect = Arc::new(|address| match HttpTransport::new(address) {
        Ok(transport) => Ok(Arc::new(transport) as Arc<dyn Transport>),
        Err(why) => Err(why.to_string()),
    });
    systemd::ready("starting");
    tokio::spawn(systemd::watchdog(stop.clone(), || true));
    let parts = Parts {
        host: config.host,
        clock: machine.clock(),
        system: Arc::new(machine),
        rng: Box::new(entropy::generator()?),
        connect,
        journal: Box::new(journal),
        net: convoy::agent::real_net(),
        say: Box::new(systemd::status),
        heartbeat_floor: config.heartbeat_floor,
        stop,
    };
    run(parts).await?;
    systemd::stopping("asked to end");
    Ok(())
}
