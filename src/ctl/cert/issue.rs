//! `convoy cert issue` and `server`: certificates made here with the authority's key, without the control plane.

use crate::ctl::exit::{Exit, Mistake};
use crate::ctl::files::{NewFile, replace, write_all};
use crate::ctl::human::{Span, from_now};
use crate::ctl::session::Session;
use crate::ctl::table::fields;
use crate::model::identity::{Identity, Role};
use crate::model::time::Timestamp;
use crate::runtime::entropy;
use crate::trust::authority::{Authority, Pair, Term};
use crate::trust::certificate::{chain, validity};
use crate::wire::v1::release::date;
use serde_json::json;
use std::path::{Path, PathBuf};

/// The authority that signs.
#[derive(Debug, clap::Args)]
pub struct Issuer {
    /// The authority's certificate, then those above it (PEM)
    #[arg(long, value_name = "FILE")]
    pub ca_certificate: PathBuf,
    /// The authority's private key (PEM)
    #[arg(long, value_name = "FILE")]
    pub ca_key: PathBuf,
    /// How long the certificate counts; never longer than the authority's own
    #[arg(long, value_name = "SPAN", default_value = "397d")]
    pub lasts: Span,
}

/// Whom a certificate is for.
#[derive(Debug, clap::Args)]
#[command(after_help = "Writes NAME.pem and NAME.key (readable by you only). The person who gets them names them in \
    their settings\nfile, beside `controlPlane` and `ca`.")]
pub struct IssueArgs {
    /// What it may be used for: viewer, operator or admin; agent for a host whose files others renew
    #[arg(long)]
    pub role: Role,
    /// The person's name, or the host's
    #[arg(long)]
    pub name: String,
    /// Who signs
    #[command(flatten)]
    pub issuer: Issuer,
    /// The folder to write to; made when it is not there
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// What a server's certificate is for.
#[derive(Debug, clap::Args)]
#[command(after_help = "Writes server.pem and server.key. With --replace they take the place of those that are \
    there; a running\ncontrol plane takes them up by itself.")]
pub struct ServerArgs {
    /// A name or address that the control plane is called by; give it again for each further one
    #[arg(long = "name", value_name = "NAME", required = true)]
    pub names: Vec<String>,
    /// Who signs
    #[command(flatten)]
    pub issuer: Issuer,
    /// The folder to write to; made when it is not there
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Replace server.pem and server.key where they are there
    #[arg(long)]
    pub replace: bool,
}

/// Runs `issue`.
///
/// # Errors
/// See [`crate::ctl::run`].
pub fn issue(session: &Session, args: &IssueArgs) -> anyhow::Result<Exit> {
    let hint = "a person's name is 1 to 64 of a-z A-Z 0-9 . _ -";
    let identity = Identity::new(args.role, &args.name).map_err(|why| Mistake::new(why.to_string(), hint))?;
    let (authority, term) = args.issuer.open(session.now())?;
    let pair = authority.issue_client(&identity, term, &mut entropy::generator()?)?;
    let made = Made { what: identity.to_string(), name: &args.name, pair, folder: &args.out };
    write_all(&made.files())?;
    made.tell(session)
}

/// Runs `server`.
///
/// # Errors
/// See [`crate::ctl::run`].
pub fn server(session: &Session, args: &ServerArgs) -> anyhow::Result<Exit> {
    let (authority, term) = args.issuer.open(session.now())?;
    let pair = authority.issue_server(&args.names, term, &mut entropy::generator()?)?;
    let made = Made { what: args.names.join(", "), name: "server", pair, folder: &args.out };
    let files = made.files();
    if args.replace && files.iter().any(|file| file.path.exists()) {
        files.iter().try_for_each(replace)?;
    } else {
        write_all(&files)?;
    }
    made.tell(session)
}

impl Issuer {
    /// Reads the authority, and for how long it can issue.
    fn open(&self, now: Timestamp) -> anyhow::Result<(Authority, Term)> {
        let authority = Authority::load(&self.ca_certificate, &self.ca_key)?;
        let term = term_within(&authority, self.lasts, now)?;
        Ok((authority, term))
    }
}

/// Gives the term of a certificate: no longer than its authority's.
///
/// # Errors
/// A [`Mistake`] when the authority itself is over.
pub fn term_within(authority: &Authority, lasts: Span, now: Timestamp) -> anyhow::Result<Term> {
    let (_, end) = validity(&chain("authority", authority.bundle())?[0])?;
    let left = end.since(now);
    if left.is_zero() {
        let what = format!("the authority's certificate ended {}", from_now(date(end), now));
        return Err(Mistake::new(what, "make a new authority, and give every host both until all have moved").into());
    }
    Ok(Term { from: now, lasts: lasts.0.min(left) })
}

/// A pair that was made, and where it goes.
struct Made<'a> {
    what: String,
    name: &'a str,
    pair: Pair,
    folder: &'a Path,
}

impl Made<'_> {
    fn paths(&self) -> (PathBuf, PathBuf) {
        let path = |end: &str| self.folder.join(format!("{}.{end}", self.name));
        (path("pem"), path("key"))
    }

    fn files(&self) -> [NewFile; 2] {
        let (certificate, key) = self.paths();
        // The key first: whoever looks at a certificate finds the key that belongs to it.
        [NewFile::secret(key, &*self.pair.key), NewFile::public(certificate, &*self.pair.certificate)]
    }

    fn tell(&self, session: &Session) -> anyhow::Result<Exit> {
        let (certificate, key) = self.paths();
        let (_, expires) = validity(&chain("certificate", &self.pair.certificate)?[0])?;
        let expires = date(expires);
        let made = json!({ "for": self.what, "certificate": certificate, "key": key, "expires": expires });
        session.show(&made, |_| {
            fields(&[
                ("for", self.what.clone()),
                ("certificate", certificate.display().to_string()),
                ("key", format!("{} (keep it private)", key.display())),
                ("expires", from_now(expires, session.now())),
            ])
        })
    }
}
