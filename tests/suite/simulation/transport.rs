//! The network between agents and the router: it loses, repeats and delays, as its seed says.

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use convoy::client::{Answer, ClientError, Request, Transport};
use http_body_util::{BodyExt, Limited};
use rand::Rng;
use rand_chacha::ChaCha20Rng;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tower::ServiceExt;

/// The address that every good closure names.
pub(crate) const CONTROL_PLANE: &str = "http://control-plane:7600";

/// The wire, shared by everybody.
pub(crate) struct Net {
    router: Mutex<Option<Router>>,
    rng: Mutex<ChaCha20Rng>,
    /// Of a thousand messages so many are lost on the way there, and as many on the way back.
    loss: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) repeated: AtomicU64,
}

impl Net {
    pub(crate) fn new(rng: ChaCha20Rng) -> Self {
        Self {
            router: Mutex::new(None),
            rng: Mutex::new(rng),
            loss: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
        }
    }

    /// Connects a control plane, or takes it away.
    pub(crate) fn connect(&self, router: Option<Router>) {
        *self.router.lock().unwrap() = router;
    }

    pub(crate) fn is_up(&self) -> bool {
        self.router.lock().unwrap().is_some()
    }

    pub(crate) fn set_loss(&self, of_a_thousand: u64) {
        self.loss.store(of_a_thousand, Ordering::Relaxed);
    }

    fn draw(&self, most: u64) -> u64 {
        self.rng.lock().unwrap().random_range(0..most)
    }

    fn loses(&self) -> bool {
        let loses = self.draw(1000) < self.loss.load(Ordering::Relaxed);
        if loses {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        loses
    }

    async fn exchange(&self, request: &Request) -> Result<Answer, String> {
        let Some(router) = self.router.lock().unwrap().clone() else { return Err("connection refused".into()) };
        let mut message = axum::http::Request::builder().method(request.method).uri(&request.path);
        for (name, value) in &request.headers {
            message = message.header(*name, value);
        }
        message = message.header("content-type", "application/json");
        let body = request.body.clone().map_or_else(Body::empty, Body::from);
        let message = message.body(body).map_err(|why| why.to_string())?;
        let Ok(answer) = router.oneshot(message).await;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), request.max_answer).collect().await;
        let body = body.map_err(|why| why.to_string())?.to_bytes().to_vec();
        Ok(Answer { status, body })
    }
}

/// One host's way to the control plane, or the operator's.
pub(crate) struct Wire {
    pub(crate) net: Arc<Net>,
    /// Tells whether the host's own network works; `None` is the operator's faultless line.
    pub(crate) up: Option<Box<dyn Fn() -> bool + Send + Sync>>,
    pub(crate) address: String,
}

impl Wire {
    fn broken(&self, detail: &str) -> ClientError {
        ClientError::Unreachable { at: self.address.clone(), detail: detail.to_owned() }
    }
}

#[async_trait]
impl Transport for Wire {
    async fn send(&self, request: Request) -> Result<Answer, ClientError> {
        let Some(up) = &self.up else {
            return self.net.exchange(&request).await.map_err(|why| self.broken(&why));
        };
        tokio::time::sleep(Duration::from_millis(1 + self.net.draw(40))).await;
        if !up() || self.address != CONTROL_PLANE {
            tokio::time::sleep(Duration::from_secs(2)).await;
            return Err(self.broken("no route to host"));
        }
        if self.net.loses() {
            tokio::time::sleep(request.limit).await;
            return Err(self.broken("timed out on the way there"));
        }
        if request.method == "POST" && self.net.draw(1000) < 20 {
            self.net.repeated.fetch_add(1, Ordering::Relaxed);
            let _ = self.net.exchange(&request).await;
        }
        let limit = request.limit;
        let answer = tokio::time::timeout(limit, self.net.exchange(&request)).await;
        let answer = answer.map_err(|_| self.broken("timed out"))?.map_err(|why| self.broken(&why))?;
        if self.net.loses() || !up() {
            return Err(self.broken("the answer was lost"));
        }
        Ok(answer)
    }

    fn address(&self) -> String {
        self.address.clone()
    }
}
