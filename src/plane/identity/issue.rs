//! Issuing a certificate to a host, within the transaction that remembers it.

use crate::model::id::{Digest, HostName, Tag, TokenId};
use crate::model::identity::{Identity, Origin};
use crate::model::time::Timestamp;
use crate::plane::Plane;
use crate::plane::credentials::Issuer;
use crate::plane::desk::Desk;
use crate::plane::error::{Done, PlaneError};
use crate::store::rows::IdentityRow;
use crate::trust::authority::{CertificateRequest, Term};
use crate::trust::certificate::{chain, presented};
use crate::wire::v1::identity::CertificateIssued;
use crate::wire::v1::release::date;
use std::sync::{Arc, PoisonError};

/// A host's request for a certificate, with its own signature checked.
#[derive(Debug)]
pub struct Wanted {
    /// Who asks.
    pub host: HostName,
    /// For which key.
    pub key: Digest,
    request: CertificateRequest,
    issuer: Arc<Issuer>,
}

/// How a certificate came to be.
#[derive(Debug, Default)]
pub struct Grounds {
    /// The token that was spent for it; `None` leaves what is known.
    pub token: Option<(TokenId, Vec<Tag>)>,
}

impl Wanted {
    /// Reads a request.
    ///
    /// # Errors
    /// [`PlaneError::Refused`] without an issuer, [`PlaneError::BadRequest`] for one that can't be used.
    pub fn read(plane: &Plane, host: HostName, pem: &str) -> Done<Self> {
        let none = || {
            let said = "this control plane issues no certificates (issuerCertificate and issuerKey are not set): they \
                        come from elsewhere; name yours with `certificate` and `key` in the agent's settings";
            PlaneError::refused("no_issuer", said)
        };
        let issuer = plane.credentials.set().issuer.ok_or_else(none)?;
        let bad = |why: crate::trust::TrustError| PlaneError::bad("bad_request_for_certificate", why.to_string());
        let request = CertificateRequest::parse(pem).map_err(bad)?;
        Ok(Self { host, key: request.key(), request, issuer })
    }

    /// Returns the identity that is asked for.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::Agent(self.host.clone())
    }
}

impl Desk<'_> {
    /// Issues a certificate and writes the identity. Signing takes some 50 µs of the store's only writer: little
    /// beside its commit, and the price of token, identity and certificate being one commit.
    ///
    /// # Errors
    /// [`PlaneError::Issuing`], the store's.
    pub fn issue(&mut self, wanted: &Wanted, grounds: Grounds) -> Done<CertificateIssued> {
        let identity = wanted.identity();
        let term = Term { from: self.now, lasts: wanted.issuer.life };
        let pem = {
            let mut rng = self.plane.rng.lock().unwrap_or_else(PoisonError::into_inner);
            wanted.issuer.authority.issue(&wanted.request, (&identity, term), &mut *rng)
        };
        let pem = pem.map_err(PlaneError::Issuing)?;
        // What the certificate itself says, so that rows never differ from it.
        let first = chain("certificate", &pem).and_then(|links| presented(&links[0])).map_err(PlaneError::Issuing)?;
        let before = self.tx.identity(&identity)?;
        let (token, labels) = match grounds.token {
            Some((token, labels)) => (Some(token), labels),
            None => before.map(|row| (row.token, row.labels)).unwrap_or_default(),
        };
        let row = IdentityRow {
            identity,
            key: first.key,
            origin: Origin::Issued,
            issued: self.now,
            expires: first.expires,
            certificate: Some(pem),
            token,
            revoked: None,
            reason: None,
            labels,
        };
        self.put_identity(&row)?;
        Ok(answer(&row).unwrap_or_else(|| unreachable!("the certificate was just put into the row")))
    }

    /// Returns the newest certificate of an identity again while more than half of its life is left: a repeated
    /// request gets the same answer.
    #[must_use]
    pub fn again(&self, row: &IdentityRow, key: &Digest) -> Option<CertificateIssued> {
        let same = row.key == *key && row.origin == Origin::Issued && row.revoked.is_none();
        answer(row).filter(|_| same && self.now < half(row))
    }
}

fn answer(row: &IdentityRow) -> Option<CertificateIssued> {
    let certificate = row.certificate.clone()?;
    Some(CertificateIssued { certificate, expires: date(row.expires), renew_after: date(half(row)) })
}

fn half(row: &IdentityRow) -> Timestamp {
    row.issued.plus(row.expires.since(row.issued) / 2)
}
