//! The transport over HTTP: kept-alive connections, limits on time and size. Must not follow redirects, use a
//! proxy of the environment, believe anybody's authorities but the fleet's, or speak plain HTTP with another machine.

use crate::client::{Answer, ClientError, Request, Transport};
use async_trait::async_trait;
use reqwest::Url;
use rustls::ClientConfig;
use rustls::crypto::ring;
use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

/// The most time that opening a connection may take: loopback and data-centre networks answer in milliseconds,
/// and a caller with more time than this tries again.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long an unused connection is kept: longer than the usual pause between two heartbeats.
const KEEP_ALIVE: Duration = Duration::from_secs(90);
/// The most unused connections that are kept: one for the long poll, one for everything else, one to spare.
const KEPT: usize = 3;

/// An address that can't be used, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{address:?} can't be used as the control plane's address: {why}")]
pub struct BadAddress {
    /// What was given.
    pub address: String,
    /// The rule that it breaks, and what a good one looks like.
    pub why: String,
}

/// Speaks HTTP to one control plane.
#[derive(Debug, Clone)]
pub struct HttpTransport {
    base: Url,
    client: reqwest::Client,
}

impl HttpTransport {
    /// Makes a transport to a base address such as `https://convoy.example.org:7600`; nothing is connected yet.
    /// `https` needs TLS settings; plain `http` is for loopback and takes none.
    ///
    /// # Errors
    /// [`BadAddress`] for anything else.
    pub fn new(address: &str, tls: Option<ClientConfig>) -> Result<Self, BadAddress> {
        let base = parse(address)?;
        let bad = |why: String| BadAddress { address: address.to_owned(), why };
        let tls = match (base.scheme(), tls) {
            ("https", Some(tls)) => tls,
            ("https", None) => {
                let why = "https needs the fleet's authority and a certificate: give the settings that `convoy init` \
                           wrote (`convoy --config FILE`; `ca` in an agent's settings)";
                return Err(bad(why.to_owned()));
            }
            // Never used: nothing on a plain address asks for TLS.
            (_, _) => no_tls().map_err(|error| bad(error.to_string()))?,
        };
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .use_preconfigured_tls(tls)
            .connect_timeout(CONNECT_LIMIT)
            .tcp_nodelay(true)
            .pool_idle_timeout(KEEP_ALIVE)
            .pool_max_idle_per_host(KEPT)
            .build()
            .map_err(|error| bad(chain(&error)))?;
        Ok(Self { base, client })
    }

    /// Sends a request and returns as soon as the answer's head is there, so that its body can be read as it
    /// comes. The request's limit covers everything up to the head; its size limit is left to the reader.
    ///
    /// # Errors
    /// As [`Transport::send`], [`ClientError::Refused`] included.
    pub async fn open(&self, request: Request) -> Result<Incoming, ClientError> {
        let limit = request.limit;
        let max_answer = request.max_answer;
        let head = tokio::time::timeout(limit, self.build(request, None)?.send()).await;
        let response = match head {
            Ok(response) => response.map_err(|error| self.unreachable(&error))?,
            Err(_) => return Err(self.too_slow(limit)),
        };
        let status = response.status().as_u16();
        let mut incoming = Incoming { response, at: self.address() };
        if (200..300).contains(&status) {
            return Ok(incoming);
        }
        let whole = tokio::time::timeout(limit, incoming.whole(max_answer)).await;
        let body = whole.map_err(|_| self.too_slow(limit))??;
        Err(crate::client::refusal(&Answer { status, body }))
    }

    fn build(&self, request: Request, limit: Option<Duration>) -> Result<reqwest::RequestBuilder, ClientError> {
        let garbled = |detail: String| ClientError::Garbled { at: self.address(), detail };
        let url = self.base.join(&request.path).map_err(|error| garbled(format!("{}: {error}", request.path)))?;
        let method = reqwest::Method::from_bytes(request.method.as_bytes());
        let mut builder = self.client.request(method.map_err(|error| garbled(error.to_string()))?, url);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        if let Some(body) = request.body {
            builder = builder.header("content-type", "application/json").body(body);
        }
        Ok(match limit {
            Some(limit) => builder.timeout(limit),
            None => builder,
        })
    }

    fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        ClientError::Unreachable { at: self.address(), detail: chain(error) }
    }

    fn too_slow(&self, limit: Duration) -> ClientError {
        let detail = format!("no answer within {} s", limit.as_secs_f32());
        ClientError::Unreachable { at: self.address(), detail }
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: Request) -> Result<Answer, ClientError> {
        let (limit, max_answer) = (request.limit, request.max_answer);
        let response = self.build(request, Some(limit))?.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status().as_u16();
        let body = Incoming { response, at: self.address() }.whole(max_answer).await?;
        Ok(Answer { status, body })
    }

    fn address(&self) -> String {
        self.base.as_str().trim_end_matches('/').to_owned()
    }
}

/// An answer whose body is still coming.
#[derive(Debug)]
pub struct Incoming {
    response: reqwest::Response,
    at: String,
}

impl Incoming {
    /// Returns the next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when the connection breaks.
    pub async fn piece(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        let piece = self.response.chunk().await;
        let piece = piece.map_err(|error| ClientError::Unreachable { at: self.at.clone(), detail: chain(&error) })?;
        Ok(piece.map(Vec::from))
    }

    async fn whole(&mut self, most: usize) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece().await? {
            if body.len() + piece.len() > most {
                let detail = format!("it is larger than {most} bytes");
                return Err(ClientError::Garbled { at: self.at.clone(), detail });
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }
}

fn parse(address: &str) -> Result<Url, BadAddress> {
    let bad = |why: &str| BadAddress { address: address.to_owned(), why: why.to_owned() };
    let url = Url::parse(address)
        .map_err(|error| bad(&format!("{error}; give the whole of it, such as http://127.0.0.1:7600")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("only https:// (and http:// on loopback) is spoken, such as https://convoy.example.org:7600"));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err(bad("only host and port are expected, such as http://127.0.0.1:7600"));
    }
    if url.scheme() == "http" && !url.host_str().is_some_and(is_loopback) {
        let why =
            "plain HTTP is spoken on loopback only, since nothing on a network would be authenticated: use https://";
        return Err(bad(why));
    }
    Ok(url)
}

/// TLS settings that believe nobody.
fn no_tls() -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(ring::default_provider().into());
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13])?;
    Ok(builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Puts an error and its sources into one line; the innermost ones say what really happened.
fn chain(error: &dyn Error) -> String {
    let mut said: Vec<String> = Vec::new();
    let mut next = error.source();
    while let Some(inner) = next {
        let text = inner.to_string();
        if !said.iter().any(|earlier| earlier.contains(&text)) {
            said.push(text);
        }
        next = inner.source();
    }
    if said.is_empty() { error.to_string() } else { said.join(": ") }
}

#[cfg(test)]
mod tests;
