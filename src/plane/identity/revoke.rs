//! Shutting an identity out, from its next request on.

use crate::model::id::{Digest, HostName};
use crate::model::identity::{Identity, Origin};
use crate::plane::Plane;
use crate::plane::desk::Desk;
use crate::plane::error::{Done, PlaneError};
use crate::plane::history::{Note, happening};
use crate::plane::identity::{host_of, shut_out};
use crate::plane::operate::check_reason;
use crate::store::rows::{IdentityRow, TokenRow};
use crate::wire::v1::identity::RevokeRequest;
use crate::wire::v1::operator::ActResponse;
use serde_json::json;
use std::sync::Arc;

impl Plane {
    /// Shuts an identity out, also one that has not come in yet. A host's tokens are taken back with it.
    ///
    /// # Errors
    /// [`PlaneError::BadRequest`], the store's.
    pub async fn revoke_identity(
        self: &Arc<Self>,
        identity: Identity,
        asked: RevokeRequest,
        by: String,
    ) -> Done<ActResponse> {
        check_reason(asked.reason.as_deref())?;
        self.perform(asked.dry_run, move |desk| desk.revoke_identity(&identity, &asked, &by)).await
    }
}

impl Desk<'_> {
    fn revoke_identity(&mut self, identity: &Identity, asked: &RevokeRequest, by: &str) -> Done<Vec<String>> {
        let known = self.tx.identity(identity)?;
        let mut done = Vec::new();
        match known.as_ref().and_then(shut_out) {
            Some(at) => done.push(format!("nothing to do: {identity} was revoked at {at}")),
            None => {
                let row = known.map_or_else(|| self.stranger(identity), Ok)?;
                self.put_identity(&IdentityRow { revoked: Some(self.now), reason: asked.reason.clone(), ..row })?;
                done.push(format!("{identity} is shut out from its next request on"));
                self.tell(identity, asked, by)?;
            }
        }
        if let Some(host) = host_of(identity) {
            let taken = self.take_back(host)?;
            if taken > 0 {
                done.push(format!("{taken} token(s) of {host} can't be spent any more"));
            }
            done.push(format!("`convoy token create --host {host}` and enrolling it anew let it in again"));
            self.follow.wake.insert(host.clone());
        } else {
            done.push("a certificate for another key, made after this, is let in again".to_owned());
        }
        Ok(done)
    }

    /// Makes the row of one that has not come in yet: no key is its own.
    fn stranger(&self, identity: &Identity) -> Done<IdentityRow> {
        Ok(IdentityRow {
            identity: identity.clone(),
            key: Digest::new("0".repeat(64)).map_err(PlaneError::from)?,
            origin: Origin::Elsewhere,
            issued: self.now,
            expires: self.now,
            certificate: None,
            token: None,
            revoked: None,
            reason: None,
            labels: Vec::new(),
        })
    }

    fn take_back(&mut self, host: &HostName) -> Done<usize> {
        let tokens = self.tx.tokens_of(host)?;
        let left: Vec<_> = tokens.into_iter().filter(|row| row.revoked.is_none()).collect();
        let open = left.iter().filter(|row| row.spent.is_none() && row.expires > self.now).count();
        for row in left {
            self.tx.put_token(&TokenRow { revoked: Some(self.now), ..row })?;
        }
        Ok(open)
    }

    fn tell(&mut self, identity: &Identity, asked: &RevokeRequest, by: &str) -> Done<()> {
        let who = identity.to_string();
        let fields = json!({ "kind": "identityRevoked", "identity": who, "by": by, "reason": asked.reason });
        let event = happening(fields)?;
        self.note(Note { host: host_of(identity), rollout: None, event, refused: None })?;
        let Some(host) = host_of(identity) else { return Ok(()) };
        for kept in self.open_records(host)? {
            self.follow.nudge.insert(kept.row.rollout);
        }
        Ok(())
    }
}
