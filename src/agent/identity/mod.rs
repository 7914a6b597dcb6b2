//! Who this host is to its control plane: key and certificate, made, renewed and recovered below the transport, so
//! that the driver knows nothing of it.
//!
//! ```text
//! driver ─▶ Identified ─▶ look: files changed? over? aging? ─┬─ good ───▶ exchange
//!              ▲                                             ├─ aging ──▶ renew, then exchange
//!              └── 401, refused handshake: in doubt ◀────────┴─ missing ▶ enroll: by token, by key
//! ```
//! Steps on disk, each of which leaves a state that the next start goes on from: key written and synced → request
//! sent (the same again gets the same answer) → certificate renamed into its place.

pub mod board;
pub mod files;
pub mod ask;
pub mod current;
pub mod failed;
pub mod verdict;
pub mod keeper;
pub mod report;

use std::path::PathBuf;

/// Where a host's identity comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentitySettings {
    /// `ca`: verifies the control plane. `None` where it is spoken to over plain loopback only.
    pub ca: Option<PathBuf>,
    /// Key and certificate.
    pub source: Source,
}

/// Who looks after key and certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// This agent: the key is made in `identityDir` and never leaves it.
    Own {
        /// `identityDir`.
        dir: PathBuf,
        /// `tokenFile`: needed until the first certificate is there.
        token: Option<PathBuf>,
    },
    /// Somebody else: `certificate` and `key` are read again whenever they change.
    Elsewhere {
        /// `certificate`.
        certificate: PathBuf,
        /// `key`.
        key: PathBuf,
    },
}

#[cfg(test)]
mod tests;
