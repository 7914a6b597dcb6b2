//! How an attempt moves: total over every state and event.

use crate::model::host_rollout::{Event, HostRollout, Step};
use crate::model::time::Stamp;

/// How long after sending the ack the agent may still start.
pub const PERMIT_LIFE: std::time::Duration = std::time::Duration::from_secs(60);
/// How many clean reboots during one attempt's soak are forgiven.
pub const CLEAN_REBOOTS_FORGIVEN: u32 = 3;
/// The unclean reboot that is a verdict.
pub const UNCLEAN_REBOOTS_LIMIT: u32 = 2;

/// Moves an attempt by one event. `now` is the reading of the event's author, not of the caller.
#[must_use]
pub fn step(state: &HostRollout, event: &Event, now: &Stamp) -> Step {
    let _ = (state, event, now);
    Step::Ignored("not written yet")
}
