use crate::client::http::HttpTransport;
use crate::client::{ClientError, Request, Transport};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers every connection with the same bytes, then closes (or keeps silent for ever when there are none).
async fn server(answer: Vec<u8>) -> HttpTransport {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut head = [0_u8; 4096];
            let _ = socket.read(&mut head).await;
            if answer.is_empty() {
                held.push(socket);
            } else {
                let _ = socket.write_all(&answer).await;
            }
        }
    });
    HttpTransport::new(&format!("http://127.0.0.1:{port}"), None).unwrap()
}

#[test]
fn plain_http_is_for_loopback_and_https_needs_an_authority() {
    for good in ["http://127.0.0.1:7600", "http://[::1]:1", "http://localhost:80/", "http://127.8.8.8"] {
        assert!(HttpTransport::new(good, None).is_ok(), "{good}");
    }
    let bad = [
        "https://127.0.0.1",
        "http://10.0.0.1",
        "http://127.0.0.1.example.org",
        "127.0.0.1:7600",
        "",
        "http://127.0.0.1/v1",
    ];
    for bad in bad {
        let said = HttpTransport::new(bad, None).unwrap_err().to_string();
        assert!(said.contains("http"), "{bad}: {said}");
    }
}

#[tokio::test]
async fn nobody_listening_is_unreachable_with_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let answer = HttpTransport::new(&address, None).unwrap().send(Request::get("/v1/fleet")).await;
    let Err(ClientError::Unreachable { at, detail }) = answer else { panic!("{answer:?}") };
    assert_eq!(at, address);
    assert!(detail.contains("refused"), "{detail}");
}

#[tokio::test]
async fn a_silent_server_is_given_up_after_the_limit() {
    let transport = server(Vec::new()).await;
    let request = Request::get("/v1/fleet").limit(Duration::from_millis(50));
    assert!(matches!(transport.send(request.clone()).await, Err(ClientError::Unreachable { .. })));
    assert!(matches!(transport.open(request).await.err(), Some(ClientError::Unreachable { .. })));
}

#[tokio::test]
async fn an_answer_over_its_cap_is_not_read_to_its_end() {
    let endless = format!("HTTP/1.1 200 OK\r\ncontent-length: 9999999999\r\n\r\n{}", "x".repeat(2000));
    let transport = server(endless.into_bytes()).await;
    let answer = transport.send(Request::get("/v1/fleet").max_answer(1000)).await;
    let Err(ClientError::Garbled { detail, .. }) = answer else { panic!("{answer:?}") };
    assert!(detail.contains("1000 bytes"), "{detail}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let away = b"HTTP/1.1 302 Found\r\nlocation: http://192.0.2.1/\r\ncontent-length: 0\r\n\r\n".to_vec();
    let answer = server(away).await.send(Request::get("/v1/fleet")).await.unwrap();
    assert_eq!(answer.status, 302);
}

#[tokio::test]
async fn a_cut_answer_is_unreachable_not_a_short_success() {
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\nconnection: close\r\n\r\nhalf".to_vec();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = [0_u8; 4096];
        let _ = socket.read(&mut head).await;
        let _ = socket.write_all(&cut).await;
    });
    let answer = HttpTransport::new(&address, None).unwrap().send(Request::get("/v1/fleet")).await;
    assert!(matches!(answer, Err(ClientError::Unreachable { .. })), "{answer:?}");
}
