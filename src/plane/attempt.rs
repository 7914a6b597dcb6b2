//! Attempt n+1: retry, drift reconcile and a reinstalled host are one mechanism, from Pending through all gates.

use crate::model::host_rollout::{HostRollout, Terms};
use crate::model::id::{HostName, RolloutId};
use crate::model::rollout::{RolloutEvent, RolloutState};
use crate::plane::advance::{ITSELF, is_preparing};
use crate::plane::desk::Desk;
use crate::plane::error::{Done, PlaneError};
use crate::plane::history::{Note, happening};
use crate::plane::ledger::Kept;
use crate::plane::publish::records::changes;
use serde_json::json;

/// Why an attempt is opened.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'o> {
    /// Who wants it.
    pub by: &'o str,
    /// Why.
    pub reason: &'o str,
    /// Whether the quarantine of the target is lifted for it.
    pub lifts: bool,
}

impl Desk<'_> {
    /// Checks that attempts can be opened in a rollout: it is its channel's newest and did not end early.
    ///
    /// # Errors
    /// [`PlaneError::Refused`] with what to do, [`PlaneError::NotFound`], the store's.
    pub fn check_attempts(&self, id: &RolloutId) -> Done<()> {
        let (row, body) = self.known_rollout(id)?;
        let newest = self.newest_rollout(&id.channel)?;
        if let Some(newest) = newest.filter(|newest| newest.id != *id) {
            let said = format!("{} took over from {id}: attempts are opened in a channel's newest release", newest.id);
            return Err(PlaneError::refused("superseded", said));
        }
        let ended = match &body.rollout.state {
            RolloutState::Cancelled { .. } => Some("was cancelled: publish a new release"),
            RolloutState::Superseded { .. } => Some("was superseded: publish a new release"),
            RolloutState::Opened if is_preparing(&row, &body.rollout) => Some("is still being published: try again"),
            RolloutState::Opened
            | RolloutState::Advancing { .. }
            | RolloutState::Completed
            | RolloutState::Halted { .. }
            | RolloutState::Paused { .. } => None,
        };
        match ended {
            Some(why) => Err(PlaneError::refused("rollout_ended", format!("{id} {why}"))),
            None => Ok(()),
        }
    }

    /// Has the failures of a host's new attempt count, also where one of an earlier attempt was forgiven.
    ///
    /// # Errors
    /// The store's.
    pub fn forgives_no_more(&mut self, host: &HostName, id: &RolloutId) -> Done<()> {
        let Some(found) = self.rollout(id)?.filter(|(_, body)| body.rollout.forgiven.contains(host)) else {
            return Ok(());
        };
        self.move_rollout(found, &RolloutEvent::Reopened(host.clone()), ITSELF).map(drop)
    }

    /// Opens the next attempt of a record that is final, or that waits behind a quarantine which is lifted for it.
    ///
    /// # Errors
    /// The store's.
    pub fn open_attempt(&mut self, kept: &mut Kept, opening: Opening<'_>) -> Done<()> {
        let host = kept.row.host.clone();
        let Some(loaded) = self.release(&kept.row.rollout)? else { return Ok(()) };
        let Some(terms) = Terms::of(&loaded.release, &host) else { return Ok(()) };
        let (row, mut body) = self.host(&host)?;
        kept.row.changed = changes(body.closures.as_ref(), &terms.target);
        if opening.lifts && body.quarantined.contains(&terms.target) {
            body.quarantined.retain(|closure| *closure != terms.target);
            self.put_host(row, &body)?;
        }
        kept.body.progress = HostRollout::open(kept.row.attempt.next(), terms, &self.stamp);
        kept.body.opened = self.now;
        kept.body.state_since = self.now;
        kept.body.permitted = None;
        kept.body.invitation += 1;
        kept.body.revert = None;
        kept.body.retry = opening.lifts;
        self.put_new_record(kept)?;
        self.forgives_no_more(&host, &kept.row.rollout)?;
        let fields = json!({ "kind": "attemptOpened", "by": opening.by, "reason": opening.reason });
        let rollout = Some((&kept.row.rollout, kept.row.attempt));
        self.follow.nudge.insert(kept.row.rollout.clone());
        self.note(Note { host: Some(&host), rollout, event: happening(fields)?, refused: None })
    }
}
