//! What an agent asks of its control plane. Must not decide or repeat: whoever calls knows when to come again.

use crate::client::{ClientError, Request, Transport, encode, send, send_json, send_json_or_nothing};
use crate::model::id::{HostName, RolloutId};
use crate::wire::v1::agent::{
    Dispatch, EventsRequest, EventsResponse, HOST_HEADER, HeartbeatRequest, HeartbeatResponse, MAX_WAIT_SECS,
};
use crate::wire::v1::identity::{CertificateIssued, EnrollRequest, RenewRequest};
use crate::wire::v1::release::{MAX_RELEASE, SignedRelease};
use std::time::Duration;

/// How long a short exchange may take: a control plane that needs longer is as good as away.
const EXCHANGE_LIMIT: Duration = Duration::from_secs(20);
/// How much longer than its wait a long poll may take.
const POLL_MARGIN: Duration = Duration::from_secs(10);
/// How long a release may take: it is up to 64 MiB.
const RELEASE_LIMIT: Duration = Duration::from_secs(300);
/// How long a renewal may take: other exchanges of the agent may wait for it.
const RENEW_LIMIT: Duration = Duration::from_secs(10);
/// The largest answer with a certificate that is read, in bytes: a chain has some thousands.
const MAX_CERTIFICATE_ANSWER: usize = 256 * 1024;
/// The largest dispatch that is read, in bytes: 8 orders.
const MAX_DISPATCH: usize = 64 * 1024;
/// The largest answer to a batch or a heartbeat that is read, in bytes.
const MAX_REPORT_ANSWER: usize = 1024 * 1024;

/// A signed release, with the very text that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedRelease {
    /// The body as it came over the wire, for the root helper's own check.
    pub text: String,
    /// The same, parsed.
    pub signed: SignedRelease,
}

/// Waits for orders that differ from those tagged `seen`, at most `wait` (and at most a minute); `None` when
/// there are none.
///
/// # Errors
/// [`ClientError`] when the exchange failed.
pub async fn dispatch(
    over: &dyn Transport,
    host: &HostName,
    wait: Duration,
    seen: Option<&str>,
) -> Result<Option<Dispatch>, ClientError> {
    let secs = wait.as_secs().min(MAX_WAIT_SECS);
    let seen = seen.map(|tag| format!("&seen={}", encode(tag))).unwrap_or_default();
    let request = Request::get(format!("/v1/agent/dispatch?wait={secs}{seen}"))
        .header(HOST_HEADER, host.as_str())
        .limit(Duration::from_secs(secs) + POLL_MARGIN)
        .max_answer(MAX_DISPATCH);
    send_json_or_nothing(over, request).await
}

/// Sends a batch of events; the answer is durable.
///
/// # Errors
/// [`ClientError`] when the exchange failed; the same batch may be sent again.
pub async fn send_events(over: &dyn Transport, batch: &EventsRequest) -> Result<EventsResponse, ClientError> {
    send_json(over, report("/v1/agent/events", &batch.hostname).json(batch)?).await
}

/// Sends a heartbeat.
///
/// # Errors
/// [`ClientError`] when the exchange failed.
pub async fn heartbeat(over: &dyn Transport, beat: &HeartbeatRequest) -> Result<HeartbeatResponse, ClientError> {
    send_json(over, report("/v1/agent/heartbeat", &beat.hostname).json(beat)?).await
}

/// Fetches a signed release with its current lease. Nothing of it is verified yet.
///
/// # Errors
/// [`ClientError`] when the exchange failed or the answer is no signed release.
pub async fn fetch_release(
    over: &dyn Transport,
    host: &HostName,
    rollout: &RolloutId,
) -> Result<FetchedRelease, ClientError> {
    let request = Request::get(format!("/v1/releases/{}/{}", rollout.channel, rollout.reference))
        .header(HOST_HEADER, host.as_str())
        .limit(RELEASE_LIMIT)
        .max_answer(MAX_RELEASE);
    let answer = send(over, request).await?;
    let garbled = |detail: String| ClientError::Garbled { at: over.address(), detail };
    let signed = serde_json::from_slice(&answer.body).map_err(|why| garbled(why.to_string()))?;
    let text = String::from_utf8(answer.body).map_err(|why| garbled(why.to_string()))?;
    Ok(FetchedRelease { text, signed })
}

/// Asks for a certificate, over a connection that needs none.
///
/// # Errors
/// [`ClientError`] when the exchange failed; the same request may be sent again and gets the same answer.
pub async fn enroll(over: &dyn Transport, request: &EnrollRequest) -> Result<CertificateIssued, ClientError> {
    let asked = Request::post("/v1/enroll").json(request)?;
    send_json(over, asked.limit(EXCHANGE_LIMIT).max_answer(MAX_CERTIFICATE_ANSWER)).await
}

/// Asks for the next certificate of the key that the connection is made with.
///
/// # Errors
/// [`ClientError`] when the exchange failed; it may be repeated.
pub async fn renew(
    over: &dyn Transport,
    host: &HostName,
    request: &RenewRequest,
) -> Result<CertificateIssued, ClientError> {
    let asked = Request::post("/v1/agent/renew").header(HOST_HEADER, host.as_str()).json(request)?;
    send_json(over, asked.limit(RENEW_LIMIT).max_answer(MAX_CERTIFICATE_ANSWER)).await
}

fn report(path: &str, host: &HostName) -> Request {
    Request::post(path).header(HOST_HEADER, host.as_str()).limit(EXCHANGE_LIMIT).max_answer(MAX_REPORT_ANSWER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Answer;
    use async_trait::async_trait;
    use std::sync::Mutex;

    struct Canned(Answer, Mutex<Vec<Request>>);

    #[async_trait]
    impl Transport for Canned {
        async fn send(&self, request: Request) -> Result<Answer, ClientError> {
            self.1.lock().unwrap().push(request);
            Ok(self.0.clone())
        }
        fn address(&self) -> String {
            "http://cp".into()
        }
    }

    fn canned(status: u16, body: &str) -> Canned {
        Canned(Answer { status, body: body.as_bytes().to_vec() }, Mutex::default())
    }

    fn host() -> HostName {
        HostName::new("web1").unwrap()
    }

    #[tokio::test]
    async fn an_empty_long_poll_is_no_order() {
        let over = canned(204, "");
        let got = dispatch(&over, &host(), Duration::from_secs(900), Some("a b&c")).await;
        assert_eq!(got, Ok(None));
        let sent = over.1.lock().unwrap()[0].clone();
        assert_eq!(sent.path, "/v1/agent/dispatch?wait=60&seen=a%20b%26c");
        assert_eq!(sent.headers, vec![(HOST_HEADER, "web1".to_owned())]);
    }

    #[tokio::test]
    async fn an_error_body_is_told_as_the_control_plane_said_it() {
        let over = canned(409, r#"{"code":"busy","message":"wait","requestId":"r1"}"#);
        let got = dispatch(&over, &host(), Duration::ZERO, None).await.unwrap_err();
        assert_eq!(got.to_string(), "wait (busy, request r1)");
    }

    #[tokio::test]
    async fn an_answer_that_is_no_json_is_garbled() {
        let got = dispatch(&canned(200, "<html>"), &host(), Duration::ZERO, None).await;
        assert!(matches!(got, Err(ClientError::Garbled { .. })), "{got:?}");
    }

    #[tokio::test]
    async fn a_release_keeps_the_text_that_came() {
        let text = r#"{ "manifest":"{}","signatures":[],"lease":{"statement":"{}","signatures":[]}}"#;
        let over = canned(200, text);
        let got = fetch_release(&over, &host(), &"stable@1".parse().unwrap()).await.unwrap();
        assert_eq!(got.text, text);
        assert_eq!(over.1.lock().unwrap()[0].path, "/v1/releases/stable/1");
    }
}
