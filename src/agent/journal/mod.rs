//! The agent's journal: append-only, checksummed, durable before the act it names.
//!
//! Reading it gives a [`Book`]. A line that was being written when the power went is cut off; damage anywhere else
//! ends the journal there, keeps the rest aside for people, and opens a new journal id, so that numbers which the
//! control plane may hold are never used twice.

pub mod line;
pub mod file;
pub mod book;
pub mod content;
pub mod read;

use crate::agent::journal::book::{Book, Tracked};
use crate::agent::journal::content::{Content, new_id};
use crate::agent::journal::file::JournalFile;
use crate::agent::journal::line::{Acked, Entry, FloorLine, Note, Quarantine};
use crate::agent::journal::read::{Damage, Found};
use crate::model::effect::Effect;
use crate::model::host_rollout::step::step;
use crate::model::host_rollout::{Event, Step};
use crate::model::id::{Closure, HostName, RolloutId};
use crate::model::time::Stamp;
use crate::wire::Invalid;
use crate::wire::v1::agent::{BaseBody, BaseRollout, EventEnvelope, StoreMarkBody};
use crate::wire::v1::event::{EventBody, ProgressBody, StampBody};
use rand::RngCore;

/// A journal below this size, in bytes, is never compacted.
pub const COMPACT_FROM: usize = 256 * 1024;

/// A journal that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It could not be written; nothing was done.
    #[error("the journal can't be written: {0}")]
    Write(#[source] std::io::Error),
    /// It could not be read.
    #[error("the journal can't be read: {0}")]
    Read(#[source] std::io::Error),
    /// A newer agent wrote it.
    #[error(
        "the journal has format {0} and this agent reads up to {max}: run the agent that wrote it, or move the state \
         directory away (the control plane and the root record restore it)",
        max = line::FORMAT
    )]
    Newer(u32),
    /// It belongs to another host.
    #[error("the journal belongs to host {found}, and this is {own}: give this agent a stateDir of its own")]
    OtherHost {
        /// The name in the journal.
        found: HostName,
        /// This host's name.
        own: HostName,
    },
    /// The line can't follow the ones before it.
    #[error("the journal does not take this: {0}")]
    Refused(#[from] Invalid),
}

/// A journal that is open for writing.
pub struct Journal {
    file: Box<dyn JournalFile>,
    content: Content,
    size: usize,
    /// The size after the last compaction.
    settled: usize,
}

/// What recording an event did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// It is durable under this number, and these are the machine's orders.
    Moved(u64, Vec<Effect>),
    /// It changes nothing, for this reason, and was not written.
    Ignored(&'static str),
}

impl Journal {
    /// Opens the journal of a host, or begins one. Returns with it what was damaged.
    ///
    /// # Errors
    /// [`JournalError`] when it can't be read or written, is of a newer format, or belongs to another host.
    pub fn open(
        mut file: Box<dyn JournalFile>,
        host: &HostName,
        rng: &mut dyn RngCore,
    ) -> Result<(Self, Option<Damage>), JournalError> {
        let (content, damage) = Self::load(file.as_mut(), host, rng)?;
        Ok((Self::with(file, content), damage))
    }

    /// Does the same without taking the file, so that it can be tried again.
    ///
    /// # Errors
    /// Those of [`Journal::open`].
    pub fn load(
        file: &mut dyn JournalFile,
        host: &HostName,
        rng: &mut dyn RngCore,
    ) -> Result<(Content, Option<Damage>), JournalError> {
        let bytes = file.read_all().map_err(JournalError::Read)?;
        let Found { content, mut damage } = read::read(&bytes)?;
        if let Some(damage) = &mut damage {
            // The copy is for people; a disk without room for it does not stop the agent.
            damage.kept_as = file.keep_aside("corrupt", &bytes[damage.offset.min(bytes.len())..]).ok();
        }
        let Some(content) = content else {
            let content = Content::of(Book::new(new_id(rng), host.clone()));
            file.replace(content.text().as_bytes()).map_err(JournalError::Write)?;
            return Ok((content, damage));
        };
        if content.book.host != *host {
            return Err(JournalError::OtherHost { found: content.book.host, own: host.clone() });
        }
        let Some(found) = &damage else { return Ok((content, None)) };
        let content = if found.torn { content } else { content.renewed(rng, true) };
        file.replace(content.text().as_bytes()).map_err(JournalError::Write)?;
        Ok((content, damage))
    }

    /// Makes a journal of what [`Journal::load`] read from this file.
    #[must_use]
    pub fn with(file: Box<dyn JournalFile>, content: Content) -> Self {
        let size = content.text().len();
        Self { file, content, size, settled: 0 }
    }

    /// What the lines add up to.
    #[must_use]
    pub fn book(&self) -> &Book {
        &self.content.book
    }

    /// Writes a line durably, then takes it in.
    ///
    /// # Errors
    /// [`JournalError`]; nothing has changed then.
    pub fn record(&mut self, entry: &Entry) -> Result<Vec<Effect>, JournalError> {
        let text = line::write(entry);
        let mut after = self.content.book.clone();
        after.apply(entry)?;
        self.file.append(text.as_bytes()).map_err(JournalError::Write)?;
        self.size += text.len();
        Ok(self.content.take(entry, text)?)
    }

    /// Records an event of a rollout's newest attempt, unless it changes nothing.
    ///
    /// # Errors
    /// [`JournalError`]; nothing has changed then, and nothing may be done.
    pub fn event(&mut self, rollout: &RolloutId, event: &Event, at: &Stamp) -> Result<Recorded, JournalError> {
        let Some(tracked) = self.content.book.rollouts.get(rollout) else {
            return Ok(Recorded::Ignored("no attempt of this rollout is open here"));
        };
        if let Step::Ignored(why) = step(&tracked.progress, event, at) {
            return Ok(Recorded::Ignored(why));
        }
        let envelope = EventEnvelope {
            seq: self.content.book.last_seq + 1,
            rollout_id: rollout.clone(),
            attempt: tracked.progress.attempt.0,
            at: StampBody::from(at),
            event: EventBody::from(event),
        };
        let effects = self.record(&Entry::Event(envelope))?;
        Ok(Recorded::Moved(self.content.book.last_seq, effects))
    }

    /// Records that an attempt was opened.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open_attempt(&mut self, rollout: &RolloutId, tracked: &Tracked) -> Result<(), JournalError> {
        self.record(&Entry::Open(tracked.to_open(rollout))).map(drop)
    }

    /// Records what the control plane holds; nothing is written when that is known.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn acked(&mut self, seq: u64, store: &StoreMarkBody) -> Result<(), JournalError> {
        let other_store = self.content.book.store.as_ref().is_none_or(|seen| seen.store_id != store.store_id);
        if self.content.book.acked == Some(seq) && !other_store {
            self.saw_store(store);
            return Ok(());
        }
        let mark = self.highest(store);
        self.record(&Entry::Acked(Acked { seq, store: Some(mark) })).map(drop)
    }

    /// Remembers a store mark until the next acknowledgement writes it down: the count grows with every host's
    /// events, and an idle agent writes nothing.
    fn saw_store(&mut self, store: &StoreMarkBody) {
        self.content.book.store = Some(self.highest(store));
    }

    fn highest(&self, store: &StoreMarkBody) -> StoreMarkBody {
        let seen = self.content.book.store.as_ref().filter(|seen| seen.store_id == store.store_id);
        let count = seen.map_or(0, |seen| seen.commit_count).max(store.commit_count);
        StoreMarkBody { store_id: store.store_id.clone(), commit_count: count }
    }

    /// Records that a closure is quarantined here, or no longer is.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn quarantine(&mut self, closure: &Closure, lifted: bool) -> Result<(), JournalError> {
        if self.content.book.quarantined.contains(closure) != lifted {
            return Ok(());
        }
        self.record(&Entry::Quarantine(Quarantine { closure: closure.clone(), lifted })).map(drop)
    }

    /// Records what was accepted of signed sequences and dates.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn floor(&mut self, floor: FloorLine) -> Result<(), JournalError> {
        if self.content.book.floor == floor { Ok(()) } else { self.record(&Entry::Floor(floor)).map(drop) }
    }

    /// Writes a note for people.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn note(&mut self, text: &str, at: Option<&Stamp>) -> Result<(), JournalError> {
        let note = Note { at: at.map(StampBody::from), text: text.to_owned() };
        self.record(&Entry::Note(note)).map(drop)
    }

    /// Returns the events from a number on, at most so many; the first may be later than asked for when the base
    /// has taken in the earlier ones.
    #[must_use]
    pub fn events_from(&self, from: u64, most: usize) -> Vec<EventEnvelope> {
        self.content.events_from(from, most)
    }

    /// The number of the last event that is only in the base.
    #[must_use]
    pub fn base_seq(&self) -> u64 {
        self.content.base.last_seq
    }

    /// Gives the base as the control plane wants it.
    #[must_use]
    pub fn base_body(&self) -> BaseBody {
        let rollouts = self.content.base.rollouts.iter().map(|(id, tracked)| BaseRollout {
            rollout_id: id.clone(),
            progress: ProgressBody::from(&tracked.progress),
        });
        BaseBody { seq: self.base_seq(), rollouts: rollouts.collect() }
    }

    /// Opens a new journal id that starts with what is known now: the control plane takes nothing more from the
    /// old one. What it did not take yet is noted as lost.
    ///
    /// # Errors
    /// [`JournalError`]; the old journal is still there then.
    pub fn renew(&mut self, rng: &mut dyn RngCore) -> Result<(), JournalError> {
        // The copy is for people; a disk without room for it does not stop the agent.
        let _ = self.file.keep_aside("fenced", self.content.text().as_bytes());
        self.put(self.content.renewed(rng, false))
    }

    /// Leaves out what is no longer needed, once the file has grown to twice its last size.
    ///
    /// # Errors
    /// [`JournalError`]; the journal is whole and can be used further.
    pub fn compact(&mut self) -> Result<(), JournalError> {
        if self.size < COMPACT_FROM.max(self.settled * 2) {
            return Ok(());
        }
        self.put(self.content.compacted()?)
    }

    fn put(&mut self, content: Content) -> Result<(), JournalError> {
        let text = content.text();
        self.file.replace(text.as_bytes()).map_err(JournalError::Write)?;
        (self.size, self.settled, self.content) = (text.len(), text.len(), content);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
