//! The fleet as a release declares it: who gets which closure, in which waves, under which policy.

use crate::model::id::{Channel, Closure, Digest, HostName, RolloutId, Tag};
use crate::model::time::Timestamp;
use crate::model::window::{Window, is_open};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// One release: immutable, named once, signed as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// `channel@ref`.
    pub id: RolloutId,
    /// The digest of the canonical manifest: what the signatures cover.
    pub digest: Digest,
    /// What each host gets.
    pub hosts: BTreeMap<HostName, Target>,
    /// Who may start together, in order; every host stands in exactly one.
    pub waves: Vec<Wave>,
    /// The rules that all hosts share.
    pub policy: Policy,
    /// Lifts the quarantine of the closures that this release names.
    pub again: bool,
}

/// What one host gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The system to run.
    pub closure: Closure,
    /// The host's tags; budgets select by them.
    pub tags: BTreeSet<Tag>,
}

/// Hosts that may start together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wave {
    /// Shown to people.
    pub name: Tag,
    /// The hosts, each named in no other wave.
    pub hosts: BTreeSet<HostName>,
    /// The most hosts of this wave that may hold a permit at once; `None` is no limit but the wave.
    pub max_in_flight: Option<u32>,
    /// How many hosts with a changed closure must converge before the next wave; at least 1.
    pub min_success: u32,
    /// How many may fail before the rollout halts; 0 halts at the first.
    pub max_failures: u32,
    /// How long to wait after this wave has finished before the next one; `promote` skips it.
    pub wait: Duration,
    /// No host of this wave starts before this.
    pub not_before: Option<Timestamp>,
    /// Hosts of this wave start and reboot only inside one of these; empty is always.
    pub windows: Vec<Window>,
    /// An operator has to approve this wave (`convoy rollout promote --wave`).
    pub approval: bool,
    /// What to do where the boot components differ.
    pub reboot: RebootPolicy,
}

/// The rules that all hosts of a release share. Durations are whole milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How long a host stays healthy on the new closure before it is committed.
    pub soak: Duration,
    /// How long an `enforce` probe may fail without a pass before the host is judged unhealthy.
    pub failure_after: Duration,
    /// The most time that `switch-to-configuration` may take.
    pub switch_limit: Duration,
    /// The most time that a commit may take.
    pub commit_limit: Duration,
    /// The most time that one try to bring the prior closure back may take.
    pub rollback_limit: Duration,
    /// The most time that a reboot may take until the agent runs again.
    pub reboot_limit: Duration,
    /// How long the dead-man waits for a sign of life of the agent.
    pub agent_timeout: Duration,
    /// How long a soaked host waits for its control plane before it reverts as `Isolated`.
    pub isolation_limit: Duration,
    /// How long a host may be silent before it is set aside (no permit) or, past its limit, counted lost.
    pub offline_grace: Duration,
    /// How long staging may take before it counts as failed and is tried again.
    pub stage_limit: Duration,
    /// What a failed host does.
    pub on_failure: OnFailure,
    /// What hosts in flight do when a newer release arrives.
    pub on_supersede: InFlight,
    /// What hosts in flight do when the rollout halts.
    pub on_halt: InFlight,
    /// What to do about a host that runs something else.
    pub on_drift: OnDrift,
    /// How many hosts of a tag may hold a permit at once, over all waves and channels.
    pub budgets: BTreeMap<Tag, u32>,
    /// Host → hosts that must have finished well before it starts.
    pub host_order: BTreeMap<HostName, BTreeSet<HostName>>,
    /// Channels whose latest rollout must be Completed before any host of this one starts.
    pub after_channels: BTreeSet<Channel>,
}

/// What a failed host does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnFailure {
    /// Goes back to the prior closure by itself.
    Revert,
    /// Stays on the new closure, uncommitted, and waits for a person (stateful upgrades).
    Keep,
}

/// What hosts in flight do when their rollout stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InFlight {
    /// Finish what they began.
    Finish,
    /// Go back, without quarantine.
    Revert,
}

/// What to do about a host that runs something other than its last release says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnDrift {
    /// Only say so.
    Report,
    /// Say so, and start nothing on it until an operator resolves it.
    Hold,
    /// Start a new attempt of the channel's latest release.
    Reconcile,
}

/// What to do where kernel, initrd or other boot components differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RebootPolicy {
    /// Activate, soak and commit live; the first boot afterwards is unproven.
    Live,
    /// Prove the boot first: one-shot boot into the target, soak there, then commit.
    Trial,
}

impl Release {
    /// Returns the number of the wave that holds the host, from 0.
    #[must_use]
    pub fn wave_of(&self, host: &HostName) -> Option<usize> {
        self.waves.iter().position(|wave| wave.hosts.contains(host))
    }

    /// Says why the host may not start or reboot at this time by what is signed for its wave; `None` when it may.
    #[must_use]
    pub fn closed(&self, host: &HostName, now: Timestamp) -> Option<String> {
        let wave = self.waves.get(self.wave_of(host)?)?;
        if wave.not_before.is_some_and(|from| now < from) {
            return Some(format!("wave {} does not start before its signed date", wave.name));
        }
        (!is_open(&wave.windows, now)).then(|| format!("no signed window of wave {} is open", wave.name))
    }
}
