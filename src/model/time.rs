//! Readings of clocks as plain values; must not read a clock.

use crate::model::id::BootId;
use std::time::Duration;

/// Milliseconds of wall time since 1970-01-01T00:00:00Z. For display and for signed dates, never for
/// measuring how long something took on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Returns the time that is `span` later, at most the greatest that can be held.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Returns the time that is `span` earlier, at least the smallest that can be held.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Returns how long after `earlier` this is; zero when it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// One reading of a machine's clocks. Spans are measured on `uptime` (CLOCK_BOOTTIME) within one boot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// Wall time, for display.
    pub wall: Timestamp,
    /// The boot that `uptime` counts from.
    pub boot: BootId,
    /// Time since that boot, suspend included.
    pub uptime: Duration,
}

impl Stamp {
    /// Returns how long after `earlier` this reading was taken, or `None` when another boot lies between.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Option<Duration> {
        (self.boot == earlier.boot).then(|| self.uptime.saturating_sub(earlier.uptime))
    }

    /// Returns the reading that this machine shows after `span` more in the same boot.
    #[must_use]
    pub fn plus(&self, span: Duration) -> Self {
        Self { wall: self.wall.plus(span), boot: self.boot.clone(), uptime: self.uptime.saturating_add(span) }
    }

    /// Tells whether this reading is at or after `at`; a reading of another boot is after everything of the
    /// earlier one, so that no wait outlives the boot it was counted in.
    #[must_use]
    pub fn reached(&self, at: &Self) -> bool {
        self.since(at).is_none() || self.uptime >= at.uptime
    }
}
