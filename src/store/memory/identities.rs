//! Lists of identities and tokens in memory.

use crate::model::id::{HostName, TokenId};
use crate::model::identity::Identity;
use crate::model::time::Timestamp;
use crate::store::memory::state::State;
use crate::store::rows::{IdentityRow, TokenRow};
use std::ops::Bound;

pub(crate) fn listed(state: &State, after: Option<&Identity>, limit: usize) -> Vec<IdentityRow> {
    let from = after.map(ToString::to_string).map_or(Bound::Unbounded, Bound::Excluded);
    let rows = state.identities.range::<String, _>((from, Bound::Unbounded));
    rows.map(|(_, row)| row.clone()).take(limit).collect()
}

pub(crate) fn tokens(state: &State, after: Option<&TokenId>, limit: usize) -> Vec<TokenRow> {
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    let rows = state.tokens.range::<TokenId, _>((from, Bound::Unbounded));
    rows.map(|(_, row)| row.clone()).take(limit).collect()
}

pub(crate) fn tokens_of(state: &State, host: &HostName) -> Vec<TokenRow> {
    state.tokens.values().filter(|row| row.host == *host).cloned().collect()
}

pub(crate) fn ended_tokens(state: &State, before: Timestamp, limit: usize) -> Vec<TokenId> {
    let mut ended: Vec<_> = state.tokens.values().filter(|row| row.expires < before).collect();
    ended.sort_by_key(|row| (row.expires, row.id.clone()));
    ended.into_iter().take(limit).map(|row| row.id.clone()).collect()
}

pub(crate) fn open_tokens(state: &State, now: Timestamp) -> u64 {
    let open = |row: &&TokenRow| row.expires > now && row.spent.is_none() && row.revoked.is_none();
    state.tokens.values().filter(open).count() as u64
}
