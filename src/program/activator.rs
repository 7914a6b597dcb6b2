//! The whole of `convoy-activator`: command line, wiring, exit code. Must not decide anything.

use crate::activator::helper::Helper;
use crate::activator::settings::Settings;
use crate::activator::shelf::id_of;
use crate::model::root_record::RootRecord;
use crate::runtime::clock::SystemClock;
use crate::runtime::log::{LogFormat, start};
use crate::wire::stored::root_record::RootRecordV1;
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// The largest file of settings that is read, in bytes.
const MAX_SETTINGS: u64 = 256 * 1024;
const FAILED: u8 = 1;
const WRONG_SETTINGS: u8 = 2;

/// Switches this system, on behalf of convoy-agent and by signed releases only. Runs as root.
#[derive(Debug, Parser)]
#[command(
    name = "convoy-activator",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong command line or settings."
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
    /// Answer one request on standard input, which is a socket
    Serve,
    /// Switch to the target of an attempt; in convoy-switch.service
    RunSwitch {
        /// <channel>@<ref>-<attempt>
        id: String,
    },
    /// Boot once into the target of an attempt; in convoy-trial.service
    RunTrial {
        /// <channel>@<ref>-<attempt>
        id: String,
    },
    /// Make the target of an attempt the boot default; in convoy-commit.service
    RunCommit {
        /// <channel>@<ref>-<attempt>
        id: String,
    },
    /// Bring the prior of an attempt back; in convoy-rollback.service
    RunRollback {
        /// <channel>@<ref>-<attempt>
        id: String,
    },
    /// Go back when the deadline has passed; by convoy-dead-man.timer
    DeadMan,
    /// Guard this boot; by convoy-boot-guard.service
    BootGuard,
    /// Mark a clean shutdown; by convoy-boot-guard.service
    ShutdownMark,
    /// Show the root records
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Check the settings and say what is wrong with them
    CheckConfig {
        /// The settings, as JSON
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

/// Runs the program to its end; `argv` begins with its name.
pub fn run(argv: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = Cli::parse_from(argv);
    start(cli.log_format);
    if let Verb::CheckConfig { config } = &cli.verb {
        return match check(config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                eprintln!("error: {why}");
                ExitCode::from(WRONG_SETTINGS)
            }
        };
    }
    match act(cli.verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            tracing::error!("{why}");
            ExitCode::from(FAILED)
        }
    }
}

fn act(verb: Verb) -> Result<(), String> {
    let helper = Helper::real(Arc::new(SystemClock)).map_err(|why| why.to_string())?;
    let done = match verb {
        Verb::Serve => {
            let socket = std::io::stdin().as_fd().try_clone_to_owned().map_err(|why| format!("no socket: {why}"))?;
            helper.serve(UnixStream::from(socket))
        }
        Verb::RunSwitch { id } => helper.run_switch(&id),
        Verb::RunTrial { id } => helper.run_trial(&id),
        Verb::RunCommit { id } => helper.run_commit(&id),
        Verb::RunRollback { id } => helper.run_rollback(&id),
        Verb::DeadMan => helper.dead_man(),
        Verb::BootGuard => helper.boot_guard(),
        Verb::ShutdownMark => helper.shutdown_mark(),
        Verb::Status { json } => helper.status().map(|records| show(&records, json)),
        Verb::CheckConfig { config } => return check(&config),
    };
    done.map_err(|why| why.to_string())
}

fn check(config: &Path) -> Result<(), String> {
    let cannot = |why: std::io::Error| format!("can't read the settings in {}: {why}", config.display());
    let mut text = String::new();
    std::fs::File::open(config).map_err(cannot)?.take(MAX_SETTINGS).read_to_string(&mut text).map_err(cannot)?;
    Settings::parse(&text).map_err(|why| format!("the root helper's settings are not valid: {why}"))?;
    println!("the settings are valid");
    Ok(())
}

fn show(records: &[RootRecord], json: bool) {
    if json {
        let bodies: Vec<_> = records.iter().map(RootRecordV1::from).collect();
        println!("{}", serde_json::to_string_pretty(&bodies).expect("records are structs with text keys: always JSON"));
        return;
    }
    if records.is_empty() {
        println!("nothing was ever started here");
    }
    for record in records {
        let why = record.verdict.as_ref().map(|verdict| format!(": {verdict}")).unwrap_or_default();
        let id = id_of(&record.rollout, record.attempt);
        println!("{id}  {:?}{why}\n  from {}\n  to   {}", record.state, record.prior, record.target);
    }
}
