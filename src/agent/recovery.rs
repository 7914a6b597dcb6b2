//! Boot recovery, before any worker starts: journal → root record → one heartbeat → merge → the ordinary effects.
//! Must not decide what the memories mean: `model::recovery` does.

use crate::agent::driver::permit::is_under_way;
use crate::agent::driver::{Driver, within};
use crate::agent::journal::book::Tracked;
use crate::agent::snapshot::{Around, attempt_of, whole};
use crate::client::agent;
use crate::model::host_rollout::{HostRollout, Phase};
use crate::model::id::{Attempt, RolloutId};
use crate::model::recovery::{Memories, recover};
use crate::model::root_record::{RootRecord, RootState, SwitchResult};
use crate::wire::v1::agent::HostRolloutSnapshot;
use crate::wire::v1::release::timestamp;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// How long recovery waits for the control plane; without an answer it goes on.
const HEARTBEAT_LIMIT: Duration = Duration::from_secs(30);
/// The dead-man is patted this often within its limit while recovery waits.
const PATS_IN_LIMIT: u32 = 4;
/// It is patted no more often than this.
const SHORTEST_PAT: Duration = Duration::from_millis(50);
/// How long recovery waits between tries to read the root records: without them nothing is safe to do.
const RECORDS_RETRY: Duration = Duration::from_secs(1);

impl Driver {
    /// Puts the memories together and brings the workers to work.
    pub(crate) async fn recover(&mut self) {
        (self.say)("recovering");
        while !self.read_records().await || self.running().is_none() {
            self.alive.turn();
            sleep(RECORDS_RETRY).await;
            if let Ok(seen) = within("look at the machine", self.system.observe()).await {
                self.seen = seen;
            }
        }
        self.ask_for_snapshots().await;
        self.mark_lost();
        let mut rollouts: BTreeSet<RolloutId> = self.journal.book().rollouts.keys().cloned().collect();
        let open = self.records.iter().filter(|record| !record.is_final());
        rollouts.extend(open.map(|record| record.rollout.clone()));
        for rollout in rollouts {
            if let Some(snapshot) = self.take_snapshot(&rollout) {
                self.merge(&rollout, Some(&snapshot));
            } else {
                self.merge(&rollout, None);
            }
        }
        self.adopt_snapshots();
        self.effects.clear();
        let begun = self.records.iter().filter(|record| record.state == RootState::Committing);
        self.committing.extend(begun.map(|record| record.rollout.clone()));
        for rollout in self.open_rollouts().into_iter().chain(self.kept_unheard()) {
            self.resume(&rollout);
        }
        self.resume_converged();
        self.look_at = None;
        self.carry_out().await;
        self.look_at = self.look_at.or(Some(Instant::now()));
    }

    /// One heartbeat, and the releases that its snapshots need.
    async fn ask_for_snapshots(&mut self) {
        let end = Instant::now() + HEARTBEAT_LIMIT;
        let over = Arc::clone(&self.link.transport);
        let beat = self.beat();
        let answered = self.patting(timeout_at(end, agent::heartbeat(over.as_ref(), &beat))).await;
        match answered {
            Ok(Ok(answer)) => {
                self.snapshots.clear();
                self.beat_answered_in_recovery(answer);
            }
            Ok(Err(why)) => {
                tracing::warn!(host.name = %self.host, "recovering without the control plane: {why}");
                self.unheard(|link| &mut link.beat);
            }
            Err(_) => tracing::warn!(host.name = %self.host, "recovering without the control plane: no answer"),
        }
        for snapshot in self.snapshots.clone() {
            let rollout = snapshot.rollout_id.clone();
            if self.record_for(&rollout, attempt_of(&snapshot)).is_some() {
                continue;
            }
            let host = self.host.clone();
            let fetch = timeout_at(end, agent::fetch_release(over.as_ref(), &host, &rollout));
            match self.patting(fetch).await {
                Ok(Ok(fetched)) => self.verify(&rollout, fetched),
                Ok(Err(why)) => tracing::warn!(host.name = %self.host, rollout.id = %rollout, "{why}"),
                Err(_) => tracing::warn!(host.name = %self.host, rollout.id = %rollout, "the release does not come"),
            }
        }
    }

    /// Waits, and tells the dead-man meanwhile that the agent is alive: a control plane that hangs must not end a
    /// soak.
    async fn patting<T>(&mut self, work: impl Future<Output = T> + Send) -> T {
        let soaking: Vec<_> = self.records.iter().filter(|record| self.is_alive(record)).cloned().collect();
        let Some(timeout) = soaking.iter().map(|record| record.agent_timeout).min() else { return work.await };
        let mut work = std::pin::pin!(work);
        loop {
            for record in &soaking {
                let pat = self.system.pat(&record.rollout, record.attempt);
                if let Err(why) = within("pat the dead-man", pat).await {
                    tracing::debug!(host.name = %self.host, rollout.id = %record.rollout, "{why}");
                }
            }
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = sleep((timeout / PATS_IN_LIMIT).max(SHORTEST_PAT)) => {}
            }
        }
    }

    /// Tells whether an attempt's target runs and nobody has judged it bad.
    fn is_alive(&self, record: &RootRecord) -> bool {
        let good = matches!(record.result, Some((SwitchResult::Good(_), _)));
        let own = self.progress(&record.rollout).filter(|own| own.attempt == record.attempt);
        let failed = own.is_some_and(|own| matches!(own.phase, Phase::Failed(_)));
        record.state == RootState::Soaking && good && !failed
    }

    fn beat_answered_in_recovery(&mut self, answer: crate::wire::v1::agent::HeartbeatResponse) {
        let snapshots = answer.bootstrap_rollouts.clone();
        self.beat_answered(crate::wire::v1::agent::HeartbeatResponse { bootstrap_rollouts: Vec::new(), ..answer });
        self.snapshots = snapshots;
    }

    fn record_for(&self, rollout: &RolloutId, attempt: Attempt) -> Option<&RootRecord> {
        self.records.iter().find(|record| record.rollout == *rollout && record.attempt == attempt)
    }

    fn take_snapshot(&mut self, rollout: &RolloutId) -> Option<HostRolloutSnapshot> {
        let at = self.snapshots.iter().position(|snapshot| snapshot.rollout_id == *rollout)?;
        Some(self.snapshots.remove(at))
    }

    /// Merges every snapshot of an attempt that is not known here, as soon as its terms are; a stale one changes
    /// nothing.
    pub(crate) fn adopt_snapshots(&mut self) {
        for snapshot in std::mem::take(&mut self.snapshots) {
            let rollout = snapshot.rollout_id.clone();
            let known = self.progress(&rollout).is_some_and(|own| own.attempt >= attempt_of(&snapshot));
            if known || self.merge(&rollout, Some(&snapshot)) {
                continue;
            }
            if !self.refusals.contains_key(&rollout) && whole_needs_terms(&snapshot) {
                self.fetch(&rollout);
                self.snapshots.push(snapshot);
            }
        }
    }

    /// Puts together what is known of one rollout; false when that is nothing new.
    fn merge(&mut self, rollout: &RolloutId, snapshot: Option<&HostRolloutSnapshot>) -> bool {
        let Some(running) = self.running().cloned() else { return false };
        let now = self.now();
        let newest = self.records.iter().filter(|record| record.rollout == *rollout).max_by_key(|it| it.attempt);
        let own = self.progress(rollout).cloned();
        let attempt = snapshot.map(attempt_of).max(own.as_ref().map(|own| own.attempt));
        let ahead = newest.filter(|record| attempt.is_none_or(|own| record.attempt > own) && !record.is_final());
        let attempt = ahead.map(|record| record.attempt).or(attempt);
        let root = attempt.and_then(|attempt| self.record_for(rollout, attempt)).cloned();
        let full = snapshot.and_then(|snapshot| {
            let of_root = root.as_ref().map(|record| &record.terms);
            let terms = of_root.or_else(|| self.offers.get(rollout).map(|offer| &offer.terms))?;
            whole(snapshot, Around { terms, root: root.as_ref(), now: &now })
        });
        let journal = own.as_ref().filter(|own| Some(own.attempt) == attempt);
        let memories = Memories {
            journal,
            root: root.as_ref(),
            snapshot: full.as_ref().filter(|full| Some(full.attempt) == attempt),
            running: &running,
            clean_shutdown: self.seen.clean_shutdown,
        };
        let Some(recovered) = recover(&memories, &now) else { return false };
        if journal.is_none() {
            let progress = HostRollout::open(recovered.state.attempt, recovered.state.terms.clone(), &now);
            let dispatched = snapshot.map(|snapshot| timestamp(snapshot.dispatched_at));
            let tracked = Tracked { progress, digest: None, dispatched, last_seq: 0 };
            if !self.open_attempt(rollout, &tracked) {
                return false;
            }
        }
        recovered.events.iter().all(|event| self.record(rollout, event))
    }

    /// Keeps probing what was committed, while it runs and nothing else is under way.
    pub(crate) fn resume_converged(&mut self) {
        let book = self.journal.book();
        if self.watch.is_some() || book.rollouts.values().any(|own| is_under_way(&own.progress)) {
            return;
        }
        let runs = |own: &Tracked| {
            matches!(own.progress.phase, Phase::Converged(_)) && self.running() == Some(&own.progress.terms.target)
        };
        let converged = book.rollouts.iter().filter(|(_, own)| runs(own)).max_by_key(|(_, own)| own.last_seq);
        if let Some(rollout) = converged.map(|(id, _)| id.clone()) {
            self.resume(&rollout);
        }
    }
}

/// Tells whether a snapshot is worth a release: only started, open attempts are gone on with.
fn whole_needs_terms(snapshot: &HostRolloutSnapshot) -> bool {
    use crate::model::host_rollout::HostRolloutState as State;
    match snapshot.state {
        State::Activating | State::Deferred | State::Soaking | State::Failed => true,
        State::Pending | State::Converged | State::Reverted | State::Cancelled => false,
    }
}
