//! The tokens that `convoy init` made, as `convoy-cp` takes them over: a JSON list without any secret.

use crate::model::id::{Digest, HostName, TokenId};
use crate::wire::{Invalid, text};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The largest list that is read, in bytes: some twenty thousand hosts.
pub const MAX_FIRST_TOKENS: usize = 4 * 1024 * 1024;

/// One token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FirstToken {
    /// Names it; it is taken over once.
    #[serde(with = "text")]
    pub id: TokenId,
    /// For which host.
    #[serde(with = "text")]
    pub host: HostName,
    /// The digest of its secret.
    #[serde(with = "text")]
    pub digest: Digest,
    /// Until when it can be spent.
    pub expires: DateTime<Utc>,
}

/// Reads the list.
///
/// # Errors
/// [`Invalid`] for anything else.
pub fn read_first_tokens(json: &str) -> Result<Vec<FirstToken>, Invalid> {
    serde_json::from_str(json).map_err(|error| Invalid { what: "first tokens", detail: error.to_string() })
}
