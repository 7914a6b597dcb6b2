//! Connections over TLS: handshakes side by side, each with a limit, and only good ones reach the router. Must not
//! decide who may do what.

pub mod handshake;
pub mod outcome;

use crate::plane::Plane;
use crate::plane::http::peer::Peer;
use crate::plane::listen::handshake::{Refused, greet, part};
use crate::plane::listen::outcome::Outcome;
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::sleep;
use tokio_rustls::server::TlsStream;

/// The most handshakes at once, those that end badly included; the system's queue holds what comes beyond. A handshake
/// costs about a millisecond and some 40 KiB.
const HANDSHAKES: usize = 512;
/// How many finished ones may wait for the server to take them: it does so at once.
const READY: usize = 64;
/// The pause after the system gave no socket (no file descriptors, no memory): others may end in it.
const NO_SOCKET: Duration = Duration::from_millis(500);

/// One connection over TLS.
#[derive(Debug)]
pub struct Connection {
    stream: TlsStream<TcpStream>,
    peer: Peer,
}

/// Listens for them.
pub struct TlsListener {
    tcp: TcpListener,
    plane: Arc<Plane>,
    places: Arc<Semaphore>,
    done: mpsc::Sender<(Connection, SocketAddr)>,
    ready: mpsc::Receiver<(Connection, SocketAddr)>,
}

impl TlsListener {
    /// Listens on a socket with the certificates of a control plane, those of the moment for each connection.
    #[must_use]
    pub fn new(tcp: TcpListener, plane: Arc<Plane>) -> Self {
        let (done, ready) = mpsc::channel(READY);
        Self { tcp, plane, places: Arc::new(Semaphore::new(HANDSHAKES)), done, ready }
    }

    fn begin(&self, stream: TcpStream, from: SocketAddr, place: OwnedSemaphorePermit) {
        let Some(tls) = self.plane.credentials.set().tls else { return };
        let (plane, done) = (self.plane.clone(), self.done.clone());
        tokio::spawn(async move {
            let _place = place;
            match greet(stream, tls.config).await {
                Ok(stream) => {
                    plane.metrics.shook_hands(Outcome::Good);
                    let peer = Peer::of_chain(stream.get_ref().1.peer_certificates());
                    // Nobody takes it any more when the server ends.
                    let _ = done.send((Connection { stream, peer }, from)).await;
                }
                Err(Refused { outcome, why, stream }) => {
                    plane.metrics.shook_hands(outcome);
                    tracing::debug!("no connection with {from}: {}: {why}", outcome.name());
                    if let Some(stream) = stream {
                        part(stream).await;
                    }
                }
            }
        });
    }
}

/// Waits for a place, then for a connection; a failure of the system is a pause and never the end.
async fn next(tcp: &TcpListener, places: &Arc<Semaphore>) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    // It is never closed.
    let place = places.clone().acquire_owned().await.ok()?;
    match tcp.accept().await {
        Ok((stream, from)) => Some((stream, from, place)),
        Err(error) => {
            tracing::error!(%error, "a connection could not be taken; the next one is tried in a moment");
            sleep(NO_SOCKET).await;
            None
        }
    }
}

impl Listener for TlsListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            tokio::select! {
                taken = next(&self.tcp, &self.places) => {
                    if let Some((stream, from, place)) = taken {
                        self.begin(stream, from, place);
                    }
                }
                Some(ready) = self.ready.recv() => return ready,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

impl Connected<IncomingStream<'_, TlsListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        stream.io().peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
