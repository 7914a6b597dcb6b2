//! Which journal of a host is in use: a new one takes over, one that contradicts itself is fenced, too many are a
//! clone.

use crate::model::host_rollout::Event;
use crate::model::id::{Author, BootId, HostName, JournalId};
use crate::model::time::Stamp;
use crate::plane::desk::Desk;
use crate::plane::error::Done;
use crate::plane::history::{Note, envelope, event, happening};
use crate::runtime::guard::Guard;
use crate::store::rows::JournalRow;
use crate::wire::stored::HostBody;
use serde_json::json;
use std::time::Duration;

/// How long the journals of a host are counted back for the clone check.
const CLONE_SPAN: Duration = Duration::from_secs(60 * 60);
/// So many journals that replaced another within [`CLONE_SPAN`] are two machines with one identity: a machine that
/// loses its state does not lose it three times in an hour.
const CLONE_JOURNALS: usize = 3;
/// How many boots of a host are remembered.
const BOOTS: usize = 8;

/// One contact of an agent.
#[derive(Debug, Clone, Copy)]
pub struct Contact<'c> {
    /// The host.
    pub host: &'c HostName,
    /// Its journal.
    pub journal: &'c JournalId,
    /// Its clocks when it spoke, where it says.
    pub now: Option<&'c Stamp>,
    /// The last number in its journal, where it says.
    pub last_seq: Option<u64>,
}

/// A journal in use, written back at the end.
#[derive(Debug, Clone)]
pub struct Journal {
    /// The row.
    pub row: JournalRow,
    dirty: bool,
}

impl Journal {
    /// Notes that everything up to `seq` is held or marked as lost.
    pub fn advance(&mut self, seq: u64) {
        self.row.last_seq = self.row.last_seq.max(seq);
        self.dirty = true;
    }

    /// Takes nothing more from it.
    pub fn fence(&mut self, why: String) {
        if Guard::Fencing.left_out() {
            return;
        }
        tracing::warn!(host.name = %self.row.host, journal.id = %self.row.journal, "journal fenced: {why}");
        self.row.fenced = Some(why);
        self.dirty = true;
    }
}

impl Desk<'_> {
    /// Finds the journal of a contact, opens it when it is new, and fences what it replaces.
    ///
    /// # Errors
    /// The store's.
    pub fn admit(&mut self, contact: &Contact<'_>) -> Done<Journal> {
        let known = self.tx.journal(contact.host, contact.journal)?;
        let (host_row, mut body) = self.host(contact.host)?;
        let before = body.clone();
        let mut journal = match known {
            Some(row) => Journal { row, dirty: false },
            None => self.open_journal(contact, &mut body)?,
        };
        if let Some(now) = contact.now {
            self.note_boot(contact.host, &now.boot, &mut body)?;
        }
        let held = journal.row.last_seq;
        let short = contact.last_seq.filter(|said| *said < held && journal.row.fenced.is_none());
        if let Some(said) = short
            && !self.is_overtaken(contact, held)?
        {
            journal.fence(format!("it ends at {said}, and {held} is held here: an older copy of it was restored"));
        }
        if body != before {
            self.put_host(host_row, &body)?;
        }
        Ok(journal)
    }

    /// Tells whether a heartbeat is merely late: the host wrote the newest number that is held after it had spoken, and
    /// the batch with it came through first. A journal that did go back shows it at its next heartbeat.
    fn is_overtaken(&self, contact: &Contact<'_>, held: u64) -> Done<bool> {
        let Some(now) = contact.now else { return Ok(false) };
        let author = Author::Journal(contact.journal.clone());
        let newest = self.tx.event(contact.host, &author, held)?;
        let written = newest.as_ref().and_then(envelope).map(|sent| Stamp::from(sent.at));
        Ok(written.is_some_and(|at| at.boot == now.boot && at.uptime >= now.uptime))
    }

    fn open_journal(&mut self, contact: &Contact<'_>, body: &mut HostBody) -> Done<Journal> {
        let row = JournalRow {
            host: contact.host.clone(),
            journal: contact.journal.clone(),
            last_seq: 0,
            opened: self.now,
            fenced: None,
        };
        if let Some(old) = body.journal.replace(contact.journal.clone()) {
            self.replace_journal(contact, &old, body)?;
        }
        Ok(Journal { row, dirty: true })
    }

    fn replace_journal(&mut self, contact: &Contact<'_>, old: &JournalId, body: &mut HostBody) -> Done<()> {
        if let Some(mut row) = self.tx.journal(contact.host, old)? {
            if row.fenced.is_none() {
                row.fenced = Some(format!("journal {} took its place", contact.journal));
            }
            let from = row.last_seq.saturating_add(1);
            self.tx.put_journal(&row)?;
            let lost = Event::HistoryLost { journal: old.clone(), from, to: None };
            self.note(Note { host: Some(contact.host), rollout: None, event: event(&lost), refused: None })?;
        }
        let hour_ago = self.now.minus(CLONE_SPAN);
        // The machine that stays had its journal fenced by the other one, and opens one more after that was resolved.
        let from = body.resolved.map_or(hour_ago, |resolved| resolved.max(hour_ago));
        let journals = self.tx.journals(contact.host)?;
        let replaced = 1 + journals.iter().skip(1).filter(|row| row.opened > from).count();
        if replaced >= CLONE_JOURNALS {
            self.suspect_clone(contact.host, body, format!("{replaced} new journals within an hour"))?;
        }
        Ok(())
    }

    /// A boot id is new at every boot: one that comes back belongs to another machine, or to a copy of this one.
    fn note_boot(&mut self, host: &HostName, boot: &BootId, body: &mut HostBody) -> Done<()> {
        if body.boots.last().is_some_and(|(last, _)| last == boot) {
            return Ok(());
        }
        if body.boots.iter().any(|(known, _)| known == boot) {
            self.suspect_clone(host, body, format!("boot {boot} came back after another one"))?;
        }
        body.boot = Some(boot.clone());
        body.boots.push((boot.clone(), self.now));
        let excess = body.boots.len().saturating_sub(BOOTS);
        body.boots.drain(..excess);
        Ok(())
    }

    fn suspect_clone(&mut self, host: &HostName, body: &mut HostBody, seen: String) -> Done<()> {
        if body.cloned.is_some() {
            return Ok(());
        }
        tracing::warn!(host.name = %host, "two machines seem to use the identity of {host}: {seen}");
        let event = happening(json!({ "kind": "cloneSuspected", "seen": seen }))?;
        self.note(Note { host: Some(host), rollout: None, event, refused: None })?;
        body.cloned = Some(seen);
        Ok(())
    }

    /// Writes a journal back when something changed.
    ///
    /// # Errors
    /// The store's.
    pub fn put_journal(&mut self, journal: Journal) -> Done<()> {
        if journal.dirty {
            self.follow.changed.entry(journal.row.host.clone()).or_default();
            self.tx.put_journal(&journal.row)?;
        }
        Ok(())
    }
}
