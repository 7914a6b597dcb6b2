//! The act log: what happened on a simulated host, in order. It survives everything; nothing else writes it, so
//! tests and the demo read the truth here and not from what anybody intended.

use crate::model::id::{BootId, Closure};
use crate::system::sim::disk::DiskHost;
use crate::system::sim::error::SimError;
use crate::wire::text;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The name of the log in a host's directory.
pub const FILE: &str = "acts.log";

/// One act with its number and the host's clocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Counts the acts of the host, from 1, without gaps.
    pub n: u64,
    /// The boot.
    #[serde(with = "text")]
    pub boot: BootId,
    /// The machine's uptime in milliseconds; all simulated hosts of one machine share it.
    pub uptime_ms: u64,
    /// The host's wall time in milliseconds, wrong where the host's clock is wrong.
    pub wall_ms: i64,
    /// What happened.
    #[serde(flatten)]
    pub act: Act,
}

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum By {
    /// The root helper, towards the target.
    Forward,
    /// The root helper, back to the prior.
    Rollback,
    /// Somebody at the machine.
    Operator,
    /// The machine's boot.
    Boot,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "act")]
pub enum Act {
    /// `switch-to-configuration` began.
    SwitchStarted {
        /// For whom.
        by: By,
        /// What ran.
        #[serde(with = "text")]
        from: Closure,
        /// What is to run.
        #[serde(with = "text")]
        to: Closure,
        /// `test` or `switch`.
        action: String,
    },
    /// `/run/current-system` moved.
    Activated {
        /// For whom.
        by: By,
        /// What ran.
        #[serde(with = "text")]
        was: Closure,
        /// What runs.
        #[serde(with = "text")]
        closure: Closure,
    },
    /// `switch-to-configuration` ended.
    SwitchEnded {
        /// For whom.
        by: By,
        /// What was to run.
        #[serde(with = "text")]
        to: Closure,
        /// How: its exit status, or that it was killed.
        result: String,
    },
    /// Profile and loader were written.
    DefaultWritten {
        /// By whom.
        by: By,
        /// To this.
        #[serde(with = "text")]
        closure: Closure,
    },
    /// The dead-man acted.
    DeadManFired {
        /// Why.
        verdict: String,
    },
    /// The attempt waits for a reboot.
    Deferred {
        /// Why.
        why: String,
    },
    /// The target is the boot default. The attempt is over.
    Committed {
        /// What.
        #[serde(with = "text")]
        closure: Closure,
    },
    /// The prior runs again, verified. The attempt is over.
    Reverted {
        /// What.
        #[serde(with = "text")]
        closure: Closure,
        /// Why; empty when it was only interrupted.
        verdict: String,
    },
    /// Somebody else switched. The attempt is over.
    Overtaken,
    /// The target was given up under policy `keep`. The attempt is over.
    Kept,
    /// Bringing the prior back failed.
    RollbackFailed {
        /// Why.
        why: String,
    },
    /// A trial boot was ordered.
    TrialOrdered {
        /// Into what.
        #[serde(with = "text")]
        closure: Closure,
    },
    /// An agent process started.
    AgentStarted,
    /// An agent process ended, asked to or not.
    AgentEnded,
    /// The machine went down.
    Rebooted {
        /// With a shutdown mark.
        clean: bool,
    },
    /// The power went.
    PowerCut,
    /// A boot hung until the watchdog reset the machine.
    BootHung {
        /// Of what.
        #[serde(with = "text")]
        closure: Closure,
    },
    /// The machine is up.
    Booted {
        /// With what.
        #[serde(with = "text")]
        closure: Closure,
        /// Whether the boot before ended with a shutdown mark.
        clean: bool,
    },
    /// Somebody at the machine ran `nixos-rebuild switch`.
    ManualSwitch {
        /// To this.
        #[serde(with = "text")]
        closure: Closure,
    },
}

/// Reads the log of a host's directory: every act up to now, also one whose author died before it was appended.
///
/// # Errors
/// [`SimError`] when it can't be read or makes no sense.
pub fn read(dir: &Path) -> Result<Vec<Entry>, SimError> {
    DiskHost::open(dir)?.acts()
}
