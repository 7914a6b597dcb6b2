//! `convoy-activator`, the root helper: gives its command line to the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    convoy::program::activator::run(std::env::args_os())
}
