//! What the lines of a journal add up to. Must not touch a file.

use crate::agent::journal::line::{Base, Entry, FloorLine, Lost, Open};
use crate::model::effect::Effect;
use crate::model::host_rollout::step::step;
use crate::model::host_rollout::{Event, HostRollout, Phase, Step};
use crate::model::id::{Closure, Digest, HostName, JournalId, RolloutId};
use crate::model::time::{Stamp, Timestamp};
use crate::wire::Invalid;
use crate::wire::v1::agent::{EventEnvelope, StoreMarkBody};
use crate::wire::v1::event::ProgressBody;
use crate::wire::v1::release::{date, timestamp};
use std::collections::BTreeMap;

/// The most closures that are remembered as quarantined; the oldest go first. A control plane takes no longer list,
/// and what failed here 64 failures ago is ordered again by a person who means it.
pub const QUARANTINED_KEPT: usize = 64;

/// One attempt in the book: the newest of its rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracked {
    /// How far it is.
    pub progress: HostRollout,
    /// The digest of the release that gave the terms; `None` where a snapshot or root record gave them.
    pub digest: Option<Digest>,
    /// When the control plane opened it.
    pub dispatched: Option<Timestamp>,
    /// The number of the last event about it.
    pub last_seq: u64,
}

/// What is known after the last line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Book {
    /// This journal.
    pub journal: JournalId,
    /// The host that writes it.
    pub host: HostName,
    /// The number of the last event.
    pub last_seq: u64,
    /// The last number that the control plane holds; `None` until it took this journal for the first time.
    pub acked: Option<u64>,
    /// The highest store mark that was seen.
    pub store: Option<StoreMarkBody>,
    /// Closures that are not started again here, the oldest first, at most [`QUARANTINED_KEPT`].
    pub quarantined: Vec<Closure>,
    /// What was accepted of signed sequences and dates.
    pub floor: FloorLine,
    /// Every attempt that is remembered.
    pub rollouts: BTreeMap<RolloutId, Tracked>,
    /// Events of earlier journals that are gone and not yet marked as such.
    pub lost: Vec<Lost>,
}

impl Book {
    /// Starts with nothing.
    #[must_use]
    pub fn new(journal: JournalId, host: HostName) -> Self {
        Self {
            journal,
            host,
            last_seq: 0,
            acked: None,
            store: None,
            quarantined: Vec::new(),
            floor: FloorLine::default(),
            rollouts: BTreeMap::new(),
            lost: Vec::new(),
        }
    }

    /// Starts with a base.
    ///
    /// # Errors
    /// [`Invalid`] when one of its attempts can't be read.
    pub fn from_base(base: Base) -> Result<Self, Invalid> {
        let mut rollouts = BTreeMap::new();
        for open in base.rollouts {
            rollouts.insert(open.rollout_id.clone(), Tracked::try_from(open)?);
        }
        Ok(Self {
            journal: base.journal,
            host: base.host,
            last_seq: base.seq,
            acked: base.acked,
            store: base.store,
            quarantined: newest_quarantined(base.quarantined),
            floor: base.floor.unwrap_or_default(),
            rollouts,
            lost: base.lost,
        })
    }

    /// Gives the base that a journal starts with to be where this book is.
    #[must_use]
    pub fn to_base(&self) -> Base {
        Base {
            journal: self.journal.clone(),
            host: self.host.clone(),
            seq: self.last_seq,
            acked: self.acked,
            rollouts: self.rollouts.iter().map(|(id, tracked)| tracked.to_open(id)).collect(),
            quarantined: self.quarantined.clone(),
            floor: (self.floor != FloorLine::default()).then(|| self.floor.clone()),
            store: self.store.clone(),
            lost: self.lost.clone(),
        }
    }

    /// Takes one line in, and returns what the machine orders.
    ///
    /// # Errors
    /// [`Invalid`] when the line can't follow the ones before it.
    pub fn apply(&mut self, entry: &Entry) -> Result<Vec<Effect>, Invalid> {
        match entry {
            Entry::Base(_) => return Err(out_of_place("a second base")),
            Entry::Open(open) => {
                let tracked = Tracked::try_from(open.clone())?;
                self.rollouts.insert(open.rollout_id.clone(), tracked);
            }
            Entry::Event(envelope) => return self.apply_event(envelope),
            Entry::Acked(acked) if acked.seq > self.last_seq => {
                return Err(out_of_place("an acknowledgement of what was never written"));
            }
            Entry::Acked(acked) => {
                self.acked = Some(acked.seq);
                self.store = acked.store.clone().or(self.store.take());
            }
            Entry::Quarantine(line) if line.lifted => {
                self.lift(&line.closure);
            }
            Entry::Quarantine(line) => {
                self.quarantine(&line.closure);
            }
            Entry::Floor(floor) => self.floor = floor.clone(),
            Entry::Note(_) => {}
        }
        Ok(Vec::new())
    }

    /// Takes an event in. One that this version can't read counts, is given on, and moves nothing.
    fn apply_event(&mut self, envelope: &EventEnvelope) -> Result<Vec<Effect>, Invalid> {
        if envelope.seq != self.last_seq + 1 {
            return Err(out_of_place("an event whose number does not follow"));
        }
        self.last_seq = envelope.seq;
        let event = Event::try_from(envelope.event.clone());
        if let Ok(Event::HistoryLost { journal, .. }) = &event {
            self.lost.retain(|lost| lost.journal != *journal);
        }
        let Some(tracked) = self.rollouts.get_mut(&envelope.rollout_id) else { return Ok(Vec::new()) };
        tracked.last_seq = envelope.seq;
        let Ok(event) = event else { return Ok(Vec::new()) };
        match step(&tracked.progress, &event, &Stamp::from(envelope.at.clone())) {
            Step::Moved(progress, effects) => {
                tracked.progress = *progress;
                let converged = matches!(tracked.progress.phase, Phase::Converged(_));
                let target = tracked.progress.terms.target.clone();
                // With the verdict, so that no crash comes between the two.
                effects.iter().filter_map(quarantined).for_each(|closure| self.quarantine(closure));
                if converged {
                    self.lift(&target);
                }
                Ok(effects)
            }
            Step::Ignored(_) => Ok(Vec::new()),
        }
    }

    fn lift(&mut self, closure: &Closure) {
        self.quarantined.retain(|known| known != closure);
    }

    fn quarantine(&mut self, closure: &Closure) {
        self.lift(closure);
        self.quarantined.push(closure.clone());
        let over = self.quarantined.len().saturating_sub(QUARANTINED_KEPT);
        self.quarantined.drain(..over);
    }

    /// Tells whether the control plane holds this number.
    #[must_use]
    pub fn is_acked(&self, seq: u64) -> bool {
        self.acked.is_some_and(|acked| seq <= acked)
    }

    /// Returns the rollouts with the newest events, newest first.
    #[must_use]
    pub fn newest(&self, most: usize) -> Vec<RolloutId> {
        let mut by_age: Vec<_> = self.rollouts.iter().map(|(id, tracked)| (tracked.last_seq, id)).collect();
        by_age.sort();
        by_age.into_iter().rev().take(most).map(|(_, id)| id.clone()).collect()
    }
}

impl Tracked {
    /// Gives the line that opens an attempt as it stands.
    #[must_use]
    pub fn to_open(&self, rollout: &RolloutId) -> Open {
        Open {
            rollout_id: rollout.clone(),
            progress: ProgressBody::from(&self.progress),
            digest: self.digest.clone(),
            dispatched_at: self.dispatched.map(date),
            last_seq: self.last_seq,
        }
    }
}

impl TryFrom<Open> for Tracked {
    type Error = Invalid;
    fn try_from(open: Open) -> Result<Self, Invalid> {
        Ok(Self {
            progress: HostRollout::try_from(open.progress)?,
            digest: open.digest,
            dispatched: open.dispatched_at.map(timestamp),
            last_seq: open.last_seq,
        })
    }
}

fn quarantined(effect: &Effect) -> Option<&Closure> {
    if let Effect::Quarantine(closure) = effect { Some(closure) } else { None }
}

/// An older agent may have kept more.
fn newest_quarantined(mut all: Vec<Closure>) -> Vec<Closure> {
    all.drain(..all.len().saturating_sub(QUARANTINED_KEPT));
    all
}

fn out_of_place(what: &'static str) -> Invalid {
    Invalid { what: "journal", detail: format!("{what} stands where none may") }
}
