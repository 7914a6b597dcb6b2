//! The agent on each host.

pub mod journal;
