//! What is said between programs and kept on disk as JSON: the only serde on published types. Must not decide.

pub mod text;
pub mod v1;
pub mod stored;
pub mod helper;
#[cfg(test)]
mod tests;

/// A message or a stored body that can't be understood, with the place and the rule it breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {detail}")]
pub struct Invalid {
    /// What was read.
    pub what: &'static str,
    /// Where and why it is wrong.
    pub detail: String,
}

impl From<std::convert::Infallible> for Invalid {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}
