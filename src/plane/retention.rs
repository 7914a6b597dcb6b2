//! Old events go, in small chunks; those of rollouts with open records stay.

use crate::plane::Plane;
use crate::plane::error::Done;
use std::sync::Arc;

/// How many events one transaction deletes: short enough that permits do not wait behind it.
const CHUNK: usize = 500;

impl Plane {
    /// Deletes events older than the retention.
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
                return Ok(());
            }
        }
    }
}
