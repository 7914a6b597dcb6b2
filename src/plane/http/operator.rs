//! What operators ask.

use crate::model::id::{HostName, RolloutId};
use crate::plane::Plane;
use crate::plane::error::PlaneError;
use crate::plane::http::error::Refusal;
use crate::plane::http::peer::Speaker;
use crate::plane::operate::{Act, hosts as on_host, rollouts as on_rollout};
use crate::wire::v1::operator::{
    ActRequest, ActResponse, AttemptView, FleetView, HostView, Page, Published, RolloutView, WhyView,
};
use crate::wire::v1::release::SignedRelease;
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::sync::Arc;

/// How many rows a page has when nobody says.
pub(crate) const PAGE: usize = 100;

/// The query of a list.
#[derive(Debug, Deserialize)]
pub struct ListQuery {
    /// What the page before named as `next`.
    pub after: Option<String>,
    /// At most so many rows.
    pub limit: Option<usize>,
    #[serde(default)]
    open: bool,
}

pub(crate) type Listed = Result<Query<ListQuery>, QueryRejection>;
type Plan = State<Arc<Plane>>;

fn host_name(text: String) -> Result<HostName, Refusal> {
    HostName::new(text).map_err(|why| PlaneError::from(why).into())
}

fn rollout_id(text: &str) -> Result<RolloutId, Refusal> {
    text.parse().map_err(|why| PlaneError::from(why).into())
}

fn no_verb(verb: &str, known: &str) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "no_such_act", format!("{verb:?} is not one of {known}"))
}

/// Publishes a release.
///
/// # Errors
/// See [`Plane::publish`].
pub async fn publish(
    State(plane): Plan,
    Extension(speaker): Extension<Speaker>,
    body: Result<Json<SignedRelease>, JsonRejection>,
) -> Result<Response, Refusal> {
    let Json(signed) = body?;
    let published: Published = plane.publish(signed, speaker.name()).await?;
    let status = if published.new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(published)).into_response())
}

/// Shows the fleet in counts.
///
/// # Errors
/// See [`Plane::fleet`].
pub async fn fleet(State(plane): Plan) -> Result<Json<FleetView>, Refusal> {
    Ok(Json(plane.fleet().await?))
}

/// Lists hosts.
///
/// # Errors
/// See [`Plane::list_hosts`].
pub async fn hosts(State(plane): Plan, query: Listed) -> Result<Json<Page<HostView>>, Refusal> {
    let Query(query) = query?;
    let after = query.after.map(host_name).transpose()?;
    Ok(Json(plane.list_hosts(after, query.limit.unwrap_or(PAGE)).await?))
}

/// Shows a host.
///
/// # Errors
/// See [`Plane::show_host`].
pub async fn host(State(plane): Plan, Path(host): Path<String>) -> Result<Json<HostView>, Refusal> {
    Ok(Json(plane.show_host(host_name(host)?).await?))
}

/// Says why a host waits.
///
/// # Errors
/// See [`Plane::why`].
pub async fn why(State(plane): Plan, Path(host): Path<String>) -> Result<Json<WhyView>, Refusal> {
    Ok(Json(plane.why(host_name(host)?).await?))
}

/// Does something to a host.
///
/// # Errors
/// See [`Plane::act_on_host`].
pub async fn act_on_host(
    State(plane): Plan,
    Extension(speaker): Extension<Speaker>,
    Path((host, verb)): Path<(String, String)>,
    body: Result<Json<ActRequest>, JsonRejection>,
) -> Result<Json<ActResponse>, Refusal> {
    let known = on_host::Verb::parse(&verb).ok_or_else(|| no_verb(&verb, "hold, release, resolve"))?;
    let Json(asked) = body?;
    Ok(Json(plane.act_on_host(host_name(host)?, known, Act::new(asked, &speaker)?).await?))
}

/// Lists rollouts.
///
/// # Errors
/// See [`Plane::list_rollouts`].
pub async fn rollouts(State(plane): Plan, query: Listed) -> Result<Json<Page<RolloutView>>, Refusal> {
    let Query(query) = query?;
    Ok(Json(plane.list_rollouts(query.open, query.limit.unwrap_or(PAGE)).await?))
}

/// Shows a rollout.
///
/// # Errors
/// See [`Plane::show_rollout`].
pub async fn rollout(State(plane): Plan, Path(id): Path<String>) -> Result<Json<RolloutView>, Refusal> {
    Ok(Json(plane.show_rollout(rollout_id(&id)?).await?))
}

/// Lists the attempts of a rollout.
///
/// # Errors
/// See [`Plane::list_attempts`].
pub async fn attempts(
    State(plane): Plan,
    Path(id): Path<String>,
    query: Listed,
) -> Result<Json<Page<AttemptView>>, Refusal> {
    let Query(query) = query?;
    let after = query.after.map(host_name).transpose()?;
    Ok(Json(plane.list_attempts(rollout_id(&id)?, after, query.limit.unwrap_or(PAGE)).await?))
}

/// Does something to a rollout.
///
/// # Errors
/// See [`Plane::act_on_rollout`].
pub async fn act_on_rollout(
    State(plane): Plan,
    Extension(speaker): Extension<Speaker>,
    Path((id, verb)): Path<(String, String)>,
    body: Result<Json<ActRequest>, JsonRejection>,
) -> Result<Json<ActResponse>, Refusal> {
    let verbs = "pause, resume, cancel, promote, retry";
    let known = on_rollout::Verb::parse(&verb).ok_or_else(|| no_verb(&verb, verbs))?;
    let Json(asked) = body?;
    Ok(Json(plane.act_on_rollout(rollout_id(&id)?, known, Act::new(asked, &speaker)?).await?))
}

/// Writes the metrics.
///
/// # Errors
/// See [`Plane::metrics`].
pub async fn metrics(State(plane): Plan) -> Result<Response, Refusal> {
    let text = plane.metrics().await?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// Says that the process is alive.
pub async fn healthz() -> &'static str {
    "alive\n"
}

/// Says whether the store takes writes and permits may be given.
///
/// # Errors
/// 503 with what is missing.
pub async fn readyz(State(plane): Plan) -> Result<String, Refusal> {
    Ok(plane.ready().await?)
}
