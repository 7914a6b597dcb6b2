//! The last failure to get a certificate, and how long nobody asks again.

use crate::agent::identity::files::Stamp;
use crate::client::ClientError;
use std::time::Duration;
use tokio::time::Instant;

/// After the control plane refused to issue, it is asked again no sooner, unless the token's file has changed: only
/// a person can change its mind.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);
/// After any other failure it is asked no sooner; the driver's own waits grow beyond this.
const FAILED_PAUSE: Duration = Duration::from_secs(1);
/// See the module.
pub(super) struct Failed {
    until: Instant,
    /// What the token's file looked like, where there is a setting for one.
    token: Option<Stamp>,
    /// What went wrong.
    pub(super) why: ClientError,
}

impl Failed {
    /// Notes a failure.
    pub(super) fn now(token: Option<Stamp>, why: ClientError) -> Self {
        let pause = if matches!(why, ClientError::Refused { .. }) { REFUSED_PAUSE } else { FAILED_PAUSE };
        Self { until: Instant::now() + pause, token, why }
    }

    /// Tells whether it is too early to ask again, with a token's file that looks like this.
    pub(super) fn rests(&self, token: Option<Stamp>) -> bool {
        Instant::now() < self.until && self.token == token
    }
}
