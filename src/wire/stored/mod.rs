//! Bodies that are kept on disk: JSON that begins with its version, `{"v":1,…}`.
//!
//! A new version of a body is a new type with `From` its forerunner; `read` then tells them apart by `v`, and the
//! old type stays, so that what an older program wrote can always be read. A body of a later version is refused.

pub mod plane;
pub mod rollout;
pub mod root_record;
pub mod first_tokens;

use crate::model::facts::{Activation, Closures, HostHold};
use crate::model::host_rollout::HostRollout;
use crate::model::id::{BootId, Closure, JournalId};
use crate::model::rollout::Rollout;
use crate::model::root_record::RootRecord;
use crate::model::time::Timestamp;
use crate::wire::Invalid;
use crate::wire::stored::plane::{HostV1, RecordV1};
use crate::wire::stored::rollout::RolloutV1;
use crate::wire::stored::root_record::RootRecordV1;
use crate::wire::v1::event::progress::ProgressJson;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The version that is written.
pub const VERSION: u32 = 1;

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
    /// What it ran when it was last found drifted: told once, and not again after an operator accepted it.
    pub drifted: Option<Closure>,
    /// Who last activated something there, other than Convoy.
    pub activated: Option<Activation>,
    /// When an operator last said that it is one machine: what was seen before does not count against it.
    pub resolved: Option<Timestamp>,
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

/// What every body begins with.
#[derive(Deserialize)]
struct Head {
    v: u32,
}

#[derive(Serialize)]
struct Outer<T> {
    v: u32,
    #[serde(flatten)]
    body: T,
}

fn write<T: Serialize>(body: T) -> String {
    serde_json::to_string(&Outer { v: VERSION, body }).expect("bodies are structs with text keys: always JSON")
}

/// Returns the version of a body that begins with it, as all do that convoy wrote: rows are read all the time, and such
/// a one need not be read twice.
fn first_field(text: &str) -> Option<u32> {
    text.strip_prefix(r#"{"v":"#)?.split_once(',')?.0.parse().ok()
}

fn read<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, Invalid> {
    let invalid = |error: serde_json::Error| Invalid { what, detail: error.to_string() };
    let version = match first_field(text) {
        Some(version) => version,
        None => serde_json::from_str::<Head>(text).map_err(invalid)?.v,
    };
    match version {
        VERSION => serde_json::from_str(text).map_err(invalid),
        0 => Err(Invalid { what, detail: "version 0 was never written: the body is damaged".to_owned() }),
        later => Err(Invalid {
            what,
            detail: format!("written in version {later} by a later convoy; this one reads up to {VERSION}: upgrade it"),
        }),
    }
}

macro_rules! body {
    ($what:literal, $write:ident, $read:ident, $model:ty, $v1:ty) => {
        /// Writes the body.
        #[must_use]
        pub fn $write(value: &$model) -> String {
            write(<$v1>::from(value))
        }
        /// Reads a body, of this version or an older one.
        ///
        /// # Errors
        /// [`Invalid`] with the place.
        pub fn $read(text: &str) -> Result<$model, Invalid> {
            read::<$v1>($what, text).map(Into::into)
        }
    };
}
body!("stored host", write_host, read_host, HostBody, HostV1);
body!("stored record", write_record, read_record, RecordBody, RecordV1);
body!("stored rollout", write_rollout, read_rollout, RolloutBody, RolloutV1);
body!("root record", write_root_record, read_root_record, RootRecord, RootRecordV1);
body!("stored progress", write_progress, read_progress, HostRollout, ProgressJson);

#[cfg(test)]
mod tests;
