//! The typed HTTP client of agent and operator over a small transport, so that a whole fleet can speak to the
//! router in one process. Must not decide or keep state.

use async_trait::async_trait;
use std::time::Duration;

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
