//! Publishing: a verified release becomes a rollout with a record for each of its hosts. The rollout is visible only
//! once all of them are there; an interrupted one is finished at the next start.

pub mod floor;
pub mod records;

use crate::model::fleet::Release;
use crate::model::id::{Attempt, HostName, RolloutId};
use crate::model::rollout::{Rollout, RolloutEvent, RolloutState};
use crate::model::time::Timestamp;
use crate::plane::Plane;
use crate::plane::advance::{ITSELF, is_preparing};
use crate::plane::desk::Desk;
use crate::plane::error::{Done, PlaneError};
use crate::plane::history::{Note, happening};
use crate::plane::newest::MAX_CHANNELS;
use crate::store::rows::{ReleaseRow, RolloutRow};
use crate::trust::{self, Verified};
use crate::wire::stored::{RolloutBody, write_rollout};
use crate::wire::v1::operator::Published;
use crate::wire::v1::release::SignedRelease;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A manifest above this size is verified away from the threads that answer requests, in bytes.
const LARGE: usize = 1024 * 1024;

/// What publishing found.
#[derive(Debug)]
pub(crate) enum Found {
    /// The very release was there.
    Known,
    /// It is new, and its row is written.
    New,
}

impl Plane {
    /// Verifies a release and opens its rollout, for `by`. The very same release again changes nothing, or renews its
    /// lease.
    ///
    /// # Errors
    /// [`PlaneError::Trust`] and [`PlaneError::Refused`] with what is wrong with it, else the store's.
    pub async fn publish(self: &Arc<Self>, signed: SignedRelease, by: String) -> Done<Published> {
        let plane = self.clone();
        // Once begun it is finished, also when the caller hangs up or has waited for too long.
        let task = tokio::spawn(async move { plane.publish_whole(signed, by).await });
        task.await.unwrap_or(Err(PlaneError::Ending))
    }

    async fn publish_whole(self: &Arc<Self>, signed: SignedRelease, by: String) -> Done<Published> {
        let _one_at_a_time = self.publishing.lock().await;
        let (signed, verified) = self.verify(signed).await?;
        let id = verified.release.id.clone();
        let text = serde_json::to_string(&signed).map_err(|why| PlaneError::bad("unreadable", why.to_string()))?;
        drop(signed);
        let found = self.transact(move |desk| desk.take_release(&verified, text, &by)).await?;
        // Until it has been looked at again: a full disk may come between two chunks.
        self.unfinished.store(true, Ordering::Release);
        self.finish(&id).await?;
        self.settle().await?;
        let new = matches!(found, Found::New);
        let (rollout, notes) = {
            let id = id.clone();
            self.look(move |desk| Ok((desk.rollout_view(&id)?, desk.publish_notes(&id)?))).await?
        };
        Ok(Published { rollout, new, notes })
    }

    async fn verify(self: &Arc<Self>, signed: SignedRelease) -> Done<(SignedRelease, Verified)> {
        let keys = self.credentials.set().trust;
        if signed.manifest.len() < LARGE {
            let verified = trust::verify(&signed, &keys)?;
            return Ok((signed, verified));
        }
        let work = move || trust::verify(&signed, &keys).map(|verified| (signed, verified));
        let done = tokio::task::spawn_blocking(work).await.map_err(|_| PlaneError::Ending)?;
        Ok(done?)
    }

    /// Goes on with what a full disk or a busy store interrupted, unless a release is being published now.
    pub(crate) async fn go_on_publishing(self: &Arc<Self>) {
        if !self.unfinished.load(Ordering::Acquire) {
            return;
        }
        let Ok(_one_at_a_time) = self.publishing.try_lock() else { return };
        match self.finish_publishing().await {
            Ok(()) => self.unfinished.store(false, Ordering::Release),
            Err(error) => tracing::error!(%error, "a release is published in part; it is gone on with in a moment"),
        }
    }

    /// Goes on with what was interrupted.
    ///
    /// # Errors
    /// The store's.
    pub async fn finish_publishing(self: &Arc<Self>) -> Done<()> {
        for RolloutRow { id, .. } in self.look(|desk| desk.unfinished()).await? {
            tracing::info!(rollout.id = %id, "going on with the publishing of {id}, which was interrupted");
            self.finish(&id).await?;
        }
        Ok(())
    }

    /// Makes the records that are missing, then opens the rollout.
    async fn finish(self: &Arc<Self>, id: &RolloutId) -> Done<()> {
        let mut after: Option<HostName> = None;
        loop {
            let (id, from) = (id.clone(), after.take());
            after = self.transact(move |desk| desk.make_records(&id, from.as_ref())).await?;
            if after.is_none() {
                break;
            }
        }
        let id = id.clone();
        self.transact(move |desk| desk.open_rollout(&id)).await
    }
}

impl Desk<'_> {
    pub(crate) fn take_release(&mut self, verified: &Verified, body: String, by: &str) -> Done<Found> {
        let Verified { release, lease } = verified;
        if let Some(known) = self.tx.release(&release.id)? {
            self.renew(&known, verified, body)?;
            return Ok(Found::Known);
        }
        let floor = self.floor()?;
        trust::check_lease(verified, &floor, self.now)?;
        self.put_floor(&floor.raised(verified))?;
        self.tx.put_release(&ReleaseRow {
            id: release.id.clone(),
            digest: release.digest.clone(),
            sequence: lease.sequence,
            published: self.now,
            body,
        })?;
        let rollout = RolloutBody { rollout: Rollout::open(release), restored: false, notes: Vec::new() };
        let (id, body) = (release.id.clone(), write_rollout(&rollout));
        let opened = self.next_opening()?;
        self.tx.put_rollout(&RolloutRow { id, open: false, opened, updated: self.now, body })?;
        let published =
            happening(json!({ "kind": "releasePublished", "by": by, "digest": release.digest.to_string() }))?;
        let rollout = Some((&release.id, Attempt(0)));
        self.note(Note { host: None, rollout, event: published, refused: None })?;
        Ok(Found::New)
    }

    /// Returns a time after every rollout that was opened before: the newest is found by it, whatever the clock did.
    fn next_opening(&self) -> Done<Timestamp> {
        let newest = self.tx.rollouts(false, 1)?.pop();
        Ok(newest.map_or(self.now, |newest| self.now.max(Timestamp(newest.opened.0.saturating_add(1)))))
    }

    /// Opens a rollout whose records are all there, in place of the channel's older one.
    fn open_rollout(&mut self, id: &RolloutId) -> Done<()> {
        let Some((row, body)) = self.rollout(id)? else { return Ok(()) };
        let Some(loaded) = self.release(id)? else { return Ok(()) };
        if !is_preparing(&row, &body.rollout) {
            return Ok(());
        }
        let newer = self.newest_rollout(&id.channel)?.filter(|newest| newest.opened > row.opened);
        if let Some(newer) = newer {
            // It was interrupted, and that one was published whole in the meantime.
            let superseded = RolloutEvent::Superseded(newer.id);
            return self.move_rollout((row, body), &superseded, ITSELF).map(drop);
        }
        tracing::info!(rollout.id = %id, "rollout {id} opened for {} hosts", loaded.release.hosts.len());
        self.supersede_older(id)?;
        self.lift_again(&loaded.release)?;
        self.tx.put_rollout(&RolloutRow { open: true, updated: self.now, ..row })?;
        let replayed = self.apply_refused(id)?;
        if replayed > 0 {
            tracing::info!(rollout.id = %id, "{replayed} events that had come before the release were applied");
        }
        self.pause_if_restored(id)?;
        self.counted.insert(id.clone());
        Ok(())
    }

    fn supersede_older(&mut self, id: &RolloutId) -> Done<()> {
        let open = self.tx.rollouts(true, MAX_CHANNELS)?.into_iter().filter(|row| row.id.channel == id.channel);
        for older in self.newest_rollout(&id.channel)?.into_iter().chain(open) {
            let superseded = RolloutEvent::Superseded(id.clone());
            // One that ended before stays as it ended.
            let _ended = self.move_rollout(self.known_rollout(&older.id)?, &superseded, ITSELF)?;
        }
        Ok(())
    }

    fn lift_again(&mut self, release: &Release) -> Done<()> {
        if !release.again {
            return Ok(());
        }
        for row in self.tx.quarantines(&release.id.channel)? {
            if release.hosts.values().any(|target| target.closure == row.closure) {
                self.tx.lift_quarantine(&row.channel, &row.closure)?;
            }
        }
        Ok(())
    }

    /// Says what the publisher should know.
    fn publish_notes(&self, id: &RolloutId) -> Done<Vec<String>> {
        let Some(loaded) = self.release(id)? else { return Ok(Vec::new()) };
        let (_, body) = self.known_rollout(id)?;
        let mut notes = Vec::new();
        for (wave, tally) in loaded.release.waves.iter().zip(self.tallies(&body.rollout)?) {
            if tally.changed == 0 {
                notes.push(format!("wave {} has no host that changes: it is not waited for", wave.name));
            }
        }
        let unknown: Vec<_> = {
            let seen = self.plane.live.lock();
            let heard = |host: &HostName| seen.get(host).is_some_and(|seen| seen.heard.is_some());
            loaded.release.hosts.keys().filter(|host| !heard(host)).cloned().collect()
        };
        if !unknown.is_empty() {
            let few: Vec<_> = unknown.iter().take(5).map(ToString::to_string).collect();
            let more = if unknown.len() > few.len() { ", …" } else { "" };
            let (count, names) = (unknown.len(), few.join(", "));
            notes.push(format!("{count} hosts were never heard from ({names}{more}): they count as changed"));
        }
        match &body.rollout.state {
            RolloutState::Paused { by, .. } => notes.push(format!("it starts paused by {by}: resume it to begin")),
            RolloutState::Opened
            | RolloutState::Advancing { .. }
            | RolloutState::Completed
            | RolloutState::Halted { .. }
            | RolloutState::Superseded { .. }
            | RolloutState::Cancelled { .. } => {}
        }
        Ok(notes)
    }
}
