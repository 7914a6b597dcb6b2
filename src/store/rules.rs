//! Rules that every engine keeps in the same way: what a row may hold, where a record counts, how a job that
//! panics ends. Must not know an engine.

use crate::model::id::{Author, RolloutId, Tag};
use crate::model::rollout::Tally;
use crate::store::rows::{Bucket, EventRow, RecordRow, ReleaseRow, TokenRow};
use crate::store::{Job, StoreError, Tx};
use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The answer of a job.
pub(crate) type Answer = Result<Box<dyn Any + Send>, StoreError>;

/// The greatest number that a row may carry: every engine holds it as a signed 64-bit column.
const GREATEST_NUMBER: u64 = i64::MAX.unsigned_abs();

/// How much of a panic's message goes into an error, in characters: it may carry a whole body.
const PANIC_TEXT: usize = 200;

/// Returns the number as a column holds it.
pub(crate) fn number(what: &str, value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| StoreError::Conflict(format!("{what} {value} is above {GREATEST_NUMBER}")))
}

/// Checks that an event names a host when a host's journal wrote it, and that its number can be held.
pub(crate) fn check_event(row: &EventRow) -> Result<(), StoreError> {
    match &row.author {
        Author::ControlPlane => Ok(()),
        Author::Journal(journal) if row.host.is_none() => {
            Err(StoreError::Conflict(format!("event {} of journal {journal} names no host", row.seq)))
        }
        Author::Journal(_) => number("sequence number", row.seq).map(drop),
    }
}

/// Refuses to give a known release another content.
pub(crate) fn check_release(known: Option<&ReleaseRow>, row: &ReleaseRow) -> Result<(), StoreError> {
    match known {
        Some(known) if known.digest != row.digest => Err(StoreError::Conflict(format!(
            "release {} is known with digest {} and came with {}",
            row.id, known.digest, row.digest
        ))),
        Some(_) | None => number("sequence", row.sequence).map(drop),
    }
}

/// Refuses to give a known token to another host, or another secret.
pub(crate) fn check_token(known: Option<&TokenRow>, row: &TokenRow) -> Result<(), StoreError> {
    match known {
        Some(known) if known.host != row.host || known.digest != row.digest => {
            Err(StoreError::Conflict(format!("token {} is known for {} with another secret", row.id, known.host)))
        }
        Some(_) | None => Ok(()),
    }
}

/// Says that an event is there already.
pub(crate) fn repeated(row: &EventRow) -> StoreError {
    let host = row.host.as_ref().map_or("no host", |host| host.as_str());
    let journal = match &row.author {
        Author::Journal(journal) => journal.as_str(),
        Author::ControlPlane => "cp",
    };
    StoreError::Conflict(format!("event {} of {host}, journal {journal}, is there already", row.seq))
}

/// Says that a place of the history holds nothing.
pub(crate) fn no_event(place: u64) -> StoreError {
    StoreError::Conflict(format!("there is no event at place {place}"))
}

/// Says that a rollout may not be deleted.
pub(crate) fn still_open(id: &RolloutId) -> StoreError {
    StoreError::Conflict(format!("rollout {id} can't be deleted: it is open, or has open records"))
}

/// Says that a reading job tried to write.
pub(crate) fn reads_only() -> StoreError {
    StoreError::Engine("a job that only reads tried to write".to_owned())
}

/// One counter of the tallies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cell {
    pub(crate) rollout: RolloutId,
    pub(crate) wave: u32,
    pub(crate) changed: bool,
    pub(crate) bucket: Bucket,
}

/// Returns the counter that a record counts in.
pub(crate) fn cell(row: &RecordRow) -> Cell {
    Cell { rollout: row.rollout.clone(), wave: row.wave, changed: row.changed, bucket: row.bucket }
}

/// Returns the budgets that a record in this bucket takes from, each once.
pub(crate) fn taken(bucket: Bucket, budgets: &[Tag]) -> BTreeSet<&Tag> {
    match bucket {
        Bucket::InFlight | Bucket::Failing => budgets.iter().collect(),
        Bucket::Waiting | Bucket::Succeeded | Bucket::Unchanged | Bucket::Failed | Bucket::Neutral => BTreeSet::new(),
    }
}

/// Adds `n` records of one counter to a tally.
pub(crate) fn add(tally: &mut Tally, changed: bool, bucket: Bucket, n: u32) {
    let side = if changed { &mut tally.changed } else { &mut tally.unchanged };
    *side = side.saturating_add(n);
    let count = match bucket {
        Bucket::Waiting => &mut tally.waiting,
        Bucket::InFlight => &mut tally.in_flight,
        Bucket::Succeeded => &mut tally.succeeded,
        Bucket::Failed => &mut tally.failed,
        Bucket::Neutral => &mut tally.neutral,
        Bucket::Failing => {
            tally.in_flight = tally.in_flight.saturating_add(n);
            &mut tally.failed
        }
        Bucket::Unchanged => return,
    };
    *count = count.saturating_add(n);
}

/// Runs a job; a panic in it becomes an error, so that the engine goes on.
pub(crate) fn run(job: Job, tx: &mut dyn Tx) -> Answer {
    catch_unwind(AssertUnwindSafe(|| job(tx))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        let text: String = text.chars().take(PANIC_TEXT).collect();
        Err(StoreError::Engine(format!("a job panicked: {text}")))
    })
}
