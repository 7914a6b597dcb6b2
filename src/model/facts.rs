//! What is known about a host and its attempts, as plain values.

use crate::model::id::{BootId, Closure, HostName, JournalId, ProbeName, RolloutId};
use crate::model::time::Timestamp;
use std::time::Duration;

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// `switch-to-configuration` did not do its work; with its exit status where it had one.
    SwitchFailed(String),
    /// The switch outlived its limit.
    SwitchTimedOut,
    /// These units fail now and did not before.
    UnitsFailed(Vec<String>),
    /// These `enforce` probes failed for the whole failure time.
    ProbesFailed(Vec<ProbeName>),
    /// The agent gave no sign of life for its limit, or reached the absolute end; the dead-man acted.
    DeadMan,
    /// The agent started too often in too short a time.
    AgentCrashLoop,
    /// The control plane is reached with the prior closure's settings and not with the target's.
    ControlPlaneLost,
    /// No control plane answered until the isolation limit; says nothing about the closure.
    Isolated,
    /// The trial boot came up elsewhere.
    BootedElsewhere,
    /// The second unclean reboot during one attempt's soak.
    UncleanReboots,
    /// More clean reboots during one attempt's soak than are forgiven; says nothing about the closure.
    TooManyReboots,
    /// Somebody else switched the host.
    Overtaken,
    /// The operator, a halt or a newer release told the host to go back.
    Ordered(String),
    /// The commit could not be finished or read back.
    CommitFailed(String),
    /// The root helper refused to start, with its reason.
    Refused(String),
}

impl Verdict {
    /// Tells whether the closure itself is to blame: only such verdicts quarantine it.
    #[must_use]
    pub fn blames_closure(&self) -> bool {
        match self {
            Self::SwitchFailed(_)
            | Self::SwitchTimedOut
            | Self::UnitsFailed(_)
            | Self::ProbesFailed(_)
            | Self::DeadMan
            | Self::AgentCrashLoop
            | Self::ControlPlaneLost
            | Self::BootedElsewhere
            | Self::UncleanReboots => true,
            Self::Isolated
            | Self::TooManyReboots
            | Self::Overtaken
            | Self::Ordered(_)
            | Self::CommitFailed(_)
            | Self::Refused(_) => false,
        }
    }

    /// Tells whether the host counts as a failure of its wave.
    #[must_use]
    pub fn counts_as_failure(&self) -> bool {
        match self {
            Self::Isolated | Self::Ordered(_) | Self::TooManyReboots => false,
            Self::SwitchFailed(_)
            | Self::SwitchTimedOut
            | Self::UnitsFailed(_)
            | Self::ProbesFailed(_)
            | Self::DeadMan
            | Self::AgentCrashLoop
            | Self::ControlPlaneLost
            | Self::BootedElsewhere
            | Self::UncleanReboots
            | Self::Overtaken
            | Self::CommitFailed(_)
            | Self::Refused(_) => true,
        }
    }
}

/// What a probe is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProbeMode {
    /// A failure that lasts fails the host.
    Enforce,
    /// Results are reported and change nothing.
    Observe,
    /// Not run.
    Disabled,
}

/// What a probe said last.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ProbeOutcome {
    /// It answered as it should.
    Pass,
    /// It did not, with the reason.
    Fail(String),
}

/// A unit that fails now and did not before the switch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnitFailure {
    /// The unit's name.
    pub unit: String,
    /// The end of its log, at most 4 KiB.
    pub log: String,
}

/// Which closures a host runs, booted, and would boot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Closures {
    /// `/run/current-system`; `None` when it can't be read.
    pub running: Option<Closure>,
    /// `/run/booted-system`.
    pub booted: Option<Closure>,
    /// The profile and the loader's default, where both agree.
    pub default: Option<Closure>,
}

/// Why a host itself holds an attempt back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostHold {
    /// The release's lease has expired, or is not there.
    Lease(String),
    /// Too little free space, with where and how much.
    Disk(String),
    /// Another switch holds the lock.
    Lock,
    /// The binary cache does not give the closure.
    Cache(String),
    /// The clock is below the newest signed date that was accepted.
    ClockBehind,
    /// The profile or the loader default is not the running closure.
    BootDefaultDiffers,
    /// The agent's state is on a file system that does not survive a boot.
    StateNotPersistent,
    /// A trial boot is wanted and can't be made.
    NoTrialBoot(String),
    /// The host runs something that no release put there.
    Drift(Closure),
    /// A signed window or `notBefore` is not open by the host's own clock.
    Window(String),
    /// The release does not verify.
    Untrusted(String),
    /// The closure is quarantined on this host.
    Quarantined(Closure),
    /// The root helper has an unfinished attempt.
    Busy(RolloutId),
}

/// What the control plane knows of a host apart from its attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    /// The host.
    pub name: HostName,
    /// When the control plane last heard from it, on its own clock; `None` since it never did.
    pub heard: Option<Timestamp>,
    /// When it was heard since this control plane process started.
    pub heard_since_start: bool,
    /// What it said it runs.
    pub closures: Closures,
    /// What it holds itself back for.
    pub holds: Vec<HostHold>,
    /// Held by an operator, with the reason.
    pub operator_hold: Option<String>,
    /// Two machines seem to use its identity.
    pub cloned: bool,
    /// Closures that failed here.
    pub quarantined: Vec<Closure>,
    /// Its current journal.
    pub journal: Option<JournalId>,
    /// Its boot.
    pub boot: Option<BootId>,
}

/// How long after the control plane started the facts are, and what grace that leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaneFacts {
    /// Time since the control plane started to listen.
    pub up_for: Duration,
    /// No permit before it has been up for so long: one heartbeat interval.
    pub grace: Duration,
}
