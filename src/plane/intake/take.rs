//! One event of an agent: its place in the journal, then its place in the host's attempt.

use crate::model::host_rollout::{Event, HostRollout, Observed};
use crate::model::id::{Attempt, Author, RolloutId};
use crate::model::time::Stamp;
use crate::plane::advance::is_preparing;
use crate::plane::desk::Desk;
use crate::plane::digest::sha256;
use crate::plane::error::Done;
use crate::plane::history::envelope;
use crate::plane::intake::journal::Journal;
use crate::plane::ledger::Kept;
use crate::plane::permit::Asked;
use crate::store::rows::{EventFilter, EventRow};
use crate::wire::v1::agent::{EventEnvelope, EventsResponse, PermitAnswer, RefusedEvent};

/// Why an event waits for its release to be published (again).
pub const UNKNOWN_ROLLOUT: &str = "the rollout is not known here";
/// How many refused events are looked at in one read.
const PAGE: usize = 256;
/// How many attempts a host may be ahead of a store that lost some.
const MAX_AHEAD: u32 = 100;
/// The longest kind that is kept in its own column, in characters.
const MAX_KIND: usize = 64;

/// What became of a new event.
struct Taken {
    refused: Option<String>,
    permit: Option<PermitAnswer>,
}

impl Desk<'_> {
    /// Takes one event of a journal that is in use.
    ///
    /// # Errors
    /// The store's.
    pub fn take_event(&mut self, journal: &mut Journal, sent: &EventEnvelope, answer: &mut EventsResponse) -> Done<()> {
        let next = journal.row.last_seq.saturating_add(1);
        if sent.seq > next {
            answer.send_from = Some(next);
            return Ok(());
        }
        let row = self.row_of(journal, sent);
        if sent.seq < next {
            return self.seen_before(journal, &row, answer);
        }
        let taken = self.take_new(&row, sent)?;
        answer.permits.extend(taken.permit);
        if let Some(reason) = &taken.refused {
            answer.refused.push(RefusedEvent { seq: sent.seq, reason: reason.clone() });
        }
        self.append(&EventRow { refused: taken.refused, ..row })?;
        journal.advance(sent.seq);
        Ok(())
    }

    fn row_of(&self, journal: &Journal, sent: &EventEnvelope) -> EventRow {
        let body = serde_json::to_string(sent).expect("an envelope was JSON when it came");
        EventRow {
            place: 0,
            host: Some(journal.row.host.clone()),
            rollout: Some(sent.rollout_id.clone()),
            attempt: Attempt(sent.attempt),
            author: Author::Journal(journal.row.journal.clone()),
            seq: sent.seq,
            digest: sha256(body.as_bytes()),
            received: self.now,
            kind: sent.event.kind().chars().take(MAX_KIND).collect(),
            body,
            refused: None,
        }
    }

    /// The same event again is answered as before; another one under its number is a journal that forked.
    fn seen_before(&mut self, journal: &mut Journal, row: &EventRow, answer: &mut EventsResponse) -> Done<()> {
        let Some(known) = self.tx.event(&journal.row.host, &row.author, row.seq)? else { return Ok(()) };
        if known.digest != row.digest {
            journal.fence(format!("it says something else under number {} than before", row.seq));
            return Ok(());
        }
        if is_question(&known) {
            let asked = Asked { journal: journal.row.journal.clone(), seq: row.seq };
            answer.permits.extend(self.repeat_answer(&known, &asked)?);
        }
        if let Some(reason) = known.refused {
            answer.refused.push(RefusedEvent { seq: row.seq, reason });
        }
        Ok(())
    }

    fn take_new(&mut self, row: &EventRow, sent: &EventEnvelope) -> Done<Taken> {
        let applied = self.try_apply(row, sent)?;
        // True of the host whatever became of the attempt that carries it.
        if let (Some(host), Ok(Event::ClosureObserved(Observed { by: Some(done), .. }))) =
            (&row.host, Event::try_from(sent.event.clone()))
        {
            self.keep_activation(host, done)?;
        }
        if !is_question(row) {
            return Ok(Taken { refused: applied.err(), permit: None });
        }
        match (applied, &row.author) {
            (Ok(mut kept), Author::Journal(journal)) => {
                let asked = Asked { journal: journal.clone(), seq: row.seq };
                Ok(Taken { refused: None, permit: Some(self.answer(&mut kept, &asked)?) })
            }
            (Ok(_), Author::ControlPlane) => Ok(Taken { refused: None, permit: None }),
            (Err(why), _) => {
                let (rollout_id, attempt, seq) = (sent.rollout_id.clone(), sent.attempt, sent.seq);
                let permit = PermitAnswer { rollout_id, attempt, seq, granted: false, holds: vec![why.clone()] };
                Ok(Taken { refused: Some(why), permit: Some(permit) })
            }
        }
    }

    /// Applies an event to its record; `Err` holds why that is not possible.
    fn try_apply(&mut self, row: &EventRow, sent: &EventEnvelope) -> Done<Result<Kept, String>> {
        let Some(host) = &row.host else { return Ok(Err("it names no host".to_owned())) };
        let Some(mut kept) = self.record(host, &sent.rollout_id)? else {
            let known = self.rollout(&sent.rollout_id)?.is_some_and(|(row, body)| !is_preparing(&row, &body.rollout));
            let why = if known { "the release does not name this host" } else { UNKNOWN_ROLLOUT };
            return Ok(Err(why.to_owned()));
        };
        let event = match Event::try_from(sent.event.clone()) {
            Ok(event) => event,
            Err(why) => return Ok(Err(format!("{:?} can't be read: {why}", row.kind))),
        };
        if Attempt(sent.attempt) < kept.row.attempt {
            return Ok(Err(format!("attempt {} is over; this is attempt {}", sent.attempt, kept.row.attempt)));
        }
        if sent.attempt > kept.row.attempt.0.saturating_add(MAX_AHEAD) {
            return Ok(Err(format!("attempt {} can't be; this is attempt {}", sent.attempt, kept.row.attempt)));
        }
        let at = Stamp::from(sent.at.clone());
        if Attempt(sent.attempt) > kept.row.attempt && !matches!(event, Event::Adopted(_)) {
            self.catch_up(&mut kept, Attempt(sent.attempt), &at);
            self.forgives_no_more(host, &sent.rollout_id)?;
        }
        let applied = self.apply(&mut kept, &event, &at)?;
        Ok(applied.map(|()| kept).map_err(str::to_owned))
    }

    /// The host is at a later attempt than we remember: that it was opened is in what this store lost.
    fn catch_up(&self, kept: &mut Kept, attempt: Attempt, at: &Stamp) {
        tracing::warn!(
            host.name = %kept.row.host, rollout.id = %kept.row.rollout,
            "the host is at attempt {attempt}, {} is known here: going on with the host's", kept.row.attempt
        );
        kept.body.progress = HostRollout::open(attempt, kept.body.progress.terms.clone(), at);
        kept.body.permitted = None;
        kept.body.revert = None;
        kept.body.opened = self.now;
        kept.body.state_since = self.now;
    }

    /// Applies what was refused because a rollout was not known, now that it is; no permit comes of it. Returns
    /// how many could be applied.
    ///
    /// # Errors
    /// The store's.
    pub fn apply_refused(&mut self, rollout: &RolloutId) -> Done<u32> {
        let filter = EventFilter { rollout: Some(rollout.clone()), refused_only: true, ..EventFilter::default() };
        let (mut after, mut applied) = (0, 0);
        loop {
            let page = self.tx.events(after, &filter, PAGE)?;
            let Some(last) = page.last() else { return Ok(applied) };
            after = last.place;
            for row in page.iter().filter(|row| row.refused.as_deref() == Some(UNKNOWN_ROLLOUT)) {
                let Some(sent) = envelope(row) else { continue };
                let outcome = self.try_apply(row, &sent)?;
                applied += u32::from(outcome.is_ok());
                self.tx.set_refusal(row.place, outcome.err().as_deref())?;
            }
        }
    }
}

/// Tells whether an event asks for a permit.
fn is_question(row: &EventRow) -> bool {
    row.kind == "dispatchAcked"
}
