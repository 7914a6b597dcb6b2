//! Hands on the machine: six verbs, and looking. Must not decide; the agent asks, the root helper checks.

pub mod exec;
pub mod place;
pub mod links;
pub mod pattern;
pub mod disk;
pub mod nix;
pub mod systemd;
pub mod boot;
pub mod judge;
pub mod nixos;
pub mod sim;

use crate::model::facts::{Closures, HostHold, Verdict};
use crate::model::fleet::{RebootPolicy, Release};
use crate::model::host_rollout::Terms;
use crate::model::id::{Attempt, BootId, Closure, HostName, RolloutId};
use crate::model::limit::self_rollback;
use crate::model::root_record::RootRecord;
use async_trait::async_trait;
use std::time::Duration;

/// A machine could not do or say what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SystemError {
    /// Refused for a reason that may pass.
    #[error("the host holds itself back: {0:?}")]
    Held(HostHold),
    /// Refused because the record's state does not allow it.
    #[error("refused: {0}")]
    Refused(String),
    /// Nothing of the kind is known.
    #[error("no root record of {0} attempt {1} on this host")]
    Unknown(RolloutId, Attempt),
    /// The machine failed.
    #[error("the host failed to {what}: {detail}")]
    Failed {
        /// What was tried.
        what: &'static str,
        /// What it said.
        detail: String,
    },
}

/// What a start needs. The helper checks signatures and rules itself; it trusts nothing here but the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartOrder {
    /// Which rollout.
    pub rollout: RolloutId,
    /// Which try.
    pub attempt: Attempt,
    /// The signed terms, the target among them.
    pub terms: Terms,
    /// See [`crate::model::fleet::Policy::agent_timeout`].
    pub agent_timeout: Duration,
    /// The absolute end of the attempt, from its start (`model::limit`).
    pub end_after: Duration,
    /// Live or trial boot.
    pub reboot: RebootPolicy,
    /// The signed release as it came over the wire, for the helper's own check.
    pub signed_release: String,
}

impl StartOrder {
    /// Says in what the order differs from what a verified release has for the host; `None` where it is the same
    /// and no limit is longer.
    #[must_use]
    pub fn differs(&self, release: &Release, host: &HostName) -> Option<&'static str> {
        let policy = &release.policy;
        if release.id != self.rollout {
            Some("another release")
        } else if Terms::of(release, host).as_ref() != Some(&self.terms) || self.reboot != self.terms.reboot {
            Some("other terms for this host")
        } else if self.agent_timeout > policy.agent_timeout || self.end_after > self_rollback(policy).absolute_end {
            Some("a shorter limit")
        } else {
            None
        }
    }
}

/// What the machine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// This boot.
    pub boot: BootId,
    /// Running, booted and default closures.
    pub closures: Closures,
    /// Whether the boot before ended with a shutdown mark.
    pub clean_shutdown: bool,
    /// What the machine holds itself back for (disk, lock, boot default, state not persistent).
    pub holds: Vec<HostHold>,
}

/// What the running closure tells its agent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentSettings {
    /// The control plane's base address, such as `http://127.0.0.1:7600`.
    pub control_plane: String,
    /// The text of `health-checks.json`; empty when the closure declares none.
    pub health_checks: String,
    /// The text of the trust file: keys and threshold.
    pub trust: String,
}

/// Six verbs on one machine, and looking. Every call returns soon: long acts run by themselves and are asked
/// about with [`System::status`].
#[async_trait]
pub trait System: Send + Sync {
    /// Writes the root record, arms the dead-man and starts the switch (or, for [`RebootPolicy::Trial`] where
    /// the boot components differ, records that it must be deferred). Repeating it for a known attempt changes
    /// nothing and succeeds, unless its record `may_relaunch`: then it is launched again.
    async fn start(&self, order: &StartOrder) -> Result<(), SystemError>;
    /// Returns the root records of the last attempts, newest first, at most 8.
    async fn status(&self) -> Result<Vec<RootRecord>, SystemError>;
    /// Tells the dead-man that the agent is alive and not Failed.
    async fn pat(&self, rollout: &RolloutId, attempt: Attempt) -> Result<(), SystemError>;
    /// Starts to make the target the boot default. Refused unless the record is Soaking (or already past it).
    async fn commit(&self, rollout: &RolloutId, attempt: Attempt) -> Result<(), SystemError>;
    /// Starts to bring the prior back; with `keep`, gives the target up without touching it, dead-man off.
    #[expect(clippy::too_many_arguments, reason = "rollout and attempt together name one thing")]
    async fn revert(&self, rollout: &RolloutId, attempt: Attempt, why: &Verdict, keep: bool)
    -> Result<(), SystemError>;
    /// Boots once into the target of a deferred attempt, guarded.
    async fn reboot(&self, rollout: &RolloutId, attempt: Attempt) -> Result<(), SystemError>;

    /// Looks at the machine.
    async fn observe(&self) -> Result<Observation, SystemError>;
    /// Fetches, verifies and pins a closure. Repeating it is cheap.
    async fn stage(&self, closure: &Closure) -> Result<(), SystemError>;
    /// Tells whether running and target closure differ in boot components.
    async fn needs_reboot(&self, target: &Closure) -> Result<bool, SystemError>;
    /// Reads what the running closure tells its agent.
    async fn settings(&self) -> Result<AgentSettings, SystemError>;
    /// Tells the helper that an agent process started; it counts them.
    async fn agent_started(&self) -> Result<(), SystemError>;
    /// Tells whether the prior closure of this attempt, with its own settings, reaches its control plane.
    async fn prior_reaches_control_plane(&self, rollout: &RolloutId, attempt: Attempt) -> Result<bool, SystemError>;
    /// Tells whether a network address can be reached at all from this machine now. A real machine says yes and
    /// lets the connection itself speak; a simulated one says no where its closure broke its network.
    async fn network_up(&self) -> bool;
    /// Tells whether a unit is active.
    async fn unit_active(&self, unit: &str) -> Result<bool, SystemError>;
}
