//! `convoy-agent`: parses, wires, runs, exit code.

use clap::{Parser, Subcommand};
use convoy::runtime::log::{LogFormat, start};
use convoy::system::sim::cli::{Simulate, run};
use std::process::ExitCode;

/// Takes this host from one signed release to the next.
#[derive(Debug, Parser)]
#[command(name = "convoy-agent", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Simulates a host.
    #[command(hide = true)]
    Simulate {
        #[command(subcommand)]
        verb: Simulate,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    start(LogFormat::Auto);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: can't start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let done = match cli.verb {
        Verb::Simulate { verb } => runtime.block_on(run(verb)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
