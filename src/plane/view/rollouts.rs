//! Pictures of rollouts and their waves.

use crate::model::fleet::Wave;
use crate::model::gate::{ClearedBy, Hold};
use crate::model::id::{HostName, RolloutId};
use crate::model::rollout::{Rollout, RolloutState, Tally};
use crate::model::window;
use crate::plane::Plane;
use crate::plane::advance::state_words;
use crate::plane::desk::{Desk, keep};
use crate::plane::error::{Done, PlaneError};
use crate::store::rows::{Bucket, RecordFilter};
use crate::wire::v1::operator::{AttemptView, MAX_PAGE, Page, RolloutView, WaveView};
use crate::wire::v1::release::date;
use axum::body::Bytes;
use std::sync::Arc;

/// How many waiting hosts of an open wave are asked what holds them: a picture has to stay cheap.
const EXAMINED: usize = 32;
/// How many of those that are held are named.
const NAMED: usize = 5;

impl Plane {
    /// Lists rollouts, newest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn list_rollouts(self: &Arc<Self>, open_only: bool, limit: usize) -> Done<Page<RolloutView>> {
        let limit = limit.clamp(1, MAX_PAGE);
        self.look(move |desk| {
            let rows = desk.tx.rollouts(open_only, limit)?;
            let items = rows.iter().map(|row| desk.rollout_view(&row.id)).collect::<Done<_>>()?;
            Ok(Page { items, next: None })
        })
        .await
    }

    /// Shows one rollout.
    ///
    /// # Errors
    /// [`PlaneError::NotFound`], the store's.
    pub async fn show_rollout(self: &Arc<Self>, id: RolloutId) -> Done<RolloutView> {
        self.look(move |desk| desk.rollout_view(&id)).await
    }

    /// Lists the attempts of a rollout by host name, after one.
    ///
    /// # Errors
    /// [`PlaneError::NotFound`], the store's.
    pub async fn list_attempts(
        self: &Arc<Self>,
        id: RolloutId,
        after: Option<HostName>,
        limit: usize,
    ) -> Done<Page<AttemptView>> {
        let limit = limit.clamp(1, MAX_PAGE);
        self.look(move |desk| {
            desk.known_rollout(&id)?;
            let filter = RecordFilter { rollout: Some(id), ..RecordFilter::default() };
            let rows = desk.tx.records(&filter, after.as_ref(), limit)?;
            let next = (rows.len() >= limit).then(|| rows.last().map(|row| row.host.to_string())).flatten();
            let items = rows.into_iter().map(|row| desk.attempt_view(row)).collect::<Done<_>>()?;
            Ok(Page { items, next })
        })
        .await
    }

    /// Gives the signed release as hosts need it; to a host only one that names it.
    ///
    /// # Errors
    /// [`PlaneError::NotFound`], the store's.
    pub async fn signed_release(self: &Arc<Self>, id: RolloutId, reader: Option<HostName>) -> Done<Bytes> {
        self.look(move |desk| {
            let hint = "it was never published here";
            let loaded = desk.release(&id)?.ok_or_else(|| PlaneError::not_found(format!("release {id}"), hint))?;
            // As if it were not there: an agent learns nothing of other hosts, not even of their channels.
            if reader.is_some_and(|host| !loaded.release.hosts.contains_key(&host)) {
                return Err(PlaneError::not_found(format!("release {id}"), hint));
            }
            Ok(loaded.body.clone())
        })
        .await
    }
}

impl Desk<'_> {
    /// Makes the picture of a rollout.
    ///
    /// # Errors
    /// [`PlaneError::NotFound`], the store's.
    pub fn rollout_view(&self, id: &RolloutId) -> Done<RolloutView> {
        let (row, body) = self.known_rollout(id)?;
        let rollout = &body.rollout;
        let hint = "its rollout is here and it is not: was the database edited?";
        let loaded = self.release(id)?.ok_or_else(|| PlaneError::not_found(format!("release {id}"), hint))?;
        let tallies = self.tallies(rollout)?;
        let waves = loaded.release.waves.iter().zip(&tallies).enumerate();
        Ok(RolloutView {
            id: id.to_string(),
            state: rollout.state.to_string(),
            why: why(&rollout.state),
            wave: open_wave(&rollout.state).map(|wave| u32::try_from(wave + 1).unwrap_or(u32::MAX)),
            waves: waves.map(|(at, (wave, tally))| self.wave_view((at, wave), *tally, rollout)).collect::<Done<_>>()?,
            digest: loaded.release.digest.to_string(),
            sequence: loaded.sequence,
            opened_at: date(row.opened),
            updated_at: date(row.updated),
            lease_expires_at: date(loaded.expires),
        })
    }

    fn wave_view(&self, (at, wave): (usize, &Wave), tally: Tally, rollout: &Rollout) -> Done<WaveView> {
        let waits_for = match self.waits_for((at, wave), rollout) {
            None if rollout.state == (RolloutState::Advancing { wave: at }) => self.held_back(rollout, at)?,
            waits => waits,
        };
        Ok(WaveView {
            name: wave.name.to_string(),
            hosts: u32::try_from(wave.hosts.len()).unwrap_or(u32::MAX),
            changed: tally.changed,
            waiting: tally.waiting,
            in_flight: tally.in_flight,
            succeeded: tally.succeeded,
            failed: tally.failed,
            neutral: tally.neutral,
            set_aside: tally.set_aside,
            waits_for,
        })
    }

    /// Names the hosts that keep the open wave from being done until somebody acts.
    fn held_back(&self, rollout: &Rollout, wave: usize) -> Done<Option<String>> {
        let facts = self.plane.facts();
        if facts.up_for < facts.grace {
            return Ok(None);
        }
        let (wave, buckets) = (u32::try_from(wave).ok(), vec![Bucket::Waiting]);
        let filter = RecordFilter { rollout: Some(rollout.id.clone()), wave, buckets, open_only: true };
        let mut held = Vec::new();
        for row in self.tx.records(&filter, None, EXAMINED)? {
            let host = row.host.clone();
            let Ok(kept) = keep(row) else {
                // A row that can't be read holds its host for good, and hides no other.
                held.push(host.to_string());
                continue;
            };
            if self.plane.silence.of(kept.host(), &rollout.id).is_some() {
                continue;
            }
            let Some(case) = self.case(&kept)? else { continue };
            if self.holds(&case, &kept).iter().any(|(_, hold)| needs_somebody(hold)) {
                held.push(kept.row.host.to_string());
            }
        }
        let Some(first) = held.first() else { return Ok(None) };
        let more = if held.len() > NAMED { ", …" } else { "" };
        let names = held.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        Ok(Some(format!(
            "hosts that something holds: {names}{more}; `convoy why {first}` says what, and who can clear it"
        )))
    }

    /// Says what the open wave waits for as a whole.
    fn waits_for(&self, (at, wave): (usize, &Wave), rollout: &Rollout) -> Option<String> {
        if open_wave(&rollout.state) != Some(at) {
            return None;
        }
        let approved = rollout.approved.get(&at).is_some_and(|until| until.is_none_or(|until| self.now < until));
        if let Some(done) = rollout.wave_done_at {
            let ends = done.plus(wave.wait);
            return Some(format!("the wait after it, until {ends}; `convoy rollout promote {}` skips it", rollout.id));
        }
        if wave.approval && !approved {
            return Some(format!("an approval: `convoy rollout promote {} --wave {}`", rollout.id, at + 1));
        }
        if let Some(date) = wave.not_before.filter(|date| self.now < *date) {
            return Some(format!("its date, {date}"));
        }
        if !window::is_open(&wave.windows, self.now) {
            let opens = window::opens_at(&wave.windows, self.now);
            return Some(opens.map_or("a window, and none ever opens".to_owned(), |at| format!("its window, {at}")));
        }
        None
    }
}

/// Tells whether a hold stays until a person, the host itself or a new release clears it.
fn needs_somebody(hold: &Hold) -> bool {
    match hold.cleared_by() {
        ClearedBy::Host | ClearedBy::Operator | ClearedBy::Release => true,
        ClearedBy::Time | ClearedBy::Progress => false,
    }
}

fn why(state: &RolloutState) -> Option<String> {
    match state {
        RolloutState::Halted { .. }
        | RolloutState::Paused { .. }
        | RolloutState::Superseded { .. }
        | RolloutState::Cancelled { .. } => Some(state_words(state)),
        RolloutState::Opened | RolloutState::Advancing { .. } | RolloutState::Completed => None,
    }
}

fn open_wave(state: &RolloutState) -> Option<usize> {
    match state {
        RolloutState::Advancing { wave } | RolloutState::Halted { wave, .. } => Some(*wave),
        RolloutState::Paused { at: crate::model::rollout::Place::Wave(wave), .. } => Some(*wave),
        RolloutState::Opened
        | RolloutState::Completed
        | RolloutState::Paused { .. }
        | RolloutState::Superseded { .. }
        | RolloutState::Cancelled { .. } => None,
    }
}
