//! The history: every change with who made it, appended in the transaction of the change.

use crate::model::host_rollout::Event;
use crate::model::id::{Attempt, Author, HostName, RolloutId};
use crate::plane::desk::Desk;
use crate::plane::digest::sha256;
use crate::plane::error::{Done, PlaneError};
use crate::store::rows::EventRow;
use crate::wire::Invalid;
use crate::wire::v1::agent::EventEnvelope;
use crate::wire::v1::event::{EventBody, StampBody};
use serde_json::{Value, json};

/// An event to be appended.
#[derive(Debug, Clone)]
pub struct Note<'n> {
    /// The host.
    pub host: Option<&'n HostName>,
    /// The rollout and attempt.
    pub rollout: Option<(&'n RolloutId, Attempt)>,
    /// What happened, with its `kind`.
    pub event: EventBody,
    /// Why it could not be applied.
    pub refused: Option<String>,
}

impl Desk<'_> {
    /// Appends an event that the control plane itself wrote.
    ///
    /// # Errors
    /// The store's.
    pub fn note(&mut self, note: Note<'_>) -> Done<()> {
        let envelope = Envelope { at: StampBody::from(&self.stamp), event: &note.event };
        let body = envelope.write(note.rollout);
        let row = EventRow {
            place: 0,
            host: note.host.cloned(),
            rollout: note.rollout.map(|(rollout, _)| rollout.clone()),
            attempt: note.rollout.map_or(Attempt(0), |(_, attempt)| attempt),
            author: Author::ControlPlane,
            seq: 0,
            digest: sha256(body.as_bytes()),
            received: self.now,
            kind: note.event.kind().to_owned(),
            body,
            refused: note.refused,
        };
        self.append(&row)
    }

    /// Appends an event.
    ///
    /// # Errors
    /// The store's.
    pub fn append(&mut self, row: &EventRow) -> Done<()> {
        let place = self.tx.append_event(row)?;
        self.follow.last_place = Some(place);
        Ok(())
    }
}

/// The stored form of an event that stands in no journal: an [`EventEnvelope`] whose rollout may be missing.
struct Envelope<'e> {
    at: StampBody,
    event: &'e EventBody,
}

impl Envelope<'_> {
    fn write(&self, rollout: Option<(&RolloutId, Attempt)>) -> String {
        let mut value = json!({ "seq": 0, "at": self.at, "event": self.event });
        if let Some((rollout, attempt)) = rollout {
            value["rolloutId"] = Value::String(rollout.to_string());
            value["attempt"] = Value::from(attempt.0);
        }
        value.to_string()
    }
}

/// Gives an event of the machine its JSON under the control plane's name.
#[must_use]
pub fn event(event: &Event) -> EventBody {
    EventBody::from(event)
}

/// Gives what an operator or the control plane did its JSON; `fields` must be an object with a `kind`.
///
/// # Errors
/// [`PlaneError::Stored`] when it is not.
pub fn happening(fields: Value) -> Done<EventBody> {
    let broken = |why: serde_json::Error| PlaneError::Stored(Invalid { what: "event", detail: why.to_string() });
    serde_json::from_value(fields).map_err(broken)
}

/// Reads an appended event back.
#[must_use]
pub fn envelope(row: &EventRow) -> Option<EventEnvelope> {
    serde_json::from_str(&row.body).ok()
}
