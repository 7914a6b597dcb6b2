//! Orders that the machines give; whoever drives a machine carries every one of them out.

use crate::model::facts::Verdict;
use crate::model::id::{Closure, HostName};

/// An order from the host rollout machine. The agent acts on it; the control plane keeps what concerns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Fetch, verify and pin the target.
    Stage,
    /// Send the journaled `DispatchAcked`; its answer is the permit.
    AskPermit,
    /// Arm the dead-man and start the switch to the target.
    StartSwitch,
    /// Boot once into the target, guarded.
    TrialBoot,
    /// Read the probes the target declares, and run them.
    StartProbes,
    /// Stop all probes of this rollout.
    StopProbes,
    /// Keep probing after the commit, reporting only.
    WatchProbes,
    /// Ask the root helper to make the target the boot default.
    Commit,
    /// Bring the prior closure back.
    Revert(Verdict),
    /// Leave the target running, uncommitted, dead-man off: policy `keep`.
    Keep(Verdict),
    /// Never again start this closure here by itself.
    Quarantine(Closure),
    /// A person has to look.
    Alert(Alert),
}

/// Why a person has to look at a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alert {
    /// The prior closure could not be brought back.
    RollbackFailed(String),
    /// The release failed and policy keeps it running.
    KeptAfterFailure(Verdict),
    /// Somebody else switched the host during an attempt.
    Overtaken(Closure),
    /// A committed host fails a probe.
    FailedAfterCommit(String),
}

/// An order from the rollout machine to the control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RolloutEffect {
    /// Invite the hosts of this wave.
    OpenWave(usize),
    /// Look again at every host that waits: what held it in the rollout is gone (resumed, approved).
    WakeWaiting,
    /// Tell every host in flight to go back, without quarantine.
    RevertInFlight,
    /// Cancel every host that has no permit.
    CancelWaiting,
    /// Quarantine the release's closures of these failed hosts for the whole channel.
    QuarantineChannel,
    /// Forgive these failures from now on.
    Forgive(Vec<HostName>),
}
