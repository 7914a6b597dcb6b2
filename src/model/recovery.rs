//! How the memories of one attempt are put together again: root record and running closure first, then the
//! journal, then the snapshot.

use crate::model::host_rollout::{Event, HostRollout};
use crate::model::id::Closure;
use crate::model::root_record::RootRecord;
use crate::model::time::Stamp;

/// What each memory says of one attempt.
#[derive(Debug, Clone)]
pub struct Memories<'a> {
    /// The agent's journal.
    pub journal: Option<&'a HostRollout>,
    /// The root helper's record of the same rollout and attempt.
    pub root: Option<&'a RootRecord>,
    /// The control plane's snapshot, made whole with terms and host stamps by the caller.
    pub snapshot: Option<&'a HostRollout>,
    /// What runs now.
    pub running: &'a Closure,
    /// Whether a shutdown mark of the last boot was found.
    pub clean_shutdown: bool,
}

/// What recovery concludes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The state to go on from.
    pub state: HostRollout,
    /// The events that lead there from the journal's state, to be journaled in order.
    pub events: Vec<Event>,
}

/// Puts the memories together; `None` when no memory knows of an attempt.
#[must_use]
pub fn recover(memories: &Memories<'_>, now: &Stamp) -> Option<Recovered> {
    let _ = (memories, now);
    None
}
