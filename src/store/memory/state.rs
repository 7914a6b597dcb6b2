//! The tables in memory and the way back from a change.

use crate::model::id::{Author, Channel, Closure, HostName, JournalId, RolloutId, Tag, TokenId};
use crate::store::rows::{
    EventRow, HostRow, IdentityRow, JournalRow, PermitRow, QuarantineRow, RecordRow, ReleaseRow, RolloutRow, TokenRow,
};
use crate::store::rules::Cell;
use std::collections::BTreeMap;

/// An event's key within its author.
pub(crate) type EventKey = (HostName, Author, u64);

/// Everything that is kept. `u64` beside a row is when it was first written, for orders that dates leave open.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    pub(crate) settings: BTreeMap<String, String>,
    pub(crate) hosts: BTreeMap<HostName, HostRow>,
    pub(crate) journals: BTreeMap<(HostName, JournalId), (u64, JournalRow)>,
    pub(crate) events: BTreeMap<u64, EventRow>,
    pub(crate) event_keys: BTreeMap<EventKey, u64>,
    /// Each has a rollout: `None` is only where a host's range begins.
    pub(crate) records: BTreeMap<(HostName, Option<RolloutId>), RecordRow>,
    pub(crate) tallies: BTreeMap<Cell, u32>,
    pub(crate) budgets: BTreeMap<Tag, u32>,
    pub(crate) releases: BTreeMap<RolloutId, ReleaseRow>,
    pub(crate) rollouts: BTreeMap<RolloutId, (u64, RolloutRow)>,
    pub(crate) permits: BTreeMap<(HostName, RolloutId), PermitRow>,
    pub(crate) quarantines: BTreeMap<(Channel, Closure), QuarantineRow>,
    /// By the identity's text, whose order is the one of lists.
    pub(crate) identities: BTreeMap<String, IdentityRow>,
    pub(crate) tokens: BTreeMap<TokenId, TokenRow>,
    /// The last place given, and the last number given to a new row.
    pub(crate) counters: BTreeMap<Counter, u64>,
}

/// Numbers that only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Counter {
    /// Places of the history.
    Place,
    /// First writings of rows.
    Born,
}

/// Reaches one table.
pub(crate) type Table<K, V> = fn(&mut State) -> &mut BTreeMap<K, V>;

/// The way back from every change of one job.
#[derive(Default)]
pub(crate) struct Undo(Vec<Step>);

type Step = Box<dyn FnOnce(&mut State)>;

impl Undo {
    /// Sets or removes a row, and remembers what was there.
    pub(crate) fn set<K: Ord + Clone + 'static, V: 'static>(
        &mut self,
        state: &mut State,
        table: Table<K, V>,
        (key, value): (K, Option<V>),
    ) {
        let old = exchange(table(state), key.clone(), value);
        self.0.push(Box::new(move |state| {
            exchange(table(state), key, old);
        }));
    }

    /// Puts everything back, the newest change first.
    pub(crate) fn back(&mut self, state: &mut State) {
        for step in self.0.drain(..).rev() {
            step(state);
        }
    }
}

fn exchange<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) -> Option<V> {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    }
}
