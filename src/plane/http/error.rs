//! Errors as answers: a stable code, a message that is safe to show, the request's id. The detail is logged, once.

use crate::plane::Plane;
use crate::plane::error::PlaneError;
use crate::store::StoreError;
use crate::wire::v1::error::ErrorBody;
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The header that carries a request's id.
pub const REQUEST_ID: &str = "x-request-id";
/// The longest text of ours that goes into an answer, in characters.
const MAX_MESSAGE: usize = 2000;

/// An answer that is not a success, before it has its request's id.
#[derive(Debug, Clone)]
pub struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// What only the log gets.
    detail: Option<String>,
}

impl Refusal {
    /// Makes one.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), detail: None }
    }

    fn with_detail(self, detail: impl ToString) -> Self {
        Self { detail: Some(detail.to_string()), ..self }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<PlaneError> for Refusal {
    fn from(error: PlaneError) -> Self {
        let message = error.to_string();
        match error {
            PlaneError::Store(error) => of_store(&error),
            PlaneError::Stored(why) => {
                let said = "a stored row can't be read: see the log of convoy-cp";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "stored_unreadable", said).with_detail(why)
            }
            error @ (PlaneError::Credentials(_) | PlaneError::Issuing(_)) => {
                let said = "no certificate could be issued: see the log of convoy-cp";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "issuing_failed", said).with_detail(error)
            }
            PlaneError::Trust(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "release_refused", message),
            PlaneError::NotFound { .. } => Self::new(StatusCode::NOT_FOUND, "not_found", message),
            PlaneError::Refused { code, .. } => Self::new(StatusCode::CONFLICT, code, message),
            PlaneError::BadRequest { code, .. } => Self::new(StatusCode::BAD_REQUEST, code, message),
            PlaneError::Forbidden { code, .. } => Self::new(StatusCode::FORBIDDEN, code, message),
            PlaneError::Tried(_) => Self::new(StatusCode::CONFLICT, "only_tried", message),
            PlaneError::NotReady(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", message),
            PlaneError::Ending => Self::new(StatusCode::SERVICE_UNAVAILABLE, "ending", message),
        }
    }
}

fn of_store(error: &StoreError) -> Refusal {
    let unavailable = |code, said: &str| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, code, said).with_detail(error);
    match error {
        StoreError::Full { .. } => {
            unavailable("store_full", "the control plane's disk is full: free some space there, then try again")
        }
        StoreError::Busy => unavailable("store_busy", "the control plane has more to write than it can: try again"),
        StoreError::Closed => unavailable("ending", "the control plane is ending: try again in a moment"),
        StoreError::Corrupt { .. } | StoreError::TooNew { .. } | StoreError::Locked { .. } => {
            unavailable("store_unusable", "the control plane's database can't be used: see its log")
        }
        StoreError::Conflict(_) | StoreError::Engine(_) | StoreError::Undone(_) => {
            let said = "the control plane's store failed: see its log";
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "store_failed", said).with_detail(error)
        }
    }
}

impl From<JsonRejection> for Refusal {
    fn from(why: JsonRejection) -> Self {
        let code = match why.status() {
            StatusCode::PAYLOAD_TOO_LARGE => "too_large",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "not_json",
            _ => "invalid_json",
        };
        Self::new(why.status(), code, why.body_text())
    }
}

impl From<PathRejection> for Refusal {
    fn from(why: PathRejection) -> Self {
        Self::new(why.status(), "invalid_path", why.body_text())
    }
}

impl From<QueryRejection> for Refusal {
    fn from(why: QueryRejection) -> Self {
        Self::new(why.status(), "invalid_query", why.body_text())
    }
}

/// Answers a path that is not there.
pub async fn no_such_place() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "no_such_place", "there is nothing at this path: docs/protocol.md lists them")
}

/// Answers a method that a path does not have.
pub async fn wrong_method() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", "this path does not take this method")
}

/// Gives every request an id, and every answer that is not a success its body.
pub async fn name_requests(State(plane): State<Arc<Plane>>, request: Request, next: Next) -> Response {
    let id = format!("{:x}", plane.requests.fetch_add(1, Ordering::Relaxed));
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        log(&refusal, &id, &format!("{method} {path}"));
        response = body_of(refusal, &id);
    } else if response.status().is_client_error() || response.status().is_server_error() {
        // Made by a layer below ours, such as a body that is too large.
        let said = response.status().canonical_reason().unwrap_or("refused").to_lowercase();
        response = body_of(Refusal::new(response.status(), "refused", said), &id);
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

fn log(refusal: &Refusal, id: &str, what: &str) {
    let detail = refusal.detail.as_deref().unwrap_or(&refusal.message);
    if refusal.status.is_server_error() {
        tracing::error!(request.id = id, "{what} failed: {detail}");
    } else {
        tracing::debug!(request.id = id, "{what} was refused: {detail}");
    }
}

fn body_of(refusal: Refusal, id: &str) -> Response {
    let message: String = refusal.message.chars().take(MAX_MESSAGE).collect();
    let body = ErrorBody { code: refusal.code.to_owned(), message, request_id: id.to_owned() };
    let mut response = (refusal.status, Json(body)).into_response();
    if refusal.status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// An empty answer.
#[must_use]
pub fn nothing() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
