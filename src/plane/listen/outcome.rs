//! How a handshake ended, in few classes that an operator can tell apart.

use rustls::{AlertDescription, CertificateError, Error};
use std::io;

/// How a handshake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Well.
    Good,
    /// It took too long.
    TooSlow,
    /// The other end went away.
    Closed,
    /// The other end spoke no TLS.
    Plain,
    /// An older TLS, or nothing in common.
    Incompatible,
    /// The client's certificate is over.
    Expired,
    /// No trusted authority signed the client's certificate.
    UnknownAuthority,
    /// The client's certificate is no good for another reason.
    BadCertificate,
    /// The client does not believe the server's certificate.
    Distrusted,
    /// Anything else.
    Other,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Good,
        Self::TooSlow,
        Self::Closed,
        Self::Plain,
        Self::Incompatible,
        Self::Expired,
        Self::UnknownAuthority,
        Self::BadCertificate,
        Self::Distrusted,
        Self::Other,
    ];

    /// Returns the name used in metrics and the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::TooSlow => "too_slow",
            Self::Closed => "closed",
            Self::Plain => "plain_http",
            Self::Incompatible => "incompatible",
            Self::Expired => "certificate_expired",
            Self::UnknownAuthority => "unknown_authority",
            Self::BadCertificate => "bad_certificate",
            Self::Distrusted => "server_not_trusted",
            Self::Other => "other",
        }
    }

    /// Finds the class of a failure.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else { return Self::Closed };
        if let Error::InvalidCertificate(why) = tls {
            return Self::of_certificate(why);
        }
        if let Error::AlertReceived(alert) = tls {
            return Self::of_alert(*alert);
        }
        if matches!(tls, Error::PeerIncompatible(_)) { Self::Incompatible } else { Self::Other }
    }

    fn of_certificate(why: &CertificateError) -> Self {
        if matches!(why, CertificateError::Expired | CertificateError::ExpiredContext { .. }) {
            Self::Expired
        } else if matches!(why, CertificateError::UnknownIssuer) {
            Self::UnknownAuthority
        } else {
            Self::BadCertificate
        }
    }

    fn of_alert(alert: AlertDescription) -> Self {
        let distrust = [
            AlertDescription::UnknownCA,
            AlertDescription::BadCertificate,
            AlertDescription::CertificateExpired,
            AlertDescription::CertificateUnknown,
        ];
        if distrust.contains(&alert) { Self::Distrusted } else { Self::Other }
    }
}
