//! Asks a control plane over a real connection whether it is there, with nothing but its address and the authority
//! that verifies it: what `convoy-agent reach` of a prior closure does.

use crate::trust::key::read_pem;
use crate::trust::tls;
use rustls::pki_types::ServerName;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// The most time that connection and answer may take.
const LIMIT: Duration = Duration::from_secs(1);
/// How much of the answer is read, in bytes: its first line.
const FIRST_LINE: usize = 64;

/// Tells whether a control plane, such as `https://127.0.0.1:7600`, answers that it is healthy; over TLS it must be
/// one that the authority in the file `ca` verifies.
pub async fn answers(control_plane: &str, ca: Option<&Path>) -> bool {
    let asked = async {
        if let Some(host) = control_plane.strip_prefix("http://") {
            let host = host.trim_end_matches('/');
            return ask(TcpStream::connect(host).await?, host).await;
        }
        let host = control_plane.strip_prefix("https://").ok_or(io::ErrorKind::InvalidInput)?;
        secure(host.trim_end_matches('/'), ca.ok_or(io::ErrorKind::InvalidInput)?).await
    };
    timeout(LIMIT, asked).await.is_ok_and(|answer| answer.unwrap_or(false))
}

async fn secure(host: &str, ca: &Path) -> io::Result<bool> {
    let settings = read_pem(ca).and_then(|pem| tls::client(&pem, None)).map_err(io::Error::other)?;
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(name).map_err(io::Error::other)?;
    let stream = TcpStream::connect(host).await?;
    ask(TlsConnector::from(Arc::new(settings)).connect(name, stream).await?, host).await
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, host: &str) -> io::Result<bool> {
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
    use crate::runtime::clock::{Clock, SystemClock};
    use crate::trust::authority::{Authority, Term};
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    async fn served(answer: &'static str) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        answers(&address, None).await
    }

    #[tokio::test]
    async fn only_a_healthy_answer_counts() {
        assert!(served("HTTP/1.1 200 OK\r\n\r\n").await);
        assert!(!served("HTTP/1.1 503 Service Unavailable\r\n\r\n").await);
        assert!(!served("").await);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        assert!(!answers(&closed, None).await && !answers("nonsense", None).await);
    }

    #[tokio::test]
    async fn over_tls_only_a_control_plane_of_the_fleet_counts() {
        let term = Term { from: SystemClock.wall(), lasts: Duration::from_secs(600) };
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let (ours, own) = Authority::generate("ours", term, &mut rng).unwrap();
        let (_, foreign) = Authority::generate("foreign", term, &mut rng).unwrap();
        let pair = ours.issue_server(&["127.0.0.1".into()], term, &mut rng).unwrap();
        let credentials = tls::Credentials { certificate: &pair.certificate, key: &pair.key };
        let acceptor = TlsAcceptor::from(Arc::new(tls::server(credentials, ours.bundle()).unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("https://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                if let Ok(mut stream) = acceptor.accept(socket).await {
                    let _ = stream.read(&mut [0; 512]).await;
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                    let _ = stream.shutdown().await;
                }
            }
        });
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            std::fs::write(dir.path().join(name), text).unwrap();
            dir.path().join(name)
        };
        let (good, bad) = (file("ca.pem", &own.certificate), file("other.pem", &foreign.certificate));
        assert!(answers(&address, Some(&good)).await);
        assert!(!answers(&address, Some(&bad)).await && !answers(&address, None).await);
    }
}
