//! Pictures for operators, made from rows and memory when they are asked for.

pub mod fleet;
pub mod events;
pub mod rollouts;
pub mod hosts;
