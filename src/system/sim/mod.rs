//! A simulated host: everything that a machine does around an agent, with faults from files. It stands in for the
//! root helper and the machine under it; must never touch a real one.
//!
//! ```text
//! closure   what a system does when it is switched to       state   what the host remembers
//! draft     one change of it, under its lock                host    a handle on one boot of it
//! verbs     what an agent asks of it (`System`); orders     check   what the helper checks by itself
//! jobs      switch, commit, dead-man; rollback              init    the machine: boots, runs the agent
//! power     boot, shutdown, power cut, a person at it       log     what truly happened; tally: figures
//! stand_in  the smallest agent                          cli     `convoy-agent simulate …`
//! backing   where it is kept: on disk, with processes, or in memory, with tasks
//! ```

pub mod error;
pub mod closure;
pub mod log;
pub mod tally;
pub mod machine;
pub mod state;
pub mod draft;
pub mod backing;
pub mod host;
mod check;
mod orders;
pub mod verbs;
pub mod jobs;
mod rollback;
pub mod power;
pub mod init;
pub mod tasks;
pub mod memory;
pub mod process;
pub mod reach;
mod files;
pub mod disk;
pub mod stand_in;
pub mod cli;
