//! Holds in plain words, for `convoy why`. Waves are counted from 1 here, as people do.

use crate::model::facts::{HostHold, listed};
use crate::model::gate::{Gate, Hold};
use crate::model::id::{HostName, RolloutId};
use crate::model::time::Spoken;
use std::fmt;

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QuarantinedHere(closure) => write!(f, "{} failed on this host before", closure.base()),
            Self::QuarantinedInChannel(closure) => {
                write!(f, "{} failed in a rollout of this channel, which halted", closure.base())
            }
            Self::RolloutPaused(by) => write!(f, "the rollout was paused by {by}"),
            Self::RolloutHalted(why) => write!(f, "the rollout halted {why}"),
            Self::RolloutCancelled(by) => write!(f, "the rollout was cancelled by {by}"),
            Self::NotWaiting(state) => write!(f, "the host's attempt is {state}: it does not wait for a permit"),
            Self::HeldByOperator(reason) => write!(f, "an operator holds the host: {reason}"),
            Self::SupersededBy(newer) => write!(f, "{newer} took over: this release does not start any more"),
            Self::InFlightElsewhere(other) => write!(f, "the host is in flight in {other}"),
            Self::AfterChannel(channel) => write!(f, "the latest rollout of channel {channel} is not Completed"),
            Self::NotInRelease => f.write_str("the release has no closure or no wave for this host"),
            Self::WaveNotOpen { wave, open: None } => {
                write!(f, "the host is in wave {} and no wave is open yet", wave + 1)
            }
            Self::WaveNotOpen { wave, open: Some(open) } => {
                write!(f, "the host is in wave {} and wave {} is open", wave + 1, open + 1)
            }
            Self::WaveFull { in_flight, limit } => {
                write!(f, "the wave has {in_flight} hosts in flight and may have {limit}")
            }
            Self::AfterHosts(hosts) => write!(f, "{} must have converged first", listed(hosts)),
            Self::BudgetSpent { budget, in_flight, limit } => {
                write!(f, "budget {budget} has {in_flight} hosts in flight and may have {limit}")
            }
            Self::WindowClosed(Some(at)) => write!(f, "no window is open; the next one opens at {at}"),
            Self::WindowClosed(None) => f.write_str("no window of the wave ever opens"),
            Self::NotBefore(at) => write!(f, "the wave does not start before {at}"),
            Self::ApprovalNeeded(wave) => write!(f, "wave {} waits for an operator's approval", wave + 1),
            Self::NeverHeard => f.write_str("the host has never been heard from"),
            Self::Silent(span) => write!(f, "the host has been silent for {}", Spoken(*span)),
            Self::NotHeardSinceStart => f.write_str("the host has not been heard from since the control plane started"),
            Self::FactMissing(fact) => write!(f, "a fact is missing: {fact}"),
            Self::ClaimedBy(other) => write!(f, "{other}, a rollout of another channel, names this host too"),
            Self::Cloned => f.write_str("two machines seem to use this host's identity"),
            Self::RestoredStore => f.write_str("the control plane's store was restored from an older copy"),
            Self::JustStarted(left) => {
                write!(f, "the control plane has just started and gathers facts for {} more", Spoken(*left))
            }
            Self::OnHost(hold) => write!(f, "on the host: {hold}"),
        }
    }
}

impl Hold {
    /// Returns the command to run or the thing to do, where something can be done. `rollout` is the one that
    /// the hold is about.
    #[must_use]
    pub fn hint(&self, host: &HostName, rollout: &RolloutId) -> Option<String> {
        match self {
            Self::QuarantinedHere(_) | Self::QuarantinedInChannel(_) => Some(retry(host, rollout)),
            Self::RolloutPaused(_) => Some(format!("convoy rollout resume {rollout}")),
            Self::RolloutHalted(_) => Some(format!(
                "`convoy rollout retry {rollout}` to try the failed hosts again, then `convoy rollout resume {rollout}`"
            )),
            Self::RestoredStore => {
                Some(format!("look at `convoy rollout show {rollout}`, then `convoy rollout resume {rollout}`"))
            }
            Self::HeldByOperator(_) => Some(format!("convoy host release {host}")),
            Self::SupersededBy(newer) => Some(format!("convoy rollout show {newer}")),
            Self::InFlightElsewhere(other) => Some(format!("convoy rollout show {other}")),
            Self::ApprovalNeeded(wave) => Some(format!("convoy rollout promote {rollout} --wave {}", wave + 1)),
            Self::NeverHeard | Self::Silent(_) | Self::NotHeardSinceStart => {
                Some(format!("on {host}: systemctl status convoy-agent"))
            }
            Self::ClaimedBy(other) => Some(format!("convoy rollout cancel {other}, or {rollout}")),
            Self::Cloned => Some(format!("convoy host resolve {host}, once only one of them is left")),
            Self::RolloutCancelled(_) | Self::NotInRelease | Self::WindowClosed(None) => {
                Some("publish a new release".to_owned())
            }
            Self::OnHost(hold) => on_host(hold, host, rollout),
            Self::NotWaiting(_)
            | Self::AfterChannel(_)
            | Self::WaveNotOpen { .. }
            | Self::WaveFull { .. }
            | Self::AfterHosts(_)
            | Self::BudgetSpent { .. }
            | Self::WindowClosed(Some(_))
            | Self::NotBefore(_)
            | Self::FactMissing(_)
            | Self::JustStarted(_) => None,
        }
    }
}

fn retry(host: &HostName, rollout: &RolloutId) -> String {
    format!("convoy rollout retry {rollout} --host {host}")
}

fn on_host(hold: &HostHold, host: &HostName, rollout: &RolloutId) -> Option<String> {
    match hold {
        HostHold::Quarantined(_) => Some(retry(host, rollout)),
        HostHold::Drift(_) => Some(format!("convoy host resolve {host}")),
        HostHold::Disk(_) => Some(format!("on {host}: nix-collect-garbage, or a larger disk")),
        HostHold::BootDefaultDiffers => {
            Some(format!("on {host}: make the running system the boot default again, or reboot into the default"))
        }
        HostHold::Lease(_) => Some("renew the release's lease and publish it again".to_owned()),
        HostHold::ClockBehind => Some(format!("on {host}: set the clock (timedatectl)")),
        HostHold::StateNotPersistent | HostHold::NoTrialBoot(_) | HostHold::Untrusted(_) => {
            Some("publish a new release that mends it".to_owned())
        }
        HostHold::Commit(_) => Some(format!("on {host}: see that /boot and /nix can be written and have room")),
        HostHold::Lock | HostHold::Cache(_) | HostHold::Window(_) | HostHold::Busy(_) => None,
    }
}
