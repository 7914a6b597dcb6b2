//! Rows and transactions: the control plane's memory behind an engine-neutral trait. Must not decide anything;
//! SQL lives below this folder and nowhere else.
//!
//! A write is a job that runs inside one transaction on the engine's only writer; many jobs share one commit,
//! each in a savepoint of its own, and every job is answered after that commit is durable.

pub mod rows;
mod rules;
pub mod memory;
pub mod sqlite;

use crate::model::id::{Author, Channel, HostName, JournalId, RolloutId, StoreId, Tag, TokenId};
use crate::model::identity::Identity;
use crate::model::rollout::Tally;
use crate::model::time::Timestamp;
use crate::store::rows::{
    EventFilter, EventRow, HostRow, IdentityRow, JournalRow, PermitRow, QuarantineRow, RecordFilter, RecordRow,
    ReleaseRow, RolloutRow, TokenRow,
};
use async_trait::async_trait;
use std::any::Any;

/// Which database this is and how many commits it has made; agents echo the highest they saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreMark {
    /// New at random for each database.
    pub store_id: StoreId,
    /// Durable commits so far, this one included once it is made.
    pub commit_count: u64,
}

/// A store could not do what was asked; nothing of the job was kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full or a size limit was hit.
    #[error("the store has no room left at {place}: free some space, then it goes on by itself")]
    Full {
        /// File or directory.
        place: String,
    },
    /// The database is damaged.
    #[error(
        "the database {place} is damaged ({detail}): stop convoy-cp, then restore the last backup with `convoy-cp restore`"
    )]
    Corrupt {
        /// The file.
        place: String,
        /// What the engine said.
        detail: String,
    },
    /// The database was written by a newer version.
    #[error(
        "the database {place} has schema {found}, this program knows up to {known}: install the newer version again"
    )]
    TooNew {
        /// The file.
        place: String,
        /// Its schema.
        found: u32,
        /// The newest known one.
        known: u32,
    },
    /// Another process has the database open.
    #[error("the database {place} is in use by another convoy-cp: stop that one first")]
    Locked {
        /// The file.
        place: String,
    },
    /// A row breaks a rule that the store keeps (a missing parent, a repeated key).
    #[error("the store refused a row: {0}")]
    Conflict(String),
    /// The writer has ended.
    #[error("the store is closed")]
    Closed,
    /// The queue of jobs is full.
    #[error("the store has more work queued than it takes: try again in a moment")]
    Busy,
    /// Anything else the engine says.
    #[error("the store failed: {0}")]
    Engine(String),
    /// The job itself gave up; its own error travels inside.
    #[error("the job was undone")]
    Undone(Box<dyn Any + Send>),
}

// A `Box<dyn Any + Send>` is not `Sync`; errors that cross into `anyhow` are mapped before.

/// One transaction. Reads see the writes made before in the same job.
pub trait Tx {
    /// Returns which database this is; the commit count is the one this transaction will have made.
    fn mark(&self) -> Result<StoreMark, StoreError>;

    /// Reads a small named setting of the control plane.
    fn setting(&self, name: &str) -> Result<Option<String>, StoreError>;
    /// Writes a small named setting.
    fn put_setting(&mut self, name: &str, value: &str) -> Result<(), StoreError>;

    /// Reads a host.
    fn host(&self, host: &HostName) -> Result<Option<HostRow>, StoreError>;
    /// Writes a host.
    fn put_host(&mut self, row: &HostRow) -> Result<(), StoreError>;
    /// Lists hosts by name, after one, at most `limit`.
    fn hosts(&self, after: Option<&HostName>, limit: usize) -> Result<Vec<HostRow>, StoreError>;

    /// Reads a journal of a host.
    fn journal(&self, host: &HostName, journal: &JournalId) -> Result<Option<JournalRow>, StoreError>;
    /// Writes a journal.
    fn put_journal(&mut self, row: &JournalRow) -> Result<(), StoreError>;
    /// Lists the journals of a host, oldest first: by `opened`, then in the order they were first written.
    fn journals(&self, host: &HostName) -> Result<Vec<JournalRow>, StoreError>;

    /// Appends an event and returns its place in the whole history, from 1, only growing.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when host, journal and sequence number are already there, or a journal's event
    /// names no host.
    fn append_event(&mut self, row: &EventRow) -> Result<u64, StoreError>;
    /// Reads one event of a host by its author's number; for the control plane that is the place.
    fn event(&self, host: &HostName, author: &Author, seq: u64) -> Result<Option<EventRow>, StoreError>;
    /// Lists events in the order of the history, after a place, at most `limit`.
    fn events(&self, after: u64, filter: &EventFilter, limit: usize) -> Result<Vec<EventRow>, StoreError>;
    /// Replaces the refusal of an event that can be applied now (`None`), or its reason.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when there is no event at this place.
    fn set_refusal(&mut self, place: u64, refused: Option<&str>) -> Result<(), StoreError>;
    /// Deletes events received before `before`, the oldest first, except those of rollouts that still have open records, at most
    /// `limit`; returns how many. Journal positions stay.
    fn prune_events(&mut self, before: Timestamp, limit: usize) -> Result<usize, StoreError>;

    /// Reads a host's current attempt of a rollout.
    fn record(&self, host: &HostName, rollout: &RolloutId) -> Result<Option<RecordRow>, StoreError>;
    /// Writes it, and keeps the tallies of its wave and budgets.
    fn put_record(&mut self, row: &RecordRow) -> Result<(), StoreError>;
    /// Lists the records of one host that are not final, oldest rollout first; before them those of rollouts
    /// that are not stored.
    fn open_records(&self, host: &HostName) -> Result<Vec<RecordRow>, StoreError>;
    /// Lists the records of one host in rollouts that are stored, that of the newest rollout first (in the order of
    /// [`Tx::rollouts`]), at most `limit`.
    fn newest_records(&self, host: &HostName, limit: usize) -> Result<Vec<RecordRow>, StoreError>;
    /// Lists records by host name (then rollout), after a host, at most `limit`; where a page would cut a host
    /// that has several in two, that host's rest comes with it, so that the next page loses none.
    fn records(
        &self,
        filter: &RecordFilter,
        after: Option<&HostName>,
        limit: usize,
    ) -> Result<Vec<RecordRow>, StoreError>;
    /// Counts the hosts of a wave from counters, not by scanning.
    ///
    /// `changed` is the number of records whose `changed` is true and `unchanged` that of all others, whatever
    /// their bucket. `waiting`, `in_flight`, `succeeded`, `failed` and `neutral` are the numbers of all records in
    /// that bucket, changed or not; [`rows::Bucket::Failing`] counts both as failed and as in flight. `set_aside` is
    /// always 0 here: it is a view over facts that rows do not hold.
    fn tally(&self, rollout: &RolloutId, wave: u32) -> Result<Tally, StoreError>;
    /// Counts the records of a budget in [`rows::Bucket::InFlight`] or [`rows::Bucket::Failing`], over all rollouts,
    /// from counters.
    fn budget_in_flight(&self, budget: &Tag) -> Result<u32, StoreError>;

    /// Reads a release.
    fn release(&self, id: &RolloutId) -> Result<Option<ReleaseRow>, StoreError>;
    /// Writes a release; a known id with another digest is a [`StoreError::Conflict`].
    fn put_release(&mut self, row: &ReleaseRow) -> Result<(), StoreError>;
    /// Reads a rollout.
    fn rollout(&self, id: &RolloutId) -> Result<Option<RolloutRow>, StoreError>;
    /// Writes a rollout.
    fn put_rollout(&mut self, row: &RolloutRow) -> Result<(), StoreError>;
    /// Lists rollouts, newest first (by `opened`, then in the order they were first written), at most `limit`; with `open_only`, those that are neither Completed nor ended.
    fn rollouts(&self, open_only: bool, limit: usize) -> Result<Vec<RolloutRow>, StoreError>;
    /// Lists the newest rollout of each channel, in the same order, at most `limit`.
    fn newest_rollouts(&self, limit: usize) -> Result<Vec<RolloutRow>, StoreError>;
    /// Lists a channel's rollouts, in the same order, at most `limit`.
    fn rollouts_of(&self, channel: &Channel, limit: usize) -> Result<Vec<RolloutRow>, StoreError>;
    /// Deletes records of a rollout with their permits, by host, at most `limit`, and the rollout with its release once
    /// less than `limit` were left; returns how many records. One that is open, or that has an open record, is a
    /// [`StoreError::Conflict`]; of an unknown one there is nothing to delete. Events stay.
    fn prune_rollout(&mut self, id: &RolloutId, limit: usize) -> Result<usize, StoreError>;

    /// Reads the answer given to a request for a permit, so that it can be repeated.
    fn permit(&self, host: &HostName, rollout: &RolloutId) -> Result<Option<PermitRow>, StoreError>;
    /// Writes it; one for each host and rollout, the newest.
    fn put_permit(&mut self, row: &PermitRow) -> Result<(), StoreError>;

    /// Lists the closures quarantined for a channel, by closure.
    fn quarantines(&self, channel: &Channel) -> Result<Vec<QuarantineRow>, StoreError>;
    /// Quarantines a closure for a channel; a known one gets the new reason and date.
    fn put_quarantine(&mut self, row: &QuarantineRow) -> Result<(), StoreError>;
    /// Lifts it; nothing happens when there is none.
    fn lift_quarantine(&mut self, channel: &Channel, closure: &crate::model::id::Closure) -> Result<(), StoreError>;

    /// Reads what is known of an identity.
    fn identity(&self, identity: &Identity) -> Result<Option<IdentityRow>, StoreError>;
    /// Writes it.
    fn put_identity(&mut self, row: &IdentityRow) -> Result<(), StoreError>;
    /// Lists identities by their text, after one, at most `limit`.
    fn identities(&self, after: Option<&Identity>, limit: usize) -> Result<Vec<IdentityRow>, StoreError>;
    /// Reads a token.
    fn token(&self, id: &TokenId) -> Result<Option<TokenRow>, StoreError>;
    /// Writes a token; a known one for another host or with another digest is a [`StoreError::Conflict`].
    fn put_token(&mut self, row: &TokenRow) -> Result<(), StoreError>;
    /// Lists tokens by id, after one, at most `limit`.
    fn tokens(&self, after: Option<&TokenId>, limit: usize) -> Result<Vec<TokenRow>, StoreError>;
    /// Lists all tokens of a host, by id.
    fn tokens_of(&self, host: &HostName) -> Result<Vec<TokenRow>, StoreError>;
    /// Deletes tokens that ended before a time, the oldest first, at most `limit`; returns how many.
    fn prune_tokens(&mut self, before: Timestamp, limit: usize) -> Result<usize, StoreError>;
    /// Counts the tokens that can still be spent at `now`.
    fn open_tokens(&self, now: Timestamp) -> Result<u64, StoreError>;
}

/// A piece of work inside one transaction. An error undoes it alone. A failure of the engine inside it undoes it
/// even when the job swallows that error; a [`StoreError::Conflict`] may be swallowed. A full disk may undo others
/// of the same commit with it; each is then answered with that error.
pub type Job = Box<dyn FnOnce(&mut dyn Tx) -> Result<Box<dyn Any + Send>, StoreError> + Send>;

/// An engine.
#[async_trait]
pub trait Store: Send + Sync {
    /// Runs a job on the writer and answers after its commit is durable. Once queued it runs, even when the
    /// caller stops waiting. A job that panics is undone and answered with [`StoreError::Engine`].
    async fn write_job(&self, job: Job) -> Result<Box<dyn Any + Send>, StoreError>;
    /// Runs a job that only reads, on a consistent view of what is committed; its writes are refused.
    async fn read_job(&self, job: Job) -> Result<Box<dyn Any + Send>, StoreError>;
    /// Returns which database this is, as last committed.
    fn mark(&self) -> StoreMark;
    /// Returns how long the commits since the start took, for metrics: (commits, jobs, total microseconds).
    fn commit_cost(&self) -> (u64, u64, u64);
}

/// Runs `work` as a write and gives its own result back; its own error undoes it.
///
/// # Errors
/// The job's own error, or the store's through `From<StoreError>`.
pub async fn write<T, E>(
    store: &dyn Store,
    work: impl FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    unpack(store.write_job(pack(work)).await)
}

/// Runs `work` as a read and gives its own result back.
///
/// # Errors
/// The job's own error, or the store's through `From<StoreError>`.
pub async fn read<T, E>(
    store: &dyn Store,
    work: impl FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    unpack(store.read_job(pack(work)).await)
}

fn pack<T, E>(work: impl FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static) -> Job
where
    T: Send + 'static,
    E: Send + 'static,
{
    Box::new(move |tx| match work(tx) {
        Ok(value) => Ok(Box::new(value)),
        Err(error) => Err(StoreError::Undone(Box::new(error))),
    })
}

fn unpack<T: 'static, E: From<StoreError> + 'static>(answer: Result<Box<dyn Any + Send>, StoreError>) -> Result<T, E> {
    let wrong_type = || E::from(StoreError::Engine("a job answered with another type".to_owned()));
    match answer {
        Ok(value) => value.downcast::<T>().map(|value| *value).map_err(|_| wrong_type()),
        Err(StoreError::Undone(error)) => Err(error.downcast::<E>().map_or_else(|_| wrong_type(), |error| *error)),
        Err(error) => Err(E::from(error)),
    }
}
