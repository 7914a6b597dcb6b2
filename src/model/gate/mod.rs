//! Why a host may not start, or waits: one typed hold for each gate.

pub mod clearing;
pub mod words;

use crate::model::facts::HostHold;
use crate::model::host_rollout::HostRolloutState;
use crate::model::id::{Channel, Closure, HostName, RolloutId, Tag};
use crate::model::time::Timestamp;
use std::time::Duration;

/// Which rule holds a host. The order is the order of evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gate {
    /// The closure failed here or in the channel.
    Quarantine,
    /// The rollout is paused, halted, cancelled, or the host is held by an operator.
    Stopped,
    /// A newer release took over.
    Superseded,
    /// Another rollout has the host in flight.
    OtherRollout,
    /// Another channel has to finish first.
    ChannelOrder,
    /// The host's wave is not open, or is full.
    Wave,
    /// Another host has to finish first.
    HostOrder,
    /// A budget is spent.
    Budget,
    /// No window is open.
    Window,
    /// Too early.
    NotBefore,
    /// An operator has to approve.
    Approval,
    /// The host's facts are missing or old.
    Freshness,
    /// Another channel's open rollout claims the host.
    Conflict,
    /// Two machines use one identity.
    Clone,
    /// The host's identity was shut out.
    Revoked,
    /// The store was restored, or the control plane has just started.
    RestoredStore,
    /// The host holds itself back.
    Host,
}

impl Hold {
    /// Returns the gate that gives this hold. A host outside its release is held by every gate that looks it
    /// up; the wave gate stands for them.
    #[must_use]
    pub const fn gate(&self) -> Gate {
        match self {
            Self::QuarantinedHere(_) | Self::QuarantinedInChannel(_) => Gate::Quarantine,
            Self::RolloutPaused(_)
            | Self::RolloutHalted(_)
            | Self::RolloutCancelled(_)
            | Self::NotWaiting(_)
            | Self::HeldByOperator(_) => Gate::Stopped,
            Self::SupersededBy(_) => Gate::Superseded,
            Self::InFlightElsewhere(_) => Gate::OtherRollout,
            Self::AfterChannel(_) => Gate::ChannelOrder,
            Self::NotInRelease | Self::WaveNotOpen { .. } | Self::WaveFull { .. } => Gate::Wave,
            Self::AfterHosts(_) => Gate::HostOrder,
            Self::BudgetSpent { .. } => Gate::Budget,
            Self::WindowClosed(_) => Gate::Window,
            Self::NotBefore(_) => Gate::NotBefore,
            Self::ApprovalNeeded(_) => Gate::Approval,
            Self::NeverHeard | Self::Silent(_) | Self::NotHeardSinceStart | Self::FactMissing(_) => Gate::Freshness,
            Self::ClaimedBy(_) => Gate::Conflict,
            Self::Cloned => Gate::Clone,
            Self::Revoked(_) => Gate::Revoked,
            Self::RestoredStore | Self::JustStarted(_) => Gate::RestoredStore,
            Self::OnHost(_) => Gate::Host,
        }
    }
}

impl Gate {
    /// All gates in the order of evaluation.
    pub const ALL: [Self; 17] = [
        Self::Quarantine,
        Self::Stopped,
        Self::Superseded,
        Self::OtherRollout,
        Self::ChannelOrder,
        Self::Wave,
        Self::HostOrder,
        Self::Budget,
        Self::Window,
        Self::NotBefore,
        Self::Approval,
        Self::Freshness,
        Self::Conflict,
        Self::Clone,
        Self::Revoked,
        Self::RestoredStore,
        Self::Host,
    ];

    /// Returns the name used in API and metrics: `snake_case`, stable.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quarantine => "quarantine",
            Self::Stopped => "stopped",
            Self::Superseded => "superseded",
            Self::OtherRollout => "other_rollout",
            Self::ChannelOrder => "channel_order",
            Self::Wave => "wave",
            Self::HostOrder => "host_order",
            Self::Budget => "budget",
            Self::Window => "window",
            Self::NotBefore => "not_before",
            Self::Approval => "approval",
            Self::Freshness => "freshness",
            Self::Conflict => "conflict",
            Self::Clone => "clone",
            Self::Revoked => "revoked",
            Self::RestoredStore => "restored_store",
            Self::Host => "host",
        }
    }
}

/// Who can clear a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClearedBy {
    /// It clears with time.
    Time,
    /// It clears when other hosts have moved on.
    Progress,
    /// The host has to report or mend itself.
    Host,
    /// An operator has to act.
    Operator,
    /// A new release is needed.
    Release,
}

/// Why a host may not start, with what the reader needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// The closure failed on this host before.
    QuarantinedHere(Closure),
    /// The closure halted a rollout of this channel.
    QuarantinedInChannel(Closure),
    /// The rollout is paused, by whom.
    RolloutPaused(String),
    /// The rollout halted, with where and why.
    RolloutHalted(String),
    /// The rollout was cancelled, by whom.
    RolloutCancelled(String),
    /// The attempt is not one that waits for a permit.
    NotWaiting(HostRolloutState),
    /// An operator holds the host.
    HeldByOperator(String),
    /// A newer release took over.
    SupersededBy(RolloutId),
    /// Another rollout has the host in flight.
    InFlightElsewhere(RolloutId),
    /// This channel's latest rollout has to be Completed first.
    AfterChannel(Channel),
    /// The release has no closure or no wave for the host.
    NotInRelease,
    /// The host's wave opens later.
    WaveNotOpen {
        /// The host's wave.
        wave: usize,
        /// The open one; `None` before the first.
        open: Option<usize>,
    },
    /// The wave has as many hosts in flight as it may.
    WaveFull {
        /// Now.
        in_flight: u32,
        /// Allowed.
        limit: u32,
    },
    /// These hosts have to finish well first.
    AfterHosts(Vec<HostName>),
    /// The budget is spent.
    BudgetSpent {
        /// Which.
        budget: Tag,
        /// Now.
        in_flight: u32,
        /// Allowed.
        limit: u32,
    },
    /// No window is open; the next opens then.
    WindowClosed(Option<Timestamp>),
    /// Not before this.
    NotBefore(Timestamp),
    /// The wave needs an operator's approval.
    ApprovalNeeded(usize),
    /// The host was never heard from.
    NeverHeard,
    /// The host was last heard from so long ago, which is longer than the offline grace.
    Silent(Duration),
    /// The host has not been heard from since the control plane started.
    NotHeardSinceStart,
    /// A fact that the decision needs is missing, named.
    FactMissing(&'static str),
    /// This channel's open rollout names the host too.
    ClaimedBy(RolloutId),
    /// Two machines seem to use the host's identity.
    Cloned,
    /// The host's identity was shut out, since when.
    Revoked(Timestamp),
    /// The store was restored and an operator has not resumed.
    RestoredStore,
    /// The control plane started less than one heartbeat interval ago; so much of it is left.
    JustStarted(Duration),
    /// The host holds itself back.
    OnHost(HostHold),
}
