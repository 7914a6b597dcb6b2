//! The next certificate of a host that comes in with its present one.

use crate::model::identity::Presented;
use crate::plane::Plane;
use crate::plane::desk::Desk;
use crate::plane::error::{Done, PlaneError};
use crate::plane::identity::issue::{Grounds, Wanted};
use crate::plane::identity::{host_of, shut_out};
use crate::wire::v1::identity::{CertificateIssued, RenewRequest};
use std::sync::Arc;

impl Plane {
    /// Renews the certificate that a connection was made with, for the same key. While more than half of the newest
    /// one's life is left, that one is the answer.
    ///
    /// # Errors
    /// [`PlaneError::Forbidden`] for another key, [`PlaneError::BadRequest`], [`PlaneError::Refused`] without an
    /// issuer, the store's.
    pub async fn renew(self: &Arc<Self>, presented: &Presented, asked: &RenewRequest) -> Done<CertificateIssued> {
        let only_agents = || PlaneError::bad("wrong_role", "only agents renew here");
        let host = host_of(&presented.identity).ok_or_else(only_agents)?;
        let wanted = Wanted::read(self, host.clone(), &asked.request)?;
        if wanted.key != presented.key {
            let said = format!(
                "the request is for another key than the one {host} came in with: renew with the same key; a new key \
                 needs a token (`convoy token create --host {host}`)"
            );
            return Err(PlaneError::Forbidden { code: "wrong_key", message: said });
        }
        let wanted = Arc::new(wanted);
        let want = wanted.clone();
        if let Some(answer) = self.look(move |desk| desk.renewed(&want)).await? {
            return Ok(answer);
        }
        self.transact(move |desk| match desk.renewed(&wanted)? {
            Some(answer) => Ok(answer),
            None => desk.issue(&wanted, Grounds::default()),
        })
        .await
    }
}

impl Desk<'_> {
    /// Returns the answer given before, if it still is one. What was let in from memory is judged again by its row.
    fn renewed(&self, wanted: &Wanted) -> Done<Option<CertificateIssued>> {
        let Some(row) = self.tx.identity(&wanted.identity())? else { return Ok(None) };
        let host = &wanted.host;
        if let Some(at) = shut_out(&row) {
            let said = format!("{host} was revoked at {at}: `convoy token create --host {host}` lets it in again");
            return Err(PlaneError::Forbidden { code: "revoked", message: said });
        }
        if row.origin == crate::model::identity::Origin::Issued && row.key != wanted.key {
            let said = format!("{host} was enrolled again with another key: this one can't be renewed");
            return Err(PlaneError::Forbidden { code: "replaced", message: said });
        }
        Ok(self.again(&row, &wanted.key))
    }
}
