//! Pictures of identities, and what `convoy why` says of a host's.

use crate::model::id::HostName;
use crate::model::identity::{Identity, Origin};
use crate::plane::Plane;
use crate::plane::desk::Desk;
use crate::plane::error::Done;
use crate::plane::identity::shut_out;
use crate::store::rows::IdentityRow;
use crate::wire::v1::identity::IdentityView;
use crate::wire::v1::operator::{MAX_PAGE, Page};
use crate::wire::v1::release::date;
use std::sync::Arc;

impl Plane {
    /// Lists identities by their text, after one.
    ///
    /// # Errors
    /// The store's.
    pub async fn list_identities(self: &Arc<Self>, after: Option<Identity>, limit: usize) -> Done<Page<IdentityView>> {
        let limit = limit.clamp(1, MAX_PAGE);
        self.look(move |desk| {
            let rows = desk.tx.identities(after.as_ref(), limit)?;
            let next = (rows.len() >= limit).then(|| rows.last().map(|row| row.identity.to_string())).flatten();
            Ok(Page { items: rows.into_iter().map(view).collect(), next })
        })
        .await
    }
}

impl Desk<'_> {
    /// Shows a host's identity; `None` when it has none.
    ///
    /// # Errors
    /// The store's.
    pub fn host_identity(&self, host: &HostName) -> Done<Option<IdentityView>> {
        Ok(self.tx.identity(&Identity::Agent(host.clone()))?.map(view))
    }

    /// Says how a host's identity stands; nothing where there are no identities.
    ///
    /// # Errors
    /// The store's.
    pub fn identity_words(&self, host: &HostName) -> Done<Option<String>> {
        if self.plane.config().tls.is_none() {
            return Ok(None);
        }
        let Some(row) = self.tx.identity(&Identity::Agent(host.clone()))? else {
            return Ok(Some(format!("not enrolled: make a token with `convoy token create --host {host}`")));
        };
        let revoked = shut_out(&row);
        let reason = row.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        Ok(Some(match revoked {
            Some(at) => {
                format!("revoked at {at}{reason}: `convoy token create --host {host}` lets it in again")
            }
            None if self.now >= row.expires => {
                format!("its certificate ended at {}; it gets a new one when it comes back", row.expires)
            }
            None => format!("its certificate counts until {}", row.expires),
        }))
    }
}

fn view(row: IdentityRow) -> IdentityView {
    let shut_out = shut_out(&row);
    IdentityView {
        identity: row.identity,
        key: row.key.to_string(),
        issued_here: row.origin == Origin::Issued,
        issued: date(row.issued),
        expires: date(row.expires),
        revoked: shut_out.map(date),
        reason: row.reason,
        labels: row.labels,
    }
}
