//! The process's edges: the one clock, randomness, tracing, signals and systemd; must not know an application.

pub mod clock;
