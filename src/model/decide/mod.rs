//! May this host start now? An ordered list of gates, all of them evaluated.

pub mod gates;

use crate::model::facts::{HostFacts, PlaneFacts};
use crate::model::fleet::Release;
use crate::model::gate::{Gate, Hold};
use crate::model::host_rollout::HostRollout;
use crate::model::id::{Channel, Closure, HostName, RolloutId, Tag};
use crate::model::rollout::{Rollout, Tally};
use crate::model::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Everything the gates look at, gathered in one transaction for one host. Nothing in it grows with the fleet.
#[derive(Debug, Clone)]
pub struct View<'a> {
    /// The control plane's wall clock.
    pub now: Timestamp,
    /// The control plane's own start.
    pub plane: PlaneFacts,
    /// What is known of the host.
    pub host: &'a HostFacts,
    /// The release to start.
    pub release: &'a Release,
    /// Its rollout.
    pub rollout: &'a Rollout,
    /// The host's attempt.
    pub record: &'a HostRollout,
    /// How the host's wave stands, this host excluded.
    pub tally: Tally,
    /// The newest rollout of the channel.
    pub newest: &'a RolloutId,
    /// Another rollout in which this host holds a permit.
    pub in_flight_elsewhere: Option<RolloutId>,
    /// Other open rollouts of other channels that name this host.
    pub claimed_by: Option<RolloutId>,
    /// Closures quarantined for the channel.
    pub channel_quarantine: &'a BTreeSet<Closure>,
    /// Whether the latest rollout of each channel named in `after_channels` is Completed.
    pub channels_done: BTreeMap<Channel, bool>,
    /// An operator lifted the quarantine for this attempt (`convoy rollout retry`).
    pub retry: bool,
    /// Hosts named by this host's order that have not converged in this rollout.
    pub hosts_missing: Vec<HostName>,
    /// Hosts in flight for each budget of the release that selects this host, this host excluded.
    pub budgets: BTreeMap<Tag, u32>,
}

/// One rule: every hold it has for the view; none is its consent.
pub type Rule = fn(&View<'_>) -> Vec<Hold>;

/// Every gate with its rule, in the order of [`Gate::ALL`].
pub const RULES: [(Gate, Rule); Gate::ALL.len()] = [
    (Gate::Quarantine, gates::quarantine),
    (Gate::Stopped, gates::stopped),
    (Gate::Superseded, gates::superseded),
    (Gate::OtherRollout, gates::other_rollout),
    (Gate::ChannelOrder, gates::channel_order),
    (Gate::Wave, gates::wave),
    (Gate::HostOrder, gates::host_order),
    (Gate::Budget, gates::budget),
    (Gate::Window, gates::window),
    (Gate::NotBefore, gates::not_before),
    (Gate::Approval, gates::approval),
    (Gate::Freshness, gates::freshness),
    (Gate::Conflict, gates::conflict),
    (Gate::Clone, gates::clone),
    (Gate::Revoked, gates::revoked),
    (Gate::RestoredStore, gates::restored_store),
    (Gate::Host, gates::host),
];

/// Returns every hold, in the order of the gates; empty is the permit.
#[must_use]
pub fn decide(view: &View<'_>) -> Vec<(Gate, Hold)> {
    RULES.iter().flat_map(|(gate, rule)| rule(view).into_iter().map(|hold| (*gate, hold))).collect()
}

#[cfg(test)]
mod tests;
