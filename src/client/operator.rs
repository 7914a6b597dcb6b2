//! The operator's half of the client: every operator endpoint, typed. Must not print or repeat.

mod access;

pub use crate::client::operator::access::{identities, make_tokens, revoke_identity, revoke_token, tokens};

use crate::client::http::{HttpTransport, Incoming};
use crate::client::{ClientError, DEFAULT_LIMIT, Request, Transport, encode, send_json};
use crate::model::id::{HostName, RolloutId};
use crate::wire::v1::operator::{
    ActRequest, ActResponse, AttemptView, EventView, EventsQuery, FleetView, HostView, MAX_PAGE, Page, PageQuery,
    Published, RolloutView, WhyView,
};
use crate::wire::v1::release::{MAX_RELEASE, SignedRelease};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// The most time that sending or fetching a whole release may take: 64 MiB over a slow line, verified and stored.
const RELEASE_LIMIT: Duration = Duration::from_secs(300);
/// The most rows that a list gathers over all pages: a larger fleet is looked at through filters.
const MAX_ROWS: usize = 200_000;
/// The longest line of the event feed that is read, in bytes: an event holds at most two logs of 8 KiB for each of
/// some units.
const MAX_LINE: usize = 4 * 1024 * 1024;
/// How long the event feed may say nothing, not even that it is alive, before it counts as broken.
const MAX_SILENCE: Duration = Duration::from_secs(60);

/// What an operator can do with a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutAct {
    /// No new permits.
    Pause,
    /// Go on; failures so far are forgiven.
    Resume,
    /// End it.
    Cancel,
    /// Skip a wave's wait, or approve a wave.
    Promote,
    /// New attempts for failed hosts.
    Retry,
}

/// What an operator can do with a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostAct {
    /// Start nothing on it.
    Hold,
    /// Lift that.
    Release,
    /// Settle what nobody else can: drift, a clone, a fenced journal.
    Resolve,
}

impl RolloutAct {
    /// Returns the verb, as in the path.
    #[must_use]
    pub fn verb(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
            Self::Promote => "promote",
            Self::Retry => "retry",
        }
    }
}

impl HostAct {
    /// Returns the verb, as in the path.
    #[must_use]
    pub fn verb(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Resolve => "resolve",
        }
    }
}

/// Counts the fleet.
///
/// # Errors
/// [`ClientError`], as for everything here.
pub async fn fleet(over: &dyn Transport) -> Result<FleetView, ClientError> {
    send_json(over, Request::get("/v1/fleet")).await
}

/// Lists all hosts.
///
/// # Errors
/// [`ClientError`].
pub async fn hosts(over: &dyn Transport) -> Result<Vec<HostView>, ClientError> {
    all_pages(over, "/v1/hosts", false).await
}

/// Shows one host.
///
/// # Errors
/// [`ClientError`].
pub async fn host(over: &dyn Transport, host: &HostName) -> Result<HostView, ClientError> {
    send_json(over, Request::get(format!("/v1/hosts/{host}"))).await
}

/// Lists what holds a host.
///
/// # Errors
/// [`ClientError`].
pub async fn why(over: &dyn Transport, host: &HostName) -> Result<WhyView, ClientError> {
    send_json(over, Request::get(format!("/v1/hosts/{host}/why"))).await
}

/// Lists rollouts, newest first; with `open_only`, those that are neither Completed nor ended.
///
/// # Errors
/// [`ClientError`].
pub async fn rollouts(over: &dyn Transport, open_only: bool) -> Result<Vec<RolloutView>, ClientError> {
    all_pages(over, "/v1/rollouts", open_only).await
}

/// Shows one rollout.
///
/// # Errors
/// [`ClientError`].
pub async fn rollout(over: &dyn Transport, id: &RolloutId) -> Result<RolloutView, ClientError> {
    send_json(over, Request::get(format!("/v1/rollouts/{id}"))).await
}

/// Lists the current attempt of each host of a rollout; with `open_only`, those that are not final.
///
/// # Errors
/// [`ClientError`].
pub async fn attempts(over: &dyn Transport, id: &RolloutId, open_only: bool) -> Result<Vec<AttemptView>, ClientError> {
    all_pages(over, &format!("/v1/rollouts/{id}/hosts"), open_only).await
}

/// Publishes a signed release, as the very text that was signed and written.
///
/// # Errors
/// [`ClientError`].
pub async fn publish(over: &dyn Transport, release: &SignedRelease) -> Result<Published, ClientError> {
    send_json(over, Request::post("/v1/releases").json(release)?.limit(RELEASE_LIMIT)).await
}

/// Fetches a signed release.
///
/// # Errors
/// [`ClientError`].
pub async fn release(over: &dyn Transport, id: &RolloutId) -> Result<SignedRelease, ClientError> {
    let request = Request::get(format!("/v1/releases/{}/{}", id.channel, id.reference));
    send_json(over, request.limit(RELEASE_LIMIT).max_answer(MAX_RELEASE * 2)).await
}

/// Acts on a rollout.
///
/// # Errors
/// [`ClientError`].
pub async fn act_on_rollout(
    over: &dyn Transport,
    id: &RolloutId,
    act: RolloutAct,
    request: &ActRequest,
) -> Result<ActResponse, ClientError> {
    send_json(over, Request::post(format!("/v1/rollouts/{id}/{}", act.verb())).json(request)?).await
}

/// Acts on a host.
///
/// # Errors
/// [`ClientError`].
pub async fn act_on_host(
    over: &dyn Transport,
    host: &HostName,
    act: HostAct,
    request: &ActRequest,
) -> Result<ActResponse, ClientError> {
    send_json(over, Request::post(format!("/v1/hosts/{host}/{}", act.verb())).json(request)?).await
}

/// Fetches one page of the history.
///
/// # Errors
/// [`ClientError`].
pub async fn events(over: &dyn Transport, query: &EventsQuery) -> Result<Page<EventView>, ClientError> {
    send_json(over, Request::get(events_path(query)).header("accept", "application/json")).await
}

/// Opens the feed of events: those after the query's place, then each as it comes.
///
/// # Errors
/// [`ClientError`]; open it again after the last place seen.
pub async fn follow(over: &HttpTransport, query: &EventsQuery) -> Result<Feed, ClientError> {
    let request = Request::get(events_path(query)).header("accept", "text/event-stream").limit(DEFAULT_LIMIT);
    Ok(Feed { incoming: over.open(request).await?, at: over.address(), unread: Vec::new() })
}

/// A running feed of events.
#[derive(Debug)]
pub struct Feed {
    incoming: Incoming,
    at: String,
    unread: Vec<u8>,
}

impl Feed {
    /// Waits for the next event; `None` when the control plane ended the feed. Safe to drop while it waits:
    /// nothing that came is lost.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when the feed broke or fell silent, [`ClientError::Garbled`] when it can't be
    /// read.
    pub async fn next(&mut self) -> Result<Option<EventView>, ClientError> {
        loop {
            if let Some(line) = take_line(&mut self.unread) {
                if let Some(data) = line.strip_prefix("data:") {
                    return self.read(data).map(Some);
                }
                continue;
            }
            if self.unread.len() > MAX_LINE {
                return Err(self.garbled(format!("a line is longer than {MAX_LINE} bytes")));
            }
            let piece = tokio::time::timeout(MAX_SILENCE, self.incoming.piece()).await;
            let piece = piece.map_err(|_| ClientError::Unreachable {
                at: self.at.clone(),
                detail: format!("the event feed said nothing for {} s", MAX_SILENCE.as_secs()),
            })?;
            match piece? {
                Some(piece) => self.unread.extend_from_slice(&piece),
                None => return Ok(None),
            }
        }
    }

    fn read(&self, data: &str) -> Result<EventView, ClientError> {
        serde_json::from_str(data).map_err(|error| self.garbled(error.to_string()))
    }

    fn garbled(&self, detail: String) -> ClientError {
        ClientError::Garbled { at: self.at.clone(), detail }
    }
}

/// Takes the first whole line off; bytes of a half one stay.
fn take_line(unread: &mut Vec<u8>) -> Option<String> {
    let end = unread.iter().position(|byte| *byte == b'\n')?;
    let line: Vec<u8> = unread.drain(..=end).collect();
    Some(String::from_utf8_lossy(&line).trim_end().to_owned())
}

async fn all_pages<T: DeserializeOwned>(over: &dyn Transport, path: &str, open: bool) -> Result<Vec<T>, ClientError> {
    let mut rows = Vec::new();
    let mut after = None;
    loop {
        let query = PageQuery { after, limit: Some(MAX_PAGE), open };
        let page: Page<T> = send_json(over, Request::get(page_path(path, &query))).await?;
        let stuck = page.items.is_empty();
        rows.extend(page.items);
        after = page.next;
        if after.is_none() || stuck || rows.len() >= MAX_ROWS {
            return Ok(rows);
        }
    }
}

fn page_path(path: &str, query: &PageQuery) -> String {
    let mut parts = Vec::new();
    parts.extend(query.after.as_ref().map(|after| format!("after={}", encode(after))));
    parts.extend(query.limit.map(|limit| format!("limit={limit}")));
    parts.extend(query.open.then(|| "open=true".to_owned()));
    if parts.is_empty() { path.to_owned() } else { format!("{path}?{}", parts.join("&")) }
}

fn events_path(query: &EventsQuery) -> String {
    let mut path = format!("/v1/events?after={}", query.after);
    let parts = [
        ("limit", query.limit.map(|limit| limit.to_string())),
        ("host", query.host.clone()),
        ("rollout", query.rollout.clone()),
        ("refused", query.refused.then(|| "true".to_owned())),
    ];
    for (name, value) in parts {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", encode(&value)));
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use crate::client::operator::{RolloutAct, attempts, events_path, rollouts, take_line};
    use crate::client::{Answer, ClientError, Request, Transport, encode};
    use crate::wire::v1::operator::EventsQuery;
    use async_trait::async_trait;
    use std::sync::Mutex;

    const ROW: &str = r#"{"host":"web1","rollout":"stable@1","attempt":1,"wave":1,"state":"Pending","isFinal":false,
        "inFlight":false,"lost":false,"since":"2026-05-01T00:00:00Z","target":"x"}"#;

    /// Gives two pages, then fails.
    #[derive(Default)]
    struct Pages(Mutex<Vec<String>>);

    #[async_trait]
    impl Transport for Pages {
        async fn send(&self, request: Request) -> Result<Answer, ClientError> {
            let mut asked = self.0.lock().unwrap();
            asked.push(request.path);
            let body = match asked.len() {
                1 => format!(r#"{{"items":[{ROW}],"next":"web1"}}"#),
                2 => format!(r#"{{"items":[{ROW}]}}"#),
                _ => panic!("asked again after the end"),
            };
            Ok(Answer { status: 200, body: body.into_bytes() })
        }
        fn address(&self) -> String {
            "here".to_owned()
        }
    }

    /// Says for ever that there is more, and gives nothing.
    struct Endless;

    #[async_trait]
    impl Transport for Endless {
        async fn send(&self, _: Request) -> Result<Answer, ClientError> {
            Ok(Answer { status: 200, body: br#"{"items":[],"next":"x"}"#.to_vec() })
        }
        fn address(&self) -> String {
            "here".to_owned()
        }
    }

    #[tokio::test]
    async fn pages_end_where_the_control_plane_says_so() {
        let pages = Pages::default();
        let rows = attempts(&pages, &"stable@1".parse().unwrap(), true).await.unwrap();
        assert_eq!(rows.len(), 2);
        let first = "/v1/rollouts/stable@1/hosts?limit=1000&open=true";
        assert_eq!(*pages.0.lock().unwrap(), [first, "/v1/rollouts/stable@1/hosts?after=web1&limit=1000&open=true"]);
    }

    #[tokio::test]
    async fn a_page_without_rows_ends_the_list_whatever_it_says() {
        assert_eq!(rollouts(&Endless, false).await, Ok(Vec::new()));
    }

    #[test]
    fn values_can_not_add_to_a_query() {
        assert_eq!(encode("a&b=c d/é"), "a%26b%3Dc%20d%2F%C3%A9");
        let query = EventsQuery { after: 7, limit: Some(2), host: Some("web1".into()), ..EventsQuery::default() };
        assert_eq!(events_path(&query), "/v1/events?after=7&limit=2&host=web1");
    }

    #[test]
    fn a_half_line_waits_for_its_rest() {
        let mut unread = b"data: 1\r\nda".to_vec();
        assert_eq!(take_line(&mut unread), Some("data: 1".to_owned()));
        assert_eq!(take_line(&mut unread), None);
        assert_eq!(unread, b"da");
    }

    #[test]
    fn verbs_are_those_of_the_protocol() {
        let all = [RolloutAct::Pause, RolloutAct::Resume, RolloutAct::Cancel, RolloutAct::Promote, RolloutAct::Retry];
        assert_eq!(all.map(RolloutAct::verb), ["pause", "resume", "cancel", "promote", "retry"]);
    }
}
