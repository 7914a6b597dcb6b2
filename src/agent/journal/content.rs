//! A journal's lines and what they add up to: opening a new id, leaving out what is no longer needed. Must not touch
//! a file.

use crate::agent::journal::book::Book;
use crate::agent::journal::line::{self, Entry, Lost, Read};
use crate::model::effect::Effect;
use crate::model::id::{JournalId, RolloutId};
use crate::wire::Invalid;
use crate::wire::v1::agent::EventEnvelope;
use rand::RngCore;
use std::collections::BTreeSet;

/// All events of so many rollouts are kept, the newest ones, for a control plane that lost them.
pub const ROLLOUTS_KEPT: usize = 3;
/// At most so many acknowledged events are kept, whatever rollouts they belong to.
pub const ACKED_KEPT: u64 = 2000;
/// A new journal begins with at most so many rollouts: a control plane refuses a longer base, and a longer list in
/// the heartbeat.
pub const BASE_KEPT: usize = 64;
/// At most so many lines of an unknown kind are kept, the newest.
const UNKNOWN_KEPT: usize = 64;

/// Base, lines, and what they add up to.
#[derive(Debug, Clone)]
pub struct Content {
    /// The book as of the base line.
    pub(crate) base: Book,
    /// The lines after the base, in order.
    pub(crate) lines: Vec<Kept>,
    /// What they add up to.
    pub(crate) book: Book,
}

/// A line after the base.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    /// Its number, for an event.
    pub(crate) seq: Option<u64>,
    /// The whole line, newline included.
    pub(crate) text: String,
    /// Whether this version knows its kind.
    pub(crate) known: bool,
}

impl Kept {
    pub(crate) fn entry(&self) -> Option<Entry> {
        match line::read(self.text.trim_end_matches('\n').as_bytes()) {
            Ok(Read::Known(entry)) => Some(*entry),
            Ok(Read::Unknown) | Err(_) => None,
        }
    }

    fn envelope(&self) -> Option<EventEnvelope> {
        match self.entry()? {
            Entry::Event(envelope) => Some(envelope),
            Entry::Base(_)
            | Entry::Open(_)
            | Entry::Acked(_)
            | Entry::Quarantine(_)
            | Entry::Floor(_)
            | Entry::Note(_) => None,
        }
    }
}

impl Content {
    /// Starts with a book and no line.
    pub(crate) fn of(book: Book) -> Self {
        Self { base: book.clone(), lines: Vec::new(), book }
    }

    /// Takes in a line that is durable.
    pub(crate) fn take(&mut self, entry: &Entry, text: String) -> Result<Vec<Effect>, Invalid> {
        let mut after = self.book.clone();
        let effects = after.apply(entry)?;
        self.book = after;
        let seq = if let Entry::Event(envelope) = entry { Some(envelope.seq) } else { None };
        self.lines.push(Kept { seq, text, known: true });
        Ok(effects)
    }

    /// Gives the file's text.
    pub(crate) fn text(&self) -> String {
        let mut text = line::write(&Entry::Base(self.base.to_base()));
        for kept in &self.lines {
            text.push_str(&kept.text);
        }
        text
    }

    /// Returns the events from a number on, at most so many.
    pub(crate) fn events_from(&self, from: u64, most: usize) -> Vec<EventEnvelope> {
        let due = self.lines.iter().filter(|kept| kept.seq.is_some_and(|seq| seq >= from));
        due.filter_map(Kept::envelope).take(most).collect()
    }

    /// Begins a new journal with what is known now. What the control plane did not take of the old one is noted
    /// as lost; of a damaged one nobody knows how much that is.
    pub(crate) fn renewed(&self, rng: &mut dyn RngCore, damaged: bool) -> Self {
        let old = &self.book;
        let from = old.acked.unwrap_or(0) + 1;
        let mut lost = old.lost.clone();
        if damaged || old.last_seq >= from {
            let to = (!damaged).then_some(old.last_seq);
            lost.push(Lost { journal: old.journal.clone(), from, to });
        }
        let kept: BTreeSet<_> = self.worth_most().into_iter().collect();
        let mut rollouts = old.rollouts.clone();
        rollouts.retain(|id, _| kept.contains(id));
        for tracked in rollouts.values_mut() {
            tracked.last_seq = 0;
        }
        Self::of(Book { journal: new_id(rng), last_seq: 0, acked: None, rollouts, lost, ..old.clone() })
    }

    /// Leaves out what is no longer needed: the base moves up to the first event that is still kept.
    pub(crate) fn compacted(&self) -> Result<Self, Invalid> {
        let first = self.first_kept();
        let cut = self.lines.iter().position(|kept| kept.seq.is_some_and(|seq| seq >= first));
        let (folded, rest) = self.lines.split_at(cut.unwrap_or(self.lines.len()));
        let mut base = self.base.clone();
        for entry in folded.iter().filter_map(Kept::entry) {
            base.apply(&entry)?;
        }
        base.rollouts.retain(|id, _| self.needs(id));
        base.acked = self.book.acked;
        let book = &self.book;
        (base.quarantined, base.floor) = (book.quarantined.clone(), book.floor.clone());
        (base.store, base.lost) = (book.store.clone(), book.lost.clone());
        let unknown = folded.iter().filter(|kept| !kept.known).rev().take(UNKNOWN_KEPT);
        let mut lines: Vec<_> = unknown.cloned().collect();
        lines.reverse();
        lines.extend(rest.iter().filter(|kept| kept.seq.is_some() || !kept.known || is_replayed(kept)).cloned());
        let mut now = base.clone();
        for entry in lines.iter().filter_map(Kept::entry) {
            now.apply(&entry)?;
        }
        Ok(Self { base, lines, book: now })
    }

    /// The rollouts that a new journal begins with: what has to be remembered, what is open first, no more than the
    /// control plane takes in one base.
    fn worth_most(&self) -> Vec<RolloutId> {
        let rollouts = self.book.rollouts.iter().filter(|(id, _)| self.needs(id));
        let mut worth: Vec<_> =
            rollouts.map(|(id, tracked)| (!tracked.progress.is_final(), tracked.last_seq, id.clone())).collect();
        worth.sort();
        worth.into_iter().rev().take(BASE_KEPT).map(|(_, _, id)| id).collect()
    }

    /// Tells whether a rollout has to be remembered: it is one of the newest, is open, or has events that the
    /// control plane does not hold.
    fn needs(&self, rollout: &RolloutId) -> bool {
        let Some(tracked) = self.book.rollouts.get(rollout) else { return false };
        let done = tracked.progress.is_final() && self.book.is_acked(tracked.last_seq);
        !done || self.book.newest(ROLLOUTS_KEPT).contains(rollout)
    }

    /// The first event that has to be kept: all of the newest rollouts, all of open ones, all that the control
    /// plane does not hold; but no more than [`ACKED_KEPT`] that it does.
    fn first_kept(&self) -> u64 {
        let unacked = self.book.acked.unwrap_or(0) + 1;
        let newest: BTreeSet<_> = self.book.newest(ROLLOUTS_KEPT).into_iter().collect();
        let of_kept = |kept: &&Kept| {
            kept.envelope().is_some_and(|envelope| {
                let tracked = self.book.rollouts.get(&envelope.rollout_id);
                newest.contains(&envelope.rollout_id) || tracked.is_some_and(|tracked| !tracked.progress.is_final())
            })
        };
        let first = self.lines.iter().filter(|kept| kept.seq.is_some()).find(of_kept).and_then(|kept| kept.seq);
        let floor = unacked.min(self.book.last_seq.saturating_sub(ACKED_KEPT) + 1);
        first.unwrap_or(u64::MAX).min(unacked).max(floor)
    }
}

/// Tells whether a line has to stay between the events, since they mean something else without it: an attempt that
/// opens, a quarantine that is lifted after the failure that began it.
fn is_replayed(kept: &Kept) -> bool {
    matches!(kept.entry(), Some(Entry::Open(_) | Entry::Quarantine(_)))
}

/// Makes a journal id.
pub(crate) fn new_id(rng: &mut dyn RngCore) -> JournalId {
    let id = format!("{:016x}{:016x}", rng.next_u64(), rng.next_u64());
    JournalId::new(id).expect("32 hexadecimal digits are a journal id")
}
