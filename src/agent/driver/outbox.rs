//! Events out, in batches, until the control plane holds them; permits in.

use crate::agent::driver::Driver;
use crate::agent::driver::permit::acked;
use crate::agent::driver::work::{Outcome, Work};
use crate::client::{ClientError, agent};
use crate::model::host_rollout::HostRollout;
use crate::model::id::RolloutId;
use crate::runtime::guard::Guard;
use crate::wire::v1::agent::{EventsRequest, EventsResponse, MAX_AGENT_BODY, MAX_EVENTS};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A batch carries about so many bytes at most: half of what the control plane reads, since the base comes on top.
const BATCH_BYTES: usize = MAX_AGENT_BODY / 2;

/// A new journal is begun no more often than this: two machines with one identity fence each other in turn.
const RENEW_PAUSE: Duration = Duration::from_secs(10);

impl Driver {
    /// Tells whether the control plane lacks something: an event, the base of a new journal, or a question that is
    /// asked again.
    pub(crate) fn has_unsent(&self) -> bool {
        let book = self.journal.book();
        let new_base = book.acked.is_none() && !book.rollouts.is_empty();
        new_base || self.next_to_send() <= book.last_seq
    }

    fn next_to_send(&self) -> u64 {
        let next = self.journal.book().acked.unwrap_or(0) + 1;
        self.link.send_from.unwrap_or(next)
    }

    pub(crate) fn send_batch(&mut self) {
        let book = self.journal.book();
        let from = self.next_to_send();
        let base = (book.acked.is_none() || from <= self.journal.base_seq()).then(|| self.journal.base_body());
        let mut events = self.journal.events_from(from, MAX_EVENTS);
        let mut bytes = 0;
        let fits = events.iter().take_while(|event| {
            bytes += serde_json::to_string(event).map_or(0, |text| text.len());
            bytes <= BATCH_BYTES
        });
        let fits = fits.count().max(1);
        events.truncate(fits);
        let batch = EventsRequest { hostname: self.host.clone(), journal_id: book.journal.clone(), base, events };
        let over = Arc::clone(&self.link.transport);
        self.begin(Work::Send, async move { Outcome::Send(agent::send_events(over.as_ref(), &batch).await) });
    }

    pub(crate) fn take_sent(&mut self, answer: Result<EventsResponse, ClientError>) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(why) => {
                tracing::debug!(host.name = %self.host, "sending events: {why}");
                self.unheard(|link| &mut link.send);
                return;
            }
        };
        self.heard();
        self.link.send.again(Instant::now());
        for refused in &answer.refused {
            tracing::warn!(host.name = %self.host, seq = refused.seq, "an event was not applied: {}", refused.reason);
        }
        if let Some(why) = self.fence(answer.fenced.as_deref(), answer.last_seq) {
            self.renew(&why);
            return;
        }
        let before = self.link.send_from.take();
        let held = answer.send_from.map_or(answer.last_seq, |from| from.saturating_sub(1));
        if answer.send_from.is_some() && before == answer.send_from {
            // Asked for the same again: it can't be given, or is refused over and over.
            self.unheard(|link| &mut link.send);
        }
        let held = held.min(self.journal.book().last_seq);
        if let Err(why) = self.journal.acked(held, &answer.store) {
            self.write_failed(&why);
            self.unheard(|link| &mut link.send);
        }
        self.link.send_from = answer.send_from;
        self.take_permits(answer.permits);
        if let Err(why) = self.journal.compact() {
            tracing::warn!(host.name = %self.host, "compacting the journal: {why}");
        }
    }

    /// Says why this journal can't go on, if it can't.
    pub(crate) fn fence(&self, fenced: Option<&str>, held: u64) -> Option<String> {
        let last = self.journal.book().last_seq;
        if let Some(why) = fenced {
            return Some(why.to_owned());
        }
        (held > last && !Guard::Fencing.left_out())
            .then(|| format!("the control plane holds event {held} of this journal, which ends at {last}"))
    }

    /// Goes on in a new journal.
    pub(crate) fn renew(&mut self, why: &str) {
        // Whoever fences every journal at once shall not get one more at the speed of the network.
        let young = self.renewed.is_some_and(|at| at.elapsed() < RENEW_PAUSE);
        let renewed = if young { Ok(false) } else { self.journal.renew(self.rng.as_mut()).map(|()| true) };
        if let Err(why) = &renewed {
            self.write_failed(why);
        }
        if !matches!(renewed, Ok(true)) {
            self.unheard(|link| &mut link.send);
            self.unheard(|link| &mut link.beat);
            return;
        }
        tracing::error!(host.name = %self.host, "the journal is fenced: {why}; going on in a new one");
        self.renewed = Some(Instant::now());
        self.link.send_from = None;
        self.asks.seqs.clear();
        // The control plane never took the old journal's question, so it names no new invitation either.
        self.asks.new_orders();
        let at = self.now();
        if let Err(why) = self.journal.note(&format!("the journal before was fenced: {why}"), Some(&at)) {
            self.write_failed(&why);
        }
        self.mark_lost();
        // A question of the old journal has no answer in the new one.
        for rollout in self.open_rollouts() {
            if self.progress(&rollout).and_then(acked).is_some() {
                let why = "the question was in a journal that was fenced".to_owned();
                self.record(&rollout, &crate::model::host_rollout::Event::PermitLapsed(why));
            }
        }
        self.link.send.again(Instant::now());
        self.link.beat.again(Instant::now());
    }

    /// Sends the question for the permit: the one just written, or the same one again after a restart.
    pub(crate) fn ask_permit(&mut self, rollout: &RolloutId) {
        let Some(seq) = self.question(rollout) else { return };
        self.asks.seqs.insert(rollout.clone(), seq);
        if self.journal.book().is_acked(seq) {
            self.link.send_from = Some(self.link.send_from.map_or(seq, |from| from.min(seq)));
        }
        self.link.send.soon();
    }

    /// The number of the last `DispatchAcked` of an attempt.
    fn question(&self, rollout: &RolloutId) -> Option<u64> {
        let attempt = self.progress(rollout).map(|progress: &HostRollout| progress.attempt.0)?;
        let events = self.journal.events_from(0, usize::MAX);
        let ours = events.iter().rev().find(|event| {
            event.rollout_id == *rollout && event.attempt == attempt && event.event.kind() == "dispatchAcked"
        });
        ours.map(|event| event.seq)
    }
}
