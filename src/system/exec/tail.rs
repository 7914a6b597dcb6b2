//! The end of a stream: it says most, and a stream may be endless.

use tokio::io::{AsyncRead, AsyncReadExt};

/// How many bytes are read from a pipe at once.
const CHUNK: usize = 8 * 1024;

/// Keeps the last bytes of a stream.
pub(crate) struct Tail {
    /// What is kept.
    pub(crate) bytes: Vec<u8>,
    cap: usize,
    /// Whether there was more.
    pub(crate) cut: bool,
}

impl Tail {
    /// Keeps so many bytes.
    pub(crate) fn new(cap: usize) -> Self {
        Self { bytes: Vec::new(), cap, cut: false }
    }

    /// Reads the stream to its end.
    pub(crate) async fn fill(&mut self, stream: Option<impl AsyncRead + Unpin>) {
        let Some(mut stream) = stream else { return };
        let mut chunk = [0; CHUNK];
        while let Ok(read @ 1..) = stream.read(&mut chunk).await {
            self.bytes.extend_from_slice(&chunk[..read]);
            let over = self.bytes.len().saturating_sub(self.cap);
            self.cut |= over > 0;
            self.bytes.drain(..over);
        }
    }
}
