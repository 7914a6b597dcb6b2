//! The guards that a test-only build can leave out, so that a test can show what each of them prevents. A normal build
//! has every guard and no code that could turn one off.

/// The variable that names the guard to leave out, in a build with the feature `leave-out-guards`.
#[cfg(feature = "leave-out-guards")]
pub const VARIABLE: &str = "CONVOY_LEAVE_OUT";

/// What keeps a host from harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// The dead-man is armed before a switch.
    DeadMan,
    /// Units that failed before do not count.
    Baseline,
    /// A switch waits for another one to end.
    LockRetry,
    /// Releases are signed.
    Signature,
    /// Leases end, and no older release follows a newer one.
    Lease,
    /// No switch without a permit.
    Permit,
    /// Target and prior are pinned.
    GcRoots,
    /// Exit status 4 is judged by the units that fail.
    Exit4,
    /// A journal that is not the newest is shut out.
    Fencing,
    /// The closure that boots for a trial arms the dead-man.
    TrialGuard,
}

impl Guard {
    /// Tells whether the guard is left out: never, in a normal build.
    #[must_use]
    #[cfg(not(feature = "leave-out-guards"))]
    pub const fn left_out(self) -> bool {
        false
    }

    /// Tells whether the environment names this guard.
    #[must_use]
    #[cfg(feature = "leave-out-guards")]
    pub fn left_out(self) -> bool {
        let name = match self {
            Self::DeadMan => "dead-man",
            Self::Baseline => "baseline",
            Self::LockRetry => "lock-retry",
            Self::Signature => "signature",
            Self::Lease => "lease",
            Self::Permit => "permit",
            Self::GcRoots => "gc-roots",
            Self::Exit4 => "exit-4",
            Self::Fencing => "fencing",
            Self::TrialGuard => "trial-guard",
        };
        std::env::var(VARIABLE).is_ok_and(|left_out| left_out.split(',').any(|word| word == name))
    }
}

/// Returns what has to be handed on to processes that outlive this one: nothing, in a normal build.
#[must_use]
pub fn handed_on() -> Vec<(String, String)> {
    #[cfg(feature = "leave-out-guards")]
    return std::env::var(VARIABLE).map(|value| (VARIABLE.to_owned(), value)).into_iter().collect();
    #[cfg(not(feature = "leave-out-guards"))]
    Vec::new()
}
