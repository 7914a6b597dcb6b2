//! Who may do what: one table from route to caller. Until hosts have identities, the control plane listens on
//! loopback only, an agent names itself in a header, and everyone on the machine is an operator.

use crate::model::id::HostName;
use crate::plane::http::error::Refusal;
use crate::wire::v1::agent::HOST_HEADER;
use axum::extract::{MatchedPath, Request};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// Anyone.
    Anyone,
    /// The agent of a host, for that host.
    Agent,
    /// An agent or an operator.
    AgentOrOperator,
    /// An operator.
    Operator,
}

/// Every route and who may use it. A route that is not here is refused.
pub const TABLE: [(&str, Caller); 19] = [
    ("/v1/agent/dispatch", Caller::Agent),
    ("/v1/agent/events", Caller::Agent),
    ("/v1/agent/heartbeat", Caller::Agent),
    ("/v1/releases/{channel}/{reference}", Caller::AgentOrOperator),
    ("/v1/releases", Caller::Operator),
    ("/v1/fleet", Caller::Operator),
    ("/v1/hosts", Caller::Operator),
    ("/v1/hosts/{host}", Caller::Operator),
    ("/v1/hosts/{host}/why", Caller::Operator),
    ("/v1/hosts/{host}/{verb}", Caller::Operator),
    ("/v1/rollouts", Caller::Operator),
    ("/v1/rollouts/{id}", Caller::Operator),
    ("/v1/rollouts/{id}/hosts", Caller::Operator),
    ("/v1/rollouts/{id}/{verb}", Caller::Operator),
    ("/v1/events", Caller::Operator),
    ("/metrics", Caller::Operator),
    ("/healthz", Caller::Anyone),
    ("/readyz", Caller::Anyone),
    ("", Caller::Anyone),
];

/// Lets a request through to its route, or refuses it. An agent's host is put beside the request.
pub async fn authorise(mut request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str).to_owned();
    let Some((_, caller)) = TABLE.iter().find(|(route, _)| *route == path) else {
        return forbidden("no_such_place", "nobody may use this path").into_response();
    };
    match caller {
        Caller::Anyone => {}
        Caller::Agent => match host_of(&request) {
            Ok(host) => drop(request.extensions_mut().insert(host)),
            Err(refusal) => return refusal.into_response(),
        },
        Caller::AgentOrOperator | Caller::Operator => {
            // A page in a browser on this machine can reach loopback too; browsers name where they come from.
            if request.headers().contains_key(header::ORIGIN) {
                let said = "requests from web pages are not taken: use the convoy command";
                return forbidden("from_a_browser", said).into_response();
            }
        }
    }
    next.run(request).await
}

fn host_of(request: &Request) -> Result<HostName, Refusal> {
    let missing =
        || Refusal::new(StatusCode::UNAUTHORIZED, "no_host", format!("the header {HOST_HEADER} names the host"));
    let header = request.headers().get(HOST_HEADER).ok_or_else(missing)?;
    let name = header.to_str().map_err(|_| missing())?;
    HostName::new(name).map_err(|why| Refusal::new(StatusCode::UNAUTHORIZED, "no_host", why.to_string()))
}

fn forbidden(code: &'static str, said: &str) -> Refusal {
    Refusal::new(StatusCode::FORBIDDEN, code, said)
}
