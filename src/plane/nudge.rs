//! Calling hosts to what became free: as many as there is room for, never a whole wave when one slot is free.

use crate::model::id::{HostName, RolloutId};
use crate::model::rollout::{Place, RolloutState};
use crate::plane::Plane;
use crate::plane::desk::{Desk, keep};
use crate::plane::error::Done;
use crate::store::rows::{Bucket, RecordFilter};
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

/// How many records are read at once.
const PAGE: usize = 64;
/// How many records one look examines in one transaction.
const EXAMINED: usize = 512;
/// How many looks one call takes; the next call goes on where it stopped. Hosts that are passed over look by
/// themselves when their poll ends.
const LOOKS: usize = 8;
/// How many open rollouts are looked at: one for each channel.
const MAX_OPEN: usize = 64;

/// What a look at one wave found.
#[derive(Debug, Default)]
struct Found {
    hosts: Vec<HostName>,
    /// Where to go on; `None` when the wave was looked at to its end.
    rest: Option<HostName>,
    /// There is room for no more.
    filled: bool,
}

impl Plane {
    /// Wakes hosts that may start now, in the rollouts that were named since the last time and, because budgets and
    /// channels tie them together, in every other open one.
    ///
    /// # Errors
    /// The store's.
    pub async fn call_hosts(self: &Arc<Self>) -> Done<()> {
        for (id, wave) in self.offers.waves() {
            self.wake_wave(&id, wave).await?;
        }
        let named = std::mem::take(&mut *self.nudges.lock().unwrap_or_else(PoisonError::into_inner));
        if named.is_empty() {
            return Ok(());
        }
        let all = self.look(move |desk| {
            let open = desk.tx.rollouts(true, MAX_OPEN)?.into_iter().map(|row| row.id);
            Ok(named.into_iter().chain(open).collect::<BTreeSet<_>>())
        });
        for id in all.await? {
            self.call(&id).await?;
        }
        Ok(())
    }

    /// Has the hosts of an opened wave, and of the one after it, look at their orders.
    async fn wake_wave(self: &Arc<Self>, id: &RolloutId, wave: usize) -> Done<()> {
        let at = id.clone();
        let Some(loaded) = self.look(move |desk| desk.release(&at)).await? else { return Ok(()) };
        for wave in loaded.release.waves.iter().skip(wave).take(2) {
            wave.hosts.iter().for_each(|host| self.wakes.wake(host));
        }
        Ok(())
    }

    async fn call(self: &Arc<Self>, id: &RolloutId) -> Done<()> {
        let at = id.clone();
        for wave in self.look(move |desk| desk.open_waves(&at)).await? {
            self.call_wave(id, wave).await?;
        }
        Ok(())
    }

    /// Looks from where the last look stopped, once around at most.
    async fn call_wave(self: &Arc<Self>, id: &RolloutId, wave: u32) -> Done<()> {
        let key = (id.clone(), wave);
        let mut from = self.cursors.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        let mut around = from.is_none();
        for _ in 0..LOOKS {
            let (at, start) = (id.clone(), from.take());
            let found = self.look(move |desk| desk.candidates(&at, wave, start)).await?;
            found.hosts.iter().for_each(|host| self.wakes.wake(host));
            from = found.rest;
            if found.filled || (from.is_none() && around) {
                break;
            }
            around |= from.is_none();
        }
        if let Some(from) = from {
            self.cursors.lock().unwrap_or_else(PoisonError::into_inner).insert(key, from);
        }
        Ok(())
    }
}

impl Desk<'_> {
    /// Lists the waves in which hosts may start.
    fn open_waves(&self, id: &RolloutId) -> Done<Vec<u32>> {
        let Some((_, body)) = self.rollout(id)? else { return Ok(Vec::new()) };
        let waves = u32::try_from(body.rollout.waves.len()).unwrap_or(u32::MAX);
        Ok(match &body.rollout.state {
            RolloutState::Advancing { wave } => (0..waves).take(wave + 1).collect(),
            RolloutState::Completed => (0..waves).collect(),
            RolloutState::Opened
            | RolloutState::Halted { .. }
            | RolloutState::Paused { at: Place::Opened | Place::Wave(_) | Place::Completed, .. }
            | RolloutState::Superseded { .. }
            | RolloutState::Cancelled { .. } => Vec::new(),
        })
    }

    /// Finds hosts of a wave that wait in a poll and that nothing holds, as many as there is room for.
    fn candidates(&self, id: &RolloutId, wave: u32, from: Option<HostName>) -> Done<Found> {
        let Some((_, body)) = self.rollout(id)? else { return Ok(Found::default()) };
        let tally = self.tally(&body.rollout, wave)?;
        let Some(loaded) = self.release(id)? else { return Ok(Found::default()) };
        let limit = loaded.release.waves.get(wave as usize).and_then(|wave| wave.max_in_flight);
        let room = limit.map_or(EXAMINED, |limit| limit.saturating_sub(tally.in_flight) as usize);
        let mut found = Found::default();
        if tally.waiting == 0 || room == 0 {
            found.filled = true;
            return Ok(found);
        }
        let buckets = vec![Bucket::Waiting];
        let filter = RecordFilter { rollout: Some(id.clone()), wave: Some(wave), buckets, open_only: true };
        let (mut after, mut examined) = (from, 0);
        loop {
            let page = self.tx.records(&filter, after.as_ref(), PAGE)?;
            let Some(last) = page.last() else { return Ok(found) };
            after = Some(last.host.clone());
            examined += page.len();
            for row in page.into_iter().filter(|row| self.plane.wakes.is_waiting(&row.host)) {
                let kept = keep(row)?;
                let Some(case) = self.case(&kept)? else { continue };
                if kept.waits() && self.holds(&case, &kept).is_empty() {
                    found.hosts.push(kept.row.host);
                }
                if found.hosts.len() >= room {
                    (found.filled, found.rest) = (true, after);
                    return Ok(found);
                }
            }
            if examined >= EXAMINED {
                found.rest = after;
                return Ok(found);
            }
        }
    }
}
