//! How long to wait before trying again: exponential, capped, and spread so that a fleet does not come back at one instant.

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
    /// of its length.
    #[must_use]
    pub fn wait(&self, n: u32, draw: u32) -> Duration {
        let doubled = self.base.saturating_mul(1_u32.checked_shl(n.min(30)).unwrap_or(u32::MAX));
        let longest = doubled.min(self.cap);
        let half = longest / 2;
        half + half.mul_f64(f64::from(draw) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BACKOFF: Backoff = Backoff { base: Duration::from_secs(5), cap: Duration::from_secs(600) };

    #[test]
    fn waits_double_up_to_the_cap() {
        let longest: Vec<u64> = (0..9).map(|n| BACKOFF.wait(n, u32::MAX).as_secs()).collect();
        assert_eq!(longest, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
        assert_eq!(BACKOFF.wait(u32::MAX, u32::MAX), BACKOFF.cap);
    }

    proptest! {
        #[test]
        fn each_wait_is_spread_over_half_to_all_of_its_length(n in any::<u32>(), draw in any::<u32>()) {
            let (shortest, longest) = (BACKOFF.wait(n, 0), BACKOFF.wait(n, u32::MAX));
            let wait = BACKOFF.wait(n, draw);
            prop_assert!(shortest <= wait && wait <= longest && longest <= BACKOFF.cap);
            prop_assert_eq!(shortest, longest / 2);
            prop_assert!(!shortest.is_zero(), "a zero wait is a busy loop");
        }
    }
}
