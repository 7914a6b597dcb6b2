//! `convoy cert show FILE`: what certificates say. Must not tell whether they are believed.

use crate::ctl::exit::Exit;
use crate::ctl::human::{date, from_now};
use crate::ctl::session::Session;
use crate::ctl::table::fields;
use crate::model::time::Timestamp;
use crate::trust::certificate::{About, about, chain};
use crate::trust::key::read_pem;
use crate::wire::v1::release::date as wire_date;
use anyhow::Context;
use serde_json::{Value, json};
use std::path::PathBuf;

/// What to show.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file (PEM): one certificate, a chain, or a bundle of authorities
    pub file: PathBuf,
}

/// Runs the verb.
///
/// # Errors
/// See [`crate::ctl::run`].
pub fn run(session: &Session, args: &Args) -> anyhow::Result<Exit> {
    let read = || {
        let links = chain("file", &read_pem(&args.file)?)?;
        links.iter().map(|link| about(link)).collect::<Result<Vec<_>, _>>()
    };
    let all = read().with_context(|| args.file.display().to_string())?;
    let now = session.now();
    let shown: Vec<Value> = all.iter().map(as_json).collect();
    session.show(&shown, |_| all.iter().map(|about| render(about, now)).collect::<Vec<_>>().join("\n"))
}

fn as_json(about: &About) -> Value {
    json!({
        "subject": about.subject, "issuer": about.issuer, "names": about.names, "key": about.key.to_string(),
        "issued": wire_date(about.issued), "expires": wire_date(about.expires), "authority": about.authority,
    })
}

fn render(about: &About, now: Timestamp) -> String {
    let expires = wire_date(about.expires);
    let mut shown = vec![("subject", about.subject.clone()), ("issuer", about.issuer.clone())];
    if !about.names.is_empty() {
        shown.push(("for", about.names.join("\n")));
    }
    shown.extend([
        ("key", about.key.to_string()),
        ("issued", date(wire_date(about.issued))),
        ("expires", format!("{} ({})", date(expires), from_now(expires, now))),
        ("may sign", if about.authority { "others" } else { "nothing" }.to_owned()),
    ]);
    fields(&shown)
}
