//! Silence: judged when it has lasted, host by host; and the bulk write of last contacts.

use crate::model::fleet::RebootPolicy;
use crate::model::host_rollout::step::PERMIT_LIFE;
use crate::model::id::HostName;
use crate::model::limit::self_rollback;
use crate::plane::Plane;
use crate::plane::desk::Desk;
use crate::plane::error::Done;
use crate::plane::ledger::Kept;
use crate::plane::liveness::Seen;
use crate::plane::permit::in_flight;
use crate::plane::silence::{Judged, Verdict};
use crate::store::rows::HostRow;
use crate::wire::stored::{HostBody, write_host};
use std::sync::Arc;
use std::time::Duration;

/// How many hosts are judged or written in one transaction.
const CHUNK: usize = 256;

/// How one record's silence is judged, and when that has to be looked at again.
struct Judgement {
    judged: Option<Judged>,
    again: Duration,
}

impl Plane {
    /// Judges every host that has been silent for a heartbeat interval and whose judgement is due.
    ///
    /// # Errors
    /// The store's.
    pub async fn sweep(self: &Arc<Self>) -> Done<()> {
        loop {
            let due = self.due_for_judgement();
            let more = due.len() == CHUNK;
            if due.is_empty() {
                return Ok(());
            }
            let judged = self
                .look(move |desk| due.into_iter().map(|host| desk.judge_host(host)).collect::<Done<Vec<_>>>())
                .await?;
            for (host, verdicts, again) in judged {
                self.note_silence(&host, verdicts, again);
            }
            if !more {
                return Ok(());
            }
        }
    }

    fn due_for_judgement(&self) -> Vec<HostName> {
        let (up, interval) = (self.up(), self.config().heartbeat);
        let seen = self.live.lock();
        let due = seen.iter().filter(|(_, seen)| seen.judge_at <= up && self.live.silent_for(seen, up) >= interval);
        due.map(|(host, _)| host.clone()).take(CHUNK).collect()
    }

    fn note_silence(&self, host: &HostName, verdicts: Vec<Verdict>, again: Duration) {
        let (up, interval) = (self.up(), self.config().heartbeat);
        let silent = self.live.with(host, |seen| {
            let silent = self.live.silent_for(seen, up) >= interval;
            if silent {
                seen.judge_at = again;
            }
            silent
        });
        if !silent {
            return;
        }
        for verdict in &verdicts {
            let Verdict { rollout, judged, .. } = verdict;
            tracing::info!(host.name = %host, rollout.id = %rollout, "host {host} is silent: {judged:?} in {rollout}");
        }
        let touched = self.silence.replace(host, verdicts);
        touched.into_iter().for_each(|id| self.recount(id));
    }

    /// Writes the times of last contact that are not in the store yet.
    ///
    /// # Errors
    /// The store's; what was not written is tried again next time.
    pub async fn flush(self: &Arc<Self>) -> Done<()> {
        loop {
            let changed: Vec<HostName> = {
                let seen = self.live.lock();
                let changed = seen.iter().filter(|(_, seen)| seen.heard != seen.flushed);
                changed.map(|(host, _)| host.clone()).take(CHUNK).collect()
            };
            if changed.is_empty() {
                return Ok(());
            }
            let written = self.transact(move |desk| desk.write_heard(changed)).await?;
            for (host, heard) in written {
                self.live.with(&host, |seen| seen.flushed = heard);
            }
        }
    }
}

impl Desk<'_> {
    fn write_heard(&mut self, hosts: Vec<HostName>) -> Done<Vec<(HostName, Option<crate::model::time::Timestamp>)>> {
        let mut written = Vec::with_capacity(hosts.len());
        for host in hosts {
            let heard = self.plane.live.get(&host).heard;
            let row = self.tx.host(&host)?;
            let row = row.unwrap_or_else(|| HostRow {
                name: host.clone(),
                heard: None,
                body: write_host(&HostBody::default()),
            });
            self.tx.put_host(&HostRow { heard, ..row })?;
            written.push((host, heard));
        }
        Ok(written)
    }

    fn judge_host(&self, host: HostName) -> Done<(HostName, Vec<Verdict>, Duration)> {
        let seen = self.plane.live.get(&host);
        let mut again = Duration::MAX;
        let mut verdicts = Vec::new();
        for kept in self.open_records(&host)? {
            let judgement = self.judge_record(&seen, &kept)?;
            again = again.min(judgement.again);
            if let Some(judged) = judgement.judged {
                let (rollout, wave, budgets) = (kept.row.rollout, kept.row.wave, kept.row.budgets);
                verdicts.push(Verdict { rollout, wave, judged, budgets });
            }
        }
        Ok((host, verdicts, again))
    }

    fn judge_record(&self, seen: &Seen, kept: &Kept) -> Done<Judgement> {
        let Some(loaded) = self.release(&kept.row.rollout)? else {
            return Ok(Judgement { judged: None, again: Duration::MAX });
        };
        let policy = &loaded.release.policy;
        let silent = self.plane.live.silent_for(seen, self.up);
        // One that was never heard gets the grace from the opening of its attempt on.
        let silent = if seen.heard.is_some() { silent } else { silent.min(self.now.since(kept.body.opened)) };
        let grace_left = policy.offline_grace.saturating_sub(silent);
        let limits = self_rollback(policy);
        let wave = usize::try_from(kept.row.wave).ok().and_then(|wave| loaded.release.waves.get(wave));
        let trial = wave.is_some_and(|wave| wave.reboot == RebootPolicy::Trial);
        let back_by = if trial { limits.trial_back_by } else { limits.back_by };
        let longest = PERMIT_LIFE.saturating_add(back_by).saturating_add(policy.offline_grace);
        if in_flight(kept.row.bucket) {
            let left =
                kept.body.permitted.map_or(Duration::ZERO, |at| at.plus(longest).since(self.now)).max(grace_left);
            return Ok(self.judgement(left, self.lost_as(kept)?));
        }
        let unseen = self.lost_since()?.filter(|since| seen.heard.is_none_or(|heard| heard < *since));
        let assumed_left = unseen.map_or(Duration::ZERO, |since| since.plus(longest).since(self.now));
        if !assumed_left.is_zero() {
            return Ok(Judgement { judged: Some(Judged::AssumedInFlight), again: self.up + assumed_left });
        }
        Ok(self.judgement(grace_left, Judged::SetAside))
    }

    fn judgement(&self, left: Duration, judged: Judged) -> Judgement {
        if left.is_zero() {
            Judgement { judged: Some(judged), again: Duration::MAX }
        } else {
            Judgement { judged: None, again: self.up.saturating_add(left) }
        }
    }

    fn lost_as(&self, kept: &Kept) -> Done<Judged> {
        let forgiven = self.rollout(&kept.row.rollout)?;
        let forgiven = forgiven.is_some_and(|(_, body)| body.rollout.forgiven.contains(kept.host()));
        Ok(if forgiven { Judged::LostForgiven } else { Judged::Lost })
    }
}
