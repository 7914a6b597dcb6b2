//! One transaction in memory.

use crate::model::id::{Author, Channel, Closure, HostName, JournalId, RolloutId, Tag, TokenId};
use crate::model::identity::Identity;
use crate::model::rollout::Tally;
use crate::model::time::Timestamp;
use crate::store::memory::state::{Counter, State, Table, Undo};
use crate::store::memory::{identities, newest, prune, scan};
use crate::store::rows::{
    Bucket, EventFilter, EventRow, HostRow, IdentityRow, JournalRow, PermitRow, QuarantineRow, RecordFilter, RecordRow,
    ReleaseRow, RolloutRow, TokenRow,
};
use crate::store::rules;
use crate::store::{StoreError, StoreMark, Tx};
use std::ops::Bound;

/// A job's view of the tables.
pub(crate) struct MemoryTx<'a> {
    pub(crate) state: &'a mut State,
    mark: StoreMark,
    undo: Option<Undo>,
}

impl<'a> MemoryTx<'a> {
    /// Opens a transaction that may write.
    pub(crate) fn writing(state: &'a mut State, mark: StoreMark) -> Self {
        Self { state, mark, undo: Some(Undo::default()) }
    }

    /// Opens one that may not.
    pub(crate) fn reading(state: &'a mut State, mark: StoreMark) -> Self {
        Self { state, mark, undo: None }
    }

    /// Puts everything back as it was.
    pub(crate) fn undo(&mut self) {
        if let Some(undo) = &mut self.undo {
            undo.back(self.state);
        }
    }

    pub(crate) fn set<K: Ord + Clone + 'static, V: 'static>(
        &mut self,
        table: Table<K, V>,
        key: K,
        value: Option<V>,
    ) -> Result<(), StoreError> {
        let undo = self.undo.as_mut().ok_or_else(rules::reads_only)?;
        undo.set(self.state, table, (key, value));
        Ok(())
    }

    fn next(&mut self, counter: Counter) -> Result<u64, StoreError> {
        let next = self.state.counters.get(&counter).copied().unwrap_or(0) + 1;
        self.set(|s| &mut s.counters, counter, Some(next))?;
        Ok(next)
    }

    pub(crate) fn count(&mut self, row: &RecordRow, up: bool) -> Result<(), StoreError> {
        let moved = |n: u32| if up { n.saturating_add(1) } else { n.saturating_sub(1) };
        let cell = rules::cell(row);
        let n = moved(self.state.tallies.get(&cell).copied().unwrap_or(0));
        self.set(|s| &mut s.tallies, cell, Some(n))?;
        for tag in rules::taken(row.bucket, &row.budgets) {
            let n = moved(self.state.budgets.get(tag).copied().unwrap_or(0));
            self.set(|s| &mut s.budgets, tag.clone(), Some(n))?;
        }
        Ok(())
    }
}

impl Tx for MemoryTx<'_> {
    fn mark(&self) -> Result<StoreMark, StoreError> {
        Ok(self.mark.clone())
    }

    fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        Ok(self.state.settings.get(name).cloned())
    }

    fn put_setting(&mut self, name: &str, value: &str) -> Result<(), StoreError> {
        self.set(|s| &mut s.settings, name.to_owned(), Some(value.to_owned()))
    }

    fn host(&self, host: &HostName) -> Result<Option<HostRow>, StoreError> {
        Ok(self.state.hosts.get(host).cloned())
    }

    fn put_host(&mut self, row: &HostRow) -> Result<(), StoreError> {
        self.set(|s| &mut s.hosts, row.name.clone(), Some(row.clone()))
    }

    fn hosts(&self, after: Option<&HostName>, limit: usize) -> Result<Vec<HostRow>, StoreError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self.state.hosts.range::<HostName, _>((from, Bound::Unbounded));
        Ok(rows.map(|(_, row)| row.clone()).take(limit).collect())
    }

    fn journal(&self, host: &HostName, journal: &JournalId) -> Result<Option<JournalRow>, StoreError> {
        let row = self.state.journals.get(&(host.clone(), journal.clone()));
        Ok(row.map(|(_, row)| row.clone()))
    }

    fn put_journal(&mut self, row: &JournalRow) -> Result<(), StoreError> {
        rules::number("sequence number", row.last_seq)?;
        let key = (row.host.clone(), row.journal.clone());
        let known = self.state.journals.get(&key).map(|(born, _)| *born);
        let born = known.map_or_else(|| self.next(Counter::Born), Ok)?;
        self.set(|s| &mut s.journals, key, Some((born, row.clone())))
    }

    fn journals(&self, host: &HostName) -> Result<Vec<JournalRow>, StoreError> {
        Ok(scan::journals(self.state, host))
    }

    fn append_event(&mut self, row: &EventRow) -> Result<u64, StoreError> {
        rules::check_event(row)?;
        let key = match (&row.host, &row.author) {
            (Some(host), Author::Journal(_)) => Some((host.clone(), row.author.clone(), row.seq)),
            (Some(_) | None, Author::ControlPlane | Author::Journal(_)) => None,
        };
        if key.as_ref().is_some_and(|key| self.state.event_keys.contains_key(key)) {
            return Err(rules::repeated(row));
        }
        let place = self.next(Counter::Place)?;
        let seq = if key.is_some() { row.seq } else { place };
        self.set(|s| &mut s.events, place, Some(EventRow { place, seq, ..row.clone() }))?;
        if let Some(key) = key {
            self.set(|s| &mut s.event_keys, key, Some(place))?;
        }
        Ok(place)
    }

    fn event(&self, host: &HostName, author: &Author, seq: u64) -> Result<Option<EventRow>, StoreError> {
        let place = match author {
            Author::Journal(_) => self.state.event_keys.get(&(host.clone(), author.clone(), seq)).copied(),
            Author::ControlPlane => Some(seq),
        };
        let row = place.and_then(|place| self.state.events.get(&place));
        Ok(row.filter(|row| row.host.as_ref() == Some(host) && row.author == *author).cloned())
    }

    fn events(&self, after: u64, filter: &EventFilter, limit: usize) -> Result<Vec<EventRow>, StoreError> {
        Ok(scan::events(self.state, (after, limit), filter))
    }

    fn set_refusal(&mut self, place: u64, refused: Option<&str>) -> Result<(), StoreError> {
        let known = self.state.events.get(&place).cloned();
        let row = EventRow { refused: refused.map(str::to_owned), ..known.ok_or_else(|| rules::no_event(place))? };
        self.set(|s| &mut s.events, place, Some(row))
    }

    fn prune_events(&mut self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        prune::events(self, before, limit)
    }

    fn record(&self, host: &HostName, rollout: &RolloutId) -> Result<Option<RecordRow>, StoreError> {
        Ok(self.state.records.get(&(host.clone(), Some(rollout.clone()))).cloned())
    }

    fn put_record(&mut self, row: &RecordRow) -> Result<(), StoreError> {
        let key = (row.host.clone(), Some(row.rollout.clone()));
        if let Some(old) = self.state.records.get(&key).cloned() {
            self.count(&old, false)?;
        }
        self.count(row, true)?;
        self.set(|s| &mut s.records, key, Some(row.clone()))
    }

    fn open_records(&self, host: &HostName) -> Result<Vec<RecordRow>, StoreError> {
        let mut rows: Vec<_> = scan::records_of(self.state, host).filter(|row| !row.is_final).cloned().collect();
        rows.sort_by_cached_key(|row| scan::age(self.state, &row.rollout));
        Ok(rows)
    }

    fn newest_records(&self, host: &HostName, limit: usize) -> Result<Vec<RecordRow>, StoreError> {
        Ok(newest::of_host(self.state, scan::records_of(self.state, host), limit))
    }

    fn records(
        &self,
        filter: &RecordFilter,
        after: Option<&HostName>,
        limit: usize,
    ) -> Result<Vec<RecordRow>, StoreError> {
        Ok(scan::records(self.state, filter, (after, limit)))
    }

    fn tally(&self, rollout: &RolloutId, wave: u32) -> Result<Tally, StoreError> {
        let mut tally = Tally::default();
        for changed in [false, true] {
            for bucket in Bucket::ALL {
                let cell = rules::Cell { rollout: rollout.clone(), wave, changed, bucket };
                rules::add(&mut tally, changed, bucket, self.state.tallies.get(&cell).copied().unwrap_or(0));
            }
        }
        Ok(tally)
    }

    fn budget_in_flight(&self, budget: &Tag) -> Result<u32, StoreError> {
        Ok(self.state.budgets.get(budget).copied().unwrap_or(0))
    }

    fn release(&self, id: &RolloutId) -> Result<Option<ReleaseRow>, StoreError> {
        Ok(self.state.releases.get(id).cloned())
    }

    fn put_release(&mut self, row: &ReleaseRow) -> Result<(), StoreError> {
        rules::check_release(self.state.releases.get(&row.id), row)?;
        self.set(|s| &mut s.releases, row.id.clone(), Some(row.clone()))
    }

    fn rollout(&self, id: &RolloutId) -> Result<Option<RolloutRow>, StoreError> {
        Ok(self.state.rollouts.get(id).map(|(_, row)| row.clone()))
    }

    fn put_rollout(&mut self, row: &RolloutRow) -> Result<(), StoreError> {
        let known = self.state.rollouts.get(&row.id).map(|(born, _)| *born);
        let born = known.map_or_else(|| self.next(Counter::Born), Ok)?;
        self.set(|s| &mut s.rollouts, row.id.clone(), Some((born, row.clone())))
    }

    fn rollouts(&self, open_only: bool, limit: usize) -> Result<Vec<RolloutRow>, StoreError> {
        Ok(scan::rollouts(self.state, open_only, limit))
    }

    fn newest_rollouts(&self, limit: usize) -> Result<Vec<RolloutRow>, StoreError> {
        Ok(newest::of_each_channel(self.state, limit))
    }

    fn rollouts_of(&self, channel: &Channel, limit: usize) -> Result<Vec<RolloutRow>, StoreError> {
        Ok(newest::of_channel(self.state, channel, limit))
    }

    fn prune_rollout(&mut self, id: &RolloutId, limit: usize) -> Result<usize, StoreError> {
        prune::rollout(self, id, limit)
    }

    fn permit(&self, host: &HostName, rollout: &RolloutId) -> Result<Option<PermitRow>, StoreError> {
        Ok(self.state.permits.get(&(host.clone(), rollout.clone())).cloned())
    }

    fn put_permit(&mut self, row: &PermitRow) -> Result<(), StoreError> {
        rules::number("sequence number", row.seq)?;
        self.set(|s| &mut s.permits, (row.host.clone(), row.rollout.clone()), Some(row.clone()))
    }

    fn quarantines(&self, channel: &Channel) -> Result<Vec<QuarantineRow>, StoreError> {
        Ok(self.state.quarantines.values().filter(|row| row.channel == *channel).cloned().collect())
    }

    fn put_quarantine(&mut self, row: &QuarantineRow) -> Result<(), StoreError> {
        self.set(|s| &mut s.quarantines, (row.channel.clone(), row.closure.clone()), Some(row.clone()))
    }

    fn lift_quarantine(&mut self, channel: &Channel, closure: &Closure) -> Result<(), StoreError> {
        self.set(|s| &mut s.quarantines, (channel.clone(), closure.clone()), None)
    }

    fn identity(&self, identity: &Identity) -> Result<Option<IdentityRow>, StoreError> {
        Ok(self.state.identities.get(&identity.to_string()).cloned())
    }

    fn put_identity(&mut self, row: &IdentityRow) -> Result<(), StoreError> {
        self.set(|s| &mut s.identities, row.identity.to_string(), Some(row.clone()))
    }

    fn identities(&self, after: Option<&Identity>, limit: usize) -> Result<Vec<IdentityRow>, StoreError> {
        Ok(identities::listed(self.state, after, limit))
    }

    fn token(&self, id: &TokenId) -> Result<Option<TokenRow>, StoreError> {
        Ok(self.state.tokens.get(id).cloned())
    }

    fn put_token(&mut self, row: &TokenRow) -> Result<(), StoreError> {
        rules::check_token(self.state.tokens.get(&row.id), row)?;
        self.set(|s| &mut s.tokens, row.id.clone(), Some(row.clone()))
    }

    fn tokens(&self, after: Option<&TokenId>, limit: usize) -> Result<Vec<TokenRow>, StoreError> {
        Ok(identities::tokens(self.state, after, limit))
    }

    fn tokens_of(&self, host: &HostName) -> Result<Vec<TokenRow>, StoreError> {
        Ok(identities::tokens_of(self.state, host))
    }

    fn prune_tokens(&mut self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let ended = identities::ended_tokens(self.state, before, limit);
        ended.into_iter().try_fold(0, |n, id| self.set(|s| &mut s.tokens, id, None).map(|()| n + 1))
    }

    fn open_tokens(&self, now: Timestamp) -> Result<u64, StoreError> {
        Ok(identities::open_tokens(self.state, now))
    }
}
