//! Exit codes and hints: what a failure means to the shell, and what the reader can do about it.

use crate::client::ClientError;
use crate::client::http::BadAddress;
use crate::ctl::release::build::nix::Failed;
use crate::trust::TrustError;
use std::io;

/// How the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Success,
    /// Not done, for a reason that has no code of its own.
    Failed,
    /// The command line or a file it names is wrong.
    Usage,
    /// The control plane does not answer.
    Unreachable,
    /// The control plane refused.
    Refused,
    /// The named thing does not exist.
    NotFound,
    /// The release does not verify.
    Untrusted,
    /// The watched rollout stopped short.
    Stopped,
    /// The time given ran out.
    TimedOut,
    /// Interrupted by the user.
    Interrupted,
}

impl Exit {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Success,
        Self::Failed,
        Self::Usage,
        Self::Unreachable,
        Self::Refused,
        Self::NotFound,
        Self::Untrusted,
        Self::Stopped,
        Self::TimedOut,
        Self::Interrupted,
    ];

    /// Returns the number for the shell.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Unreachable => 3,
            Self::Refused => 4,
            Self::NotFound => 5,
            Self::Untrusted => 6,
            Self::Stopped => 7,
            Self::TimedOut => 8,
            Self::Interrupted => 130,
        }
    }

    /// Says what it means.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Success => "done; for `watch`, the rollout completed",
            Self::Failed => "not done, for a reason that has no code of its own",
            Self::Usage => "the command line, or a file that it names, is wrong; nothing was done",
            Self::Unreachable => "the control plane does not answer, or no secure connection with it can be made",
            Self::Refused => "the control plane refused, and says why",
            Self::NotFound => "the control plane does not know the host, rollout or release",
            Self::Untrusted => "the release does not verify: signatures, threshold, lease or sequence",
            Self::Stopped => "the watched rollout halted, was cancelled or was superseded",
            Self::TimedOut => "the time given with --timeout ran out",
            Self::Interrupted => "interrupted by Ctrl-C",
        }
    }
}

/// Lists codes and meanings, one a line.
#[must_use]
pub fn table() -> String {
    let lines = Exit::ALL.map(|exit| format!("{:>4}  {}\n", exit.code(), exit.meaning()));
    format!("Exit codes of convoy:\n\n{}", lines.concat())
}

/// A mistake of the caller: exit code 2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Mistake {
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Mistake {
    /// Makes one with a hint.
    pub fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: Some(hint.into()) }
    }
}

/// Returns the exit code of a failure.
#[must_use]
pub fn of(error: &anyhow::Error) -> Exit {
    if is_broken_pipe(error) {
        return Exit::Success;
    }
    if error.downcast_ref::<Mistake>().is_some() || error.downcast_ref::<BadAddress>().is_some() {
        return Exit::Usage;
    }
    if let Some(error) = error.downcast_ref::<TrustError>() {
        return of_trust(error);
    }
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Unreachable { .. } | ClientError::Insecure { .. }) => Exit::Unreachable,
        Some(ClientError::Refused { status: 404, .. }) => Exit::NotFound,
        Some(ClientError::Refused { .. }) => Exit::Refused,
        Some(ClientError::NoIdentity { .. }) => Exit::Usage,
        Some(ClientError::Garbled { .. }) | None => Exit::Failed,
    }
}

fn of_trust(error: &TrustError) -> Exit {
    match error {
        TrustError::NotCanonical { .. }
        | TrustError::BelowThreshold { .. }
        | TrustError::TooManySignatures { .. }
        | TrustError::ForeignLease { .. }
        | TrustError::BadLease(_)
        | TrustError::Expired { .. }
        | TrustError::ClockBehind { .. }
        | TrustError::Replayed { .. }
        | TrustError::SequenceTaken { .. }
        | TrustError::NotForThisHost { .. } => Exit::Untrusted,
        TrustError::TooLarge { .. }
        | TrustError::TooDeep { .. }
        | TrustError::Invalid(_)
        | TrustError::Signers(_)
        | TrustError::KeyText { .. }
        | TrustError::KeyExposed { .. }
        | TrustError::KeyExists { .. }
        | TrustError::TrustFile(_)
        | TrustError::Certificate { .. }
        | TrustError::Token(_)
        | TrustError::File { .. } => Exit::Usage,
    }
}

/// Tells whether nobody reads the output any more, which is no failure.
#[must_use]
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// Returns what the reader can do about a failure.
#[must_use]
pub fn hint(error: &anyhow::Error) -> Option<String> {
    if let Some(Mistake { hint, .. }) = error.downcast_ref() {
        return hint.clone();
    }
    if let Some(Failed { hint, .. }) = error.downcast_ref() {
        return hint.clone();
    }
    if let Some(hint) = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()).and_then(io_hint) {
        return Some(hint.to_owned());
    }
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Unreachable { .. }) => Some(
            "is convoy-cp running there? give another address with --control-plane or CONVOY_CONTROL_PLANE".to_owned(),
        ),
        Some(ClientError::Garbled { .. }) => Some(
            "do convoy and convoy-cp have the same version? compare `convoy --version` with `convoy status`".into(),
        ),
        Some(ClientError::Refused { status: 404, .. }) => {
            Some("`convoy host list` and `convoy rollout list` show what there is".to_owned())
        }
        Some(ClientError::Refused { .. } | ClientError::Insecure { .. } | ClientError::NoIdentity { .. }) | None => {
            None
        }
    }
}

fn io_hint(error: &io::Error) -> Option<&'static str> {
    let no_room = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge];
    if no_room.contains(&error.kind()) {
        return Some("make room, or raise the size limit, and try again; what was there before is untouched");
    }
    (error.kind() == io::ErrorKind::PermissionDenied).then_some("check who may write there")
}

#[cfg(test)]
mod tests {
    use crate::client::ClientError;
    use crate::ctl::exit::{Exit, Mistake, hint, of, table};
    use anyhow::Context;
    use std::collections::BTreeSet;
    use std::io;

    fn refused(status: u16) -> anyhow::Error {
        let (code, message, request_id) = ("x".to_owned(), "y".to_owned(), "z".to_owned());
        ClientError::Refused { status, code, message, request_id }.into()
    }

    #[test]
    fn each_code_is_used_once_and_listed() {
        let codes: BTreeSet<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        assert_eq!(codes.len(), Exit::ALL.len());
        assert!(Exit::ALL.iter().all(|exit| table().contains(&format!("{:>4}  {}", exit.code(), exit.meaning()))));
    }

    #[test]
    fn failures_have_the_code_that_is_documented() {
        assert_eq!(of(&refused(404)), Exit::NotFound);
        assert_eq!(of(&refused(409)), Exit::Refused);
        assert_eq!(of(&Mistake::new("a", "b").into()), Exit::Usage);
        assert_eq!(of(&anyhow::anyhow!("else")), Exit::Failed);
    }

    #[test]
    fn context_does_not_hide_the_code_or_the_hint() {
        let error = Err::<(), _>(ClientError::Unreachable { at: "a".into(), detail: "b".into() });
        let error = error.context("while watching").unwrap_err();
        assert_eq!(of(&error), Exit::Unreachable);
        assert!(hint(&error).unwrap().contains("--control-plane"));
    }

    #[test]
    fn nobody_reading_is_no_failure() {
        let error = anyhow::Error::new(io::Error::from(io::ErrorKind::BrokenPipe)).context("can't print");
        assert_eq!(of(&error), Exit::Success);
    }
}
