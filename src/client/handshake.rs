//! Why two ends could not agree on a secure connection, and what to do about each reason: one table.

use rustls::{AlertDescription as Alert, CertificateError as Bad, Error as Tls};
use std::error::Error;
use std::fmt;
use std::io;

/// What kept a secure connection from being made, or ended it before an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handshake {
    /// The control plane says that the certificate shown to it is over.
    OwnExpired,
    /// The control plane's authorities did not issue the certificate shown to it.
    OwnForeign,
    /// No certificate was shown where one is needed.
    OwnMissing,
    /// The authority took the certificate back.
    OwnRevoked,
    /// The server's certificate was not issued by the authority that is believed.
    ServerForeign,
    /// The server's certificate is not for the name or address that was called.
    ServerName,
    /// The server's certificate is over, or does not count yet.
    ServerDates,
    /// One end speaks only versions of TLS that the other does not.
    Version,
    /// What answers on an `https` address does not speak TLS.
    PlainServer,
    /// What answers on an `http` address does not speak plain HTTP.
    SecureServer,
    /// Anything else that TLS complains of.
    Other,
}

/// Each reason, and what to do about it.
const ADVICE: [(Handshake, &str); 11] = [
    (
        Handshake::OwnExpired,
        "the certificate shown is over: an agent gets a new one by itself with its key; people ask an admin for one, \
         who runs `convoy cert issue`",
    ),
    (
        Handshake::OwnForeign,
        "the certificate shown was not issued by this control plane's authorities, or for something else: give the \
         one that was made for this fleet with --certificate, or have one made with `convoy cert issue`",
    ),
    (
        Handshake::OwnMissing,
        "a certificate is needed and none was shown: give one with --certificate and --certificate-key, or the \
         settings that `convoy init` wrote with --config",
    ),
    (
        Handshake::OwnRevoked,
        "the certificate shown was taken back: a host is let in again with `convoy token create --host NAME`, a \
         person with `convoy cert issue`",
    ),
    (
        Handshake::ServerForeign,
        "the authority in `ca` did not issue the server's certificate: `ca` is that of another fleet, or this is \
         another fleet's control plane",
    ),
    (
        Handshake::ServerName,
        "the server's certificate is for other names: call it by one of those, or make it one for this name with \
         `convoy cert server --name NAME`",
    ),
    (
        Handshake::ServerDates,
        "the server's certificate does not count now: renew it with `convoy cert server`, and check this machine's \
         clock",
    ),
    (Handshake::Version, "both ends must speak TLS 1.3: something between them, or one that is too old, does not"),
    (Handshake::PlainServer, "what answers there does not speak TLS: use http:// if that is meant (loopback only)"),
    (Handshake::SecureServer, "what answers there does not speak plain HTTP: use https://, with the fleet's `ca`"),
    (
        Handshake::Other,
        "compare `ca`, certificate and key with those of the control plane: `convoy cert show FILE` tells what they are",
    ),
];

/// What the other end means by its alerts; those that are not here are bare complaints of the protocol.
const ALERTS: [(Alert, Handshake); 11] = [
    (Alert::CertificateExpired, Handshake::OwnExpired),
    (Alert::UnknownCA, Handshake::OwnForeign),
    (Alert::BadCertificate, Handshake::OwnForeign),
    (Alert::UnsupportedCertificate, Handshake::OwnForeign),
    (Alert::CertificateUnknown, Handshake::OwnForeign),
    (Alert::AccessDenied, Handshake::OwnForeign),
    (Alert::DecryptError, Handshake::OwnForeign),
    (Alert::CertificateRequired, Handshake::OwnMissing),
    (Alert::NoCertificate, Handshake::OwnMissing),
    (Alert::CertificateRevoked, Handshake::OwnRevoked),
    (Alert::ProtocolVersion, Handshake::Version),
];

impl Handshake {
    /// Says what to do.
    #[must_use]
    pub fn advice(self) -> &'static str {
        let found = ADVICE.iter().find(|(reason, _)| *reason == self);
        found.map_or("", |(_, advice)| advice)
    }

    /// Finds the reason among an error's causes; `None` when TLS has nothing to do with it.
    #[must_use]
    pub fn among(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(tls) = tls_of(error) {
                return Some(Self::of(tls));
            }
            next = error.source();
        }
        None
    }

    fn of(error: &Tls) -> Self {
        if let Tls::AlertReceived(alert) = error {
            return ALERTS.iter().find(|(known, _)| known == alert).map_or(Self::Other, |(_, why)| *why);
        }
        if let Tls::InvalidCertificate(bad) = error {
            return Self::of_certificate(bad);
        }
        if matches!(error, Tls::InvalidMessage(_)) {
            return Self::PlainServer;
        }
        if matches!(error, Tls::PeerIncompatible(_)) { Self::Version } else { Self::Other }
    }

    fn of_certificate(bad: &Bad) -> Self {
        if matches!(bad, Bad::NotValidForName | Bad::NotValidForNameContext { .. }) {
            return Self::ServerName;
        }
        let early = matches!(bad, Bad::NotValidYet | Bad::NotValidYetContext { .. });
        if early || matches!(bad, Bad::Expired | Bad::ExpiredContext { .. }) {
            return Self::ServerDates;
        }
        let purpose = matches!(bad, Bad::InvalidPurpose | Bad::InvalidPurposeContext { .. });
        let foreign = purpose || matches!(bad, Bad::UnknownIssuer | Bad::BadSignature);
        if foreign { Self::ServerForeign } else { Self::Other }
    }
}

impl fmt::Display for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.advice())
    }
}

/// The TLS error that this one is or wraps. An `io::Error` gives its inner one's cause as its own, so that the inner
/// one has to be asked for.
fn tls_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Tls> {
    if let Some(tls) = error.downcast_ref::<Tls>() {
        return Some(tls);
    }
    let inner = error.downcast_ref::<io::Error>()?.get_ref()?;
    let inner: &'a (dyn Error + 'static) = inner;
    tls_of(inner)
}

#[cfg(test)]
mod tests;
