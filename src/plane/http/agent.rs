//! What agents ask.

use crate::model::id::{Channel, HostName, ReleaseRef, RolloutId};
use crate::plane::Plane;
use crate::plane::http::error::{Refusal, nothing};
use crate::plane::http::limits::Limits;
use crate::plane::http::peer::Speaker;
use crate::plane::identity::host_of;
use crate::wire::v1::agent::{EventsRequest, EventsResponse, HeartbeatRequest, HeartbeatResponse};
use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// The query of a long poll.
#[derive(Debug, Deserialize)]
pub struct DispatchQuery {
    /// Seconds.
    #[serde(default)]
    wait: u64,
    seen: Option<String>,
}

/// Gives a host its orders, after a wait when there is nothing new.
///
/// # Errors
/// See [`Plane::dispatch`].
pub async fn dispatch(
    State((plane, _)): State<(Arc<Plane>, Arc<Limits>)>,
    Extension(host): Extension<HostName>,
    query: Result<Query<DispatchQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(DispatchQuery { wait, seen }) = query?;
    let orders = plane.dispatch(&host, seen.as_deref(), Duration::from_secs(wait)).await?;
    Ok(orders.map_or_else(nothing, |orders| Json(orders).into_response()))
}

/// Takes events and carries permits back.
///
/// # Errors
/// See [`Plane::take_events`].
pub async fn events(
    State(plane): State<Arc<Plane>>,
    Extension(host): Extension<HostName>,
    body: Result<Json<EventsRequest>, JsonRejection>,
) -> Result<Json<EventsResponse>, Refusal> {
    let Json(batch) = body?;
    Ok(Json(plane.take_events(&host, batch).await?))
}

/// Takes a heartbeat.
///
/// # Errors
/// See [`Plane::heartbeat`].
pub async fn heartbeat(
    State(plane): State<Arc<Plane>>,
    Extension(host): Extension<HostName>,
    body: Result<Json<HeartbeatRequest>, JsonRejection>,
) -> Result<Json<HeartbeatResponse>, Refusal> {
    let Json(beat) = body?;
    Ok(Json(plane.heartbeat(&host, beat).await?))
}

/// Gives a signed release as it was published; to an agent only one that names its host.
///
/// # Errors
/// See [`Plane::signed_release`].
pub async fn release(
    State(plane): State<Arc<Plane>>,
    Extension(speaker): Extension<Speaker>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Refusal> {
    let Path((channel, reference)) = path?;
    let name = |why: crate::model::id::InvalidId| Refusal::from(crate::plane::error::PlaneError::from(why));
    let channel = Channel::new(channel).map_err(name)?;
    let reference = ReleaseRef::new(reference).map_err(name)?;
    let body = plane.signed_release(RolloutId { channel, reference }, host_of(&speaker.identity).cloned()).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}
