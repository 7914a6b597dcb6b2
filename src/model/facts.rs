//! What is known about a host and its attempts, as plain values.

use crate::model::id::{BootId, Closure, HostName, JournalId, ProbeName, RolloutId};
use crate::model::time::Timestamp;
use std::fmt;
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

/// An activation that Convoy did not do itself, as the hook on the host noted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activation {
    /// What was activated.
    pub closure: Closure,
    /// `switch`, `test`, … or `boot` for the machine's own start.
    pub action: String,
    /// The boot that it happened in; empty where that could not be read.
    pub boot: String,
    /// Who did it, as far as the machine knows.
    pub who: String,
    /// When, on the host's wall clock.
    pub at: Timestamp,
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
    /// A commit that has begun can't be finished, with the reason; it is tried again.
    Commit(String),
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
    /// Since when its identity is shut out.
    pub revoked: Option<Timestamp>,
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

/// Writes a list for people, its first entries by name and the rest as a number.
#[must_use]
pub fn listed<T: fmt::Display>(items: &[T]) -> String {
    /// The most entries that are named, so that a line stays a line.
    const NAMED: usize = 5;
    let first: Vec<_> = items.iter().take(NAMED).map(ToString::to_string).collect();
    let rest = items.len() - first.len();
    if rest == 0 { first.join(", ") } else { format!("{} and {rest} more", first.join(", ")) }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SwitchFailed(why) => write!(f, "the switch failed: {why}"),
            Self::SwitchTimedOut => f.write_str("the switch outlived its limit"),
            Self::UnitsFailed(units) => write!(f, "units failed: {}", listed(units)),
            Self::ProbesFailed(probes) => write!(f, "probes failed for the whole failure time: {}", listed(probes)),
            Self::DeadMan => f.write_str("the agent gave no sign of life in time: the dead-man acted"),
            Self::AgentCrashLoop => f.write_str("the agent crashed again and again"),
            Self::ControlPlaneLost => {
                f.write_str("the control plane answers the prior closure's settings and not this one's")
            }
            Self::Isolated => f.write_str("no control plane answered until the isolation limit"),
            Self::BootedElsewhere => f.write_str("the trial boot came up in another closure"),
            Self::UncleanReboots => f.write_str("the host rebooted uncleanly twice during its soak"),
            Self::TooManyReboots => f.write_str("the host was rebooted too often during its soak"),
            Self::Overtaken => f.write_str("somebody else switched the host"),
            Self::Ordered(why) => write!(f, "told to go back: {why}"),
            Self::CommitFailed(why) => write!(f, "the commit failed: {why}"),
            Self::Refused(why) => write!(f, "the root helper refused to start: {why}"),
        }
    }
}

impl fmt::Display for HostHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lease(why) => write!(f, "the release's lease is not valid: {why}"),
            Self::Disk(detail) => write!(f, "too little free space: {detail}"),
            Self::Lock => f.write_str("another switch holds the lock"),
            Self::Cache(why) => write!(f, "the binary cache does not give the closure: {why}"),
            Self::ClockBehind => f.write_str("the clock is behind the newest signed date that was accepted"),
            Self::BootDefaultDiffers => f.write_str("the boot default is not the running closure"),
            Self::StateNotPersistent => f.write_str("the agent's state would not survive a reboot"),
            Self::NoTrialBoot(why) => write!(f, "a trial boot is wanted and can't be made: {why}"),
            Self::Drift(closure) => write!(f, "it runs {}, which no release put there", closure.base()),
            Self::Window(detail) => write!(f, "its own clock is outside the signed window: {detail}"),
            Self::Untrusted(why) => write!(f, "the release does not verify: {why}"),
            Self::Quarantined(closure) => write!(f, "{} failed here before", closure.base()),
            Self::Busy(rollout) => write!(f, "the root helper has not finished with {rollout}"),
            Self::Commit(why) => write!(f, "the boot default can't be written: {why}"),
        }
    }
}

impl HostHold {
    /// Returns the name used in API and metrics: kebab-case, stable.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Lease(_) => "lease",
            Self::Disk(_) => "disk",
            Self::Lock => "lock",
            Self::Cache(_) => "cache",
            Self::ClockBehind => "clock-behind",
            Self::BootDefaultDiffers => "boot-default-differs",
            Self::StateNotPersistent => "state-not-persistent",
            Self::NoTrialBoot(_) => "no-trial-boot",
            Self::Drift(_) => "drift",
            Self::Window(_) => "window",
            Self::Untrusted(_) => "untrusted",
            Self::Quarantined(_) => "quarantined",
            Self::Busy(_) => "busy",
            Self::Commit(_) => "commit",
        }
    }
}
