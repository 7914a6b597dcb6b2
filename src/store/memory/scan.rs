//! Questions in memory that look at every row of a table.

use crate::model::id::{HostName, RolloutId};
use crate::model::time::Timestamp;
use crate::store::memory::state::State;
use crate::store::rows::{EventFilter, EventRow, JournalRow, RecordFilter, RecordRow, RolloutRow};
use std::collections::BTreeSet;
use std::ops::Bound;

pub(crate) fn events(state: &State, (after, limit): (u64, usize), filter: &EventFilter) -> Vec<EventRow> {
    let fits = |row: &&EventRow| {
        filter.host.as_ref().is_none_or(|host| row.host.as_ref() == Some(host))
            && filter.rollout.as_ref().is_none_or(|rollout| row.rollout.as_ref() == Some(rollout))
            && (!filter.refused_only || row.refused.is_some())
    };
    let rows = state.events.range((Bound::Excluded(after), Bound::Unbounded));
    rows.map(|(_, row)| row).filter(fits).take(limit).cloned().collect()
}

/// Returns the events that may be deleted, the oldest first.
pub(crate) fn prunable(state: &State, before: Timestamp, limit: usize) -> Vec<EventRow> {
    let open: BTreeSet<_> = state.records.values().filter(|row| !row.is_final).map(|row| &row.rollout).collect();
    let old =
        |row: &&EventRow| row.received < before && row.rollout.as_ref().is_none_or(|rollout| !open.contains(rollout));
    let mut old: Vec<EventRow> = state.events.values().filter(old).cloned().collect();
    old.sort_by_key(|row| (row.received, row.place));
    old.truncate(limit);
    old
}

pub(crate) fn records(
    state: &State,
    filter: &RecordFilter,
    (after, limit): (Option<&HostName>, usize),
) -> Vec<RecordRow> {
    let fits = |row: &&RecordRow| {
        filter.rollout.as_ref().is_none_or(|rollout| row.rollout == *rollout)
            && filter.wave.is_none_or(|wave| row.wave == wave)
            && (filter.buckets.is_empty() || filter.buckets.contains(&row.bucket))
            && !(filter.open_only && row.is_final)
            && after.is_none_or(|after| row.host > *after)
    };
    let mut rows: Vec<_> = state.records.values().filter(fits).collect();
    rows.sort_by_cached_key(|row| (row.host.clone(), row.rollout.to_string()));
    let last = limit.checked_sub(1).and_then(|last| rows.get(last)).map(|row| row.host.clone());
    let whole = |(at, row): &(usize, &RecordRow)| *at < limit || last.as_ref() == Some(&row.host);
    rows.into_iter().enumerate().take_while(whole).map(|(_, row)| row.clone()).collect()
}

pub(crate) fn journals(state: &State, host: &HostName) -> Vec<JournalRow> {
    let mut rows: Vec<_> = state.journals.values().filter(|(_, row)| row.host == *host).collect();
    rows.sort_by_key(|(born, row)| (row.opened, *born));
    rows.into_iter().map(|(_, row)| row.clone()).collect()
}

pub(crate) fn rollouts(state: &State, open_only: bool, limit: usize) -> Vec<RolloutRow> {
    let mut rows: Vec<_> = state.rollouts.values().filter(|(_, row)| row.open || !open_only).collect();
    rows.sort_by_key(|(born, row)| (row.opened, *born));
    rows.into_iter().rev().map(|(_, row)| row.clone()).take(limit).collect()
}

/// Lists the records of one host.
pub(crate) fn records_of<'s>(state: &'s State, host: &HostName) -> impl Iterator<Item = &'s RecordRow> + use<'s> {
    let host = host.clone();
    let from = state.records.range((host.clone(), None)..);
    from.map(|(_, row)| row).take_while(move |row| row.host == host)
}

/// Where a rollout stands among others: when it was opened, then in the order they were first written.
pub(crate) fn age(state: &State, rollout: &RolloutId) -> (Option<(Timestamp, u64)>, String) {
    let age = state.rollouts.get(rollout).map(|(born, row)| (row.opened, *born));
    (age, rollout.to_string())
}
