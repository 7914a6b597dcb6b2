//! One kept-alive connection, over TLS or plain, with a limit on every exchange.

use anyhow::{Context, Result, ensure};
use rustls::{ClientConfig, HandshakeKind, pki_types::ServerName};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// The most that one exchange may take before the run fails.
const EXCHANGE_LIMIT: Duration = Duration::from_secs(30);
/// The largest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 256 * 1024;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// See the module.
pub struct Line {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    /// It went on with an earlier session.
    pub resumed: bool,
}

/// What came back.
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Line {
    /// Connects, and shakes hands if there are TLS settings.
    pub async fn open(address: &str, tls: Option<Arc<ClientConfig>>) -> Result<Self> {
        timeout(EXCHANGE_LIMIT, Self::connect(address, tls)).await.context("no connection in time")?
    }

    async fn connect(address: &str, tls: Option<Arc<ClientConfig>>) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = tls else {
            return Ok(Self { stream: Box::new(stream), buffer: Vec::new(), resumed: false });
        };
        let stream = TlsConnector::from(tls).connect(ServerName::try_from("127.0.0.1")?, stream).await?;
        let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
        Ok(Self { stream: Box::new(stream), buffer: Vec::new(), resumed })
    }

    /// Sends a request and waits for its answer.
    pub async fn send(&mut self, text: &str) -> Result<Answer> {
        self.ask(text).await?;
        timeout(EXCHANGE_LIMIT, self.receive()).await.context("no answer in time")?
    }

    /// Sends a request.
    pub async fn ask(&mut self, text: &str) -> Result<()> {
        self.stream.write_all(text.as_bytes()).await?;
        Ok(self.stream.flush().await?)
    }

    /// Reads until the other end is gone, whatever comes before.
    pub async fn until_gone(&mut self) {
        let mut chunk = [0_u8; 4096];
        while matches!(self.stream.read(&mut chunk).await, Ok(1..)) {}
    }

    async fn receive(&mut self) -> Result<Answer> {
        self.buffer.clear();
        let mut chunk = [0_u8; 8192];
        loop {
            if let Some(answer) = parse(&self.buffer)? {
                return Ok(answer);
            }
            ensure!(self.buffer.len() < ANSWER_LIMIT, "an answer is larger than {ANSWER_LIMIT} bytes");
            let read = self.stream.read(&mut chunk).await?;
            ensure!(read > 0, "the control plane closed the connection");
            self.buffer.extend_from_slice(&chunk[..read]);
        }
    }
}

/// Reads one answer with a known length; `None` until it is whole.
fn parse(bytes: &[u8]) -> Result<Option<Answer>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end])?.to_ascii_lowercase();
    let status = head.split_whitespace().nth(1).context("no status")?.parse()?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.map_or(Ok(0), |text| text.trim().parse())?;
    let Some(body) = bytes.get(end + 4..end + 4 + length) else { return Ok(None) };
    Ok(Some(Answer { status, body: String::from_utf8_lossy(body).into_owned() }))
}
