//! A control plane that says what a test wants it to say, on a real socket.

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// What the fake was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: String,
}

/// What it answers: status and body; a body that begins with `data:` is an event feed that then stays open.
pub(crate) type Answer = (u16, String);

/// A running fake; connections break when it is dropped.
pub(crate) struct Fake {
    pub(crate) url: String,
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    runtime: Option<Runtime>,
    _end: oneshot::Sender<()>,
}

impl Fake {
    pub(crate) fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_on("127.0.0.1:0".parse().unwrap(), answer)
    }

    /// Starts on a given address, such as that of one that was dropped.
    pub(crate) fn start_on(address: SocketAddr, answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (answer, kept) = (Arc::new(answer), Arc::clone(&asked));
        let app = Router::new().fallback(move |request: Request| {
            let (answer, kept) = (Arc::clone(&answer), Arc::clone(&kept));
            async move { respond(request, &*answer, &kept).await }
        });
        let listener = runtime.block_on(tokio::net::TcpListener::bind(address)).unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ended) = oneshot::channel::<()>();
        runtime.spawn(async move {
            tokio::select! {
                served = async { axum::serve(listener, app).await } => served.unwrap(),
                _ = ended => {}
            }
        });
        Self { url: format!("http://{address}"), address, asked, runtime: Some(runtime), _end: end }
    }

    /// Returns everything it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn respond(
    request: Request,
    answer: &(dyn Fn(&Asked) -> Answer + Send + Sync),
    kept: &Mutex<Vec<Asked>>,
) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let asked = Asked {
        method: head.method.to_string(),
        path: head.uri.to_string(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    kept.lock().unwrap().push(asked.clone());
    let (status, text) = answer(&asked);
    let response = Response::builder().status(status);
    if !text.starts_with("data:") {
        return response.header("content-type", "application/json").body(Body::from(text)).unwrap();
    }
    let first = futures_util::stream::once(async move { Ok::<_, std::io::Error>(Bytes::from(text)) });
    let endless = futures_util::StreamExt::chain(first, futures_util::stream::pending());
    response.header("content-type", "text/event-stream").body(Body::from_stream(endless)).unwrap()
}
