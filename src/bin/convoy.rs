//! `convoy`: parses, runs the verb, turns failures into text and an exit code.

use clap::Parser;
use convoy::ctl::demo::part::Process;
use convoy::ctl::{Cli, exit, run};
use convoy::runtime::log::{LogFormat, start};
use convoy::runtime::signals::survive_size_limit;
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    if let Some(process) = Process::in_command_line(&argv) {
        return convoy::program::run(process);
    }
    let cli = Cli::parse_from(argv);
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
