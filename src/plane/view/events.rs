//! The history as it is shown.

use crate::model::id::Author;
use crate::plane::Plane;
use crate::plane::error::Done;
use crate::store::rows::{EventFilter, EventRow};
use crate::wire::v1::operator::{EventView, MAX_PAGE, Page};
use crate::wire::v1::release::date;
use serde_json::Value;
use std::sync::Arc;

impl Plane {
    /// Lists events after a place, in the order of the history.
    ///
    /// # Errors
    /// The store's.
    pub async fn list_events(self: &Arc<Self>, after: u64, filter: EventFilter, limit: usize) -> Done<Page<EventView>> {
        let limit = limit.clamp(1, MAX_PAGE);
        self.look(move |desk| {
            let rows = desk.tx.events(after, &filter, limit)?;
            let next = (rows.len() == limit).then(|| rows.last().map(|row| row.place.to_string())).flatten();
            Ok(Page { items: rows.into_iter().map(event_view).collect(), next })
        })
        .await
    }
}

/// Makes the picture of an event.
#[must_use]
pub fn event_view(row: EventRow) -> EventView {
    let mut envelope: Value = serde_json::from_str(&row.body).unwrap_or_default();
    EventView {
        place: row.place,
        received_at: date(row.received),
        host: row.host.map(|host| host.to_string()),
        rollout: row.rollout.map(|rollout| rollout.to_string()).unwrap_or_default(),
        attempt: row.attempt.0,
        author: match row.author {
            Author::Journal(journal) => journal.to_string(),
            Author::ControlPlane => "cp".to_owned(),
        },
        seq: row.seq,
        kind: row.kind,
        body: envelope.get_mut("event").map(Value::take).unwrap_or_default(),
        refused: row.refused,
    }
}
