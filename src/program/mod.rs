//! The programs as functions: command line, wiring, exit code. In the library, so that `convoy demo` can start control
//! plane and agents from the file of `convoy` alone, by hidden verbs that call the very same functions.

pub mod control_plane;
pub mod agent;
pub mod activator;

use crate::ctl::demo::part::{Part, Process, Program};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::getppid;
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs a process of the demo to its end. Must be called outside of any async runtime: each program makes its own.
#[must_use]
pub fn run(process: Process) -> ExitCode {
    let argv = |words: &[&str], rest: Vec<OsString>| words.iter().map(OsString::from).chain(rest).collect::<Vec<_>>();
    match process {
        Process::Part(Part { parent_pid: Some(parent), .. }) if !ends_with(parent) => {
            eprintln!("error: the demo that started this process has ended");
            ExitCode::FAILURE
        }
        Process::Part(part) => match part.program {
            Program::ControlPlane => control_plane::run(argv(&["convoy-cp"], part.rest)),
            Program::Agent => agent::run(argv(&["convoy-agent"], part.rest)),
        },
        Process::Simulate(arguments) => agent::run(argv(&["convoy-agent", "simulate"], arguments.rest)),
    }
}

/// Has the kernel kill this process when its parent ends; `false` when that has ended already.
fn ends_with(parent: i32) -> bool {
    prctl::set_pdeathsig(Signal::SIGKILL).is_ok() && getppid().as_raw() == parent
}
