//! The demo's processes as hidden verbs: the control plane, the agent and the simulated machine, started from this very
//! program, since having `convoy` alone must be enough for the demo. `crate::program` runs them.

use std::ffi::OsString;

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
