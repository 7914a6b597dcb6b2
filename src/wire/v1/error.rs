//! How an error looks on the wire.

use serde::{Deserialize, Serialize};

/// The body of every answer that is not a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorBody {
    /// Stable, for programs: `snake_case`.
    pub code: String,
    /// Safe to show, says what to do.
    pub message: String,
    /// Finds the detail in the control plane's log.
    pub request_id: String,
}
