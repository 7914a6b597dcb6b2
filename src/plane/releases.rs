//! Decoded releases in memory: a manifest of a hundred thousand hosts is parsed once, not once a request.

use crate::model::fleet::Release;
use crate::model::id::RolloutId;
use crate::model::time::Timestamp;
use crate::plane::error::{Done, PlaneError};
use crate::store::Tx;
use crate::store::rows::ReleaseRow;
use crate::wire::Invalid;
use crate::wire::v1::manifest::ManifestBody;
use crate::wire::v1::release::{LeaseBody, SignedRelease, timestamp};
use axum::body::Bytes;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How many releases are kept decoded: the open ones of a few channels and their predecessors.
const KEPT: usize = 16;

/// A release as it is needed all the time.
#[derive(Debug)]
pub struct Loaded {
    /// The manifest.
    pub release: Release,
    /// Its place in the fleet's sequence.
    pub sequence: u64,
    /// When its newest lease was signed.
    pub issued: Timestamp,
    /// When that ends.
    pub expires: Timestamp,
    /// The signed release as it is given to hosts.
    pub body: Bytes,
}

/// The cache.
#[derive(Debug, Default)]
pub struct Releases {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    used: u64,
    by_id: BTreeMap<RolloutId, (u64, Arc<Loaded>)>,
}

impl Releases {
    /// Returns the release, read from the store when it is not in memory; `None` when there is none.
    ///
    /// # Errors
    /// The store's, and [`PlaneError::Stored`].
    pub fn get(&self, tx: &dyn Tx, id: &RolloutId) -> Done<Option<Arc<Loaded>>> {
        if let Some(loaded) = self.kept(id) {
            return Ok(Some(loaded));
        }
        let Some(row) = tx.release(id)? else { return Ok(None) };
        let loaded = Arc::new(load(row)?);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.used += 1;
        let used = kept.used;
        kept.by_id.insert(id.clone(), (used, loaded.clone()));
        if kept.by_id.len() > KEPT {
            let oldest = kept.by_id.iter().min_by_key(|(_, (used, _))| *used).map(|(id, _)| id.clone());
            oldest.and_then(|oldest| kept.by_id.remove(&oldest));
        }
        Ok(Some(loaded))
    }

    fn kept(&self, id: &RolloutId) -> Option<Arc<Loaded>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.used += 1;
        let now = kept.used;
        let (used, loaded) = kept.by_id.get_mut(id)?;
        *used = now;
        Some(loaded.clone())
    }

    /// Drops a release from memory: its lease was renewed.
    pub fn forget(&self, id: &RolloutId) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).by_id.remove(id);
    }
}

/// Decodes a stored release. It was verified before it was stored; keys that signed it may be gone since.
fn load(row: ReleaseRow) -> Done<Loaded> {
    let garbled = |what, error: serde_json::Error| PlaneError::Stored(Invalid { what, detail: error.to_string() });
    let signed: SignedRelease = serde_json::from_str(&row.body).map_err(|error| garbled("signed release", error))?;
    let manifest = ManifestBody::parse(&signed.manifest).map_err(PlaneError::Stored)?;
    let release = manifest.into_model(row.digest).map_err(PlaneError::Stored)?;
    let lease: LeaseBody = serde_json::from_str(&signed.lease.statement).map_err(|error| garbled("lease", error))?;
    Ok(Loaded {
        release,
        sequence: row.sequence,
        issued: timestamp(lease.issued),
        expires: timestamp(lease.expires),
        body: Bytes::from(row.body),
    })
}
