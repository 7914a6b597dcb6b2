//! Listening: the router on a socket, the work that no request starts, and an end that lets requests finish.

use crate::plane::Plane;
use crate::plane::config::{ConfigError, check_loopback};
use crate::plane::error::{Done, PlaneError};
use crate::plane::http::app;
use crate::plane::http::peer::Peer;
use crate::plane::listen::TlsListener;
use crate::runtime::signals::Shutdown;
use axum::serve::ListenerExt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::timeout;

/// How long it stays proven that the store takes writes: anyone may ask whether the process is ready, and each proof is
/// a commit.
const PROOF_LIFE: Duration = Duration::from_secs(5);

/// Listening failed.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address may not be listened on.
    #[error(transparent)]
    Address(#[from] ConfigError),
    /// The socket failed.
    #[error("can't serve: {0}")]
    Socket(#[from] io::Error),
}

/// Serves until the end is asked for. Then long polls are answered at once, other requests may finish within the
/// drain limit, and the last contacts are written.
///
/// # Errors
/// [`ServeError::Address`] for an address that is not loopback without TLS, [`ServeError::Socket`].
pub async fn serve(listener: TcpListener, plane: Arc<Plane>, shutdown: Shutdown) -> Result<(), ServeError> {
    let tls = plane.config().tls.is_some();
    if !tls {
        check_loopback(&listener.local_addr()?)?;
    }
    tokio::spawn(plane.clone().watch_files(shutdown.clone()));
    let work = {
        let (plane, shutdown) = (plane.clone(), shutdown.clone());
        tokio::spawn(async move { plane.run(shutdown).await })
    };
    let drain = {
        let (plane, shutdown) = (plane.clone(), shutdown.clone());
        async move {
            shutdown.asked().await;
            plane.drain();
        }
    };
    let limit = plane.config().drain;
    let mut server = if tls { over_tls(listener, plane, drain) } else { plainly(listener, plane, drain) };
    tokio::select! {
        ended = &mut server => ended?,
        () = shutdown.asked() => match timeout(limit, server).await {
            Ok(ended) => ended?,
            Err(_) => tracing::warn!("some requests did not finish within {} s; they are cut off", limit.as_secs()),
        },
    }
    match timeout(limit, work).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) => tracing::error!("the work beside requests ended early"),
        Err(_) => tracing::warn!("the work beside requests did not end within {} s; it is cut off", limit.as_secs()),
    }
    Ok(())
}

type Serving = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

fn over_tls(listener: TcpListener, plane: Arc<Plane>, drain: impl Future<Output = ()> + Send + 'static) -> Serving {
    let router = app(plane.clone()).into_make_service_with_connect_info::<Peer>();
    let server = axum::serve(TlsListener::new(listener, plane), router).with_graceful_shutdown(drain);
    Box::pin(server.into_future())
}

fn plainly(listener: TcpListener, plane: Arc<Plane>, drain: impl Future<Output = ()> + Send + 'static) -> Serving {
    let no_delay = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "answers on one connection may be delayed");
        }
    });
    Box::pin(axum::serve(no_delay, app(plane)).with_graceful_shutdown(drain).into_future())
}

impl Plane {
    /// Says that the store takes writes and that the grace after the start is over.
    ///
    /// # Errors
    /// The store's; [`PlaneError::NotReady`] within the grace.
    pub async fn ready(self: &Arc<Self>) -> Done<String> {
        let mut proven = self.proven.lock().await;
        if proven.is_none_or(|at| self.up().saturating_sub(at) >= PROOF_LIFE) {
            self.transact(|_| Ok(())).await?;
            *proven = Some(self.up());
        }
        drop(proven);
        let mark = self.store.mark();
        let facts = self.facts();
        let left = facts.grace.saturating_sub(facts.up_for);
        if !left.is_zero() {
            let said = format!("started just now: no permit is given for {} s more", left.as_secs() + 1);
            return Err(PlaneError::NotReady(said));
        }
        Ok(format!("ready: store {}, {}\n", mark.store_id, self.status_line()))
    }

    /// Answers every long poll and ends every feed: the process is about to end.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }
}
