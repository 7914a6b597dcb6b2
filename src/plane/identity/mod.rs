//! Who may come in: identities with their keys in memory, tokens that let hosts enroll, certificates that are issued
//! and taken back. Must not read a certificate's chain: TLS has verified it.
//!
//! ```text
//! token made ─▶ enroll: token spent + identity + certificate, one commit ─▶ admit, at every request ─▶ renew
//!                                                                  ▲
//!                       revoke: effective with the next request ───┘
//! ```

pub mod issue;
pub mod enroll;
pub mod renew;
pub mod tokens;
pub mod first;
pub mod revoke;
pub mod show;

use crate::model::id::HostName;
use crate::model::identity::{Denial, Identity, Known, Origin, Presented, admit};
use crate::model::time::Timestamp;
use crate::plane::Plane;
use crate::plane::desk::Desk;
use crate::plane::error::Done;
use crate::plane::history::{Note, happening};
use crate::store::rows::IdentityRow;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// How many rows a start reads at once.
const PAGE: usize = 1000;

/// What memory holds of one identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What decides whether it is let in.
    pub known: Known,
    /// When its newest certificate was issued.
    pub issued: Timestamp,
    /// The transaction that wrote it: they are numbered in the order of their commits, what follows them is not.
    pub job: u64,
}

impl Entry {
    /// Makes the entry of a row.
    #[must_use]
    pub fn of(row: &IdentityRow, job: u64) -> Self {
        let known = Known { key: row.key.clone(), origin: row.origin, revoked: row.revoked };
        Self { known, issued: row.issued, job }
    }

    fn shut_out(&self) -> Option<Timestamp> {
        still_revoked((self.known.origin, self.issued), self.known.revoked)
    }
}

/// All identities, so that a request costs one look-up and no reading of the store.
#[derive(Debug, Default)]
pub struct Identities {
    kept: RwLock<BTreeMap<Identity, Entry>>,
    /// Those that are being written down now.
    pending: Mutex<BTreeSet<Identity>>,
}

/// Whether what a certificate says should be written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// It is known.
    No,
    /// It is new, or newer than what is known.
    Yes,
}

impl Identities {
    /// Tells whether a certificate counts now, and whether it says something new.
    ///
    /// # Errors
    /// [`Denial`].
    pub fn admit(&self, presented: &Presented, now: Timestamp) -> Result<News, Denial> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let entry = kept.get(&presented.identity);
        admit(presented, entry.map(|entry| &entry.known), now)?;
        Ok(entry.map_or(News::Yes, |entry| news(&entry.known, entry.issued, presented)))
    }

    /// Takes over what a commit wrote, unless a later one was faster.
    pub fn put(&self, identity: Identity, entry: Entry) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        let known = kept.entry(identity).or_insert_with(|| entry.clone());
        if known.job <= entry.job {
            *known = entry;
        }
    }

    /// Returns since when a host is shut out.
    #[must_use]
    pub fn shut_out(&self, host: &HostName) -> Option<Timestamp> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.get(&Identity::Agent(host.clone())).and_then(Entry::shut_out)
    }

    /// Counts those that are let in and those that are shut out.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let revoked = kept.values().filter(|entry| entry.shut_out().is_some()).count();
        (kept.len() - revoked, revoked)
    }

    fn begin(&self, identity: &Identity) -> bool {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).insert(identity.clone())
    }

    fn end(&self, identity: &Identity) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).remove(identity);
    }
}

/// Only a newer certificate of another authority is news: two keys in use at once must not be written down by turns.
fn news(known: &Known, issued: Timestamp, presented: &Presented) -> News {
    match known.origin {
        Origin::Elsewhere if presented.issued > issued => News::Yes,
        Origin::Elsewhere | Origin::Issued => News::No,
    }
}

/// Returns since when an identity is shut out. One of another authority is not any more once a certificate that was
/// made after its revocation was let in.
#[must_use]
pub fn shut_out(row: &IdentityRow) -> Option<Timestamp> {
    still_revoked((row.origin, row.issued), row.revoked)
}

fn still_revoked((origin, issued): (Origin, Timestamp), revoked: Option<Timestamp>) -> Option<Timestamp> {
    revoked.filter(|at| match origin {
        Origin::Issued => true,
        Origin::Elsewhere => issued <= *at,
    })
}

impl Plane {
    /// Reads all identities into memory.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn load_identities(self: &Arc<Self>) -> Done<()> {
        let mut after: Option<Identity> = None;
        loop {
            let from = after.take();
            let page = self.look(move |desk| Ok(desk.tx.identities(from.as_ref(), PAGE)?)).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.identity.clone());
            page.iter().for_each(|row| self.identities.put(row.identity.clone(), Entry::of(row, 0)));
        }
    }

    /// Tells whether a certificate counts now; one that nobody knew is written down beside the request.
    ///
    /// # Errors
    /// [`Denial`].
    pub fn admit(self: &Arc<Self>, presented: &Arc<Presented>) -> Result<(), Denial> {
        match self.identities.admit(presented, self.now())? {
            News::No => {}
            News::Yes if self.identities.begin(&presented.identity) => {
                let (plane, presented) = (self.clone(), presented.clone());
                tokio::spawn(async move { plane.write_down(&presented).await });
            }
            News::Yes => {}
        }
        Ok(())
    }

    async fn write_down(self: Arc<Self>, presented: &Arc<Presented>) {
        let seen = presented.clone();
        if let Err(error) = self.transact(move |desk| desk.take_identity(&seen)).await {
            tracing::warn!(%error, "{} could not be written down; its next request tries again", presented.identity);
        }
        self.identities.end(&presented.identity);
    }
}

impl Desk<'_> {
    fn take_identity(&mut self, presented: &Presented) -> Done<()> {
        let known = self.tx.identity(&presented.identity)?;
        let entry = known.as_ref().map(|row| Entry::of(row, 0));
        if entry.is_some_and(|entry| news(&entry.known, entry.issued, presented) == News::No) {
            return Ok(());
        }
        let revoked = known.as_ref().filter(|row| row.revoked.is_some());
        let row = IdentityRow {
            identity: presented.identity.clone(),
            // What a revocation is measured against stays: the key that was shut out is never let in again.
            key: revoked.as_ref().map_or_else(|| presented.key.clone(), |row| row.key.clone()),
            origin: Origin::Elsewhere,
            issued: presented.issued,
            expires: presented.expires,
            certificate: None,
            token: None,
            revoked: revoked.and_then(|row| row.revoked),
            reason: revoked.and_then(|row| row.reason.clone()),
            labels: known.as_ref().map(|row| row.labels.clone()).unwrap_or_default(),
        };
        self.put_identity(&row)?;
        if known.is_some() {
            return Ok(());
        }
        let who = presented.identity.to_string();
        let event = happening(json!({ "kind": "identitySeen", "identity": who, "by": who }))?;
        self.note(Note { host: host_of(&presented.identity), rollout: None, event, refused: None })
    }
}

/// Returns the host of an agent's identity.
#[must_use]
pub fn host_of(identity: &Identity) -> Option<&HostName> {
    match identity {
        Identity::Agent(host) => Some(host),
        Identity::Viewer(_) | Identity::Operator(_) | Identity::Admin(_) => None,
    }
}
