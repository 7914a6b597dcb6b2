//! Asks a control plane over a real connection whether it is there, with nothing but an address: what
//! `convoy-agent reach` of a prior closure does.

use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The most time that connection and answer may take.
const LIMIT: Duration = Duration::from_secs(1);
/// How much of the answer is read, in bytes: its first line.
const FIRST_LINE: usize = 64;

/// Tells whether a control plane, such as `http://127.0.0.1:7600`, answers that it is healthy.
pub async fn answers(control_plane: &str) -> bool {
    let Some(host) = control_plane.strip_prefix("http://") else { return false };
    let host = host.trim_end_matches('/');
    timeout(LIMIT, ask(host)).await.is_ok_and(|answer| answer.unwrap_or(false))
}

async fn ask(host: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(host).await?;
    let request = format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    while answer.len() < FIRST_LINE && !answer.contains(&b'\n') {
        if stream.read_buf(&mut answer).await? == 0 {
            break;
        }
    }
    Ok(answer.starts_with(b"HTTP/1.1 200"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn served(answer: &'static str) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        answers(&address).await
    }

    #[tokio::test]
    async fn only_a_healthy_answer_counts() {
        assert!(served("HTTP/1.1 200 OK\r\n\r\n").await);
        assert!(!served("HTTP/1.1 503 Service Unavailable\r\n\r\n").await);
        assert!(!served("").await);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        assert!(!answers(&closed).await && !answers("nonsense").await);
    }
}
