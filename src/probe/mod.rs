//! Health checks that a host runs on itself: what they are, one check, and the schedule. Must not judge: results go
//! to whoever asked, and `model` decides what they mean.

pub mod spec;
pub mod check;
pub mod net;
pub mod runner;
#[cfg(test)]
mod fake;
