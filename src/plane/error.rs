//! What can go wrong in the control plane, each variant a failed action; how it looks over HTTP is `http::error`'s.

use crate::model::id::InvalidId;
use crate::plane::credentials::files::BadFile;
use crate::store::StoreError;
use crate::trust::TrustError;
use crate::wire::Invalid;

/// A failed action of the control plane.
#[derive(Debug, thiserror::Error)]
pub enum PlaneError {
    /// The store failed; nothing of the action was kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored body can't be read back.
    #[error("a stored body can't be read ({0}): was it written by a newer convoy-cp?")]
    Stored(Invalid),
    /// A release does not verify, or its lease does not allow it.
    #[error("the release is refused: {0}")]
    Trust(#[from] TrustError),
    /// A file of certificates or keys can't be used.
    #[error(transparent)]
    Credentials(#[from] BadFile),
    /// A certificate could not be issued.
    #[error("no certificate could be issued: {0}")]
    Issuing(TrustError),
    /// What was named is not there.
    #[error("{what} is not known: {hint}")]
    NotFound {
        /// What was looked for.
        what: String,
        /// Where to look.
        hint: &'static str,
    },
    /// The state of things does not allow it.
    #[error("{message}")]
    Refused {
        /// Stable, for programs.
        code: &'static str,
        /// What to do.
        message: String,
    },
    /// What was asked makes no sense by itself.
    #[error("{message}")]
    BadRequest {
        /// Stable, for programs.
        code: &'static str,
        /// What to do.
        message: String,
    },
    /// The caller may not do this.
    #[error("{message}")]
    Forbidden {
        /// Stable, for programs.
        code: &'static str,
        /// What to do.
        message: String,
    },
    /// What was asked was tried and undone: it was only to be said.
    #[error("nothing was changed: {}", .0.join("; "))]
    Tried(Vec<String>),
    /// The control plane can't do this yet.
    #[error("{0}")]
    NotReady(String),
    /// The control plane ends.
    #[error("the control plane is ending: try again in a moment")]
    Ending,
}

impl PlaneError {
    /// Says that something asked for is not there.
    pub fn not_found(what: impl Into<String>, hint: &'static str) -> Self {
        Self::NotFound { what: what.into(), hint }
    }

    /// Says that the state of things does not allow it.
    pub fn refused(code: &'static str, message: impl Into<String>) -> Self {
        Self::Refused { code, message: message.into() }
    }

    /// Says that a request makes no sense by itself.
    pub fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::BadRequest { code, message: message.into() }
    }
}

impl From<InvalidId> for PlaneError {
    fn from(why: InvalidId) -> Self {
        Self::BadRequest { code: "invalid_name", message: why.to_string() }
    }
}

/// The result of an action.
pub type Done<T> = Result<T, PlaneError>;
