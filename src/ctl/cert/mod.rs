//! `convoy cert …`: identities as the control plane knows them, and certificates for people and servers.

pub mod issue;
pub mod show;

use crate::client::operator;
use crate::ctl::exit::Exit;
use crate::ctl::human::{clean, from_now};
use crate::ctl::rollout::acted;
use crate::ctl::session::Session;
use crate::ctl::table::Table;
use crate::ctl::token::RevokeRecord;
use crate::model::identity::Identity;
use crate::model::time::Timestamp;
use crate::wire::v1::identity::IdentityView;

/// Verbs about certificates.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// List the identities that the control plane knows, and until when their certificates count
    List,
    /// Make a key and a certificate for a person, or for a host without enrollment
    Issue(issue::IssueArgs),
    /// Make a key and a certificate for the control plane's server
    Server(issue::ServerArgs),
    /// Shut an identity out, from its next request on
    Revoke(RevokeArgs),
    /// Show what the certificates of a file say
    Show(show::Args),
}

/// Whom to shut out, and why.
#[derive(Debug, clap::Args)]
pub struct RevokeArgs {
    /// The identity, such as operator/bob or agent/web1
    #[arg(value_name = "ROLE/NAME")]
    pub identity: Identity,
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
            let all = operator::identities(&session.transport()?).await?;
            session.show(&all, |all| list(all, session.now()))
        }
        Verb::Issue(args) => issue::issue(session, &args),
        Verb::Server(args) => issue::server(session, &args),
        Verb::Revoke(RevokeArgs { identity, record }) => revoke(session, &identity, record).await,
        Verb::Show(args) => show::run(session, &args),
    }
}

/// Shuts an identity out.
///
/// # Errors
/// See [`crate::ctl::run`].
pub async fn revoke(session: &Session, identity: &Identity, record: RevokeRecord) -> anyhow::Result<Exit> {
    let done = operator::revoke_identity(&session.transport()?, identity, &record.request()).await?;
    session.show(&done, acted)
}

fn list(all: &[IdentityView], now: Timestamp) -> String {
    let mut table = Table::new(&["IDENTITY", "EXPIRES", "ISSUED", "BY", "KEY", "NOTE"]);
    for identity in all {
        let why = identity.reason.as_deref().map(|why| format!(": {}", clean(why))).unwrap_or_default();
        table.row([
            identity.identity.to_string(),
            from_now(identity.expires, now),
            from_now(identity.issued, now),
            if identity.issued_here { "control plane" } else { "elsewhere" }.to_owned(),
            identity.key.chars().take(16).collect(),
            identity.revoked.map(|at| format!("revoked {}{why}", from_now(at, now))).unwrap_or_default(),
        ]);
    }
    if table.is_empty() { "no identities\n".to_owned() } else { table.render() }
}

#[cfg(test)]
mod tests {
    use crate::ctl::cert::list;
    use crate::model::time::Timestamp;
    use crate::wire::v1::identity::IdentityView;
    use chrono::DateTime;

    #[test]
    fn a_list_says_what_ends_and_who_is_shut_out() {
        let at = |secs| DateTime::from_timestamp(secs, 0).unwrap();
        let bob = IdentityView {
            identity: "operator/bob".parse().unwrap(),
            key: "ab".repeat(32),
            issued_here: false,
            issued: at(0),
            expires: at(7200),
            revoked: Some(at(3000)),
            reason: Some("left\nus".into()),
            labels: Vec::new(),
        };
        let text = list(&[bob], Timestamp(3_600_000));
        assert!(text.contains("in 1h") && text.contains("revoked 10m ago: left us"), "{text}");
        assert_eq!(list(&[], Timestamp(0)), "no identities\n");
    }
}
