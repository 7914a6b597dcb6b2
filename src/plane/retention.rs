//! Old events and tokens that ended long ago go, in small chunks; events of rollouts with open records stay.

use crate::plane::Plane;
use crate::plane::error::Done;
use std::sync::Arc;

/// How many rows one transaction deletes: short enough that permits do not wait behind it.
const CHUNK: usize = 500;

impl Plane {
    /// Deletes events older than the retention, and tokens that ended before it, spent or not: while one may still be
    /// spent it has to be known.
    ///
    /// # Errors
    /// The store's; the rest goes next time.
    pub async fn prune(self: &Arc<Self>) -> Done<()> {
        let before = self.now().minus(self.config().retention);
        loop {
            let deleted = self.transact(move |desk| Ok(desk.tx.prune_events(before, CHUNK)?)).await?;
            if deleted > 0 {
                tracing::info!("{deleted} events older than the retention were deleted");
            }
            if deleted < CHUNK {
                break;
            }
        }
        loop {
            let deleted = self.transact(move |desk| Ok(desk.tx.prune_tokens(before, CHUNK)?)).await?;
            if deleted > 0 {
                tracing::info!("{deleted} tokens that ended before the retention were deleted");
            }
            if deleted < CHUNK {
                return Ok(());
            }
        }
    }
}
