//! The demo's processes: the control plane, the agent and the simulated machine, started from this very program,
//! since building and installing `convoy` alone must be enough for the demo. Each calls the library function that
//! the program of its own name calls.

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::getppid;
use std::ffi::OsString;
use std::process::ExitCode;

/// A process of the demo, as a hidden verb.
#[derive(Debug, clap::Subcommand)]
pub enum Process {
    /// What `convoy-cp` or `convoy-agent` does
    #[command(hide = true)]
    Part(Part),
    /// What `convoy-agent simulate` does
    #[command(hide = true)]
    Simulate(Arguments),
}

/// Which program, and its arguments.
#[derive(Debug, clap::Args)]
pub struct Part {
    /// The program
    pub program: Program,
    /// End with this process, which must be the parent
    #[arg(long)]
    pub parent_pid: Option<i32>,
    /// Its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub rest: Vec<OsString>,
}

/// A program whose work this one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Program {
    /// `convoy-cp`
    ControlPlane,
    /// `convoy-agent`
    Agent,
}

/// Arguments to be given on.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub rest: Vec<OsString>,
}

impl Process {
    /// Runs it to its end. Must be called outside of any async runtime: each program makes its own.
    #[must_use]
    pub fn run(self) -> ExitCode {
        match self {
            Self::Part(part) => part.run(),
            Self::Simulate(arguments) => {
                let argv = ["convoy-agent", "simulate"].into_iter().map(OsString::from).chain(arguments.rest);
                crate::agent::program::run(argv)
            }
        }
    }
}

impl Part {
    fn run(self) -> ExitCode {
        if self.parent_pid.is_some_and(|parent| !ends_with(parent)) {
            eprintln!("error: the demo that started this process has ended");
            return ExitCode::FAILURE;
        }
        let argv = |name: &str| std::iter::once(OsString::from(name)).chain(self.rest).collect::<Vec<_>>();
        match self.program {
            Program::ControlPlane => crate::plane::program::run(argv("convoy-cp")),
            Program::Agent => crate::agent::program::run(argv("convoy-agent")),
        }
    }
}

/// Has the kernel kill this process when its parent ends; `false` when that has ended already.
fn ends_with(parent: i32) -> bool {
    prctl::set_pdeathsig(Signal::SIGKILL).is_ok() && getppid().as_raw() == parent
}
