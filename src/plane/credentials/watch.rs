//! Looking at the files again while the control plane runs, and saying in time what will be over.

use crate::plane::Plane;
use crate::runtime::signals::Shutdown;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// How often the files are looked at: a new certificate counts within seconds, and a look reads a few small files.
const LOOK: Duration = Duration::from_secs(3);
/// How long before its end a certificate is warned of: time enough for an operator to notice and act.
pub const WARN_BEFORE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How often it is warned of.
const WARN_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

impl Plane {
    /// Keeps looking until the end is asked for.
    pub(crate) async fn watch_files(self: Arc<Self>, shutdown: Shutdown) {
        let mut warned: Option<Duration> = None;
        loop {
            let up = self.up();
            if warned.is_none_or(|at| up.saturating_sub(at) >= WARN_EVERY) {
                self.warn_of_ends();
                warned = Some(up);
            }
            tokio::select! {
                () = sleep(LOOK) => self.look_at_files().await,
                () = shutdown.asked() => return,
            }
        }
    }

    /// Looks once; new connections are made with what was found.
    pub(crate) async fn look_at_files(self: &Arc<Self>) {
        let plane = self.clone();
        // A file on a slow disk must not hold up requests; one that never answers leaves the old set in use.
        let looked = tokio::task::spawn_blocking(move || plane.credentials.look(plane.config()));
        if looked.await.is_err() {
            tracing::error!("the look at certificates and keys ended early");
        }
    }

    fn warn_of_ends(&self) {
        let now = self.now();
        for (what, at) in self.credentials.set().ends() {
            if now >= at {
                tracing::error!("the {what} is over since {at}: hosts can't connect; put a new one in its place");
            } else if at.since(now) < WARN_BEFORE {
                tracing::warn!("the {what} counts until {at} only: put a new one in its place, no restart is needed");
            }
        }
    }
}
