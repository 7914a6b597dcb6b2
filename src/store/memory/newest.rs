//! What is newest, in memory: of each channel, of one channel, of one host.

use crate::model::id::Channel;
use crate::store::memory::state::State;
use crate::store::rows::{RecordRow, RolloutRow};
use std::collections::BTreeSet;

fn rollouts(state: &State) -> impl Iterator<Item = &RolloutRow> {
    let mut rows: Vec<_> = state.rollouts.values().collect();
    rows.sort_by_key(|(born, row)| std::cmp::Reverse((row.opened, *born)));
    rows.into_iter().map(|(_, row)| row)
}

pub(crate) fn of_each_channel(state: &State, limit: usize) -> Vec<RolloutRow> {
    let mut channels = BTreeSet::new();
    rollouts(state).filter(|row| channels.insert(&row.id.channel)).take(limit).cloned().collect()
}

pub(crate) fn of_channel(state: &State, channel: &Channel, limit: usize) -> Vec<RolloutRow> {
    rollouts(state).filter(|row| row.id.channel == *channel).take(limit).cloned().collect()
}

/// Returns the newest of these records, without those of rollouts that are not stored.
pub(crate) fn of_host<'s>(state: &State, records: impl Iterator<Item = &'s RecordRow>, limit: usize) -> Vec<RecordRow> {
    let age = |row: &RecordRow| state.rollouts.get(&row.rollout).map(|(born, rollout)| (rollout.opened, *born));
    let mut rows: Vec<_> = records.filter_map(|row| Some((age(row)?, row))).collect();
    rows.sort_by_key(|(age, _)| std::cmp::Reverse(*age));
    rows.into_iter().map(|(_, row)| row.clone()).take(limit).collect()
}
