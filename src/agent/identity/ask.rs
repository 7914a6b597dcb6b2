//! Asking the control plane for a certificate: by token, by the key that it knows already, or as a renewal. Must not
//! decide when.

use crate::agent::identity::files::{self, Files, Held, fitting};
use crate::client::{ClientError, Transport, agent};
use crate::model::id::HostName;
use crate::model::identity::{Identity, Presented};
use crate::trust::TrustError;
use crate::trust::authority::{public_digest, request};
use crate::wire::v1::identity::{EnrollRequest, RenewRequest};
use std::path::Path;

/// Says that the host itself can't show who it is.
pub(super) fn no_identity(error: &TrustError) -> ClientError {
    ClientError::NoIdentity { detail: error.to_string() }
}

/// Who asks, and what for.
pub(super) struct Asking<'a> {
    /// The host.
    pub(super) host: &'a HostName,
    /// Its files.
    pub(super) files: &'a Files,
    /// Where its token is, if it was given one.
    pub(super) token: Option<&'a Path>,
}

/// What may be shown with a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Token,
    Key,
}

impl Asking<'_> {
    /// Gets a certificate without having one that counts. The key is made, durably, before anything is sent; an
    /// answer that was lost is given again to the same key.
    ///
    /// # Errors
    /// [`ClientError`] of the exchange, or [`ClientError::NoIdentity`] with what is wrong on the host.
    pub(super) async fn enroll(&self, over: &dyn Transport) -> Result<Presented, ClientError> {
        let held = self.files.held(self.host).map_err(|why| no_identity(&why))?;
        let (key, ways) = match held {
            // What has had a certificate is known by its key; the token may be spent long ago.
            Held::Whole(whole) => (whole.key, [Way::Key, Way::Token]),
            Held::Key(_, key) => (key, [Way::Token, Way::Key]),
            Held::Nothing => (self.files.make_key().map_err(|why| no_identity(&why))?, [Way::Token, Way::Key]),
        };
        let token = self.token.map(files::token).transpose().map_err(|why| no_identity(&why))?.flatten();
        let mut first = None;
        for way in ways {
            let shown = match (way, &token) {
                (Way::Token, None) => continue,
                (Way::Token, Some(token)) => Some(token.to_text()),
                (Way::Key, _) => None,
            };
            match self.ask(over, &key, shown).await {
                Ok(presented) => return Ok(presented),
                Err(error) if is_final(&error) => drop(first.get_or_insert(error)),
                Err(error) => return Err(error),
            }
        }
        let nothing = || ClientError::NoIdentity { detail: "there is nothing to ask with".to_owned() };
        Err(self.with_the_token(first.unwrap_or_else(nothing), token.is_some()))
    }

    async fn ask(&self, over: &dyn Transport, key: &str, token: Option<String>) -> Result<Presented, ClientError> {
        let request = self.request(key)?;
        let asked = EnrollRequest { hostname: self.host.clone(), request, token };
        let issued = agent::enroll(over, &asked).await?;
        self.keep(over, key, &issued.certificate)
    }

    /// Gets the next certificate over a connection that was made with the one before.
    ///
    /// # Errors
    /// As [`Asking::enroll`].
    pub(super) async fn renew(&self, over: &dyn Transport, key: &str) -> Result<Presented, ClientError> {
        let asked = RenewRequest { request: self.request(key)? };
        let issued = agent::renew(over, self.host, &asked).await?;
        self.keep(over, key, &issued.certificate)
    }

    fn request(&self, key: &str) -> Result<String, ClientError> {
        request(key, &Identity::Agent(self.host.clone())).map_err(|why| no_identity(&why))
    }

    /// Keeps a certificate, if it is what was asked for.
    fn keep(&self, over: &dyn Transport, key: &str, certificate: &str) -> Result<Presented, ClientError> {
        let digest = public_digest(key).map_err(|why| no_identity(&why))?;
        let garbled = |why: TrustError| ClientError::Garbled { at: over.address(), detail: why.to_string() };
        let presented = fitting(certificate, self.host, &digest).map_err(garbled)?;
        if !self.files.holds_certificate(certificate) {
            self.files.keep_certificate(certificate).map_err(|why| no_identity(&why))?;
        }
        Ok(presented)
    }

    /// Says where the token that is missing would be looked for.
    fn with_the_token(&self, error: ClientError, had_one: bool) -> ClientError {
        let ClientError::Refused { status, code, mut message, request_id } = error else { return error };
        if !had_one {
            let place = match self.token {
                Some(path) => format!("{} (`tokenFile`), where there is none now", path.display()),
                None => "the file that the agent's setting `tokenFile` names; none is set".to_owned(),
            };
            message.push_str(&format!("; the token goes into {place}"));
        }
        ClientError::Refused { status, code, message, request_id }
    }
}

/// Tells whether asking in the same way again is useless: the control plane has decided.
fn is_final(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { status: 400..=428 | 430..=499, .. })
}
