//! Everything that is decided, and nothing else: no IO, clock, randomness, async, logging or serde.

pub mod id;
pub mod identity;
pub mod time;
pub mod fleet;
pub mod facts;
pub mod host_rollout;
pub mod root_record;
pub mod rollout;
pub mod gate;
pub mod window;
pub mod decide;
pub mod effect;
pub mod retry;
pub mod recovery;
pub mod limit;
