//! Counting a rollout's waves and moving it on, in the transaction that changed the counts: a halt holds from the
//! very commit that stored the failure.

use crate::model::effect::RolloutEffect;
use crate::model::host_rollout::Phase;
use crate::model::id::{HostName, RolloutId};
use crate::model::rollout::{self, Rollout, RolloutEvent, RolloutState, RolloutStep, Tally};
use crate::plane::chores::{Chore, ChoreKind};
use crate::plane::desk::{Desk, keep};
use crate::plane::error::Done;
use crate::plane::history::{Note, happening};
use crate::store::rows::{Bucket, QuarantineRow, RecordFilter, RolloutRow};
use crate::wire::stored::{RolloutBody, write_rollout};
use serde_json::json;

/// How many records are looked at in one read; failures of one rollout are few.
const PAGE: usize = 256;
/// The most notes kept with a rollout.
const MAX_NOTES: usize = 32;

/// What moved a rollout, for the history.
#[derive(Debug, Clone, Copy)]
pub struct Cause<'c> {
    /// Who: an operator's name, or `convoy`.
    pub by: &'c str,
    /// Why, where somebody said.
    pub reason: Option<&'c str>,
}

/// What moves by itself.
pub const ITSELF: Cause<'static> = Cause { by: "convoy", reason: None };

/// Tells whether hosts may still start in the state by itself or after a resume.
#[must_use]
pub fn is_open(state: &RolloutState) -> bool {
    match state {
        RolloutState::Opened
        | RolloutState::Advancing { .. }
        | RolloutState::Halted { .. }
        | RolloutState::Paused { .. } => true,
        RolloutState::Completed | RolloutState::Superseded { .. } | RolloutState::Cancelled { .. } => false,
    }
}

/// Tells whether the rollout's records are still being made.
#[must_use]
pub fn is_preparing(row: &RolloutRow, rollout: &Rollout) -> bool {
    !row.open && rollout.state == RolloutState::Opened
}

impl Desk<'_> {
    /// Cancels what came back to a rollout that ended, and judges every rollout whose counts changed. The last thing before a commit.
    ///
    /// # Errors
    /// The store's.
    pub fn finish(&mut self) -> Done<()> {
        while let Some((host, id)) = self.returned.pop() {
            self.cancel_if_over(&host, &id)?;
        }
        while let Some(id) = self.counted.pop_first() {
            self.judge(&id)?;
        }
        Ok(())
    }

    /// Counts a rollout's waves and moves it on as far as it goes.
    ///
    /// # Errors
    /// The store's.
    pub fn judge(&mut self, id: &RolloutId) -> Done<()> {
        let Some((row, body)) = self.rollout(id)? else { return Ok(()) };
        if is_preparing(&row, &body.rollout) {
            return Ok(());
        }
        let tallies = self.tallies(&body.rollout)?;
        self.move_rollout((row, body), &RolloutEvent::Tallied(tallies), ITSELF).map(drop)
    }

    /// Counts every wave, with silent hosts as what they count for.
    ///
    /// # Errors
    /// The store's.
    pub fn tallies(&self, rollout: &Rollout) -> Done<Vec<Tally>> {
        let waves = 0..u32::try_from(rollout.waves.len()).unwrap_or(u32::MAX);
        waves.map(|wave| self.tally(rollout, wave)).collect()
    }

    /// Counts one wave.
    ///
    /// # Errors
    /// The store's.
    pub fn tally(&self, rollout: &Rollout, wave: u32) -> Done<Tally> {
        Ok(self.plane.silence.over((rollout, wave), self.tx.tally(&rollout.id, wave)?))
    }

    /// Moves a rollout by one event, writes it and carries out what follows. `Err` holds why nothing changed.
    ///
    /// # Errors
    /// The store's.
    pub fn move_rollout(
        &mut self,
        (row, body): (RolloutRow, RolloutBody),
        event: &RolloutEvent,
        cause: Cause<'_>,
    ) -> Done<Result<Rollout, &'static str>> {
        let (next, effects) = match rollout::step(&body.rollout, event, self.now) {
            RolloutStep::Ignored(why) => return Ok(Err(why)),
            RolloutStep::Moved(next, effects) => (*next, effects),
        };
        let restored = body.restored && !matches!(event, RolloutEvent::Resumed { .. });
        let body = RolloutBody { restored, ..body };
        let next = self.put_rollout((row, body), next, cause)?;
        for effect in effects {
            self.carry_rollout(&next, effect)?;
        }
        self.follow.nudge.insert(next.id.clone());
        Ok(Ok(next))
    }

    fn put_rollout(
        &mut self,
        (row, mut body): (RolloutRow, RolloutBody),
        next: Rollout,
        cause: Cause<'_>,
    ) -> Done<Rollout> {
        if next.state != body.rollout.state || cause.by != ITSELF.by {
            let said = state_words(&next.state);
            let mut note = format!("{}: {said}", cause.by);
            if let Some(reason) = cause.reason {
                note.push_str(&format!(" ({reason})"));
            }
            self.follow.told.push((next.id.clone(), format!("rollout {} is now {said}, by {}", next.id, cause.by)));
            body.notes.push(note);
            let excess = body.notes.len().saturating_sub(MAX_NOTES);
            body.notes.drain(..excess);
            let fields = json!({
                "kind": format!("rollout{}", next.state), "by": cause.by, "reason": cause.reason, "text": said,
            });
            let rollout = Some((&next.id, crate::model::id::Attempt(0)));
            self.note(Note { host: None, rollout, event: happening(fields)?, refused: None })?;
        }
        let body = RolloutBody { rollout: next, ..body };
        let open = is_open(&body.rollout.state);
        self.tx.put_rollout(&RolloutRow { open, updated: self.now, body: write_rollout(&body), ..row })?;
        Ok(body.rollout)
    }

    fn carry_rollout(&mut self, rollout: &Rollout, effect: RolloutEffect) -> Done<()> {
        match effect {
            RolloutEffect::OpenWave(wave) => self.follow.invite.push((rollout.id.clone(), wave)),
            RolloutEffect::WakeWaiting => {
                self.follow.invite.extend((0..rollout.waves.len()).map(|wave| (rollout.id.clone(), wave)));
            }
            RolloutEffect::RevertInFlight => self.add_chore(Chore::of(rollout, ChoreKind::Revert))?,
            RolloutEffect::CancelWaiting => self.add_chore(Chore::of(rollout, ChoreKind::Cancel))?,
            RolloutEffect::QuarantineChannel => self.quarantine_channel(&rollout.id)?,
            RolloutEffect::Forgive(hosts) => self.forgive(&rollout.id, &hosts)?,
        }
        Ok(())
    }

    fn quarantine_channel(&mut self, id: &RolloutId) -> Done<()> {
        let buckets = vec![Bucket::Failed, Bucket::Failing];
        let filter = RecordFilter { rollout: Some(id.clone()), buckets, ..RecordFilter::default() };
        let mut after: Option<HostName> = None;
        loop {
            let page = self.tx.records(&filter, after.as_ref(), PAGE)?;
            after = page.last().map(|row| row.host.clone());
            for row in page {
                let kept = keep(row)?;
                let verdict = match &kept.body.progress.phase {
                    Phase::Failed(failed) => &failed.verdict,
                    Phase::Reverted(reverted) => &reverted.verdict,
                    Phase::Pending(_)
                    | Phase::Activating(_)
                    | Phase::Deferred(_)
                    | Phase::Soaking(_)
                    | Phase::Converged(_)
                    | Phase::Cancelled(_) => continue,
                };
                if verdict.blames_closure() {
                    let (channel, closure) = (id.channel.clone(), kept.target().clone());
                    let why = format!("{} in {id}: {verdict}", kept.host());
                    self.tx.put_quarantine(&QuarantineRow { channel, closure, why, at: self.now })?;
                }
            }
            if after.is_none() {
                return Ok(());
            }
        }
    }

    fn forgive(&mut self, id: &RolloutId, hosts: &[HostName]) -> Done<()> {
        for host in hosts {
            if let Some(mut kept) = self.record(host, id)? {
                self.put_forgiven(&mut kept)?;
            }
        }
        Ok(())
    }

    /// Lists the hosts that count as failures of a rollout now, lost ones included.
    ///
    /// # Errors
    /// The store's.
    pub fn failed_hosts(&self, id: &RolloutId) -> Done<Vec<HostName>> {
        let buckets = vec![Bucket::Failed, Bucket::Failing];
        let filter = RecordFilter { rollout: Some(id.clone()), buckets, ..RecordFilter::default() };
        let mut failed = self.plane.silence.lost(id);
        let mut after: Option<HostName> = None;
        loop {
            let page = self.tx.records(&filter, after.as_ref(), PAGE)?;
            let Some(last) = page.last() else { break };
            after = Some(last.host.clone());
            failed.extend(page.into_iter().map(|row| row.host));
        }
        failed.sort();
        failed.dedup();
        Ok(failed)
    }
}

/// Says where a rollout stands, in words.
#[must_use]
pub fn state_words(state: &RolloutState) -> String {
    match state {
        RolloutState::Opened => "opened".to_owned(),
        RolloutState::Advancing { wave } => format!("advancing in wave {}", wave + 1),
        RolloutState::Completed => "completed".to_owned(),
        RolloutState::Halted { why, wave } => format!("halted in wave {}: {why}", wave + 1),
        RolloutState::Paused { by, .. } => format!("paused by {by}"),
        RolloutState::Superseded { by } => format!("superseded by {by}"),
        RolloutState::Cancelled { by } => format!("cancelled by {by}"),
    }
}
