//! `convoy-cp`, the control plane: reads its settings, opens its store, listens, and ends when it is told to.

use anyhow::{Context, anyhow};
use clap::{CommandFactory, Parser, Subcommand};
use convoy::ctl::exit::is_broken_pipe;
use convoy::runtime::log::{self, LogFormat};
use convoy::runtime::signals::survive_size_limit;
use convoy::store::StoreError;
use convoy::store::sqlite::{backup, restore};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// The control plane of a Convoy fleet: decides which host goes when, and keeps the history.
#[derive(Debug, Parser)]
#[command(
    name = "convoy-cp",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 ended as asked, 1 failed, 2 wrong command line or settings, 3 the database can't be \
                  used, 4 the address can't be listened on."
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
    /// Copy the database to a file, also while a control plane runs on it
    Backup {
        /// The database
        #[arg(long, value_name = "FILE")]
        database: PathBuf,
        /// The file to write
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Put a backup in the place of the database, which is kept beside it; stop the control plane before
    ///
    /// Its rollouts then wait for `convoy rollout resume`, since hosts may know more than the backup does.
    Restore {
        /// The database
        #[arg(long, value_name = "FILE")]
        database: PathBuf,
        /// The backup
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
    },
    /// Print the shell completions
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// A failure with the code that the program ends with.
#[derive(Debug)]
struct Failure {
    code: u8,
    why: anyhow::Error,
}

type Done<T> = Result<T, Failure>;

fn failed(code: u8) -> impl Fn(anyhow::Error) -> Failure {
    move |why| Failure { code, why }
}

const FAILED: u8 = 1;
const DATABASE: u8 = 3;

fn main() -> ExitCode {
    let cli = Cli::parse();
    log::start(cli.log_format);
    match carry_out(cli.verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { why, .. }) if is_broken_pipe(&why) => ExitCode::SUCCESS,
        Err(Failure { code, why }) => {
            eprintln!("error: {why:#}");
            ExitCode::from(code)
        }
    }
}

fn carry_out(verb: Verb) -> Done<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("can't start").map_err(failed(FAILED))?;
    let _inside = runtime.enter();
    survive_size_limit().context("can't catch SIGXFSZ").map_err(failed(FAILED))?;
    match verb {
        Verb::Backup { database, to } => {
            let copied = backup(&database, &to).map_err(unusable)?;
            let (to, commits) = (to.display(), copied.mark.commit_count);
            say(&format!("copied {} to {to}: {} bytes, {commits} commits", database.display(), copied.bytes))
        }
        Verb::Restore { database, from } => {
            let restored = restore(&from, &database).map_err(unusable)?;
            let kept = restored.replaced.map(|path| format!("; the old one is {}", path.display())).unwrap_or_default();
            let (database, from) = (database.display(), from.display());
            say(&format!("{database} is now the copy {from} ({} commits){kept}", restored.mark.commit_count))?;
            say("after the start its rollouts wait for `convoy rollout resume`")
        }
        Verb::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "convoy-cp", &mut script);
            say(&String::from_utf8_lossy(&script))
        }
    }
}

/// The store's own errors can't travel in `anyhow`; their text says what to do.
fn unusable(error: StoreError) -> Failure {
    failed(DATABASE)(anyhow!("{error}"))
}

fn say(line: &str) -> Done<()> {
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{}", line.trim_end()).and_then(|()| out.flush());
    written.context("can't write to standard output").map_err(failed(FAILED))
}
