//! A journal's base: the state at a point, the events up to which are gone. What is missing here is marked as lost,
//! never skipped in silence.

use crate::model::host_rollout::{Adoption, Event, HostRollout, Memory};
use crate::model::id::HostName;
use crate::plane::desk::Desk;
use crate::plane::error::Done;
use crate::plane::history::{Note, event};
use crate::plane::intake::journal::Journal;
use crate::plane::intake::take::UNKNOWN_ROLLOUT;
use crate::wire::v1::agent::{BaseBody, BaseRollout};

impl Desk<'_> {
    /// Takes a base where it says something new: nothing of the journal is held yet, or it begins after what is.
    ///
    /// # Errors
    /// The store's.
    pub fn take_base(&mut self, journal: &mut Journal, base: &BaseBody) -> Done<()> {
        let held = journal.row.last_seq;
        if held > 0 && held >= base.seq {
            return Ok(());
        }
        let host = journal.row.host.clone();
        if base.seq > held {
            let (from, to) = (held + 1, Some(base.seq));
            let lost = Event::HistoryLost { journal: journal.row.journal.clone(), from, to };
            self.note(Note { host: Some(&host), rollout: None, event: event(&lost), refused: None })?;
            journal.advance(base.seq);
        }
        base.rollouts.iter().try_for_each(|rollout| self.adopt(&host, rollout))
    }

    /// Takes over a state that the host is sure of, when it differs from ours.
    fn adopt(&mut self, host: &HostName, based: &BaseRollout) -> Done<()> {
        let Ok(state) = HostRollout::try_from(based.progress.clone()) else {
            tracing::warn!(host.name = %host, rollout.id = %based.rollout_id, "a state in a journal's base can't be read");
            return Ok(());
        };
        let rollout = Some((&based.rollout_id, state.attempt));
        let adopted = Event::Adopted(Box::new(Adoption { source: Memory::JournalBase, state }));
        let Some(mut kept) = self.record(host, &based.rollout_id)? else {
            // Without the release nothing is known of the host's place in it: kept until it is published again.
            let refused = Some(UNKNOWN_ROLLOUT.to_owned());
            return self.note(Note { host: Some(host), rollout, event: event(&adopted), refused });
        };
        let at = self.stamp.clone();
        if self.apply(&mut kept, &adopted, &at)?.is_ok() {
            self.note(Note { host: Some(host), rollout, event: event(&adopted), refused: None })?;
        }
        Ok(())
    }
}
