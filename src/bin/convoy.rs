//! `convoy`: parses, runs the verb, turns failures into text and an exit code.

use clap::Parser;
use convoy::ctl::{Cli, Verb, exit, run};
use convoy::runtime::log::{LogFormat, start};
use convoy::runtime::signals::survive_size_limit;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Verb::Process(process) = cli.verb {
        return convoy::program::run(process);
    }
    start(LogFormat::Text);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: can't start: {error}");
            return ExitCode::from(exit::Exit::Failed.code());
        }
    };
    let ended = runtime.block_on(carry_out(cli)).unwrap_or_else(|error| {
        if !exit::is_broken_pipe(&error) {
            eprintln!("error: {error:#}");
            if let Some(hint) = exit::hint(&error) {
                eprintln!("hint: {hint}");
            }
        }
        exit::of(&error)
    });
    ExitCode::from(ended.code())
}

async fn carry_out(cli: Cli) -> anyhow::Result<exit::Exit> {
    survive_size_limit()?;
    run(cli).await
}
