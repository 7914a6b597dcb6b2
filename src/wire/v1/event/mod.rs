//! Events and progress as JSON: what travels, and its conversions to and from `model::host_rollout`.
//!
//! The bodies here carry their JSON as it came and are read when they are converted. So a kind or a field that
//! this version does not know is kept and given on unchanged, and one body that can't be read spoils itself only,
//! never the message or the journal around it.

pub mod facts;
pub mod activation;
pub mod happening;
pub mod phase;
pub mod progress;

use crate::model::facts::{HostHold, Verdict};
use crate::model::host_rollout::{Event, HostRollout};
use crate::model::id::BootId;
use crate::model::time::Stamp;
use crate::wire::v1::event::facts::{HostHoldJson, VerdictJson};
use crate::wire::v1::event::happening::EventJson;
use crate::wire::v1::event::progress::ProgressJson;
use crate::wire::v1::release::{date, timestamp};
use crate::wire::{Invalid, text};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;

/// One reading of a machine's clocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StampBody {
    /// Wall time, for display.
    pub wall: DateTime<Utc>,
    /// The boot that the uptime counts from.
    #[serde(with = "text")]
    pub boot: BootId,
    /// Milliseconds since that boot, suspend included.
    pub uptime_ms: u64,
}

impl From<&Stamp> for StampBody {
    fn from(stamp: &Stamp) -> Self {
        Self { wall: date(stamp.wall), boot: stamp.boot.clone(), uptime_ms: millis(stamp.uptime) }
    }
}

impl From<StampBody> for Stamp {
    fn from(body: StampBody) -> Self {
        Self { wall: timestamp(body.wall), boot: body.boot, uptime: Duration::from_millis(body.uptime_ms) }
    }
}

/// Gives a span in whole milliseconds, at most `u64::MAX`.
#[must_use]
pub fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

macro_rules! carrier {
    ($(#[$doc:meta])* $body:ident, $json:ident, $model:ty, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $body(Map<String, Value>);

        impl From<&$model> for $body {
            fn from(value: &$model) -> Self {
                match serde_json::to_value($json::from(value)) {
                    Ok(Value::Object(fields)) => Self(fields),
                    // Bodies are structs and tagged enums with text keys: always an object. An empty one is read
                    // as Invalid.
                    Ok(_) | Err(_) => Self(Map::new()),
                }
            }
        }

        impl TryFrom<$body> for $model {
            type Error = Invalid;
            fn try_from(body: $body) -> Result<Self, Invalid> {
                let read = serde_json::from_value::<$json>(Value::Object(body.0));
                let read = read.map_err(|error| Invalid { what: $what, detail: error.to_string() })?;
                Ok(read.into())
            }
        }
    };
}

carrier!(
    /// One event, `{"kind":"activationStarted",…}`; see [`EventJson`] for the kinds. A kind of a later version
    /// is kept as it is and is [`Invalid`] only when it is converted.
    EventBody, EventJson, Event, "event"
);
carrier!(
    /// One attempt's terms and progress; see [`ProgressJson`].
    ProgressBody, ProgressJson, HostRollout, "progress"
);
carrier!(
    /// Why an attempt failed; see [`VerdictJson`].
    VerdictBody, VerdictJson, Verdict, "verdict"
);
carrier!(
    /// Why a host holds itself back; see [`HostHoldJson`].
    HostHoldBody, HostHoldJson, HostHold, "host hold"
);

impl EventBody {
    /// Returns the event's name, such as `activationStarted`; `unnamed` where there is none.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.0.get("kind").and_then(Value::as_str).unwrap_or("unnamed")
    }
}

#[cfg(test)]
mod tests;
