//! Work over many records that follows from one decision: done in bounded chunks, remembered in the store until it
//! is finished, so that a restart goes on with it.

use crate::model::host_rollout::Event;
use crate::model::id::{HostName, RolloutId};
use crate::model::rollout::{Rollout, RolloutState};
use crate::plane::Plane;
use crate::plane::advance::state_words;
use crate::plane::desk::{Desk, keep};
use crate::plane::error::{Done, PlaneError};
use crate::plane::history::{Note, event, happening};
use crate::plane::ledger::Kept;
use crate::store::rows::{Bucket, RecordFilter};
use crate::wire::Invalid;
use crate::wire::text;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

/// The setting that holds what is left to do.
const SETTING: &str = "chores";
/// How many records one transaction changes: short enough that permits do not wait behind it.
const CHUNK: usize = 256;

/// One piece of work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chore {
    #[serde(with = "text")]
    rollout: RolloutId,
    kind: ChoreKind,
    why: String,
    #[serde(default, with = "text::option")]
    after: Option<HostName>,
}

/// What to do with a rollout's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChoreKind {
    /// Cancel those without a permit.
    Cancel,
    /// Tell those in flight to go back.
    Revert,
}

impl Chore {
    /// Makes the chore for a rollout, with its state as the reason.
    #[must_use]
    pub fn of(rollout: &Rollout, kind: ChoreKind) -> Self {
        let why = match &rollout.state {
            RolloutState::Completed => "a newer release took over".to_owned(),
            state @ (RolloutState::Opened
            | RolloutState::Advancing { .. }
            | RolloutState::Halted { .. }
            | RolloutState::Paused { .. }
            | RolloutState::Superseded { .. }
            | RolloutState::Cancelled { .. }) => state_words(state),
        };
        Self { rollout: rollout.id.clone(), kind, why, after: None }
    }

    fn filter(&self) -> RecordFilter {
        let buckets = match self.kind {
            ChoreKind::Cancel => vec![Bucket::Waiting],
            ChoreKind::Revert => vec![Bucket::InFlight, Bucket::Failing],
        };
        RecordFilter { rollout: Some(self.rollout.clone()), buckets, open_only: true, ..RecordFilter::default() }
    }
}

impl Desk<'_> {
    fn chores(&self) -> Done<Vec<Chore>> {
        let Some(text) = self.tx.setting(SETTING)? else { return Ok(Vec::new()) };
        let broken = |why: serde_json::Error| PlaneError::Stored(Invalid { what: "chores", detail: why.to_string() });
        serde_json::from_str(&text).map_err(broken)
    }

    fn put_chores(&mut self, chores: &[Chore]) -> Done<()> {
        let text = serde_json::to_string(chores).expect("names and numbers are always JSON");
        Ok(self.tx.put_setting(SETTING, &text)?)
    }

    /// Adds a piece of work, done after the commit.
    ///
    /// # Errors
    /// The store's.
    pub fn add_chore(&mut self, chore: Chore) -> Done<()> {
        let mut chores = self.chores()?;
        if !chores.contains(&chore) {
            chores.push(chore);
            self.put_chores(&chores)?;
        }
        self.follow.chores = true;
        Ok(())
    }

    /// Does one chunk of the first chore; tells whether there is more.
    fn work(&mut self) -> Done<bool> {
        let mut chores = self.chores()?;
        let Some(mut chore) = chores.first().cloned() else { return Ok(false) };
        let page = self.tx.records(&chore.filter(), chore.after.as_ref(), CHUNK)?;
        match page.last() {
            None => drop(chores.remove(0)),
            Some(last) => {
                chore.after = Some(last.host.clone());
                chores[0] = chore.clone();
            }
        }
        for row in page {
            let mut kept = keep(row)?;
            match chore.kind {
                ChoreKind::Cancel => self.cancel(&mut kept, &chore.why)?,
                ChoreKind::Revert => self.order_back(&mut kept, &chore.why)?,
            }
        }
        self.put_chores(&chores)?;
        Ok(!chores.is_empty())
    }

    /// Cancels a record that waits again when its rollout will never start it: a permit that was not used, a switch
    /// that was deferred, a reboot, after a newer release or an operator ended the rollout.
    ///
    /// # Errors
    /// The store's.
    pub fn cancel_if_over(&mut self, host: &HostName, id: &RolloutId) -> Done<()> {
        let Some((_, body)) = self.rollout(id)? else { return Ok(()) };
        let ended = match &body.rollout.state {
            state @ (RolloutState::Superseded { .. } | RolloutState::Cancelled { .. }) => Some(state_words(state)),
            RolloutState::Opened
            | RolloutState::Advancing { .. }
            | RolloutState::Completed
            | RolloutState::Halted { .. }
            | RolloutState::Paused { .. } => self.newer_than(id)?.map(|newer| format!("{newer} took over")),
        };
        match (ended, self.record(host, id)?) {
            (Some(why), Some(mut kept)) => self.cancel(&mut kept, &why),
            (Some(_) | None, _) => Ok(()),
        }
    }

    fn newer_than(&self, id: &RolloutId) -> Done<Option<RolloutId>> {
        let newest = self.newest_rollout(&id.channel)?.filter(|newest| newest.id != *id);
        Ok(newest.map(|newest| newest.id))
    }

    fn cancel(&mut self, kept: &mut Kept, why: &str) -> Done<()> {
        if !kept.waits() {
            return Ok(());
        }
        let cancelled = Event::Cancelled(why.to_owned());
        let at = self.stamp.clone();
        if self.apply(kept, &cancelled, &at)?.is_ok() {
            let rollout = Some((&kept.row.rollout, kept.row.attempt));
            self.note(Note { host: Some(&kept.row.host), rollout, event: event(&cancelled), refused: None })?;
            self.follow.cancelled.push((kept.row.host.clone(), kept.row.rollout.clone()));
        }
        Ok(())
    }

    fn order_back(&mut self, kept: &mut Kept, why: &str) -> Done<()> {
        if kept.body.permitted.is_none() || kept.body.revert.is_some() {
            return Ok(());
        }
        kept.body.revert = Some(why.to_owned());
        self.follow.wake.insert(kept.row.host.clone());
        self.put_record(kept)?;
        let ordered = happening(json!({ "kind": "revertOrdered", "why": why }))?;
        let rollout = Some((&kept.row.rollout, kept.row.attempt));
        self.note(Note { host: Some(&kept.row.host), rollout, event: ordered, refused: None })
    }
}

impl Plane {
    /// Does all work that is left, chunk by chunk.
    ///
    /// # Errors
    /// The store's; what is left is done later.
    pub async fn do_chores(self: &Arc<Self>) -> Done<()> {
        while self.transact(|desk| desk.work()).await? {}
        Ok(())
    }
}
