//! `convoy host …`: look at hosts and hold them back.

use crate::client::operator::{self, HostAct};
use crate::ctl::cert;
use crate::ctl::exit::Exit;
use crate::ctl::human::{closure, from_now};
use crate::ctl::rollout::{Record, acted, hosts};
use crate::ctl::session::Session;
use crate::ctl::table::{Table, fields};
use crate::ctl::token::RevokeRecord;
use crate::model::id::HostName;
use crate::model::identity::Identity;
use crate::model::time::Timestamp;
use crate::wire::v1::event::activation::ActivationJson;
use crate::wire::v1::operator::HostView;

/// Verbs about hosts.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// List hosts
    List,
    /// Show one host: what it runs, its holds and its last attempts
    Show(ShowArgs),
    /// Start nothing on a host until it is released
    Hold(ActArgs),
    /// Lift a hold
    Release(ActArgs),
    /// Settle what only a person can: drift, two machines with one identity
    Resolve(ActArgs),
    /// Shut a host out, from its next request on; a new token lets it in again
    Revoke(RevokeArgs),
}

/// What to show.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// The host
    pub host: HostName,
}

/// An act on a host.
#[derive(Debug, clap::Args)]
pub struct ActArgs {
    /// The host
    pub host: HostName,
    /// Who does it and why
    #[command(flatten)]
    pub record: Record,
}

/// Which host to shut out, and why.
#[derive(Debug, clap::Args)]
pub struct RevokeArgs {
    /// The host
    pub host: HostName,
    /// Why, and whether it is only asked
    #[command(flatten)]
    pub record: RevokeRecord,
}

/// Runs a verb.
///
/// # Errors
/// See [`crate::ctl::run`].
pub async fn run(session: &Session, verb: Verb) -> anyhow::Result<Exit> {
    match verb {
        Verb::List => {
            let all = operator::hosts(&session.transport()?).await?;
            session.show(&all, |all| list(all, session.now()))
        }
        Verb::Show(ShowArgs { host }) => {
            let host = operator::host(&session.transport()?, &host).await?;
            session.show(&host, |host| render(host, session.now()))
        }
        Verb::Hold(args) => act(session, HostAct::Hold, args).await,
        Verb::Release(args) => act(session, HostAct::Release, args).await,
        Verb::Resolve(args) => act(session, HostAct::Resolve, args).await,
        Verb::Revoke(RevokeArgs { host, record }) => cert::revoke(session, &Identity::Agent(host), record).await,
    }
}

async fn act(session: &Session, act: HostAct, args: ActArgs) -> anyhow::Result<Exit> {
    let request = args.record.request();
    let done = operator::act_on_host(&session.transport()?, &args.host, act, &request).await?;
    session.show(&done, acted)
}

fn list(all: &[HostView], now: Timestamp) -> String {
    let mut table = Table::new(&["HOST", "STATE", "ROLLOUT", "HEARD", "RUNNING", "NOTE"]);
    for host in all {
        let newest = host.attempts.first();
        table.row([
            host.name.clone(),
            newest.map(|attempt| attempt.state.clone()).unwrap_or_default(),
            newest.map(|attempt| attempt.rollout.clone()).unwrap_or_default(),
            heard(host, now),
            host.running.as_deref().map(closure).unwrap_or_default(),
            note(host),
        ]);
    }
    if table.is_empty() { "no hosts\n".to_owned() } else { table.render() }
}

fn heard(host: &HostView, now: Timestamp) -> String {
    host.heard_at.map_or_else(|| "never".to_owned(), |at| from_now(at, now))
}

/// Says what a reader of the list must not miss.
fn note(host: &HostView) -> String {
    let lost = host.attempts.first().is_some_and(|attempt| attempt.lost).then(|| "lost".to_owned());
    let held = host.operator_hold.as_ref().map(|why| format!("held: {why}"));
    let cloned = host.cloned.as_ref().map(|why| format!("cloned: {why}"));
    let drift = (host.running.is_some() && host.default.is_some() && host.running != host.default)
        .then(|| "boots something else".to_owned());
    [lost, held, cloned, drift].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// Says who activated something there, other than Convoy.
fn activated(done: &ActivationJson, now: Timestamp) -> String {
    let ActivationJson { closure: path, action, boot: _, who, at } = done;
    format!("{} by {who} ({action}), {}", closure(path.as_str()), from_now(*at, now))
}

fn render(host: &HostView, now: Timestamp) -> String {
    let or_unknown = |path: &Option<String>| path.clone().unwrap_or_else(|| "unknown".to_owned());
    let mut shown = vec![
        ("host", host.name.clone()),
        ("heard", heard(host, now)),
        ("running", or_unknown(&host.running)),
        ("booted", or_unknown(&host.booted)),
        ("default", or_unknown(&host.default)),
        ("agent", if host.agent_version.is_empty() { "unknown".to_owned() } else { host.agent_version.clone() }),
    ];
    shown.extend(host.activated.as_ref().map(|done| ("activated", activated(done, now))));
    shown.extend(host.operator_hold.clone().map(|why| ("held", why)));
    shown.extend(host.cloned.clone().map(|why| ("cloned", why)));
    if !host.quarantined.is_empty() {
        shown.push(("quarantined", host.quarantined.join("\n")));
    }
    let mut text = fields(&shown);
    text.push('\n');
    text.push_str(&match host.attempts.is_empty() {
        true => "no attempts yet\n".to_owned(),
        false => hosts(&host.attempts, now),
    });
    text
}

#[cfg(test)]
mod tests {
    use crate::ctl::host::{list, render};
    use crate::model::time::Timestamp;
    use crate::wire::v1::event::activation::ActivationJson;
    use crate::wire::v1::operator::HostView;
    use chrono::DateTime;

    fn host() -> HostView {
        HostView {
            name: "web1".into(),
            heard_at: DateTime::from_timestamp(10, 0),
            running: Some("/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a".into()),
            booted: None,
            default: Some("/nix/store/0123456789abcdfghijklmnpqrsvwxyz-b".into()),
            agent_version: String::new(),
            operator_hold: Some("disk swap".into()),
            cloned: None,
            identity: None,
            activated: None,
            quarantined: vec!["/nix/store/x".into(), "/nix/store/y".into()],
            attempts: Vec::new(),
        }
    }

    #[test]
    fn a_list_names_what_must_not_be_missed() {
        let text = list(&[host()], Timestamp(15_000));
        assert!(text.contains("5s ago"), "{text}");
        assert!(text.contains("held: disk swap; boots something else"), "{text}");
        assert_eq!(list(&[], Timestamp(0)), "no hosts\n");
    }

    #[test]
    fn who_switched_by_hand_is_shown() {
        assert!(!render(&host(), Timestamp(15_000)).contains("activated"));
        let closure = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a".parse().unwrap();
        let (action, boot, who) = ("switch".to_owned(), String::new(), "ada".to_owned());
        let done = ActivationJson { closure, action, boot, who, at: DateTime::from_timestamp(5, 0).unwrap() };
        let text = render(&HostView { activated: Some(done), ..host() }, Timestamp(15_000));
        assert!(text.contains("by ada (switch), 10s ago"), "{text}");
    }

    #[test]
    fn what_is_not_known_is_said_to_be_unknown() {
        let text = render(&host(), Timestamp(15_000));
        assert!(text.contains("booted:       unknown\n"), "{text}");
        assert!(text.contains("quarantined:  /nix/store/x\n              /nix/store/y\n"), "{text}");
        assert!(text.contains("no attempts yet"), "{text}");
    }
}
