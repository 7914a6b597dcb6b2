//! Bodies that are kept on disk: versioned JSON, `V0 → V1` by `From`. STUB bodies: the functions are the contract.

use crate::model::facts::{Closures, HostHold};
use crate::model::host_rollout::HostRollout;
use crate::model::id::{BootId, Closure, JournalId};
use crate::model::rollout::Rollout;
use crate::model::root_record::RootRecord;
use crate::model::time::Timestamp;
use crate::wire::Invalid;

/// What the control plane keeps of a host, next to the columns of `store::rows::HostRow`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostBody {
    /// What it said it runs.
    pub closures: Option<Closures>,
    /// What it holds itself back for.
    pub holds: Vec<HostHold>,
    /// Held by an operator, with the reason.
    pub operator_hold: Option<String>,
    /// Two machines seem to use its identity, with what was seen.
    pub cloned: Option<String>,
    /// Closures that failed here.
    pub quarantined: Vec<Closure>,
    /// Its current journal.
    pub journal: Option<JournalId>,
    /// Its boot.
    pub boot: Option<BootId>,
    /// The boots it showed lately, newest last, with when it changed to each; at most 8.
    pub boots: Vec<(BootId, Timestamp)>,
    /// The agent's version.
    pub agent_version: String,
}

/// What the control plane keeps of a host's attempt, next to the columns of `store::rows::RecordRow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordBody {
    /// The machine.
    pub progress: HostRollout,
    /// When the attempt was opened, on the control plane's clock.
    pub opened: Timestamp,
    /// When the permit was granted, on the control plane's clock; `None` while it holds none.
    pub permitted: Option<Timestamp>,
    /// Counts the refused and lapsed permits, so that an invitation can be told from the one before.
    pub invitation: u64,
    /// The host was told to go back, with the reason.
    pub revert: Option<String>,
    /// An operator lifted the host's quarantine for this attempt.
    pub retry: bool,
    /// When the state last changed, on the control plane's clock.
    pub state_since: Timestamp,
}

/// What the control plane keeps of a rollout, next to the columns of `store::rows::RolloutRow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutBody {
    /// The machine.
    pub rollout: Rollout,
    /// The store was restored since; a resume by an operator clears it.
    pub restored: bool,
    /// Who approved or promoted, paused, resumed: newest last, at most 32 lines for people.
    pub notes: Vec<String>,
}

macro_rules! stub {
    ($write:ident, $read:ident, $model:ty) => {
        /// Writes the body.
        #[must_use]
        pub fn $write(_: &$model) -> String {
            String::new()
        }
        /// Reads a body, of this version or an older one.
        ///
        /// # Errors
        /// [`Invalid`] with the place.
        pub fn $read(_: &str) -> Result<$model, Invalid> {
            Err(Invalid { what: stringify!($read), detail: String::new() })
        }
    };
}
stub!(write_host, read_host, HostBody);
stub!(write_record, read_record, RecordBody);
stub!(write_rollout, read_rollout, RolloutBody);
stub!(write_root_record, read_root_record, RootRecord);
stub!(write_progress, read_progress, HostRollout);
