//! How much is taken at once, and how long it may take.

use crate::plane::config::PlaneConfig;
use crate::plane::http::error::Refusal;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// The largest body of an operator's request other than a release, in bytes: a retry of 10,000 hosts by name.
pub const OPERATOR_BODY: usize = 4 * 1024 * 1024;
/// How long a short request may take; agents give up at about the same time and come again.
pub const SHORT: Duration = Duration::from_secs(20);
/// How long publishing may take: 64 MiB over a slow line, 100,000 records.
pub const LONG: Duration = Duration::from_secs(300);

/// The most requests for enrollment at once. Anyone who reaches the port may ask, and each costs some signatures: they
/// get their own few places, so that they can't take those of hosts and people.
const ENROLL: usize = 32;

/// The places that are left.
#[derive(Debug)]
pub struct Limits {
    short: Arc<Semaphore>,
    publish: Arc<Semaphore>,
    enroll: Arc<Semaphore>,
    /// Event feeds.
    pub feeds: Arc<Semaphore>,
}

impl Limits {
    /// Makes as many places as the settings say; one release is taken at a time, since it may be large.
    #[must_use]
    pub fn new(config: &PlaneConfig) -> Self {
        Self {
            short: Arc::new(Semaphore::new(config.max_requests)),
            publish: Arc::new(Semaphore::new(1)),
            enroll: Arc::new(Semaphore::new(ENROLL)),
            feeds: Arc::new(Semaphore::new(config.max_feeds)),
        }
    }
}

type Bound = (Arc<Limits>, Duration);

/// Lets a short request in when there is a place, and ends it when it takes too long.
pub async fn bounded(State((limits, limit)): State<Bound>, request: Request, next: Next) -> Response {
    within((&limits.short, limit), request, next).await
}

/// Lets one publisher in at a time.
pub async fn one_at_a_time(State((limits, limit)): State<Bound>, request: Request, next: Next) -> Response {
    within((&limits.publish, limit), request, next).await
}

/// Lets a few in who have no certificate yet.
pub async fn few(State((limits, limit)): State<Bound>, request: Request, next: Next) -> Response {
    within((&limits.enroll, limit), request, next).await
}

async fn within((places, limit): (&Semaphore, Duration), request: Request, next: Next) -> Response {
    let Ok(_place) = places.try_acquire() else { return busy().into_response() };
    let late = || {
        let said =
            format!("it took longer than {} s; what it began may still be done: look, then try again", limit.as_secs());
        Refusal::new(StatusCode::GATEWAY_TIMEOUT, "too_slow", said).into_response()
    };
    timeout(limit, next.run(request)).await.unwrap_or_else(|_| late())
}

/// Says that there is no place.
#[must_use]
pub fn busy() -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "too many requests at once: try again in a moment")
}
