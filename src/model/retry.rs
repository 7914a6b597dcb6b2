//! How long to wait before trying again: exponential with full jitter, capped.

use std::time::Duration;

/// A schedule of waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The first wait's greatest length.
    pub base: Duration,
    /// No wait is longer.
    pub cap: Duration,
}

impl Backoff {
    /// Returns the wait before try `n` (from 0); `draw` is a random number that spreads it over half to all
    /// of its length, so that a fleet does not come back at one instant.
    #[must_use]
    pub fn wait(&self, n: u32, draw: u32) -> Duration {
        let doubled = self.base.saturating_mul(1_u32.checked_shl(n.min(30)).unwrap_or(u32::MAX));
        let longest = doubled.min(self.cap);
        let half = longest / 2;
        half + half.mul_f64(f64::from(draw) / f64::from(u32::MAX))
    }
}
