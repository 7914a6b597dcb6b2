//! `convoy-agent`: gives its command line to the library and ends with what that says.

use std::process::ExitCode;

fn main() -> ExitCode {
    convoy::program::agent::run(std::env::args_os())
}
