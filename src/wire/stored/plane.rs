//! The control plane's bodies of hosts and attempts, version 1.

use crate::model::facts::HostHold;
use crate::model::id::{BootId, Closure, JournalId};
use crate::wire::stored::{HostBody, RecordBody};
use crate::wire::text;
use crate::wire::v1::event::activation::ActivationJson;
use crate::wire::v1::event::facts::{ClosuresJson, HostHoldJson};
use crate::wire::v1::event::progress::ProgressJson;
use crate::wire::v1::release::{date, timestamp};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What is kept of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the fields are those of HostBody")]
pub struct HostV1 {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closures: Option<ClosuresJson>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<HostHoldJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_hold: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloned: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "text::list")]
    pub quarantined: Vec<Closure>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    pub journal: Option<JournalId>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    pub boot: Option<BootId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boots: Vec<SeenBootV1>,
    pub agent_version: String,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    pub drifted: Option<Closure>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activated: Option<ActivationJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<DateTime<Utc>>,
}

/// A boot and when the host changed to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenBootV1 {
    /// The boot.
    #[serde(with = "text")]
    pub boot: BootId,
    /// When.
    pub at: DateTime<Utc>,
}

impl From<&HostBody> for HostV1 {
    fn from(host: &HostBody) -> Self {
        let boots = host.boots.iter().map(|(boot, at)| SeenBootV1 { boot: boot.clone(), at: date(*at) });
        Self {
            closures: host.closures.as_ref().map(ClosuresJson::from),
            holds: host.holds.iter().map(HostHoldJson::from).collect(),
            operator_hold: host.operator_hold.clone(),
            cloned: host.cloned.clone(),
            quarantined: host.quarantined.clone(),
            journal: host.journal.clone(),
            boot: host.boot.clone(),
            boots: boots.collect(),
            agent_version: host.agent_version.clone(),
            drifted: host.drifted.clone(),
            activated: host.activated.as_ref().map(ActivationJson::from),
            resolved: host.resolved.map(date),
        }
    }
}

impl From<HostV1> for HostBody {
    fn from(body: HostV1) -> Self {
        Self {
            closures: body.closures.map(Into::into),
            holds: body.holds.into_iter().map(HostHold::from).collect(),
            operator_hold: body.operator_hold,
            cloned: body.cloned,
            quarantined: body.quarantined,
            journal: body.journal,
            boot: body.boot,
            boots: body.boots.into_iter().map(|seen| (seen.boot, timestamp(seen.at))).collect(),
            agent_version: body.agent_version,
            drifted: body.drifted,
            activated: body.activated.map(Into::into),
            resolved: body.resolved.map(timestamp),
        }
    }
}

/// What is kept of a host's attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the fields are those of RecordBody")]
pub struct RecordV1 {
    pub progress: ProgressJson,
    pub opened: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permitted: Option<DateTime<Utc>>,
    pub invitation: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revert: Option<String>,
    #[serde(default)]
    pub retry: bool,
    pub state_since: DateTime<Utc>,
}

impl From<&RecordBody> for RecordV1 {
    fn from(record: &RecordBody) -> Self {
        Self {
            progress: (&record.progress).into(),
            opened: date(record.opened),
            permitted: record.permitted.map(date),
            invitation: record.invitation,
            revert: record.revert.clone(),
            retry: record.retry,
            state_since: date(record.state_since),
        }
    }
}

impl From<RecordV1> for RecordBody {
    fn from(body: RecordV1) -> Self {
        Self {
            progress: body.progress.into(),
            opened: timestamp(body.opened),
            permitted: body.permitted.map(timestamp),
            invitation: body.invitation,
            revert: body.revert,
            retry: body.retry,
            state_since: timestamp(body.state_since),
        }
    }
}
