//! `convoy events`: the history, and the feed that goes on from it.

use crate::client::ClientError;
use crate::client::http::HttpTransport;
use crate::client::operator::{self, Feed};
use crate::ctl::exit::Exit;
use crate::ctl::human::{clean, cut};
use crate::ctl::session::Session;
use crate::model::id::{HostName, RolloutId};
use crate::model::retry::Backoff;
use crate::runtime::signals::Shutdown;
use crate::wire::v1::operator::{EventView, EventsQuery, MAX_PAGE};
use anyhow::Context;
use std::time::Duration;

/// The longest body that a line shows, in characters: the whole is in `--json`.
const MAX_BODY: usize = 160;
/// How long to wait before the feed is opened again.
const REOPEN: Backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(15) };
/// How many times in a row opening the feed may fail before it is given up: about ten minutes.
const MAX_TRIES: u32 = 45;

/// Which events.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Go on with events as they happen, until Ctrl-C
    #[arg(long, short)]
    pub follow: bool,
    /// Only of this host
    #[arg(long)]
    pub host: Option<HostName>,
    /// Only of this rollout
    #[arg(long)]
    pub rollout: Option<RolloutId>,
    /// Only events that could not be applied
    #[arg(long)]
    pub refused: bool,
    /// Only events after this place in the history (the first column); 0 is from the beginning
    #[arg(long, value_name = "PLACE", default_value_t = 0)]
    pub after: u64,
    /// At most so many events; without --follow only
    #[arg(long, value_name = "N", conflicts_with = "follow", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
}

/// Runs the verb. With `--json` each event is one line of JSON.
///
/// # Errors
/// See [`crate::ctl::run`].
pub async fn run(session: &Session, args: Args) -> anyhow::Result<Exit> {
    let transport = session.transport()?;
    let mut query = EventsQuery {
        after: args.after,
        limit: None,
        host: args.host.map(|host| host.to_string()),
        rollout: args.rollout.map(|rollout| rollout.to_string()),
        refused: args.refused,
    };
    if args.follow {
        let shutdown = Shutdown::on_signals().context("can't wait for Ctrl-C")?;
        return tokio::select! {
            ended = follow(session, &transport, query) => ended,
            () = shutdown.asked() => Ok(Exit::Success),
        };
    }
    let mut left = args.limit.unwrap_or(u64::MAX);
    while left > 0 {
        query.limit = Some(usize::try_from(left).unwrap_or(MAX_PAGE).min(MAX_PAGE));
        let page = operator::events(&transport, &query).await?;
        let Some(last) = page.items.last().map(|event| event.place) else { break };
        for event in &page.items {
            show(session, event)?;
        }
        left = left.saturating_sub(u64::try_from(page.items.len()).unwrap_or(u64::MAX));
        if page.next.is_none() || last <= query.after {
            break;
        }
        query.after = last;
    }
    Ok(Exit::Success)
}

/// Follows the feed over every break of the connection; each event is shown once.
async fn follow(session: &Session, transport: &HttpTransport, mut query: EventsQuery) -> anyhow::Result<Exit> {
    let mut feed = operator::follow(transport, &query).await?;
    loop {
        match feed.next().await {
            Ok(Some(event)) if event.place > query.after => {
                query.after = event.place;
                show(session, &event)?;
            }
            Ok(Some(_)) => {}
            Ok(None) => feed = reopen(transport, &query, "the control plane ended the feed").await?,
            Err(error @ ClientError::Unreachable { .. }) => {
                feed = reopen(transport, &query, &error.to_string()).await?;
            }
            Err(
                error @ (ClientError::Refused { .. }
                | ClientError::Insecure { .. }
                | ClientError::NoIdentity { .. }
                | ClientError::Garbled { .. }),
            ) => return Err(error.into()),
        }
    }
}

async fn reopen(transport: &HttpTransport, query: &EventsQuery, why: &str) -> anyhow::Result<Feed> {
    eprintln!("note: {}; trying again", clean(why));
    let mut tries = 0;
    loop {
        tokio::time::sleep(REOPEN.wait(tries, u32::MAX)).await;
        match operator::follow(transport, query).await {
            Ok(feed) => {
                eprintln!("note: following again");
                return Ok(feed);
            }
            Err(ClientError::Unreachable { .. } | ClientError::Refused { status: 500.., .. }) if tries < MAX_TRIES => {
                tries += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn show(session: &Session, event: &EventView) -> anyhow::Result<()> {
    if session.json() { session.json_line(event) } else { session.print(&render(event)).map(drop) }
}

fn render(event: &EventView) -> String {
    let host = event.host.as_deref().unwrap_or("(rollout)");
    let mut line = format!(
        "{:>6}  {}  {:<16} {}  {}",
        event.place,
        event.received_at.format("%Y-%m-%d %H:%M:%S"),
        clean(host),
        clean(&event.rollout),
        clean(&event.kind)
    );
    if event.attempt > 1 {
        line.push_str(&format!(" (try {})", event.attempt));
    }
    let body = detail(&event.body);
    if !body.is_empty() {
        line.push_str(&format!("  {}", cut(&clean(&body), MAX_BODY)));
    }
    if let Some(why) = &event.refused {
        line.push_str(&format!("  [not applied: {}]", clean(why)));
    }
    line
}

/// Writes the fields of an event's body, its kind left out.
fn detail(body: &serde_json::Value) -> String {
    let Some(fields) = body.as_object() else {
        return if body.is_null() || body.is_string() { String::new() } else { body.to_string() };
    };
    let fields = fields.iter().filter(|(name, value)| name.as_str() != "kind" && !value.is_null());
    let shown = fields.map(|(name, value)| match value.as_str() {
        Some(text) => format!("{name}={text}"),
        None => format!("{name}={value}"),
    });
    shown.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use crate::ctl::events::{MAX_BODY, render};
    use crate::wire::v1::operator::EventView;
    use chrono::DateTime;
    use serde_json::json;

    fn event(body: serde_json::Value) -> EventView {
        EventView {
            place: 41,
            received_at: DateTime::from_timestamp(0, 0).unwrap(),
            host: Some("web1".into()),
            rollout: "stable@1".into(),
            attempt: 1,
            author: "cp".into(),
            seq: 3,
            kind: "stageFailed".into(),
            body,
            refused: None,
        }
    }

    #[test]
    fn an_event_is_one_line_whatever_it_holds() {
        let line = render(&event(json!({ "kind": "stageFailed", "reason": "no\nroom \u{1b}[2J" })));
        assert_eq!(line, "    41  1970-01-01 00:00:00  web1             stable@1  stageFailed  reason=no room  [2J");
    }

    #[test]
    fn a_long_body_is_cut_and_a_refusal_is_said() {
        let mut long = event(json!({ "kind": "x", "log": "y".repeat(9000) }));
        long.refused = Some("already final".into());
        long.attempt = 2;
        let line = render(&long);
        assert!(line.chars().count() < MAX_BODY + 120, "{line}");
        assert!(line.ends_with("[not applied: already final]") && line.contains("(try 2)"), "{line}");
    }
}
