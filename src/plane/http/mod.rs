//! HTTP: handlers extract, are let in by one table, make one call of the control plane, and convert.

pub mod error;
pub mod limits;
pub mod peer;
pub mod access;
pub mod identity;
pub mod agent;
pub mod operator;
pub mod events;

use crate::plane::Plane;
use crate::plane::http::limits::{LONG, Limits, OPERATOR_BODY, SHORT};
use crate::wire::v1::agent::MAX_AGENT_BODY;
use crate::wire::v1::identity::MAX_ENROLL_BODY;
use crate::wire::v1::release::MAX_RELEASE;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use std::sync::Arc;

/// Builds the router of a control plane.
pub fn app(plane: Arc<Plane>) -> Router {
    let limits = Arc::new(Limits::new(plane.config()));
    let short = reports(plane.clone())
        .merge(questions(plane.clone()))
        .layer(from_fn_with_state((limits.clone(), SHORT), limits::bounded));
    let publish = Router::new()
        .route("/v1/releases", post(operator::publish))
        .layer(DefaultBodyLimit::max(MAX_RELEASE))
        .layer(from_fn_with_state((limits.clone(), LONG), limits::one_at_a_time))
        .with_state(plane.clone());
    let enroll = Router::new()
        .route("/v1/enroll", post(identity::enroll))
        .layer(DefaultBodyLimit::max(MAX_ENROLL_BODY))
        .layer(from_fn_with_state((limits.clone(), SHORT), limits::few))
        .with_state(plane.clone());
    let waiting = Router::new()
        .route("/v1/agent/dispatch", get(agent::dispatch))
        .route("/v1/events", get(events::events))
        .with_state((plane.clone(), limits));
    short
        .merge(publish)
        .merge(enroll)
        .merge(waiting)
        .method_not_allowed_fallback(error::wrong_method)
        .fallback(error::no_such_place)
        .layer(from_fn_with_state(plane.clone(), access::authorise))
        .layer(from_fn_with_state(plane, error::name_requests))
}

fn reports(plane: Arc<Plane>) -> Router {
    Router::new()
        .route("/v1/agent/events", post(agent::events))
        .route("/v1/agent/heartbeat", post(agent::heartbeat))
        .route("/v1/agent/renew", post(identity::renew))
        .layer(DefaultBodyLimit::max(MAX_AGENT_BODY))
        .with_state(plane)
}

fn questions(plane: Arc<Plane>) -> Router {
    Router::new()
        .route("/v1/releases/{channel}/{reference}", get(agent::release))
        .route("/v1/fleet", get(operator::fleet))
        .route("/v1/hosts", get(operator::hosts))
        .route("/v1/hosts/{host}", get(operator::host))
        .route("/v1/hosts/{host}/why", get(operator::why))
        .route("/v1/hosts/{host}/{verb}", post(operator::act_on_host))
        .route("/v1/rollouts", get(operator::rollouts))
        .route("/v1/rollouts/{id}", get(operator::rollout))
        .route("/v1/rollouts/{id}/hosts", get(operator::attempts))
        .route("/v1/rollouts/{id}/{verb}", post(operator::act_on_rollout))
        .route("/v1/tokens", get(identity::tokens).post(identity::make_tokens))
        .route("/v1/tokens/{id}/revoke", post(identity::revoke_token))
        .route("/v1/identities", get(identity::identities))
        .route("/v1/identities/{role}/{name}/revoke", post(identity::revoke_identity))
        .route("/metrics", get(operator::metrics))
        .route("/healthz", get(operator::healthz))
        .route("/readyz", get(operator::readyz))
        .layer(DefaultBodyLimit::max(OPERATOR_BODY))
        .with_state(plane)
}
