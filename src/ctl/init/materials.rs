//! What a new fleet is made of: keys, certificates, tokens and settings, all in memory. Must not write a file.

use crate::ctl::exit::Mistake;
use crate::ctl::init::Args;
use crate::model::id::HostName;
use crate::model::identity::{Identity, Role};
use crate::model::time::Timestamp;
use crate::trust::authority::{Authority, Pair, Term};
use crate::trust::certificate::{about, chain};
use crate::trust::key::{read_pem, read_secret_pem};
use crate::trust::tls::{self, Credentials};
use crate::trust::token::Token;
use crate::trust::{PublicKey, SigningKey, TrustFile};
use crate::wire::v1::release::date;
use anyhow::Context;
use rand_chacha::ChaCha20Rng;
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);
/// How long a fleet's own authority lasts: changing it means enrolling every host again.
const AUTHORITY_LASTS: Duration = Duration::from_secs(10 * 365 * 86_400);
/// How long the server's certificate lasts; `convoy cert server` makes the next one.
pub(crate) const SERVER_LASTS: Duration = Duration::from_secs(397 * 86_400);
/// How long a person's certificate lasts.
pub(crate) const PERSON_LASTS: Duration = Duration::from_secs(397 * 86_400);
/// The release key's name.
const RELEASE_KEY: &str = "release";

/// Everything that goes into the folder.
pub(crate) struct Materials {
    /// The secret release key, unless it is elsewhere.
    pub(crate) release_key: Option<String>,
    pub(crate) release_public: String,
    pub(crate) trust: String,
    pub(crate) authority: Pair,
    pub(crate) server: Pair,
    pub(crate) admin: Pair,
    pub(crate) hosts: Vec<Ticket>,
    /// The control plane's address, as hosts and people use it.
    pub(crate) url: String,
    listen: SocketAddr,
    tokens_until: Timestamp,
}

/// One host's token.
pub(crate) struct Ticket {
    pub(crate) host: HostName,
    pub(crate) token: Token,
}

impl Materials {
    pub(crate) fn make(args: &Args, now: Timestamp, rng: &mut ChaCha20Rng) -> anyhow::Result<Self> {
        let mut hosts = args.hosts.clone();
        hosts.sort();
        if let Some(twice) = hosts.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Mistake::new(format!("host {} is given twice", twice[0]), "give each host once").into());
        }
        let (release_key, public) = release_key(args, rng)?;
        let trust = TrustFile::new(1, [public.clone()])?.to_json();
        let names = if args.names.is_empty() { own_names()? } else { args.names.clone() };
        let term = |lasts| Term { from: now, lasts };
        let (authority, pair) = match (&args.ca_certificate, &args.ca_key) {
            (Some(certificate), Some(key)) => {
                let pair = from_files(certificate, key)?;
                (Authority::from_pem(&pair.certificate, &pair.key)?, pair)
            }
            (_, _) => Authority::generate(&format!("Convoy {}", names[0]), term(AUTHORITY_LASTS), rng)?,
        };
        let server = match (&args.server_certificate, &args.server_key) {
            (Some(certificate), Some(key)) => from_files(certificate, key)?,
            (_, _) => authority.issue_server(&names, term(SERVER_LASTS), rng)?,
        };
        let admin = match (&args.admin_certificate, &args.admin_key) {
            (Some(certificate), Some(key)) => from_files(certificate, key)?,
            (_, _) => {
                authority.issue_client(&Identity::new(Role::Admin, args.admin.as_str())?, term(PERSON_LASTS), rng)?
            }
        };
        check(&pair, &server, &admin)?;
        let first = server_name(args, &server)?.unwrap_or_else(|| names[0].clone());
        let made = hosts.into_iter().map(|host| Ticket { host, token: Token::generate(rng) }).collect();
        Ok(Self {
            release_key,
            release_public: public.to_text(),
            trust,
            authority: pair,
            server,
            admin,
            hosts: made,
            url: format!("https://{}:{}", in_url(&first), args.listen.port()),
            listen: args.listen,
            tokens_until: now.plus(args.tokens_last.0.max(Duration::from_secs(60))),
        })
    }

    /// Returns `control-plane.json`; its files are beside it.
    pub(crate) fn control_plane(&self) -> Value {
        let mut settings = json!({
            "listen": self.listen.to_string(),
            "database": "convoy.db",
            "trustFile": "trust.json",
            "tlsCertificate": "server.pem",
            "tlsKey": "server.key",
            "clientAuthorities": "ca.pem",
            "issuerCertificate": "ca.pem",
            "issuerKey": "ca.key",
        });
        if !self.hosts.is_empty() {
            settings["firstTokens"] = json!("first-tokens.json");
        }
        settings
    }

    /// Returns `convoy.json`.
    pub(crate) fn command(&self) -> Value {
        json!({ "controlPlane": self.url, "ca": "ca.pem", "certificate": "admin.pem", "key": "admin.key" })
    }

    /// Returns `first-tokens.json`: what the control plane has to know of the tokens, without a secret.
    pub(crate) fn first_tokens(&self) -> Value {
        let entry = |ticket: &Ticket| {
            json!({
                "id": ticket.token.id().to_string(),
                "host": ticket.host.to_string(),
                "digest": ticket.token.digest().to_string(),
                "expires": date(self.tokens_until),
            })
        };
        self.hosts.iter().map(entry).collect()
    }

    /// Returns a host's settings, as they are on the host.
    pub(crate) fn agent(&self, host: &HostName) -> Value {
        json!({
            "host": host.to_string(),
            "ca": "/etc/convoy/ca.pem",
            "tokenFile": "/var/lib/convoy-identity/token",
        })
    }
}

fn release_key(args: &Args, rng: &mut ChaCha20Rng) -> anyhow::Result<(Option<String>, PublicKey)> {
    if let Some(path) = &args.release_public {
        return Ok((None, PublicKey::load(path)?));
    }
    let key = SigningKey::generate(RELEASE_KEY, rng)?;
    Ok((Some(key.to_text()), key.public()))
}

fn from_files(certificate: &Path, key: &Path) -> anyhow::Result<Pair> {
    let read = |path: &Path| path.display().to_string();
    let certificate_pem = read_pem(certificate).with_context(|| read(certificate))?;
    Ok(Pair { certificate: certificate_pem, key: read_secret_pem(key).with_context(|| read(key))? })
}

/// Checks that the pieces can be used together, before anything is written.
fn check(authority: &Pair, server: &Pair, admin: &Pair) -> anyhow::Result<()> {
    let credentials = |pair| -> Credentials<'_> {
        let Pair { certificate, key } = pair;
        Credentials { certificate, key }
    };
    tls::server(credentials(server), &authority.certificate)?;
    tls::client(&authority.certificate, Some(credentials(admin)))?;
    let said = crate::trust::certificate::presented(&chain("certificate of the admin", &admin.certificate)?[0])?;
    if said.identity.role() != Role::Admin {
        let what = format!("the certificate for you says {}, which is no admin", said.identity);
        return Err(Mistake::new(what, "give one with the URI convoy://admin/NAME").into());
    }
    Ok(())
}

/// The first name of a server certificate that came from elsewhere.
fn server_name(args: &Args, server: &Pair) -> anyhow::Result<Option<String>> {
    if args.server_certificate.is_none() || !args.names.is_empty() {
        return Ok(None);
    }
    let names = about(&chain("certificate of the server", &server.certificate)?[0])?.names;
    Ok(names.into_iter().find(|name| !name.contains("://")))
}

/// The names under which this machine can be reached.
fn own_names() -> anyhow::Result<Vec<String>> {
    let name = nix::unistd::gethostname().context("can't find this machine's name")?;
    let name = name.to_string_lossy().into_owned();
    let usual = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let own = Some(name).filter(|name| !name.is_empty() && !usual.contains(name));
    Ok(own.into_iter().chain(usual).collect())
}

fn in_url(name: &str) -> String {
    if name.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6()) { format!("[{name}]") } else { name.to_owned() }
}

/// How long an operator's certificate may last at most.
pub(crate) const LONGEST: Duration = Duration::from_secs(10 * 365 * DAY.as_secs());
