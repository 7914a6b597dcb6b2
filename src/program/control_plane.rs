//! The whole of `convoy-cp`: reads its settings, opens its store, listens, and ends when it is told to.

mod settings;

use crate::ctl::exit::is_broken_pipe;
use crate::ctl::session::write_file;
use crate::model::id::StoreId;
use crate::plane::credentials::Set;
use crate::plane::error::PlaneError;
use crate::plane::serve::serve;
use crate::plane::{Parts, Plane};
use crate::program::control_plane::settings::{Settings, first_tokens};
use crate::runtime::clock::{Clock, SystemClock};
use crate::runtime::log::{self, LogFormat};
use crate::runtime::signals::{Shutdown, survive_size_limit};
use crate::runtime::{entropy, systemd};
use crate::store::sqlite::{Options, SqliteStore, backup, restore};
use crate::store::{self, Store, StoreError};
use anyhow::{Context, anyhow};
use clap::{CommandFactory, Parser, Subcommand};
use rand::RngCore;
use std::ffi::OsString;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;

/// How often the status line is looked at and the store is asked whether it answers.
const LOOK: Duration = Duration::from_secs(1);
/// How long the store may take to answer before systemd's watchdog is no longer told that all is well.
const STORE_LIMIT: Duration = Duration::from_secs(30);

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
    /// Run until SIGTERM or Ctrl-C
    Run(Box<RunArgs>),
    /// Check the settings, the trust file, certificates and keys, and start nothing
    CheckConfig(Settings),
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

#[derive(Debug, clap::Args)]
struct RunArgs {
    #[command(flatten)]
    settings: Settings,
    /// Write the port to this file once it is listened on
    #[arg(long, value_name = "FILE")]
    port_file: Option<PathBuf>,
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
const SETTINGS: u8 = 2;
const DATABASE: u8 = 3;
const LISTEN: u8 = 4;

/// Runs the program to its end; `argv` begins with its name. Must be called outside of any async runtime.
pub fn run(argv: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = Cli::parse_from(argv);
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
        Verb::Run(args) => runtime.block_on(serve_until_told(&args)),
        Verb::CheckConfig(settings) => {
            let said = settings.check(SystemClock.wall())?;
            say(&said.join("\n"))
        }
        Verb::Backup { database, to } => {
            let copied = backup(&database, &to).map_err(unusable)?;
            let (to, commits) = (to.display(), copied.mark.commit_count);
            say(&format!("copied {} to {to}: {} bytes, {commits} commits", database.display(), copied.bytes))
        }
        Verb::Restore { database, from } => {
            let restored = restore(&from, &database, &new_store_id()?).map_err(unusable)?;
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

async fn serve_until_told(args: &RunArgs) -> Done<()> {
    let (config, trust) = args.settings.read()?;
    let tokens = first_tokens(&config)?;
    // Before the database is made: what is wrong with a certificate must leave nothing behind.
    Set::read(&config).map_err(|bad| failed(SETTINGS)(bad.into()))?;
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let shutdown = Shutdown::on_signals().context("can't wait for signals").map_err(failed(FAILED))?;
    let (listener, address) = listen(config.listen).await?;
    let store: Arc<dyn Store> = Arc::new(open(&config.database)?);
    let rng = entropy::generator().map_err(|why| failed(FAILED)(why.into()))?;
    let parts = Parts { store: Arc::clone(&store), clock: Arc::new(SystemClock), rng, trust, config };
    let plane = Plane::open(parts).await.map_err(|why| {
        let code = if matches!(why, PlaneError::Credentials(_)) { SETTINGS } else { DATABASE };
        failed(code)(anyhow!("{why}"))
    })?;
    let taken = plane.take_first_tokens(tokens).await.map_err(|why| failed(DATABASE)(anyhow!("{why}")))?;
    if taken > 0 {
        tracing::info!("{taken} first tokens were taken over");
    }

    if let Some(path) = &args.port_file {
        write_file(path, &format!("{}\n", address.port())).map_err(failed(FAILED))?;
    }
    say(&format!("listening on {scheme}://{address}"))?;
    systemd::ready(&plane.status_line());
    let alive = Arc::new(AtomicBool::new(true));
    tokio::spawn(watch(Arc::clone(&plane), store, Arc::clone(&alive)));
    tokio::spawn(systemd::watchdog(shutdown.clone(), move || alive.load(Ordering::Relaxed)));
    tokio::spawn({
        let shutdown = shutdown.clone();
        async move {
            shutdown.asked().await;
            systemd::stopping("finishing what was begun");
        }
    });
    let served = serve(listener, plane, shutdown).await;
    served.context("the control plane ended").map_err(failed(FAILED))?;
    tracing::info!("ended as asked");
    Ok(())
}

/// Keeps the status that systemd shows, and finds out whether the store still answers.
async fn watch(plane: Arc<Plane>, store: Arc<dyn Store>, alive: Arc<AtomicBool>) {
    let mut shown = String::new();
    loop {
        let asked = store::read(&*store, |tx| tx.mark().map(drop));
        let answered: Result<Result<(), StoreError>, _> = tokio::time::timeout(STORE_LIMIT, asked).await;
        alive.store(answered.is_ok(), Ordering::Relaxed);
        let line = match answered {
            Ok(_) => plane.status_line(),
            Err(_) => format!("the store has not answered for {} s", STORE_LIMIT.as_secs()),
        };
        if line != shown {
            systemd::status(&line);
            shown = line;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What to do about the usual reasons for which an address can't be listened on.
const LISTEN_HINTS: [(io::ErrorKind, &str); 3] = [
    (
        io::ErrorKind::AddrInUse,
        "something listens there already, maybe another convoy-cp: end it, or choose another port with --listen",
    ),
    (io::ErrorKind::PermissionDenied, "ports below 1024 need a privilege: choose a higher one with --listen"),
    (io::ErrorKind::AddrNotAvailable, "this machine has no such address: use 127.0.0.1"),
];

async fn listen(wanted: SocketAddr) -> Done<(TcpListener, SocketAddr)> {
    let bound = TcpListener::bind(wanted).await.and_then(|listener| {
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    bound.map_err(|error| {
        let known = LISTEN_HINTS.iter().find(|(kind, _)| *kind == error.kind());
        let hint = known.map_or("choose another address with --listen", |(_, hint)| hint);
        failed(LISTEN)(anyhow!("can't listen on {wanted}: {error}; {hint}"))
    })
}

fn new_store_id() -> Done<StoreId> {
    let mut id = [0_u8; 16];
    entropy::generator().map_err(|why| failed(FAILED)(why.into()))?.fill_bytes(&mut id);
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    StoreId::new(id).map_err(|why| failed(FAILED)(why.into()))
}

fn open(path: &Path) -> Done<SqliteStore> {
    let new_store_id = new_store_id()?;
    SqliteStore::open(path, Options { new_store_id }).map_err(unusable)
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
