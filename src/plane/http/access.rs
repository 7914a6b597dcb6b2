//! Who may do what: one table from route and method to the least that is needed. What is not in it is refused.

use crate::model::id::HostName;
use crate::model::identity::{Denial, Identity, Role};
use crate::plane::Plane;
use crate::plane::http::error::{Refusal, no_such_place, wrong_method};
use crate::plane::http::peer::{Peer, Speaker};
use crate::wire::v1::agent::HOST_HEADER;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// The least that a route asks of whoever uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// The agent of a host, for that host.
    Agent,
    /// An agent, for what concerns its host, or a viewer and above.
    AgentOrViewer,
    /// A viewer, an operator or an admin.
    Viewer,
    /// An operator or an admin.
    Operator,
    /// An admin.
    Admin,
}

/// Every route with each of its methods, and what it needs. `HEAD` counts as `GET`.
pub const TABLE: [(&str, &str, Needs); 25] = [
    ("GET", "/v1/agent/dispatch", Needs::Agent),
    ("POST", "/v1/agent/events", Needs::Agent),
    ("POST", "/v1/agent/heartbeat", Needs::Agent),
    ("POST", "/v1/agent/renew", Needs::Agent),
    ("POST", "/v1/enroll", Needs::Nothing),
    ("GET", "/v1/releases/{channel}/{reference}", Needs::AgentOrViewer),
    ("POST", "/v1/releases", Needs::Operator),
    ("GET", "/v1/fleet", Needs::Viewer),
    ("GET", "/v1/hosts", Needs::Viewer),
    ("GET", "/v1/hosts/{host}", Needs::Viewer),
    ("GET", "/v1/hosts/{host}/why", Needs::Viewer),
    ("POST", "/v1/hosts/{host}/{verb}", Needs::Operator),
    ("GET", "/v1/rollouts", Needs::Viewer),
    ("GET", "/v1/rollouts/{id}", Needs::Viewer),
    ("GET", "/v1/rollouts/{id}/hosts", Needs::Viewer),
    ("POST", "/v1/rollouts/{id}/{verb}", Needs::Operator),
    ("GET", "/v1/events", Needs::Viewer),
    ("POST", "/v1/tokens", Needs::Admin),
    ("GET", "/v1/tokens", Needs::Admin),
    ("POST", "/v1/tokens/{id}/revoke", Needs::Admin),
    ("GET", "/v1/identities", Needs::Admin),
    ("POST", "/v1/identities/{role}/{name}/revoke", Needs::Admin),
    ("GET", "/metrics", Needs::Viewer),
    ("GET", "/healthz", Needs::Nothing),
    ("GET", "/readyz", Needs::Nothing),
];

impl Needs {
    /// Tells whether a role is enough.
    #[must_use]
    pub fn allows(self, role: Role) -> bool {
        match self {
            Self::Nothing => true,
            Self::Agent => role == Role::Agent,
            Self::AgentOrViewer => true,
            Self::Viewer => role >= Role::Viewer,
            Self::Operator => role >= Role::Operator,
            Self::Admin => role >= Role::Admin,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Nothing => "nobody in particular",
            Self::Agent => "a host's agent",
            Self::AgentOrViewer => "a host's agent, a viewer, an operator or an admin",
            Self::Viewer => "a viewer, an operator or an admin",
            Self::Operator => "an operator or an admin",
            Self::Admin => "an admin",
        }
    }
}

/// Finds what a request needs; `None` for what is not in the table.
#[must_use]
pub fn needs(method: &Method, route: &str) -> Option<Needs> {
    let method = if *method == Method::HEAD { "GET" } else { method.as_str() };
    TABLE.iter().find(|(known, path, _)| *known == method && *path == route).map(|(_, _, needs)| *needs)
}

/// Lets a request through to its route, or refuses it. Who speaks is put beside the request.
pub async fn authorise(State(plane): State<Arc<Plane>>, mut request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let Some(route) = route else { return no_such_place().await.into_response() };
    let Some(needs) = needs(request.method(), &route) else { return wrong_method().await.into_response() };
    if needs != Needs::Nothing {
        let peer = Peer::of_request(request.extensions(), plane.config().tls.is_some());
        let speaker = match speaker(&plane, &peer, (needs, request.headers())) {
            Ok(speaker) => speaker,
            Err(refusal) => return refusal.into_response(),
        };
        if let Identity::Agent(host) = &speaker.identity {
            request.extensions_mut().insert(host.clone());
        }
        request.extensions_mut().insert(speaker);
    }
    next.run(request).await
}

fn speaker(plane: &Arc<Plane>, peer: &Peer, (needs, headers): (Needs, &HeaderMap)) -> Result<Speaker, Refusal> {
    let speaker = match peer {
        Peer::Local => local(needs, headers)?,
        Peer::Nobody => return Err(no_certificate()),
        Peer::Nameless(why) => {
            let said = format!("{why}; ask whoever issued it for one with an identity");
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, "no_identity", said));
        }
        Peer::Known(presented) => {
            plane.admit(presented).map_err(|denial| denied(&presented.identity, &denial))?;
            Speaker::showing(presented.clone())
        }
    };
    let role = speaker.identity.role();
    if !needs.allows(role) {
        let (needed, who) = (needs.words(), &speaker.identity);
        let said = format!("this needs {needed}; the certificate shown is of {who}: use one of the role needed");
        return Err(Refusal::new(StatusCode::FORBIDDEN, "wrong_role", said));
    }
    match &speaker.identity {
        Identity::Agent(host) => check_header(host, headers)?,
        Identity::Viewer(_) | Identity::Operator(_) | Identity::Admin(_) => check_origin(headers)?,
    }
    Ok(speaker)
}

/// On plain loopback a header names the host, and everyone else on the machine is an admin.
fn local(needs: Needs, headers: &HeaderMap) -> Result<Speaker, Refusal> {
    match needs {
        Needs::Agent => named(headers).map(Speaker::named),
        Needs::AgentOrViewer if headers.contains_key(HOST_HEADER) => named(headers).map(Speaker::named),
        Needs::Nothing | Needs::AgentOrViewer | Needs::Viewer | Needs::Operator | Needs::Admin => Ok(Speaker::local()),
    }
}

fn named(headers: &HeaderMap) -> Result<HostName, Refusal> {
    let missing =
        || Refusal::new(StatusCode::UNAUTHORIZED, "no_host", format!("the header {HOST_HEADER} names the host"));
    let name = headers.get(HOST_HEADER).ok_or_else(missing)?.to_str().map_err(|_| missing())?;
    HostName::new(name).map_err(|why| Refusal::new(StatusCode::UNAUTHORIZED, "no_host", why.to_string()))
}

/// An agent may name its own host only, also where the name is not needed any more.
fn check_header(host: &HostName, headers: &HeaderMap) -> Result<(), Refusal> {
    match headers.get(HOST_HEADER) {
        Some(named) if named.as_bytes() != host.as_str().as_bytes() => {
            let named = String::from_utf8_lossy(named.as_bytes()).chars().take(80).collect::<String>();
            let said =
                format!("the certificate is of agent/{host} and the request names {named:?}: each host has its own");
            Err(Refusal::new(StatusCode::FORBIDDEN, "wrong_host", said))
        }
        Some(_) | None => Ok(()),
    }
}

/// A page in a browser can reach us with a person's certificate, or from their machine; browsers name where they come
/// from.
fn check_origin(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.contains_key(header::ORIGIN) {
        let said = "requests from web pages are not taken: use the convoy command";
        return Err(Refusal::new(StatusCode::FORBIDDEN, "from_a_browser", said));
    }
    Ok(())
}

fn no_certificate() -> Refusal {
    let said = "this needs a certificate. On a host: enroll it with a token (`convoy token create --host NAME`). For \
                people: name yours with `convoy --config FILE`, as `convoy init` wrote it, or --certificate and --key";
    Refusal::new(StatusCode::UNAUTHORIZED, "no_certificate", said)
}

/// Says why a certificate does not count, and what to do.
#[must_use]
pub fn denied(identity: &Identity, denial: &Denial) -> Refusal {
    let again = match identity {
        Identity::Agent(host) => format!("make a token with `convoy token create --host {host}` and enroll it again"),
        Identity::Viewer(_) | Identity::Operator(_) | Identity::Admin(_) => {
            "ask an admin of the fleet for a new certificate with a new key".to_owned()
        }
    };
    let (status, code, said) = match denial {
        Denial::Expired(at) => {
            let said = match identity {
                Identity::Agent(_) => "enroll with the same key, which needs no token",
                Identity::Viewer(_) | Identity::Operator(_) | Identity::Admin(_) => "ask for a new one",
            };
            (StatusCode::UNAUTHORIZED, "certificate_expired", format!("{identity}'s certificate ended at {at}: {said}"))
        }
        Denial::Revoked(at) => (StatusCode::FORBIDDEN, "revoked", format!("{identity} was revoked at {at}: {again}")),
        Denial::Replaced => {
            let said =
                format!("{identity} was enrolled again with another key, this certificate is out of use: {again}");
            (StatusCode::FORBIDDEN, "replaced", said)
        }
    };
    Refusal::new(status, code, said)
}
