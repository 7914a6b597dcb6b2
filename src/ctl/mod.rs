//! The operator's command: one file for each group of verbs; what is fetched and how it is shown are apart.

pub mod exit;
pub mod session;
pub mod settings;
pub mod files;
pub mod human;
pub mod table;
pub mod keygen;
pub mod init;
pub mod token;
pub mod cert;
pub mod release;
pub mod status;
pub mod rollout;
pub mod host;
pub mod why;
pub mod events;
pub mod watch;
pub mod demo;

use crate::ctl::exit::Exit;
use crate::ctl::session::{Global, Session};
use clap::{CommandFactory, Parser, Subcommand};

/// Takes a fleet of NixOS hosts from one signed release to the next.
///
/// Releases are signed here and published to a control plane (convoy-cp), which opens them wave by wave; each
/// host's agent switches, probes and commits, or brings the host back by itself.
///
/// Exit codes are listed by `convoy help exit-codes`.
#[derive(Debug, Parser)]
#[command(name = "convoy", version, max_term_width = 100, propagate_version = true)]
pub struct Cli {
    /// What every verb understands.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What the command can do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show the fleet: hosts by state, and its rollouts
    Status,
    /// Make, look at and publish signed releases
    #[command(subcommand)]
    Release(release::Verb),
    /// Look at rollouts and steer them
    #[command(subcommand)]
    Rollout(rollout::Verb),
    /// Look at hosts and hold them back
    #[command(subcommand)]
    Host(host::Verb),
    /// Say what a host waits for, and who can clear it
    Why(why::Args),
    /// List what happened, or follow it as it happens
    Events(events::Args),
    /// Watch a rollout until it ends
    Watch(watch::Args),
    /// Make a signing key
    Keygen(keygen::Args),
    /// Make everything that a small fleet needs: keys, certificates, tokens and settings
    Init(init::Args),
    /// Let hosts in: one-use tokens for their first certificate
    #[command(subcommand)]
    Token(token::Verb),
    /// Look at identities, make certificates for people and servers, and shut identities out
    #[command(subcommand)]
    Cert(cert::Verb),
    /// Show a whole rollout, failures included, with simulated hosts on this machine
    Demo(demo::Args),
    /// Print the shell completions
    Completions(Completions),
    /// List the exit codes
    #[command(hide = true, long_about = exit::table())]
    ExitCodes,
}

/// Print the completions of a shell
///
/// For bash: `convoy completions bash > /etc/bash_completion.d/convoy`.
#[derive(Debug, clap::Args)]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// Runs a parsed command line.
///
/// # Errors
/// Whatever went wrong; [`exit::of`] gives the exit code and [`exit::hint`] what to do.
pub async fn run(cli: Cli) -> anyhow::Result<Exit> {
    let session = Session::new(cli.global);
    match cli.verb {
        Verb::Status => status::run(&session).await,
        Verb::Release(verb) => release::run(&session, verb).await,
        Verb::Rollout(verb) => rollout::run(&session, verb).await,
        Verb::Host(verb) => host::run(&session, verb).await,
        Verb::Why(args) => why::run(&session, args).await,
        Verb::Events(args) => events::run(&session, args).await,
        Verb::Watch(args) => watch::run(&session, args).await,
        Verb::Keygen(args) => keygen::run(&session, &args),
        Verb::Init(args) => init::run(&session, &args),
        Verb::Token(verb) => token::run(&session, verb).await,
        Verb::Cert(verb) => cert::run(&session, verb).await,
        Verb::Demo(args) => demo::run(&session, args).await,
        Verb::Completions(Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "convoy", &mut script);
            session.print(&String::from_utf8_lossy(&script))
        }
        Verb::ExitCodes => session.print(&exit::table()),
    }
}
