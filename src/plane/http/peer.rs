//! Who is at the other end of a connection, told once for each connection and given to each of its requests.

use crate::model::id::{HostName, UserName};
use crate::model::identity::{Identity, Presented};
use crate::trust::certificate::presented;
use axum::http::Extensions;
use rustls::pki_types::CertificateDer;
use std::sync::Arc;

/// The other end of a connection.
#[derive(Debug, Clone)]
pub enum Peer {
    /// On plain HTTP, which is spoken on loopback only: whoever it says it is.
    Local,
    /// Over TLS, without a certificate.
    Nobody,
    /// Over TLS, with a certificate of a trusted authority that names no identity; with the reason.
    Nameless(Arc<str>),
    /// Over TLS, with an identity.
    Known(Arc<Presented>),
}

impl Peer {
    /// Makes the peer of a connection whose certificates TLS has verified.
    #[must_use]
    pub fn of_chain(chain: Option<&[CertificateDer<'_>]>) -> Self {
        match chain.and_then(<[_]>::first).map(|own| presented(own)) {
            None => Self::Nobody,
            Some(Ok(presented)) => Self::presenting(presented),
            Some(Err(why)) => Self::Nameless(why.to_string().into()),
        }
    }

    /// Makes a peer with this identity: for tests and simulations that call the router without a socket, and put it
    /// into the extensions of a request.
    #[must_use]
    pub fn presenting(presented: Presented) -> Self {
        Self::Known(Arc::new(presented))
    }

    /// Finds the peer of a request. One without any came over no socket of ours: nobody where certificates are asked
    /// for, and local where not.
    #[must_use]
    pub fn of_request(extensions: &Extensions, tls: bool) -> Self {
        let found = extensions.get::<Self>().or_else(|| {
            let info = extensions.get::<axum::extract::ConnectInfo<Self>>();
            info.map(|info| &info.0)
        });
        found.cloned().unwrap_or(if tls { Self::Nobody } else { Self::Local })
    }
}

/// Who speaks, once let in.
#[derive(Debug, Clone)]
pub struct Speaker {
    /// Who.
    pub identity: Identity,
    /// What they showed; `None` on plain HTTP.
    pub presented: Option<Arc<Presented>>,
}

impl Speaker {
    /// Makes one who showed a certificate.
    #[must_use]
    pub fn showing(presented: Arc<Presented>) -> Self {
        Self { identity: presented.identity.clone(), presented: Some(presented) }
    }

    /// Makes somebody on this machine, where there are no certificates.
    #[must_use]
    pub fn local() -> Self {
        let local = UserName::new("local").expect("`local` is a user name");
        Self { identity: Identity::Admin(local), presented: None }
    }

    /// Makes an agent that named itself, where there are no certificates.
    #[must_use]
    pub fn named(host: HostName) -> Self {
        Self { identity: Identity::Agent(host), presented: None }
    }

    /// Returns who this is, for the history.
    #[must_use]
    pub fn name(&self) -> String {
        self.identity.to_string()
    }

    /// Returns who does something: a certificate's identity, or what somebody on this machine calls themselves.
    #[must_use]
    pub fn actor(&self, claimed: &str) -> String {
        if self.presented.is_some() || claimed.is_empty() { self.name() } else { claimed.to_owned() }
    }
}
