//! The process's edges: the one clock, randomness, tracing, signals and systemd; must not know an application.

pub mod clock;
pub mod entropy;
pub mod log;
pub mod signals;
pub mod systemd;
pub mod guard;
