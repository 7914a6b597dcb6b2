//! Events of agents: each taken once, in order, made durable with what it changes before the answer is sent. What
//! can't be applied is kept with its reason and blocks nothing.

pub mod journal;
pub mod base;
pub mod take;

use crate::model::id::HostName;
use crate::plane::Plane;
use crate::plane::desk::Desk;
use crate::plane::error::{Done, PlaneError};
use crate::plane::intake::journal::{Contact, Journal};
use crate::store::StoreMark;
use crate::wire::v1::agent::{EventsRequest, EventsResponse, MAX_EVENTS, StoreMarkBody};
use std::sync::Arc;

/// The highest number of an event: the last whole number that every reader of JSON agrees on.
const MAX_SEQ: u64 = (1 << 53) - 1;
/// The most rollouts in a journal's base.
const MAX_BASE: usize = 64;

impl Plane {
    /// Takes a batch of events from a host; the answer carries permits back and is durable.
    ///
    /// # Errors
    /// [`PlaneError::Forbidden`] when the batch speaks for another host, [`PlaneError::BadRequest`] when it is too
    /// long, else the store's.
    pub async fn take_events(self: &Arc<Self>, host: &HostName, batch: EventsRequest) -> Done<EventsResponse> {
        check_speaker(host, &batch.hostname)?;
        if batch.events.len() > MAX_EVENTS {
            let said = format!("{} events in one batch; the most is {MAX_EVENTS}", batch.events.len());
            return Err(PlaneError::bad("batch_too_long", said));
        }
        if batch.base.as_ref().is_some_and(|base| base.seq > MAX_SEQ || base.rollouts.len() > MAX_BASE) {
            let said = format!("a base holds at most {MAX_BASE} rollouts and a number up to {MAX_SEQ}");
            return Err(PlaneError::bad("invalid_base", said));
        }
        self.heard(host);
        let count = batch.events.len();
        let answer = self.transact(move |desk| desk.take_batch(&batch)).await?;
        self.metrics.took(count);
        Ok(answer)
    }

    /// Notes that a host was heard: what its silence counted for ends.
    pub fn heard(&self, host: &HostName) {
        self.live.touch(host, self.now(), self.up());
        let touched = self.silence.replace(host, Vec::new());
        touched.into_iter().for_each(|id| self.recount(id));
    }
}

/// Refuses a body that speaks for another host than the one that sent it.
///
/// # Errors
/// [`PlaneError::Forbidden`].
pub fn check_speaker(host: &HostName, named: &HostName) -> Done<()> {
    if host == named {
        return Ok(());
    }
    let message = format!("{host} can't speak for {named}: an agent reports for its own host only");
    Err(PlaneError::Forbidden { code: "wrong_host", message })
}

/// Gives a store's mark its form on the wire.
#[must_use]
pub fn mark_body(mark: StoreMark) -> StoreMarkBody {
    StoreMarkBody { store_id: mark.store_id, commit_count: mark.commit_count }
}

impl Desk<'_> {
    fn take_batch(&mut self, batch: &EventsRequest) -> Done<EventsResponse> {
        let contact = Contact { host: &batch.hostname, journal: &batch.journal_id, now: None, last_seq: None };
        let mut journal = self.admit(&contact)?;
        let mut answer = self.nothing_taken()?;
        if let (None, Some(base)) = (&journal.row.fenced, &batch.base) {
            self.take_base(&mut journal, base)?;
        }
        for event in &batch.events {
            if journal.row.fenced.is_some() || answer.send_from.is_some() {
                break;
            }
            self.take_event(&mut journal, event, &mut answer)?;
        }
        self.close(journal, &mut answer)?;
        Ok(answer)
    }

    fn nothing_taken(&self) -> Done<EventsResponse> {
        let store = mark_body(self.tx.mark()?);
        let (permits, refused) = (Vec::new(), Vec::new());
        Ok(EventsResponse { last_seq: 0, send_from: None, fenced: None, permits, refused, store })
    }

    fn close(&mut self, journal: Journal, answer: &mut EventsResponse) -> Done<()> {
        answer.last_seq = journal.row.last_seq;
        answer.fenced.clone_from(&journal.row.fenced);
        self.put_journal(journal)
    }
}
