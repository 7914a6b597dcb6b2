//! `convoy token …`: one-use tokens that let hosts in. Secrets are shown once, or written to files for their owner
//! only.

use crate::client::operator;
use crate::ctl::exit::{Exit, Mistake};
use crate::ctl::files::{NewFile, check_new, write_all};
use crate::ctl::human::{Span, count, date, from_now, span};
use crate::ctl::rollout::acted;
use crate::ctl::session::{Session, read_file};
use crate::ctl::table::Table;
use crate::model::id::{HostName, Tag, TokenId};
use crate::model::time::Timestamp;
use crate::trust::draft;
use crate::wire::v1::identity::{
    MAX_LABELS, MAX_TOKENS, RevokeRequest, TokenMade, TokenState, TokenView, TokensMade, TokensRequest,
};
use crate::wire::v1::operator::ActResponse;
use crate::wire::v1::release::MAX_RELEASE;
use anyhow::Context;
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The largest file of host names that is read, in bytes: more names than one request makes tokens for.
const MAX_HOSTS_FILE: usize = 4 * 1024 * 1024;

/// Verbs about tokens.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Make one token for each host; secrets are shown this once, or written to files with --out
    Create(CreateArgs),
    /// List tokens and what became of them, without secrets
    List,
    /// Take a token back
    Revoke(RevokeArgs),
}

/// For whom, and how long.
#[derive(Debug, clap::Args)]
#[command(after_help = "A token lets one host in once: put it where the agent's setting `tokenFile` says, for the \
    agent only\n(mode 0600). A host that was shut out, or lost its key, comes back with a new token.")]
pub struct CreateArgs {
    /// A host; give it again for each further one
    #[arg(long = "host", value_name = "NAME", required_unless_present_any = ["manifest", "hosts_file"])]
    pub hosts: Vec<HostName>,
    /// All hosts of this release manifest (JSON)
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// All hosts of this file, one a line; lines that begin with # are comments
    #[arg(long, value_name = "FILE")]
    pub hosts_file: Option<PathBuf>,
    /// How long a token can be spent
    #[arg(long, value_name = "SPAN", default_value = "7d")]
    pub lasts: Span,
    /// A word to find the tokens and their hosts by; give it again for each further one
    #[arg(long = "label", value_name = "WORD")]
    pub labels: Vec<Tag>,
    /// Write NAME.token for each host to this folder instead of showing the secrets
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Only say what would happen
    #[arg(long)]
    pub dry_run: bool,
}

/// Which token, and why.
#[derive(Debug, clap::Args)]
pub struct RevokeArgs {
    /// The token's id, as `token list` shows it
    pub id: TokenId,
    /// Why, and whether it is only asked
    #[command(flatten)]
    pub record: RevokeRecord,
}

/// Why something is taken back.
#[derive(Debug, clap::Args)]
pub struct RevokeRecord {
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Only say what would happen
    #[arg(long)]
    pub dry_run: bool,
}

impl RevokeRecord {
    /// Makes the request.
    #[must_use]
    pub fn request(self) -> RevokeRequest {
        RevokeRequest { reason: self.reason, dry_run: self.dry_run }
    }
}

/// Runs a verb.
///
/// # Errors
/// See [`crate::ctl::run`].
pub async fn run(session: &Session, verb: Verb) -> anyhow::Result<Exit> {
    match verb {
        Verb::Create(args) => create(session, args).await,
        Verb::List => {
            let all = operator::tokens(&session.transport()?).await?;
            session.show(&all, |all| list(all, session.now()))
        }
        Verb::Revoke(RevokeArgs { id, record }) => {
            let done = operator::revoke_token(&session.transport()?, &id, &record.request()).await?;
            session.show(&done, acted)
        }
    }
}

async fn create(session: &Session, args: CreateArgs) -> anyhow::Result<Exit> {
    let hosts = hosts_of(&args)?;
    if args.labels.len() > MAX_LABELS {
        let what = format!("{} labels are more than the {MAX_LABELS} of a token", args.labels.len());
        return Err(Mistake::new(what, "leave some out").into());
    }
    let transport = session.transport()?;
    let file = |host: &HostName| args.out.as_ref().map(|folder| folder.join(format!("{host}.token")));
    let files: Vec<PathBuf> = hosts.iter().filter_map(file).collect();
    // Before anything is made: tokens whose secrets could not be written would be open and lost.
    check_new(files.iter().map(PathBuf::as_path))?;
    if args.dry_run {
        let made = format!("make {} for {}", count(wide(hosts.len()), "token"), named(&hosts));
        let would =
            ActResponse { done: vec![format!("{made}, to be spent within {}", span(args.lasts.0))], dry_run: true };
        return session.show(&would, acted);
    }
    let request = TokensRequest { hosts, lasts_secs: args.lasts.0.as_secs(), labels: args.labels };
    let made = operator::make_tokens(&transport, &request).await?;
    match &args.out {
        None => session.show(&made, |made| secrets(made, session.now())),
        Some(folder) => {
            keep(folder, &made)?;
            let told = json!({ "tokens": made.tokens.iter().map(|token| told(folder, token)).collect::<Vec<_>>() });
            session.show(&told, |_| kept(folder, &made, session.now()))
        }
    }
}

/// Puts the hosts of all sources together, each once, in the order of their names.
fn hosts_of(args: &CreateArgs) -> anyhow::Result<Vec<HostName>> {
    let mut hosts: BTreeSet<HostName> = args.hosts.iter().cloned().collect();
    if let Some(path) = &args.manifest {
        let release = draft(&read_file(path, "manifest", MAX_RELEASE)?).with_context(|| path.display().to_string())?;
        hosts.extend(release.hosts.into_keys());
    }
    if let Some(path) = &args.hosts_file {
        let text = read_file(path, "file of host names", MAX_HOSTS_FILE)?;
        hosts.extend(names(path, &text)?);
    }
    match hosts.len() {
        0 => Err(Mistake::new("no host was named", "name one with --host").into()),
        most if most > MAX_TOKENS => {
            let what = format!("{most} hosts are more than the {MAX_TOKENS} of one request");
            Err(Mistake::new(what, "make the tokens in several parts").into())
        }
        _ => Ok(hosts.into_iter().collect()),
    }
}

fn names(path: &Path, text: &str) -> anyhow::Result<Vec<HostName>> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    let named = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let read = named.map(|(at, line)| {
        let wrong = |why| Mistake::new(format!("{}, line {at}: {why}", path.display()), "one host name a line");
        HostName::new(line).map_err(wrong)
    });
    Ok(read.collect::<Result<_, _>>()?)
}

/// Writes the secrets; when that fails, says which tokens are open and of no use to anybody.
fn keep(folder: &Path, made: &TokensMade) -> anyhow::Result<()> {
    let file =
        |made: &TokenMade| NewFile::secret(folder.join(format!("{}.token", made.host)), format!("{}\n", made.token));
    write_all(&made.tokens.iter().map(file).collect::<Vec<_>>()).with_context(|| {
        let ids: Vec<&str> = made.tokens.iter().map(|token| token.id.as_str()).collect();
        format!(
            "the tokens were made and could not be kept; take them back with `convoy token revoke`: {}",
            ids.join(" ")
        )
    })
}

fn told(folder: &Path, made: &TokenMade) -> serde_json::Value {
    let file = folder.join(format!("{}.token", made.host));
    json!({ "host": made.host.to_string(), "id": made.id.to_string(), "expires": made.expires, "file": file })
}

fn kept(folder: &Path, made: &TokensMade, now: Timestamp) -> String {
    let until = made.tokens.first().map(|token| from_now(token.expires, now)).unwrap_or_default();
    let many = count(wide(made.tokens.len()), "token");
    format!("wrote {many} to {}, to be spent until {until}\n", folder.display())
}

fn secrets(made: &TokensMade, now: Timestamp) -> String {
    let mut text = String::new();
    for token in &made.tokens {
        let _ = writeln!(text, "{}\t{}", token.host, token.token);
    }
    if let Some(first) = made.tokens.first() {
        let _ = writeln!(text, "shown this once; to be spent until {}", from_now(first.expires, now));
    }
    text
}

fn named(hosts: &[HostName]) -> String {
    match hosts {
        [only] => only.to_string(),
        [first, .., last] => format!("{first} to {last}"),
        [] => "nobody".to_owned(),
    }
}

fn list(all: &[TokenView], now: Timestamp) -> String {
    let mut table = Table::new(&["TOKEN", "HOST", "STATE", "MADE", "BY", "EXPIRES", "ENDED", "LABELS"]);
    for token in all {
        let labels: Vec<&str> = token.labels.iter().map(Tag::as_str).collect();
        table.row([
            token.id.to_string(),
            token.host.to_string(),
            state(token.state).to_owned(),
            from_now(token.created, now),
            token.created_by.clone(),
            from_now(token.expires, now),
            token.ended.map(date).unwrap_or_default(),
            labels.join(" "),
        ]);
    }
    if table.is_empty() { "no tokens\n".to_owned() } else { table.render() }
}

fn state(state: TokenState) -> &'static str {
    match state {
        TokenState::Open => "open",
        TokenState::Spent => "spent",
        TokenState::Revoked => "revoked",
        TokenState::Expired => "expired",
    }
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
