//! One handshake, from the first byte to a connection, or to an answer that says why there is none.

use crate::plane::listen::outcome::Outcome;
use crate::wire::v1::error::ErrorBody;
use rustls::ServerConfig;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How long a handshake may take: some round trips over a slow line, with room for a busy host.
const LIMIT: Duration = Duration::from_secs(10);
/// How long a refused client has to read why: closing before would throw the reason away on its side.
const PARTING: Duration = Duration::from_secs(1);
/// The most that is read in that time, in bytes: a request that was sent together with the end of a handshake.
const PARTING_BYTES: u64 = 256 * 1024;
/// The first byte of every TLS connection: a handshake record.
const HANDSHAKE_RECORD: u8 = 0x16;

/// Why there is no connection.
#[derive(Debug)]
pub struct Refused {
    /// Which kind of failure.
    pub outcome: Outcome,
    /// The reason, for the log.
    pub why: String,
    /// The socket, if the client is still to read what was said: see [`part`].
    pub stream: Option<TcpStream>,
}

impl Refused {
    fn new(outcome: Outcome, why: impl Into<String>, stream: TcpStream) -> Self {
        Self { outcome, why: why.into(), stream: Some(stream) }
    }
}

/// Shakes hands.
///
/// # Errors
/// What kind of failure it was, with its reason; the client was told in its own language.
pub async fn greet(stream: TcpStream, tls: Arc<ServerConfig>) -> Result<TlsStream<TcpStream>, Refused> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "answers on one connection may be delayed");
    }
    timeout(LIMIT, shake(stream, tls)).await.unwrap_or_else(|_| {
        let why = format!("no handshake within {} s", LIMIT.as_secs());
        Err(Refused { outcome: Outcome::TooSlow, why, stream: None })
    })
}

async fn shake(stream: TcpStream, tls: Arc<ServerConfig>) -> Result<TlsStream<TcpStream>, Refused> {
    let mut first = [0_u8; 1];
    match stream.peek(&mut first).await {
        Ok(1..) => {}
        Ok(0) => return Err(Refused::new(Outcome::Closed, "closed before the first byte", stream)),
        Err(error) => return Err(Refused::new(Outcome::Closed, error.to_string(), stream)),
    }
    if first[0] != HANDSHAKE_RECORD {
        return Err(Refused::new(Outcome::Plain, "plain text on the port of TLS", tell_plain(stream).await));
    }
    let shaken = TlsAcceptor::from(tls).accept(stream).into_fallible().await;
    shaken.map_err(|(error, stream)| Refused::new(Outcome::of(&error), error.to_string(), stream))
}

/// Answers a client that speaks plain HTTP in its own language.
async fn tell_plain(mut stream: TcpStream) -> TcpStream {
    let message = "this port speaks TLS only: use https:// in the control plane's address".to_owned();
    let body = ErrorBody { code: "plain_http".to_owned(), message, request_id: String::new() };
    let body = serde_json::to_string(&body).unwrap_or_default() + "\n";
    let head = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: ";
    let answer = format!("{head}{}\r\n\r\n{body}", body.len());
    // One that does not listen has no use for it.
    let _: io::Result<()> = stream.write_all(answer.as_bytes()).await;
    stream
}

/// Says that nothing more comes, and lets the other end read what came.
pub async fn part(mut stream: TcpStream) {
    let reading = async {
        stream.shutdown().await?;
        let mut rest = stream.take(PARTING_BYTES);
        let mut scrap = [0_u8; 4096];
        while rest.read(&mut scrap).await? > 0 {}
        io::Result::Ok(())
    };
    // Whatever ends it, the connection is over.
    let _ = timeout(PARTING, reading).await;
}
