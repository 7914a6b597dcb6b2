//! The history as a page, or as a feed that can be resumed where it broke off.

use crate::model::id::{HostName, RolloutId};
use crate::plane::Plane;
use crate::plane::error::PlaneError;
use crate::plane::http::error::Refusal;
use crate::plane::http::limits::{Limits, busy};
use crate::plane::http::peer::Speaker;
use crate::store::rows::EventFilter;
use crate::wire::v1::operator::EventView;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use serde::Deserialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};

/// How many events a feed reads ahead: the bound of what a slow reader costs.
const READ_AHEAD: usize = 128;
/// How far a feed that had caught up may fall behind before it is ended.
const MAX_BEHIND: u64 = 10_000;
/// How often a silent feed sends a comment, so that dead connections are noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How many events a page has when nobody says.
const PAGE: usize = 100;

/// The query of a page or a feed.
#[derive(Debug, Deserialize)]
pub struct EventsQuery {
    after: Option<u64>,
    host: Option<String>,
    rollout: Option<String>,
    #[serde(default)]
    refused: bool,
    limit: Option<usize>,
}

/// Gives a page, or a feed when the caller accepts one.
///
/// # Errors
/// 400 for a filter that makes no sense, 503 when too many feeds are open.
pub async fn events(
    State((plane, limits)): State<(Arc<Plane>, Arc<Limits>)>,
    Extension(speaker): Extension<Speaker>,
    headers: HeaderMap,
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(query) = query?;
    let filter = EventFilter {
        host: query.host.map(HostName::new).transpose().map_err(PlaneError::from)?,
        rollout: query.rollout.map(|id| id.parse::<RolloutId>()).transpose().map_err(PlaneError::from)?,
        refused_only: query.refused,
    };
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !text(header::ACCEPT).contains("text/event-stream") {
        let page = plane.list_events(query.after.unwrap_or(0), filter, query.limit.unwrap_or(PAGE)).await?;
        return Ok(Json(page).into_response());
    }
    let place = limits.feeds.clone().try_acquire_owned().map_err(|_| busy())?;
    let resumed = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let after = resumed.or(query.after).unwrap_or(0);
    let feed = Feed::new((plane, speaker), (after, filter), place);
    Ok(Sse::new(feed.into_stream()).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

/// One open feed.
struct Feed {
    plane: Arc<Plane>,
    speaker: Speaker,
    filter: EventFilter,
    after: u64,
    ahead: VecDeque<EventView>,
    places: watch::Receiver<u64>,
    draining: watch::Receiver<bool>,
    caught_up: bool,
    over: bool,
    _place: OwnedSemaphorePermit,
}

impl Feed {
    fn new(
        (plane, speaker): (Arc<Plane>, Speaker),
        (after, filter): (u64, EventFilter),
        place: OwnedSemaphorePermit,
    ) -> Self {
        let (places, draining) = (plane.places.subscribe(), plane.draining.subscribe());
        let ahead = VecDeque::new();
        Self { plane, speaker, filter, after, ahead, places, draining, caught_up: false, over: false, _place: place }
    }

    fn into_stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut feed| async move {
            let event = feed.next().await?;
            Some((Ok(event), feed))
        })
    }

    async fn next(&mut self) -> Option<Event> {
        if self.over {
            return None;
        }
        loop {
            // A revocation is an event, so that every feed comes here at once.
            let shown = self.speaker.presented.as_ref();
            if shown.is_some_and(|shown| self.plane.identities.admit(shown, self.plane.now()).is_err()) {
                return Some(self.end("the certificate does not count any more: see `convoy status` for why"));
            }
            if let Some(view) = self.ahead.pop_front() {
                let data = serde_json::to_string(&view).unwrap_or_default();
                return Some(Event::default().id(view.place.to_string()).event("event").data(data));
            }
            let newest = *self.places.borrow_and_update();
            if self.caught_up && newest.saturating_sub(self.after) > MAX_BEHIND {
                return Some(self.end("too slow: more happened than was read; follow on after the last id"));
            }
            if *self.draining.borrow_and_update() {
                return Some(self.end("the control plane is ending: follow on after the last id"));
            }
            match self.read_ahead(newest).await {
                Ok(true) => {}
                Ok(false) => self.wait().await,
                Err(error) => {
                    tracing::error!(%error, "an event feed ends: the history could not be read");
                    return Some(self.end("the history could not be read: see the log of convoy-cp"));
                }
            }
        }
    }

    /// Reads the next events; false when there are none.
    async fn read_ahead(&mut self, newest: u64) -> Result<bool, PlaneError> {
        let page = self.plane.list_events(self.after, self.filter.clone(), READ_AHEAD).await?;
        let more = page.items.last().map(|last| last.place);
        self.after = more.unwrap_or(self.after);
        if page.items.len() < READ_AHEAD {
            // What the filter lets through of everything up to there is in this page.
            self.after = self.after.max(newest);
            self.caught_up = true;
        }
        self.ahead.extend(page.items);
        Ok(more.is_some())
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.places.changed() => {}
            _ = self.draining.changed() => {}
        }
    }

    fn end(&mut self, why: &str) -> Event {
        self.over = true;
        Event::default().event("end").data(why)
    }
}
