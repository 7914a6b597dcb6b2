//! `convoy init DIR`: everything that a small fleet needs, in one folder and one step. Each secret can come from
//! elsewhere instead.
//!
//! ```text
//! release (who may say what runs) · authority ─┬─ server · admin ─▶ settings of convoy-cp and convoy
//!                                              └─ tokens ─────────▶ settings of each host's agent
//! ```

mod release;
mod authority;
mod people;
mod tokens;
mod place;
mod next;

use crate::ctl::exit::{Exit, Mistake};
use crate::ctl::files::{NewFile, Readers, write_all};
use crate::ctl::human::Span;
use crate::ctl::init::authority::Signs;
use crate::ctl::init::place::Place;
use crate::ctl::session::Session;
use crate::model::id::HostName;
use crate::model::time::Timestamp;
use crate::runtime::entropy;
use rand_chacha::ChaCha20Rng;
use serde_json::json;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What to make, and what is there already.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Nothing is ever overwritten, and after a failure nothing is left behind. Secrets are readable \
    by you only.\nA file that comes from elsewhere stays where it is; the settings name it there."
)]
pub struct Args {
    /// The folder to make
    pub dir: PathBuf,
    /// A host to make a first token and settings for; give it again for each further one
    #[arg(long = "host", value_name = "NAME")]
    pub hosts: Vec<HostName>,
    /// How long the hosts' first tokens can be spent
    #[arg(long, value_name = "SPAN", default_value = "7d")]
    pub tokens_last: Span,
    /// A name or address that the control plane is called by, the one to call first; give it again for each further
    /// one. This machine's name, localhost, 127.0.0.1 and ::1 when left out
    #[arg(long = "name", value_name = "NAME")]
    pub names: Vec<String>,
    /// Address and port that the control plane listens on
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:7600")]
    pub listen: SocketAddr,
    /// The public half of a release key that stays elsewhere; give it again for each further one
    #[arg(long = "release-public", value_name = "FILE", help_heading = "From elsewhere")]
    pub release_public: Vec<PathBuf>,
    /// An authority that signs certificates of hosts and people, then those above it (PEM)
    #[arg(long, value_name = "FILE", help_heading = "From elsewhere")]
    pub ca_certificate: Option<PathBuf>,
    /// Its private key (PEM); without it the control plane issues nothing, and everybody's certificates come from
    /// elsewhere
    #[arg(long, value_name = "FILE", requires = "ca_certificate", help_heading = "From elsewhere")]
    pub ca_key: Option<PathBuf>,
    /// The control plane's certificate, then those above it (PEM)
    #[arg(long, value_name = "FILE", requires = "server_key", help_heading = "From elsewhere")]
    pub server_certificate: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "server_certificate", help_heading = "From elsewhere")]
    pub server_key: Option<PathBuf>,
    /// An admin's certificate, then those above it (PEM)
    #[arg(long, value_name = "FILE", requires = "admin_key", help_heading = "From elsewhere")]
    pub admin_certificate: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "admin_certificate", help_heading = "From elsewhere")]
    pub admin_key: Option<PathBuf>,
}

/// What everything is made with.
struct Making<'a> {
    args: &'a Args,
    place: Place,
    now: Timestamp,
    rng: ChaCha20Rng,
    files: Vec<NewFile>,
}

/// Runs the verb.
///
/// # Errors
/// See [`crate::ctl::run`].
pub fn run(session: &Session, args: &Args) -> anyhow::Result<Exit> {
    check(args)?;
    let place = Place::of(args)?;
    let mut making = Making { args, place, now: session.now(), rng: entropy::generator()?, files: Vec::new() };
    let release_key = release::make(&mut making)?;
    let signs = authority::make(&mut making)?;
    let server = people::server(&mut making, &signs)?;
    let admin = people::admin(&mut making, &signs)?;
    let tokens = tokens::make(&mut making)?;
    settings(&mut making, &signs, (&server, tokens));
    let own = place::operators_settings(&making, &server, (&admin, release_key.as_deref()));
    making.files.push(NewFile::public(making.place.file("convoy.json"), own));
    write_all(&making.files)?;
    let shown = |file: &NewFile| json!({ "file": file.path, "secret": file.readers == Readers::Owner });
    let made = json!({
        "dir": args.dir, "controlPlane": making.place.url(), "files": making.files.iter().map(shown).collect::<Vec<_>>(),
    });
    session.show(&made, |_| next::steps(&making, release_key.as_deref()))
}

/// A certificate with its key, in the new folder or elsewhere, as settings name them.
struct Named {
    certificate: PathBuf,
    key: PathBuf,
    /// The authority that verifies it, as settings name it.
    ca: PathBuf,
}

fn check(args: &Args) -> anyhow::Result<()> {
    let wrong = |what: &str, hint: &str| Err(Mistake::new(what, hint).into());
    if args.listen.port() == 0 {
        return wrong("port 0 takes a free port at each start, and nobody would find it", "give --listen a port");
    }
    let hosts: BTreeSet<&HostName> = args.hosts.iter().collect();
    if hosts.len() != args.hosts.len() {
        return wrong("a host is named twice", "name each host once");
    }
    if args.ca_certificate.is_none() || args.ca_key.is_some() {
        return Ok(());
    }
    let needs = [
        ("--server-certificate", args.server_certificate.is_some()),
        ("--admin-certificate", args.admin_certificate.is_some()),
    ];
    if let Some((flag, _)) = needs.iter().find(|(_, given)| !given) {
        let what = format!("nothing can be issued without the authority's private key, so that {flag} is needed");
        return wrong(&what, "give it with its key, or --ca-key");
    }
    if args.hosts.is_empty() {
        return Ok(());
    }
    let what = "hosts can't enroll without the authority's private key";
    wrong(what, "leave --host out and give each host a certificate and key, or give --ca-key")
}

/// The control plane's settings.
fn settings(making: &mut Making<'_>, signs: &Signs, (server, tokens): (&Named, Option<PathBuf>)) {
    let mut settings = json!({
        "listen": making.args.listen.to_string(),
        "database": "convoy.db",
        "trustFile": "trust.json",
        "tlsCertificate": server.certificate,
        "tlsKey": server.key,
        "clientAuthorities": signs.certificate,
    });
    if let Some(key) = &signs.key {
        settings["issuerCertificate"] = json!(signs.certificate);
        settings["issuerKey"] = json!(key);
    }
    if let Some(tokens) = tokens {
        settings["firstTokens"] = json!(tokens);
    }
    making.files.push(NewFile::public(making.place.file("control-plane.json"), format!("{settings:#}\n")));
}
