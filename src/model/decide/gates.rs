//! The gates, one small function each. A lookup that fails is a hold, never a pass.

use crate::model::decide::View;
use crate::model::facts::HostHold;
use crate::model::fleet::{OnDrift, Target, Wave};
use crate::model::gate::Hold;
use crate::model::host_rollout::HostRolloutState;
use crate::model::rollout::{Place, RESTORED, RolloutState};
use crate::model::window;

fn target<'v>(view: &View<'v>) -> Option<&'v Target> {
    view.release.hosts.get(&view.host.name)
}

fn wave_of<'v>(view: &View<'v>) -> Option<(usize, &'v Wave)> {
    let index = view.release.wave_of(&view.host.name)?;
    Some((index, view.release.waves.get(index)?))
}

/// Holds a closure that failed here or halted a rollout of the channel, until `retry` or a release says `again`.
pub fn quarantine(view: &View<'_>) -> Vec<Hold> {
    let Some(target) = target(view) else { return vec![Hold::NotInRelease] };
    if view.release.again || view.retry {
        return Vec::new();
    }
    let here = view.host.quarantined.contains(&target.closure);
    let channel = view.channel_quarantine.contains(&target.closure);
    let holds = [
        here.then(|| Hold::QuarantinedHere(target.closure.clone())),
        channel.then(|| Hold::QuarantinedInChannel(target.closure.clone())),
    ];
    holds.into_iter().flatten().collect()
}

/// Holds while the rollout or the operator says no, and an attempt that does not wait for a permit at all.
pub fn stopped(view: &View<'_>) -> Vec<Hold> {
    let rollout = match &view.rollout.state {
        RolloutState::Halted { why, wave } => Some(Hold::RolloutHalted(format!("in wave {}: {why}", wave + 1))),
        RolloutState::Paused { by, .. } if by == RESTORED => None,
        RolloutState::Paused { by, .. } => Some(Hold::RolloutPaused(by.clone())),
        RolloutState::Cancelled { by } => Some(Hold::RolloutCancelled(by.clone())),
        RolloutState::Opened
        | RolloutState::Advancing { .. }
        | RolloutState::Completed
        | RolloutState::Superseded { .. } => None,
    };
    let operator = view.host.operator_hold.clone().map(Hold::HeldByOperator);
    let state = view.record.state();
    let attempt = match state {
        HostRolloutState::Pending | HostRolloutState::Deferred => None,
        HostRolloutState::Activating
        | HostRolloutState::Soaking
        | HostRolloutState::Converged
        | HostRolloutState::Failed
        | HostRolloutState::Reverted
        | HostRolloutState::Cancelled => Some(Hold::NotWaiting(state)),
    };
    [rollout, operator, attempt].into_iter().flatten().collect()
}

/// Holds everything but the channel's newest rollout.
pub fn superseded(view: &View<'_>) -> Vec<Hold> {
    if *view.newest != view.release.id {
        return vec![Hold::SupersededBy(view.newest.clone())];
    }
    match &view.rollout.state {
        RolloutState::Superseded { by } => vec![Hold::SupersededBy(by.clone())],
        RolloutState::Opened
        | RolloutState::Advancing { .. }
        | RolloutState::Completed
        | RolloutState::Halted { .. }
        | RolloutState::Paused { .. }
        | RolloutState::Cancelled { .. } => Vec::new(),
    }
}

/// Holds while another rollout has the host in flight: one at a time, over all channels.
pub fn other_rollout(view: &View<'_>) -> Vec<Hold> {
    view.in_flight_elsewhere.clone().map(Hold::InFlightElsewhere).into_iter().collect()
}

/// Holds until the channels that go first are Completed; a channel nothing is known of has not.
pub fn channel_order(view: &View<'_>) -> Vec<Hold> {
    let first = view.release.policy.after_channels.iter();
    let open = first.filter(|channel| view.channels_done.get(*channel) != Some(&true));
    open.cloned().map(Hold::AfterChannel).collect()
}

/// Holds until the host's wave is open and has room. A stopped rollout is judged by where it goes on, so that
/// `why` says what will hold after a resume.
pub fn wave(view: &View<'_>) -> Vec<Hold> {
    let Some((wave, rules)) = wave_of(view) else { return vec![Hold::NotInRelease] };
    let open = match &view.rollout.state {
        RolloutState::Opened | RolloutState::Paused { at: Place::Opened, .. } => Some(None),
        RolloutState::Advancing { wave }
        | RolloutState::Halted { wave, .. }
        | RolloutState::Paused { at: Place::Wave(wave), .. } => Some(Some(*wave)),
        // All waves are open, or none will ever be: the gates of the stopped and the superseded hold those.
        RolloutState::Completed
        | RolloutState::Paused { at: Place::Completed, .. }
        | RolloutState::Superseded { .. }
        | RolloutState::Cancelled { .. } => None,
    };
    let closed = open.filter(|open| open.is_none_or(|open| wave > open)).map(|open| Hold::WaveNotOpen { wave, open });
    let in_flight = view.tally.in_flight;
    let full = rules.max_in_flight.filter(|limit| in_flight >= *limit).map(|limit| Hold::WaveFull { in_flight, limit });
    [closed, full].into_iter().flatten().collect()
}

/// Holds until the hosts that go first have finished well.
pub fn host_order(view: &View<'_>) -> Vec<Hold> {
    if view.hosts_missing.is_empty() { Vec::new() } else { vec![Hold::AfterHosts(view.hosts_missing.clone())] }
}

/// Holds while a budget that the host counts in is spent; a budget nobody counted is spent.
pub fn budget(view: &View<'_>) -> Vec<Hold> {
    let Some(target) = target(view) else { return vec![Hold::NotInRelease] };
    let own = view.release.policy.budgets.iter().filter(|(tag, _)| target.tags.contains(*tag));
    let spent = own.filter_map(|(tag, limit)| match view.budgets.get(tag) {
        None => Some(Hold::FactMissing("how many hosts of a budget are in flight")),
        Some(in_flight) if in_flight >= limit => {
            Some(Hold::BudgetSpent { budget: tag.clone(), in_flight: *in_flight, limit: *limit })
        }
        Some(_) => None,
    });
    spent.collect()
}

/// Holds outside the wave's windows.
pub fn window(view: &View<'_>) -> Vec<Hold> {
    let Some((_, wave)) = wave_of(view) else { return vec![Hold::NotInRelease] };
    if window::is_open(&wave.windows, view.now) {
        return Vec::new();
    }
    vec![Hold::WindowClosed(window::opens_at(&wave.windows, view.now))]
}

/// Holds before the wave's signed date.
pub fn not_before(view: &View<'_>) -> Vec<Hold> {
    let Some((_, wave)) = wave_of(view) else { return vec![Hold::NotInRelease] };
    wave.not_before.filter(|date| view.now < *date).map(Hold::NotBefore).into_iter().collect()
}

/// Holds a wave that wants an approval and has none, or none any more.
pub fn approval(view: &View<'_>) -> Vec<Hold> {
    let Some((index, wave)) = wave_of(view) else { return vec![Hold::NotInRelease] };
    let valid = |until: &Option<_>| until.is_none_or(|until| view.now < until);
    let approved = view.rollout.approved.get(&index).is_some_and(valid);
    if !wave.approval || approved { Vec::new() } else { vec![Hold::ApprovalNeeded(index)] }
}

/// Holds a host whose facts are missing or old.
pub fn freshness(view: &View<'_>) -> Vec<Hold> {
    let heard = match view.host.heard {
        None => Some(Hold::NeverHeard),
        Some(_) if !view.host.heard_since_start => Some(Hold::NotHeardSinceStart),
        Some(at) => {
            let silent = view.now.since(at);
            (silent > view.release.policy.offline_grace).then_some(Hold::Silent(silent))
        }
    };
    let running = view.host.closures.running.is_none().then_some(Hold::FactMissing("the closure that the host runs"));
    [heard, running].into_iter().flatten().collect()
}

/// Holds while another channel's open rollout names the host too.
pub fn conflict(view: &View<'_>) -> Vec<Hold> {
    view.claimed_by.clone().map(Hold::ClaimedBy).into_iter().collect()
}

/// Holds while two machines seem to use one identity.
pub fn clone(view: &View<'_>) -> Vec<Hold> {
    if view.host.cloned { vec![Hold::Cloned] } else { Vec::new() }
}

/// Holds after a restore until an operator resumes, and for one heartbeat interval after the start.
pub fn restored_store(view: &View<'_>) -> Vec<Hold> {
    let restored = match &view.rollout.state {
        RolloutState::Paused { by, .. } => by == RESTORED,
        RolloutState::Opened
        | RolloutState::Advancing { .. }
        | RolloutState::Completed
        | RolloutState::Halted { .. }
        | RolloutState::Superseded { .. }
        | RolloutState::Cancelled { .. } => false,
    };
    let left = view.plane.grace.saturating_sub(view.plane.up_for);
    let holds = [restored.then_some(Hold::RestoredStore), (!left.is_zero()).then_some(Hold::JustStarted(left))];
    holds.into_iter().flatten().collect()
}

/// Holds for whatever the host holds itself back for. Left out are a quarantine that operator or release
/// lifted, drift where policy does not hold for it, and a root helper kept busy by the very attempt which
/// waits for its reboot.
pub fn host(view: &View<'_>) -> Vec<Hold> {
    let lifted = view.release.again || view.retry;
    let deferred = view.record.state() == HostRolloutState::Deferred;
    let own = |hold: &HostHold| match hold {
        HostHold::Quarantined(closure) => lifted && target(view).is_some_and(|target| target.closure == *closure),
        HostHold::Busy(rollout) => deferred && *rollout == view.release.id,
        HostHold::Drift(_) => view.release.policy.on_drift != OnDrift::Hold,
        HostHold::Lease(_)
        | HostHold::Disk(_)
        | HostHold::Lock
        | HostHold::Cache(_)
        | HostHold::ClockBehind
        | HostHold::BootDefaultDiffers
        | HostHold::StateNotPersistent
        | HostHold::NoTrialBoot(_)
        | HostHold::Window(_)
        | HostHold::Untrusted(_)
        | HostHold::Commit(_) => false,
    };
    view.host.holds.iter().filter(|hold| !own(hold)).cloned().map(Hold::OnHost).collect()
}
