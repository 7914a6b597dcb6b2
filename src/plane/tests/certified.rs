//! A control plane with certificates, in a directory of its own; and the keys of those who come in.

use crate::model::identity::{Identity, Presented};
use crate::model::time::Timestamp;
use crate::plane::config::{PlaneConfig, RawConfig};
use crate::plane::http::peer::Peer;
use crate::plane::tests::trial::{BEAT, Trial, fresh_store};
use crate::runtime::clock::{Clock, SystemClock};
use crate::runtime::entropy::generator;
use crate::store::Store;
use crate::trust::authority::{Authority, Pair, Term, new_key, request};
use crate::trust::certificate::{chain, presented};
use crate::trust::{SigningKey, TrustFile};
use crate::wire::v1::identity::{CertificateIssued, EnrollRequest, TokensMade};
use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

pub const DAY: Duration = Duration::from_secs(86_400);

/// The one on trial, with its authority.
pub struct Certified {
    pub trial: Trial,
    pub authority: Authority,
    pub dir: TempDir,
}

impl Deref for Certified {
    type Target = Trial;
    fn deref(&self) -> &Trial {
        &self.trial
    }
}

pub fn term(from: Timestamp, lasts: Duration) -> Term {
    Term { from, lasts }
}

pub fn fresh_authority(name: &str, now: Timestamp) -> (Authority, Pair) {
    Authority::generate(name, term(now, DAY * 3650), &mut generator().unwrap()).unwrap()
}

pub fn put(path: &Path, text: &str) {
    // As those who replace certificates should: written beside, then renamed.
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::rename(&new, path).unwrap();
}

pub fn server_pair(authority: &Authority, now: Timestamp) -> Pair {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    authority.issue_server(&names, term(now, DAY * 90), &mut generator().unwrap()).unwrap()
}

fn write_files(dir: &Path, authority: &(Authority, Pair), now: Timestamp) -> RawConfig {
    let server = server_pair(&authority.0, now);
    let key = SigningKey::generate("ci", &mut crate::runtime::entropy::seeded(7)).unwrap();
    let files = [
        ("ca.pem", authority.1.certificate.clone()),
        ("ca.key", authority.1.key.clone()),
        ("server.pem", server.certificate),
        ("server.key", server.key),
        ("trust.json", TrustFile::new(1, [key.public()]).unwrap().to_json()),
    ];
    files.iter().for_each(|(name, text)| put(&dir.join(name), text));
    let path = |name: &str| Some(PathBuf::from(name));
    RawConfig {
        tls_certificate: path("server.pem"),
        tls_key: path("server.key"),
        client_authorities: path("ca.pem"),
        issuer_certificate: path("ca.pem"),
        issuer_key: path("ca.key"),
        trust_file: path("trust.json"),
        ..RawConfig::default()
    }
}

impl Certified {
    pub async fn new() -> Self {
        Self::on(fresh_store('a')).await
    }

    pub async fn on(store: Arc<dyn Store>) -> Self {
        Self::with(store, |raw| raw).await
    }

    pub async fn with(store: Arc<dyn Store>, change: fn(RawConfig) -> RawConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemClock.wall();
        let authority = fresh_authority("fleet", now);
        let raw = change(write_files(dir.path(), &authority, now)).relative_to(dir.path());
        let trial = Trial::at(store, now, PlaneConfig::check(raw).unwrap()).await;
        trial.clock.pass(BEAT);
        Self { trial, authority: authority.0, dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Issues a certificate beside the control plane, as another holder of the authority's key would.
    pub fn pair(&self, who: &str, lasts: Duration) -> Pair {
        let now = self.clock.wall();
        self.authority.issue_client(&identity(who), term(now, lasts), &mut generator().unwrap()).unwrap()
    }

    pub fn peer(&self, who: &str) -> Peer {
        peer_of(&self.pair(who, DAY).certificate)
    }

    pub async fn ask(&self, peer: &Peer, (method, path): (&str, &str), body: Option<&Value>) -> (u16, Value) {
        let request = Request::builder().method(method).uri(path).extension(peer.clone());
        let request = match body {
            None => request.body(Body::empty()),
            Some(body) => request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_string())),
        };
        self.send(request.unwrap()).await
    }

    pub async fn token(&self, host: &str) -> String {
        let asked = json!({ "hosts": [host], "lastsSecs": 3600 });
        let (status, made) = self.ask(&self.peer("admin/root"), ("POST", "/v1/tokens"), Some(&asked)).await;
        assert_eq!(status, 201, "{made}");
        let made: TokensMade = serde_json::from_value(made).unwrap();
        made.tokens[0].token.clone()
    }

    pub async fn enroll(&self, asked: &EnrollRequest) -> Result<CertificateIssued, (u16, String)> {
        let body = serde_json::to_value(asked).unwrap();
        let (status, answer) = self.ask(&Peer::Nobody, ("POST", "/v1/enroll"), Some(&body)).await;
        if status == 200 {
            return Ok(serde_json::from_value(answer).unwrap());
        }
        assert!(!answer["message"].as_str().unwrap().is_empty());
        Err((status, answer["code"].as_str().unwrap().to_owned()))
    }

    /// Enrolls a host with a new key and a new token.
    pub async fn enrolled(&self, host: &str) -> (Key, CertificateIssued) {
        let (key, token) = (Key::new(host), self.token(host).await);
        let issued = self.enroll(&key.asking(Some(&token))).await.unwrap();
        (key, issued)
    }

    pub async fn revoke(&self, who: &str) -> Value {
        let path = format!("/v1/identities/{who}/revoke");
        let (status, answer) =
            self.ask(&self.peer("admin/root"), ("POST", &path), Some(&json!({ "reason": "stolen" }))).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Ends it and starts another on the same store and files.
    pub async fn restart(self) -> Self {
        let Self { trial, authority, dir } = self;
        Self { trial: trial.restart().await, authority, dir }
    }
}

/// A key made on a host.
pub struct Key {
    pub host: String,
    pub pem: String,
}

impl Key {
    pub fn new(host: &str) -> Self {
        Self { host: host.to_owned(), pem: new_key().unwrap() }
    }

    pub fn request(&self) -> String {
        request(&self.pem, &identity(&format!("agent/{}", self.host))).unwrap()
    }

    pub fn asking(&self, token: Option<&str>) -> EnrollRequest {
        let hostname = self.host.parse().unwrap();
        EnrollRequest { hostname, request: self.request(), token: token.map(str::to_owned) }
    }
}

pub fn identity(who: &str) -> Identity {
    who.parse().unwrap()
}

pub fn shown(pem: &str) -> Presented {
    presented(&chain("certificate", pem).unwrap()[0]).unwrap()
}

pub fn peer_of(pem: &str) -> Peer {
    Peer::presenting(shown(pem))
}
