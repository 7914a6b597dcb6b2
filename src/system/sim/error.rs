//! What can go wrong on a simulated host.

use crate::model::facts::HostHold;
use crate::model::id::{Attempt, Closure, RolloutId};
use crate::system::SystemError;
use crate::system::exec::ExecError;
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// A simulated host could not do or say what was asked.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// A file could not be used.
    #[error("the simulated host could not {act} {path:?}: {source}")]
    Io {
        /// What was tried.
        act: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file or value makes no sense.
    #[error("{what} makes no sense: {detail}")]
    Invalid {
        /// Which.
        what: &'static str,
        /// Why.
        detail: String,
    },
    /// The machine is off, or has booted since: whoever asks belongs to a boot that has ended.
    #[error("the simulated host is off, or has booted since")]
    Off,
    /// Another process does this by now.
    #[error("another process does this by now")]
    NotMine,
    /// The closure is not in the simulated store.
    #[error("{0} is not in the simulated store")]
    NoClosure(Closure),
    /// A process could not be started.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// The host refuses for a reason that may pass.
    #[error("the host holds itself back: {0:?}")]
    Held(HostHold),
    /// The host refuses.
    #[error("refused: {0}")]
    Refused(String),
    /// No such attempt.
    #[error("no root record of {0} attempt {1} on this host")]
    Unknown(RolloutId, Attempt),
}

impl SimError {
    pub(crate) fn io(act: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io { act, path: path.to_owned(), source }
    }

    pub(crate) fn invalid(what: &'static str, detail: &impl Display) -> Self {
        Self::Invalid { what, detail: detail.to_string() }
    }

    /// Says it as the `System` trait does, with what was tried.
    #[must_use]
    pub fn on(self, what: &'static str) -> SystemError {
        match self {
            Self::Held(hold) => SystemError::Held(hold),
            Self::Refused(why) => SystemError::Refused(why),
            Self::Unknown(rollout, attempt) => SystemError::Unknown(rollout, attempt),
            Self::Io { .. } | Self::Invalid { .. } | Self::Off | Self::NotMine | Self::NoClosure(_) | Self::Exec(_) => {
                SystemError::Failed { what, detail: self.to_string() }
            }
        }
    }
}
