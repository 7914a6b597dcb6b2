//! The driver against a simulated host and a scripted control plane, on a paused clock.

mod world;
mod attempts;
mod memories;
mod boots;
mod delivery;
mod holds;
mod disk;
mod commits;
mod settings;
