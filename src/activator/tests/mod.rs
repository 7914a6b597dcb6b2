//! The root helper on a machine in a directory.

mod acts;
mod boots;
mod start;
mod talk;
mod trouble;
pub(crate) mod world;
