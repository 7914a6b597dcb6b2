//! Events and progress as JSON: the mirrors of `model::host_rollout`, with conversions both ways.
//! STUB: every body below becomes a real mirror type; the `From`/`TryFrom` pairs are the contract.

use crate::model::facts::{HostHold, Verdict};
use crate::model::host_rollout::{Event, HostRollout};
use crate::model::time::Stamp;
use crate::wire::Invalid;
use serde::{Deserialize, Serialize};

macro_rules! stub {
    ($body:ident, $model:ty) => {
        /// STUB.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $body(pub serde_json::Value);
        impl From<&$model> for $body {
            fn from(_: &$model) -> Self {
                Self(serde_json::Value::Null)
            }
        }
        impl TryFrom<$body> for $model {
            type Error = Invalid;
            fn try_from(_: $body) -> Result<Self, Invalid> {
                Err(Invalid { what: stringify!($body), detail: String::new() })
            }
        }
    };
}
stub!(StampBody, Stamp);
stub!(EventBody, Event);
stub!(ProgressBody, HostRollout);
stub!(VerdictBody, Verdict);
stub!(HostHoldBody, HostHold);

impl EventBody {
    /// Returns the event's name, such as `activationStarted`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        "stub"
    }
}
