//! Heartbeats, the repair channel: what the agent lost is given back, what we lost is asked for. One with nothing new
//! is answered from memory and writes nothing.

pub mod snapshot;
pub mod facts;

use crate::model::host_rollout::HostRolloutState;
use crate::model::id::{HostName, RolloutId};
use crate::model::time::Stamp;
use crate::plane::Plane;
use crate::plane::desk::Desk;
use crate::plane::error::{Done, PlaneError};
use crate::plane::intake::journal::Contact;
use crate::plane::intake::{check_speaker, mark_body};
use crate::plane::liveness::Known;
use crate::wire::v1::agent::{HeartbeatRequest, HeartbeatResponse, HostRolloutSnapshot, MAX_QUARANTINED};
use crate::wire::v1::release::date;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

/// The most rollouts that an agent may list.
const MAX_LISTED: usize = 64;
/// The most holds that an agent may report.
const MAX_HOLDS: usize = 64;

/// What the rows say to a heartbeat.
#[derive(Debug, Clone)]
struct Reply {
    known: Option<Known>,
    last_seq: u64,
    fenced: Option<String>,
    snapshots: Vec<HostRolloutSnapshot>,
}

impl Plane {
    /// Takes a heartbeat.
    ///
    /// # Errors
    /// [`PlaneError::Forbidden`] when it speaks for another host, [`PlaneError::BadRequest`] when it lists too much,
    /// else the store's.
    pub async fn heartbeat(self: &Arc<Self>, host: &HostName, mut beat: HeartbeatRequest) -> Done<HeartbeatResponse> {
        check_speaker(host, &beat.hostname)?;
        if beat.rollouts.len() > MAX_LISTED || beat.holds.len() > MAX_HOLDS {
            let said = format!("more than {MAX_LISTED} rollouts or {MAX_HOLDS} holds in one heartbeat");
            return Err(PlaneError::bad("too_much", said));
        }
        // The newest come last. A host must not fall silent because much has failed on it.
        let excess = beat.quarantined.len().saturating_sub(MAX_QUARANTINED);
        beat.quarantined.drain(..excess);
        self.heard(host);
        if let Some(seen) = &beat.store_seen {
            self.check_mark(host, seen).await?;
        }
        self.note_beat(host, &beat);
        let reply = match self.answer_from_memory(host, &beat) {
            Some(known) => Reply { last_seq: known.last_seq, known: None, fenced: None, snapshots: Vec::new() },
            None => self.answer_from_rows(host, &beat).await?,
        };
        self.metrics.beat();
        Ok(self.response(&beat, reply))
    }

    fn response(&self, beat: &HeartbeatRequest, reply: Reply) -> HeartbeatResponse {
        let behind = beat.last_seq > reply.last_seq && reply.fenced.is_none();
        HeartbeatResponse {
            server_time: date(self.now()),
            next_delay_ms: self.next_delay(),
            acknowledged_seq: reply.last_seq,
            send_from: behind.then(|| reply.last_seq.saturating_add(1)),
            fenced: reply.fenced,
            store: mark_body(self.store.mark()),
            bootstrap_rollouts: reply.snapshots,
        }
    }

    /// The interval less up to a tenth, so that a fleet that was started together does not stay together.
    fn next_delay(&self) -> u64 {
        let interval = self.config().heartbeat;
        let less = (interval / 10).mul_f64(f64::from(self.draw()) / f64::from(u32::MAX));
        u64::try_from((interval - less).as_millis()).unwrap_or(u64::MAX)
    }

    fn note_beat(&self, host: &HostName, beat: &HeartbeatRequest) {
        let mine = |state: HostRolloutState| match state {
            HostRolloutState::Pending | HostRolloutState::Deferred => true,
            HostRolloutState::Activating
            | HostRolloutState::Soaking
            | HostRolloutState::Converged
            | HostRolloutState::Failed
            | HostRolloutState::Reverted
            | HostRolloutState::Cancelled => false,
        };
        let unsettled: Vec<RolloutId> =
            beat.rollouts.iter().filter(|report| mine(report.state)).map(|report| report.rollout_id.clone()).collect();
        let up = self.up();
        let (news, first) = self.live.with(host, |seen| {
            seen.stamp = Some(Stamp::from(beat.now.clone()));
            seen.stamp_up = Some(up);
            let first = !std::mem::replace(&mut seen.beat_since_start, true);
            let news = seen.unsettled != unsettled;
            seen.unsettled = unsettled;
            (news, first)
        });
        if news || first {
            self.wakes.wake(host);
        }
    }

    fn answer_from_memory(&self, host: &HostName, beat: &HeartbeatRequest) -> Option<Known> {
        let known = self.live.lock().get(host)?.known.clone()?;
        let listed = known.started.iter().all(|id| beat.rollouts.iter().any(|report| report.rollout_id == *id));
        let same = known.fingerprint == fingerprint(beat) && known.last_seq == beat.last_seq && listed;
        same.then_some(known)
    }

    async fn answer_from_rows(self: &Arc<Self>, host: &HostName, beat: &HeartbeatRequest) -> Done<Reply> {
        let version = self.live.get(host).version;
        let asked = beat.clone();
        let looked =
            self.look(move |desk| if desk.has_news(&asked)? { Ok(None) } else { desk.reply(&asked).map(Some) });
        if let Some(reply) = looked.await? {
            self.remember_known(host, version, &reply);
            return Ok(reply);
        }
        let asked = beat.clone();
        self.transact(move |desk| {
            desk.take_beat(&asked)?;
            desk.reply(&asked)
        })
        .await
    }

    fn remember_known(&self, host: &HostName, version: u64, reply: &Reply) {
        self.live.with(host, |seen| {
            if seen.version == version {
                seen.known.clone_from(&reply.known);
            }
        });
    }
}

impl Desk<'_> {
    fn take_beat(&mut self, beat: &HeartbeatRequest) -> Done<()> {
        let now = Stamp::from(beat.now.clone());
        let contact =
            Contact { host: &beat.hostname, journal: &beat.journal_id, now: Some(&now), last_seq: Some(beat.last_seq) };
        let journal = self.admit(&contact)?;
        self.put_journal(journal)?;
        self.take_facts(beat)
    }

    fn reply(&self, beat: &HeartbeatRequest) -> Done<Reply> {
        let host = &beat.hostname;
        let journal = self.tx.journal(host, &beat.journal_id)?;
        let (last_seq, fenced) = journal.map_or((0, None), |row| (row.last_seq, row.fenced));
        let (mut started, mut snapshots) = (Vec::new(), Vec::new());
        for kept in self.open_records(host)?.into_iter().filter(|kept| kept.body.progress.is_started()) {
            let listed = |id: &RolloutId, attempt| *id == kept.row.rollout && attempt >= kept.row.attempt.0;
            if !beat.rollouts.iter().any(|report| listed(&report.rollout_id, report.attempt)) {
                snapshots.push(snapshot::of(&kept, last_seq));
            }
            started.push(kept.row.rollout);
        }
        let quiet = fenced.is_none() && snapshots.is_empty();
        let known = quiet.then(|| Known {
            fingerprint: fingerprint(beat),
            journal: beat.journal_id.clone(),
            last_seq,
            started,
        });
        Ok(Reply { known, last_seq, fenced, snapshots })
    }
}

/// Hashes what of a heartbeat is kept in rows, and what its answer depends on.
fn fingerprint(beat: &HeartbeatRequest) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&beat.journal_id, &beat.agent_version, &beat.now.boot).hash(&mut hasher);
    (&beat.running_closure, &beat.booted_closure, &beat.default_closure, &beat.quarantined).hash(&mut hasher);
    serde_json::to_string(&beat.holds).unwrap_or_default().hash(&mut hasher);
    for report in &beat.rollouts {
        (&report.rollout_id, report.attempt).hash(&mut hasher);
    }
    hasher.finish()
}

/// How long a host is called online after its last contact.
#[must_use]
pub fn online_span(interval: Duration) -> Duration {
    interval * 3
}
