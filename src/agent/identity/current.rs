//! The identity in use: the connection made with it, and until when it is good. Must not read or write anything.

use crate::agent::identity::files::{Stamps, Whole};
use crate::client::Transport;
use crate::model::identity::Presented;
use crate::model::time::Timestamp;
use crate::trust::authority::BACKDATE;
use std::sync::Arc;
use std::time::Duration;

/// Hosts whose certificates were issued together renew them over this part of their life, from its half on.
const SPREAD: f64 = 0.1;
/// Certificates and this host count in whole seconds, and the control plane in thousandths: half is over for both.
const ROUNDED: Duration = Duration::from_secs(1);
/// Between two tries to renew lies this part of the certificate's life,
const TRIES_IN_LIFE: u32 = 16;
/// and at least this,
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// and at most this: a control plane that was away is asked soon enough, even for a certificate of a year.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// See the module.
pub(super) struct Current {
    /// Where it speaks to.
    pub(super) address: String,
    /// The files as they were when they were read.
    pub(super) stamps: Stamps,
    /// The connection.
    pub(super) transport: Arc<dyn Transport>,
    /// What the certificate says.
    pub(super) presented: Presented,
    /// The private key, as PEM.
    pub(super) key: String,
    /// From when on it should be renewed.
    pub(super) renew_from: Timestamp,
    /// The least time between two tries.
    pub(super) pause: Duration,
}

impl Current {
    /// Takes an identity into use; `draw`, 0 to 1, spreads its renewal.
    pub(super) fn new(
        (address, transport): (&str, Arc<dyn Transport>),
        stamps: Stamps,
        whole: Whole,
        draw: f64,
    ) -> Self {
        let Presented { issued, expires, .. } = whole.presented;
        // Authorities date back for slow clocks; that part of the life was over at the issue.
        let begun = Timestamp(issued.plus(BACKDATE).0.min(expires.0));
        let life = expires.since(begun);
        Self {
            address: address.to_owned(),
            stamps,
            transport,
            renew_from: begun.plus(life.mul_f64(0.5 + SPREAD * draw) + ROUNDED),
            pause: (life / TRIES_IN_LIFE).clamp(SHORTEST_PAUSE, LONGEST_PAUSE),
            presented: whole.presented,
            key: whole.key,
        }
    }

    /// Tells whether it is over by this clock.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        now >= self.presented.expires
    }
}
