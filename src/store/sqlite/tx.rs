//! One transaction on a connection: running statements, and remembering the first failure of the engine.

use crate::model::id::{Author, Channel, Closure, HostName, JournalId, RolloutId, Tag, TokenId};
use crate::model::identity::Identity;
use crate::model::rollout::Tally;
use crate::model::time::Timestamp;
use crate::store::rows::{
    EventFilter, EventRow, HostRow, IdentityRow, JournalRow, PermitRow, QuarantineRow, RecordFilter, RecordRow,
    ReleaseRow, RolloutRow, TokenRow,
};
use crate::store::sqlite::failure::{Unread, again, store_error};
use crate::store::sqlite::{events, hosts, identities, prune, records, releases};
use crate::store::{StoreError, StoreMark, Tx, rules};
use rusqlite::{Connection, Params, Row};
use std::cell::RefCell;
use std::path::Path;

/// A job's view of the database.
pub(crate) struct SqliteTx<'c> {
    conn: &'c Connection,
    path: &'c Path,
    mark: StoreMark,
    writes: bool,
    broken: RefCell<Option<StoreError>>,
}

impl<'c> SqliteTx<'c> {
    /// Wraps a connection on which a transaction is open.
    pub(crate) fn new(conn: &'c Connection, path: &'c Path, mark: StoreMark) -> Self {
        Self { conn, path, mark, writes: false, broken: RefCell::new(None) }
    }

    /// Lets the job write.
    pub(crate) fn writing(self) -> Self {
        Self { writes: true, ..self }
    }

    /// Returns the engine's first failure. After one SQLite may have undone the whole transaction already.
    pub(crate) fn into_failure(self) -> Option<StoreError> {
        self.broken.into_inner()
    }

    /// Reads all rows that a statement finds.
    pub(crate) fn list<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: fn(&Row<'_>) -> Result<T, Unread>,
    ) -> Result<Vec<T>, StoreError> {
        self.run(|conn| {
            let mut statement = conn.prepare_cached(sql)?;
            let mut rows = statement.query(params)?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(read(row)?);
            }
            Ok(found)
        })
    }

    /// Reads the first row that a statement finds.
    pub(crate) fn first<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: fn(&Row<'_>) -> Result<T, Unread>,
    ) -> Result<Option<T>, StoreError> {
        self.run(|conn| {
            let mut statement = conn.prepare_cached(sql)?;
            let mut rows = statement.query(params)?;
            rows.next()?.map(read).transpose()
        })
    }

    /// Runs a statement that writes, and returns how many rows it touched.
    pub(crate) fn execute(&self, sql: &str, params: impl Params) -> Result<usize, StoreError> {
        if !self.writes {
            return Err(rules::reads_only());
        }
        self.run(|conn| Ok(conn.prepare_cached(sql)?.execute(params)?))
    }

    /// Returns the place of the row that was inserted last.
    pub(crate) fn last_place(&self) -> Result<u64, StoreError> {
        let place = self.conn.last_insert_rowid();
        u64::try_from(place).map_err(|_| self.damaged(format!("place {place} is negative")))
    }

    /// Says that the database contradicts itself.
    pub(crate) fn damaged(&self, detail: String) -> StoreError {
        self.note(Unread::Bad(detail))
    }

    fn run<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Unread>) -> Result<T, StoreError> {
        if let Some(error) = &*self.broken.borrow() {
            return Err(again(error));
        }
        work(self.conn).map_err(|error| self.note(error))
    }

    fn note(&self, error: Unread) -> StoreError {
        let error = store_error(self.path, error);
        if !matches!(error, StoreError::Conflict(_)) {
            self.broken.borrow_mut().get_or_insert_with(|| again(&error));
        }
        error
    }
}

impl Tx for SqliteTx<'_> {
    fn mark(&self) -> Result<StoreMark, StoreError> {
        Ok(self.mark.clone())
    }

    fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        hosts::setting(self, name)
    }

    fn put_setting(&mut self, name: &str, value: &str) -> Result<(), StoreError> {
        hosts::put_setting(self, name, value)
    }

    fn host(&self, host: &HostName) -> Result<Option<HostRow>, StoreError> {
        hosts::host(self, host)
    }

    fn put_host(&mut self, row: &HostRow) -> Result<(), StoreError> {
        hosts::put_host(self, row)
    }

    fn hosts(&self, after: Option<&HostName>, limit: usize) -> Result<Vec<HostRow>, StoreError> {
        hosts::hosts(self, after, limit)
    }

    fn journal(&self, host: &HostName, journal: &JournalId) -> Result<Option<JournalRow>, StoreError> {
        hosts::journal(self, host, journal)
    }

    fn put_journal(&mut self, row: &JournalRow) -> Result<(), StoreError> {
        hosts::put_journal(self, row)
    }

    fn journals(&self, host: &HostName) -> Result<Vec<JournalRow>, StoreError> {
        hosts::journals(self, host)
    }

    fn append_event(&mut self, row: &EventRow) -> Result<u64, StoreError> {
        events::append(self, row)
    }

    fn event(&self, host: &HostName, author: &Author, seq: u64) -> Result<Option<EventRow>, StoreError> {
        events::event(self, host, author, seq)
    }

    fn events(&self, after: u64, filter: &EventFilter, limit: usize) -> Result<Vec<EventRow>, StoreError> {
        events::events(self, after, filter, limit)
    }

    fn set_refusal(&mut self, place: u64, refused: Option<&str>) -> Result<(), StoreError> {
        events::set_refusal(self, place, refused)
    }

    fn prune_events(&mut self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        prune::events(self, before, limit)
    }

    fn record(&self, host: &HostName, rollout: &RolloutId) -> Result<Option<RecordRow>, StoreError> {
        records::record(self, host, rollout)
    }

    fn put_record(&mut self, row: &RecordRow) -> Result<(), StoreError> {
        records::put(self, row)
    }

    fn open_records(&self, host: &HostName) -> Result<Vec<RecordRow>, StoreError> {
        records::open(self, host)
    }

    fn newest_records(&self, host: &HostName, limit: usize) -> Result<Vec<RecordRow>, StoreError> {
        records::newest(self, host, limit)
    }

    fn records(
        &self,
        filter: &RecordFilter,
        after: Option<&HostName>,
        limit: usize,
    ) -> Result<Vec<RecordRow>, StoreError> {
        records::records(self, filter, after, limit)
    }

    fn tally(&self, rollout: &RolloutId, wave: u32) -> Result<Tally, StoreError> {
        records::tally(self, rollout, wave)
    }

    fn budget_in_flight(&self, budget: &Tag) -> Result<u32, StoreError> {
        records::budget_in_flight(self, budget)
    }

    fn release(&self, id: &RolloutId) -> Result<Option<ReleaseRow>, StoreError> {
        releases::release(self, id)
    }

    fn put_release(&mut self, row: &ReleaseRow) -> Result<(), StoreError> {
        releases::put_release(self, row)
    }

    fn rollout(&self, id: &RolloutId) -> Result<Option<RolloutRow>, StoreError> {
        releases::rollout(self, id)
    }

    fn put_rollout(&mut self, row: &RolloutRow) -> Result<(), StoreError> {
        releases::put_rollout(self, row)
    }

    fn rollouts(&self, open_only: bool, limit: usize) -> Result<Vec<RolloutRow>, StoreError> {
        releases::rollouts(self, open_only, limit)
    }

    fn newest_rollouts(&self, limit: usize) -> Result<Vec<RolloutRow>, StoreError> {
        releases::newest_rollouts(self, limit)
    }

    fn rollouts_of(&self, channel: &Channel, limit: usize) -> Result<Vec<RolloutRow>, StoreError> {
        releases::rollouts_of(self, channel, limit)
    }

    fn prune_rollout(&mut self, id: &RolloutId, limit: usize) -> Result<usize, StoreError> {
        prune::rollout(self, id, limit)
    }

    fn permit(&self, host: &HostName, rollout: &RolloutId) -> Result<Option<PermitRow>, StoreError> {
        releases::permit(self, host, rollout)
    }

    fn put_permit(&mut self, row: &PermitRow) -> Result<(), StoreError> {
        releases::put_permit(self, row)
    }

    fn quarantines(&self, channel: &Channel) -> Result<Vec<QuarantineRow>, StoreError> {
        releases::quarantines(self, channel)
    }

    fn put_quarantine(&mut self, row: &QuarantineRow) -> Result<(), StoreError> {
        releases::put_quarantine(self, row)
    }

    fn lift_quarantine(&mut self, channel: &Channel, closure: &Closure) -> Result<(), StoreError> {
        releases::lift_quarantine(self, channel, closure)
    }

    fn identity(&self, identity: &Identity) -> Result<Option<IdentityRow>, StoreError> {
        identities::identity(self, identity)
    }

    fn put_identity(&mut self, row: &IdentityRow) -> Result<(), StoreError> {
        identities::put_identity(self, row)
    }

    fn identities(&self, after: Option<&Identity>, limit: usize) -> Result<Vec<IdentityRow>, StoreError> {
        identities::identities(self, after, limit)
    }

    fn token(&self, id: &TokenId) -> Result<Option<TokenRow>, StoreError> {
        identities::token(self, id)
    }

    fn put_token(&mut self, row: &TokenRow) -> Result<(), StoreError> {
        identities::put_token(self, row)
    }

    fn tokens(&self, after: Option<&TokenId>, limit: usize) -> Result<Vec<TokenRow>, StoreError> {
        identities::tokens(self, after, limit)
    }

    fn tokens_of(&self, host: &HostName) -> Result<Vec<TokenRow>, StoreError> {
        identities::tokens_of(self, host)
    }

    fn prune_tokens(&mut self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        identities::prune_tokens(self, before, limit)
    }

    fn open_tokens(&self, now: Timestamp) -> Result<u64, StoreError> {
        identities::open_tokens(self, now)
    }
}

/// Returns a limit as SQL takes it.
pub(crate) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
