//! A store that lost something: agents echo the newest mark they saw, and one that this store never gave out says so.
//! Nothing starts then until an operator has looked.

use crate::model::id::{HostName, RolloutId, StoreId};
use crate::model::rollout::RolloutEvent;
use crate::model::time::Timestamp;
use crate::plane::Plane;
use crate::plane::advance::{ITSELF, is_preparing};
use crate::plane::desk::Desk;
use crate::plane::error::{Done, PlaneError};
use crate::plane::history::{Note, happening};
use crate::store::rows::RolloutRow;
use crate::wire::Invalid;
use crate::wire::stored::{RolloutBody, write_rollout};
use crate::wire::v1::agent::StoreMarkBody;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

/// The setting that remembers what was lost.
const SETTING: &str = "restored";
/// How many foreign marks are remembered; the oldest go first.
const MAX_MARKS: usize = 32;

/// What is known of the loss.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Loss {
    /// When it was noticed last, in milliseconds since 1970.
    pub since: i64,
    /// Whether no operator has resumed since.
    pub open: bool,
    /// The marks that showed it: store id and count.
    marks: Vec<(String, u64)>,
}

impl Loss {
    fn covers(&self, id: &StoreId, count: u64) -> bool {
        self.marks.iter().any(|(known, most)| known == id.as_str() && count <= *most)
    }

    fn add(&mut self, id: &StoreId, count: u64) {
        self.marks.retain(|(known, _)| known != id.as_str());
        self.marks.push((id.to_string(), count));
        let excess = self.marks.len().saturating_sub(MAX_MARKS);
        self.marks.drain(..excess);
    }
}

impl Plane {
    /// Compares the newest mark that an agent saw with ours.
    ///
    /// # Errors
    /// The store's.
    pub async fn check_mark(self: &Arc<Self>, host: &HostName, seen: &StoreMarkBody) -> Done<()> {
        let ours = self.store.mark();
        if seen.store_id == ours.store_id && seen.commit_count <= ours.commit_count {
            return Ok(());
        }
        let (host, seen) = (host.clone(), seen.clone());
        let known = {
            let seen = seen.clone();
            self.look(move |desk| Ok(desk.loss()?.is_some_and(|loss| loss.covers(&seen.store_id, seen.commit_count))))
        };
        if known.await? {
            return Ok(());
        }
        self.transact(move |desk| desk.note_loss(&host, &seen)).await
    }
}

impl Desk<'_> {
    /// Reads what is known of a loss.
    ///
    /// # Errors
    /// The store's.
    pub fn loss(&self) -> Done<Option<Loss>> {
        let Some(text) = self.tx.setting(SETTING)? else { return Ok(None) };
        let broken = |why: serde_json::Error| PlaneError::Stored(Invalid { what: "loss", detail: why.to_string() });
        serde_json::from_str(&text).map(Some).map_err(broken)
    }

    fn put_loss(&mut self, loss: &Loss) -> Done<()> {
        let text = serde_json::to_string(loss).expect("numbers and names are always JSON");
        Ok(self.tx.put_setting(SETTING, &text)?)
    }

    fn note_loss(&mut self, host: &HostName, seen: &StoreMarkBody) -> Done<()> {
        let ours = self.tx.mark()?;
        let mut loss = self.loss()?.unwrap_or_default();
        if loss.covers(&seen.store_id, seen.commit_count) {
            return Ok(());
        }
        let text = if seen.store_id == ours.store_id {
            let (count, held) = (seen.commit_count, ours.commit_count);
            format!("{host} saw commit {count} of this store, which is at {held}: an older copy was restored")
        } else {
            format!(
                "{host} knew store {} and this is {}: the database was lost or replaced",
                seen.store_id, ours.store_id
            )
        };
        tracing::error!(host.name = %host, "{text}; every rollout is paused until an operator resumes it");
        loss.add(&seen.store_id, seen.commit_count);
        loss.since = self.now.0;
        loss.open = true;
        self.put_loss(&loss)?;
        self.follow.restored = Some(true);
        let event = happening(json!({ "kind": "storeRestored", "text": text }))?;
        self.note(Note { host: None, rollout: None, event, refused: None })?;
        for row in self.concerned()? {
            self.pause_restored(&row.id)?;
        }
        Ok(())
    }

    /// Pauses a rollout that is being opened while nobody has looked at the loss yet.
    ///
    /// # Errors
    /// The store's.
    pub fn pause_if_restored(&mut self, id: &RolloutId) -> Done<()> {
        if self.loss()?.is_some_and(|loss| loss.open) { self.pause_restored(id) } else { Ok(()) }
    }

    fn pause_restored(&mut self, id: &RolloutId) -> Done<()> {
        let (row, body) = self.known_rollout(id)?;
        // It is paused when it is opened; before, a pause would keep it from being published whole.
        if is_preparing(&row, &body.rollout) {
            return Ok(());
        }
        if self.move_rollout((row, body), &RolloutEvent::Restored, ITSELF)?.is_ok() {
            self.mark_restored(id, true)?;
        }
        Ok(())
    }

    fn mark_restored(&mut self, id: &RolloutId, restored: bool) -> Done<()> {
        let (row, body) = self.known_rollout(id)?;
        let body = write_rollout(&RolloutBody { restored, ..body });
        Ok(self.tx.put_rollout(&RolloutRow { body, ..row })?)
    }

    /// Notes that an operator resumed a rollout; once none is left that waits for it, the loss is dealt with.
    ///
    /// # Errors
    /// The store's.
    pub fn resumed(&mut self, id: &RolloutId) -> Done<()> {
        let Some(mut loss) = self.loss()? else { return Ok(()) };
        if !loss.open {
            return Ok(());
        }
        self.mark_restored(id, false)?;
        for row in self.concerned()? {
            if self.known_rollout(&row.id)?.1.restored {
                return Ok(());
            }
        }
        loss.open = false;
        self.put_loss(&loss)?;
        self.follow.restored = Some(false);
        Ok(())
    }

    /// Returns when the store was found to have lost something; hosts not heard from since may hold permits that
    /// nobody remembers.
    ///
    /// # Errors
    /// The store's.
    pub fn lost_since(&self) -> Done<Option<Timestamp>> {
        Ok(self.loss()?.map(|loss| Timestamp(loss.since)))
    }
}
