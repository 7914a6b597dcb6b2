//! The demo's processes as hidden verbs: the control plane, the agent and the simulated machine, started from this very
//! program, since having `convoy` alone must be enough for the demo. `crate::program` runs them.

use clap::{CommandFactory, Parser};
use std::ffi::{OsStr, OsString};

/// A process of the demo, as a hidden verb.
#[derive(Debug, clap::Subcommand)]
pub enum Process {
    /// What `convoy-cp` or `convoy-agent` does
    Part(Part),
    /// What `convoy-agent simulate` does
    Simulate(Arguments),
}

/// The command line of such a process, apart from the command's own: neither its help nor its completions show it.
#[derive(Debug, Parser)]
#[command(name = "convoy")]
struct Hidden {
    #[command(subcommand)]
    process: Process,
}

impl Process {
    /// Parses a command line that begins with the program's name; `None` when its verb is none of these. Ends the
    /// program when it is, and the rest makes no sense.
    #[must_use]
    pub fn in_command_line(argv: &[OsString]) -> Option<Self> {
        let verb = argv.get(1)?;
        let mut known = Hidden::command().get_subcommands().map(|verb| verb.get_name().to_owned()).collect::<Vec<_>>();
        known.retain(|name| verb.as_os_str() == OsStr::new(name));
        (!known.is_empty()).then(|| Hidden::parse_from(argv).process)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn the_arguments_of_a_program_reach_it_as_they_are() {
        let words = ["convoy", "part", "--parent-pid", "7", "control-plane", "run", "--listen", "x", "--json"];
        let Some(Process::Part(part)) = Process::in_command_line(&argv(&words)) else { panic!() };
        assert_eq!((part.program, part.parent_pid), (Program::ControlPlane, Some(7)));
        assert_eq!(part.rest, argv(&["run", "--listen", "x", "--json"]));
        let words = ["convoy", "simulate", "boot", "/d", "--parent-pid", "7"];
        let Some(Process::Simulate(rest)) = Process::in_command_line(&argv(&words)) else { panic!() };
        assert_eq!(rest.rest, argv(&["boot", "/d", "--parent-pid", "7"]));
    }

    #[test]
    fn a_verb_of_the_command_is_left_to_it() {
        assert!(Process::in_command_line(&argv(&["convoy", "demo"])).is_none());
        assert!(Process::in_command_line(&argv(&["convoy"])).is_none());
    }
}
