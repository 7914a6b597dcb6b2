//! The names of the states, the same in code, wire, store, log and docs.

/// Where a host stands in a rollout; the word used in code, wire, store, log and docs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostRolloutState {
    /// In the rollout, not started.
    Pending,
    /// Permitted; the switch runs or its outcome is not known yet.
    Activating,
    /// Waits for a reboot.
    Deferred,
    /// Runs the target, uncommitted.
    Soaking,
    /// Committed. Final.
    Converged,
    /// Failed, with the verdict.
    Failed,
    /// The prior closure runs again. Final.
    Reverted,
    /// Left before it started. Final.
    Cancelled,
}

impl HostRolloutState {
    /// All states, in the order of the docs.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Activating,
        Self::Deferred,
        Self::Soaking,
        Self::Converged,
        Self::Failed,
        Self::Reverted,
        Self::Cancelled,
    ];
}

impl std::fmt::Display for HostRolloutState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Pending => "Pending",
            Self::Activating => "Activating",
            Self::Deferred => "Deferred",
            Self::Soaking => "Soaking",
            Self::Converged => "Converged",
            Self::Failed => "Failed",
            Self::Reverted => "Reverted",
            Self::Cancelled => "Cancelled",
        })
    }
}

impl std::str::FromStr for HostRolloutState {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|state| state.to_string() == text);
        found.ok_or_else(|| format!("{text:?} is not a host rollout state"))
    }
}
