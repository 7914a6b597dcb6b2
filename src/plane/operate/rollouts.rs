//! Acts on a rollout: pause, resume, cancel, promote, retry.

use crate::model::facts::HostHold;
use crate::model::gate::Hold;
use crate::model::host_rollout::HostRolloutState;
use crate::model::id::{HostName, RolloutId};
use crate::model::rollout::{Rollout, RolloutEvent, RolloutState};
use crate::plane::Plane;
use crate::plane::advance::{Cause, is_preparing, state_words};
use crate::plane::attempt::Opening;
use crate::plane::desk::{Desk, keep};
use crate::plane::error::{Done, PlaneError};
use crate::plane::ledger::Kept;
use crate::plane::operate::Act;
use crate::store::rows::{Bucket, RecordFilter};
use crate::wire::v1::operator::ActResponse;
use std::sync::Arc;
use std::time::Duration;

/// How many records are read at once.
const PAGE: usize = 256;
/// The most attempts that one retry opens: more at once is a new release's work.
const MAX_RETRIES: usize = 10_000;
/// The longest life of an approval.
const MAX_APPROVAL: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// What to do with a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// No new permits.
    Pause,
    /// Go on.
    Resume,
    /// End it.
    Cancel,
    /// Skip a wait, approve a wave.
    Promote,
    /// Open new attempts for failed hosts.
    Retry,
}

impl Verb {
    /// Reads the name used in paths.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "pause" => Self::Pause,
            "resume" => Self::Resume,
            "cancel" => Self::Cancel,
            "promote" => Self::Promote,
            "retry" => Self::Retry,
            _ => return None,
        })
    }
}

impl Plane {
    /// Does something to a rollout.
    ///
    /// # Errors
    /// [`PlaneError::NotFound`], [`PlaneError::Refused`] with what to do instead, [`PlaneError::BadRequest`], the
    /// store's.
    pub async fn act_on_rollout(self: &Arc<Self>, id: RolloutId, verb: Verb, act: Act) -> Done<ActResponse> {
        self.perform(act.request.dry_run, move |desk| match verb {
            Verb::Retry => desk.retry(&id, &act),
            Verb::Pause | Verb::Resume | Verb::Cancel | Verb::Promote => desk.steer(&id, verb, &act),
        })
        .await
    }
}

impl Desk<'_> {
    fn steer(&mut self, id: &RolloutId, verb: Verb, act: &Act) -> Done<Vec<String>> {
        let (row, body) = self.known_rollout(id)?;
        if is_preparing(&row, &body.rollout) {
            return Err(PlaneError::refused(
                "publishing",
                format!("{id} is still being published: try again in a moment"),
            ));
        }
        if let (Verb::Cancel, RolloutState::Cancelled { by }) = (verb, &body.rollout.state) {
            return Ok(vec![format!("nothing to do: {id} was cancelled by {by}")]);
        }
        check_not_ended(&body.rollout)?;
        let event = match verb {
            Verb::Pause => RolloutEvent::Paused(act.by.clone()),
            Verb::Resume => RolloutEvent::Resumed { failed: self.failed_hosts(id)? },
            Verb::Cancel => RolloutEvent::Cancelled { by: act.by.clone(), revert: act.request.revert },
            Verb::Promote => self.promotion(&body.rollout, act)?,
            Verb::Retry => return self.retry(id, act),
        };
        let before = body.rollout.clone();
        let cause = Cause { by: &act.by, reason: act.reason.as_deref() };
        let next = match self.move_rollout((row, body), &event, cause)? {
            Err(why) if verb == Verb::Cancel => {
                return Err(PlaneError::refused("not_cancelled", format!("{id}: {why}")));
            }
            Err(why) => return Ok(vec![format!("nothing to do: {why}")]),
            Ok(next) => next,
        };
        if verb == Verb::Resume {
            self.resumed(id)?;
        }
        self.counted.insert(id.clone());
        self.told(&before, &next, act)
    }

    fn told(&self, before: &Rollout, next: &Rollout, act: &Act) -> Done<Vec<String>> {
        let mut done = Vec::new();
        if before.state == next.state {
            let waves: Vec<_> = next.approved.keys().map(|wave| (wave + 1).to_string()).collect();
            done.push(format!("{} is {}; approved waves: {}", next.id, state_words(&next.state), waves.join(", ")));
        } else {
            done.push(format!("{} was {} and is {}", next.id, state_words(&before.state), state_words(&next.state)));
        }
        let forgiven: Vec<_> = next.forgiven.difference(&before.forgiven).map(ToString::to_string).collect();
        if !forgiven.is_empty() {
            done.push(format!("these failures do not count any more: {}", forgiven.join(", ")));
        }
        let tallies = self.tallies(next)?;
        let (waiting, in_flight) =
            tallies.iter().fold((0, 0), |sum, t| (sum.0 + t.waiting + t.set_aside, sum.1 + t.in_flight));
        match &next.state {
            RolloutState::Cancelled { .. } if act.request.revert => {
                done.push(format!("{waiting} hosts that had not started are cancelled, {in_flight} in flight go back"));
            }
            RolloutState::Cancelled { .. } => {
                done.push(format!("{waiting} hosts that had not started are cancelled, {in_flight} in flight finish"));
            }
            RolloutState::Paused { .. } => done.push(format!("{in_flight} hosts in flight finish; no other starts")),
            RolloutState::Opened
            | RolloutState::Advancing { .. }
            | RolloutState::Completed
            | RolloutState::Halted { .. }
            | RolloutState::Superseded { .. } => {}
        }
        Ok(done)
    }

    fn promotion(&self, rollout: &Rollout, act: &Act) -> Done<RolloutEvent> {
        if let Some(digest) = &act.request.digest {
            let loaded = self.release(&rollout.id)?;
            if loaded.is_none_or(|loaded| loaded.release.digest.as_str() != digest) {
                let said = format!("{} has another digest than the one that was looked at", rollout.id);
                return Err(PlaneError::refused("other_digest", said));
            }
        }
        let current = match &rollout.state {
            RolloutState::Advancing { wave } | RolloutState::Halted { wave, .. } => *wave,
            RolloutState::Opened
            | RolloutState::Completed
            | RolloutState::Paused { .. }
            | RolloutState::Superseded { .. }
            | RolloutState::Cancelled { .. } => 0,
        };
        let wave = match act.request.wave {
            Some(0) => return Err(PlaneError::bad("invalid_wave", "waves are counted from 1")),
            Some(wave) => wave as usize - 1,
            // Without a number: the next one during the wait after a wave, else the open one.
            None if rollout.wave_done_at.is_some() => (current + 1).min(rollout.waves.len().saturating_sub(1)),
            None => current,
        };
        if wave >= rollout.waves.len() {
            let said = format!("{} has {} waves", rollout.id, rollout.waves.len());
            return Err(PlaneError::bad("invalid_wave", said));
        }
        let life = act.request.expires_in_secs.map(|secs| Duration::from_secs(secs).min(MAX_APPROVAL));
        Ok(RolloutEvent::Promoted { wave, until: life.map(|life| self.now.plus(life)) })
    }

    fn retry(&mut self, id: &RolloutId, act: &Act) -> Done<Vec<String>> {
        self.check_attempts(id)?;
        let hosts = if act.request.hosts.is_empty() { self.ended_badly(id)? } else { names(&act.request.hosts)? };
        if hosts.len() > MAX_RETRIES {
            let said = format!("{} hosts at once; the most is {MAX_RETRIES}: name some", hosts.len());
            return Err(PlaneError::bad("too_many_hosts", said));
        }
        let reason = act.reason.clone().unwrap_or_else(|| "retry".to_owned());
        let mut done = Vec::new();
        for host in hosts {
            let Some(mut kept) = self.record(&host, id)? else {
                done.push(format!("{host}: not in {id}"));
                continue;
            };
            if !self.can_retry(&kept)? {
                done.push(format!("{host}: nothing to retry, it is {}", kept.row.state));
                continue;
            }
            self.open_attempt(&mut kept, Opening { by: &act.by, reason: &reason, lifts: true })?;
            done.push(format!("{host}: attempt {} of {id} waits for its turn", kept.row.attempt));
        }
        if done.is_empty() {
            done.push(format!("nothing to do: no host of {id} failed"));
        }
        Ok(done)
    }

    /// Tells whether a new attempt helps: the last one ended badly, or it waits behind a quarantine that a retry lifts.
    fn can_retry(&self, kept: &Kept) -> Done<bool> {
        if kept.row.is_final {
            return Ok(may_retry(kept.row.state));
        }
        if kept.row.state != HostRolloutState::Pending || !kept.waits() {
            return Ok(false);
        }
        let Some(case) = self.case(kept)? else { return Ok(false) };
        Ok(self.holds(&case, kept).iter().any(|(_, hold)| is_quarantine(hold)))
    }

    fn ended_badly(&self, id: &RolloutId) -> Done<Vec<HostName>> {
        let buckets = vec![Bucket::Failed, Bucket::Neutral];
        let filter = RecordFilter { rollout: Some(id.clone()), buckets, ..RecordFilter::default() };
        let (mut hosts, mut after) = (Vec::new(), None);
        loop {
            let page = self.tx.records(&filter, after.as_ref(), PAGE)?;
            let Some(last) = page.last() else { return Ok(hosts) };
            after = Some(last.host.clone());
            for row in page {
                let kept = keep(row)?;
                if kept.row.is_final && may_retry(kept.row.state) {
                    hosts.push(kept.row.host);
                }
            }
        }
    }
}

fn may_retry(state: HostRolloutState) -> bool {
    match state {
        HostRolloutState::Failed | HostRolloutState::Reverted | HostRolloutState::Cancelled => true,
        HostRolloutState::Pending
        | HostRolloutState::Activating
        | HostRolloutState::Deferred
        | HostRolloutState::Soaking
        | HostRolloutState::Converged => false,
    }
}

fn is_quarantine(hold: &Hold) -> bool {
    matches!(hold, Hold::QuarantinedHere(_) | Hold::QuarantinedInChannel(_) | Hold::OnHost(HostHold::Quarantined(_)))
}

fn names(hosts: &[String]) -> Done<Vec<HostName>> {
    hosts.iter().map(|host| Ok(HostName::new(host.as_str())?)).collect()
}

fn check_not_ended(rollout: &Rollout) -> Done<()> {
    let ended = match &rollout.state {
        RolloutState::Superseded { .. } | RolloutState::Cancelled { .. } => true,
        RolloutState::Opened
        | RolloutState::Advancing { .. }
        | RolloutState::Completed
        | RolloutState::Halted { .. }
        | RolloutState::Paused { .. } => false,
    };
    if !ended {
        return Ok(());
    }
    let said = format!("{} was {}: publish a new release to go on", rollout.id, state_words(&rollout.state));
    Err(PlaneError::refused("rollout_ended", said))
}
