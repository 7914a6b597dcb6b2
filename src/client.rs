//! The typed HTTP client of agent and operator over a small transport, so that a whole fleet can speak to the
//! router in one process. Must not decide or keep state.

pub mod agent;
pub mod handshake;
pub mod http;
pub mod operator;

use crate::client::handshake::Handshake;
use crate::wire::v1::error::ErrorBody;
use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// The most time that an exchange takes unless the request says otherwise: a control plane that needs longer to
/// answer is as good as down.
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(30);
/// The largest answer that is read unless the request says otherwise, in bytes: a full page of the widest rows
/// (1000 rollouts of 100 waves, about 150 bytes each), with room.
pub const DEFAULT_MAX_ANSWER: usize = 32 * 1024 * 1024;
/// The most of an answer without an error body that is shown, in characters: enough to recognise a stray proxy.
const SHOWN: usize = 200;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Path and query, from `/v1` on.
    pub path: String,
    /// Headers beyond the usual ones.
    pub headers: Vec<(&'static str, String)>,
    /// JSON, or nothing.
    pub body: Option<Vec<u8>>,
    /// The most time that the whole exchange may take.
    pub limit: Duration,
    /// The largest answer that is read, in bytes.
    pub max_answer: usize,
}

impl Request {
    /// Makes a `GET`; `path` is path and query, from `/v1` on.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self::new("GET", path.into())
    }

    /// Makes a `POST` without a body.
    #[must_use]
    pub fn post(path: impl Into<String>) -> Self {
        Self::new("POST", path.into())
    }

    fn new(method: &'static str, path: String) -> Self {
        let (limit, max_answer) = (DEFAULT_LIMIT, DEFAULT_MAX_ANSWER);
        Self { method, path, headers: Vec::new(), body: None, limit, max_answer }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sets the most time that the whole exchange may take.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Sets the largest answer that is read, in bytes.
    #[must_use]
    pub fn max_answer(mut self, bytes: usize) -> Self {
        self.max_answer = bytes;
        self
    }

    /// Sets the body as JSON.
    ///
    /// # Errors
    /// [`ClientError::Garbled`] when the value has no form in JSON.
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Result<Self, ClientError> {
        let unwritable = |error: serde_json::Error| ClientError::Garbled {
            at: self.path.clone(),
            detail: format!("the request can't be written as JSON: {error}"),
        };
        self.body = Some(serde_json::to_vec(value).map_err(unwritable)?);
        Ok(self)
    }
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// An exchange that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// No connection, or it broke, or it took too long.
    #[error("can't reach the control plane at {at}: {detail}")]
    Unreachable {
        /// The address.
        at: String,
        /// What happened.
        detail: String,
    },
    /// Both ends could not agree on a secure connection.
    #[error("no secure connection with the control plane at {at}: {detail}; {why}")]
    Insecure {
        /// The address.
        at: String,
        /// What happened.
        detail: String,
        /// The kind of it, which says what to do.
        why: Handshake,
    },
    /// The control plane answered with an error.
    #[error("{message} ({code}, request {request_id})")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Stable, for programs.
        code: String,
        /// What to do.
        message: String,
        /// Finds the detail in the control plane's log.
        request_id: String,
    },
    /// This end has nothing to show who it is, or can't use what it has. Nothing was sent.
    #[error("there is no identity to show to the control plane: {detail}")]
    NoIdentity {
        /// What is wrong, and what to do.
        detail: String,
    },
    /// The answer can't be understood.
    #[error("the answer of {at} can't be read: {detail}")]
    Garbled {
        /// The address.
        at: String,
        /// What is wrong.
        detail: String,
    },
}

/// Carries one request to the control plane and its answer back.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends and waits for the whole answer, within the request's limits.
    async fn send(&self, request: Request) -> Result<Answer, ClientError>;
    /// Names the address, for messages.
    fn address(&self) -> String;
}

/// Sends a request and takes only success for an answer.
///
/// # Errors
/// [`ClientError::Unreachable`] and [`ClientError::Garbled`] of the transport, [`ClientError::Refused`] for every
/// status that is not 2xx.
pub async fn send(transport: &dyn Transport, request: Request) -> Result<Answer, ClientError> {
    let answer = transport.send(request).await?;
    if (200..300).contains(&answer.status) { Ok(answer) } else { Err(refusal(&answer)) }
}

/// Sends a request and reads the answer as JSON.
///
/// # Errors
/// Those of [`send`], and [`ClientError::Garbled`] when the answer is not what was expected.
pub async fn send_json<R: DeserializeOwned>(transport: &dyn Transport, request: Request) -> Result<R, ClientError> {
    let answer = send(transport, request).await?;
    read(transport, &answer)
}

/// Sends a request whose answer may be empty (204), as that of a long poll that waited in vain.
///
/// # Errors
/// Those of [`send_json`].
pub async fn send_json_or_nothing<R: DeserializeOwned>(
    transport: &dyn Transport,
    request: Request,
) -> Result<Option<R>, ClientError> {
    let answer = send(transport, request).await?;
    if answer.status == 204 { Ok(None) } else { read(transport, &answer).map(Some) }
}

fn read<R: DeserializeOwned>(transport: &dyn Transport, answer: &Answer) -> Result<R, ClientError> {
    serde_json::from_slice(&answer.body)
        .map_err(|error| ClientError::Garbled { at: transport.address(), detail: error.to_string() })
}

/// Turns an answer that is not a success into an error; one without our error body comes from something else that
/// listens there, and is shown as it is.
#[must_use]
pub fn refusal(answer: &Answer) -> ClientError {
    let status = answer.status;
    match serde_json::from_slice::<ErrorBody>(&answer.body) {
        Ok(ErrorBody { code, message, request_id }) => ClientError::Refused { status, code, message, request_id },
        Err(_) => {
            let text = String::from_utf8_lossy(&answer.body);
            let shown: String = text.trim().chars().filter(|c| !c.is_control()).take(SHOWN).collect();
            let said = if shown.is_empty() { "nothing".to_owned() } else { format!("{shown:?}") };
            ClientError::Refused {
                status,
                code: format!("http_{status}"),
                message: format!("the answer was {status} and said {said}: is this the address of convoy-cp?"),
                request_id: "none".to_owned(),
            }
        }
    }
}

/// Percent-encodes a value so that it stays one value of a query: all but the unreserved characters of RFC 3986.
#[must_use]
pub fn encode(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    value.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests;
