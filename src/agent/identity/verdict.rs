//! What an exchange says of this host's identity. Pure: must not remember or show anything.

use crate::client::handshake::Handshake;
use crate::client::{Answer, ClientError, refusal};

/// What is learned from one exchange.
pub(super) enum Verdict {
    /// The control plane knows this host.
    Known,
    /// Nothing: it was not reached.
    Nothing,
    /// There is no secure connection, for a reason that a new certificate does not mend.
    Cut(ClientError),
    /// The certificate was turned down.
    TurnedDown(ClientError),
}

/// The control plane's words for a certificate that does not count any more, in answers with status 403.
const SHUT_OUT: [&str; 2] = ["revoked", "replaced"];

/// Judges an exchange that was made with a certificate.
pub(super) fn verdict(answer: &Result<Answer, ClientError>) -> Verdict {
    match answer {
        Ok(answer) if answer.status == 401 || is_shut_out(answer) => Verdict::TurnedDown(refusal(answer)),
        Ok(_) => Verdict::Known,
        Err(error @ ClientError::Insecure { why, .. }) if is_about_us(*why) => Verdict::TurnedDown(error.clone()),
        Err(error @ ClientError::Insecure { .. }) => Verdict::Cut(error.clone()),
        Err(_) => Verdict::Nothing,
    }
}

fn is_shut_out(answer: &Answer) -> bool {
    answer.status == 403 && SHUT_OUT.contains(&gist(&refusal(answer)).as_str())
}

/// What tells two failures apart: not the id of the request.
pub(super) fn gist(why: &ClientError) -> String {
    match why {
        ClientError::Refused { code, .. } => code.clone(),
        ClientError::Unreachable { at, .. } => at.clone(),
        ClientError::Insecure { .. } | ClientError::NoIdentity { .. } | ClientError::Garbled { .. } => why.to_string(),
    }
}

/// Tells whether a failed handshake was about this host's certificate.
fn is_about_us(why: Handshake) -> bool {
    match why {
        Handshake::OwnExpired | Handshake::OwnForeign | Handshake::OwnMissing | Handshake::OwnRevoked => true,
        Handshake::ServerForeign
        | Handshake::ServerName
        | Handshake::ServerDates
        | Handshake::Version
        | Handshake::PlainServer
        | Handshake::SecureServer
        | Handshake::Other => false,
    }
}
