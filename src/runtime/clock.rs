//! The one `now()`: wall time and CLOCK_BOOTTIME behind a trait, so that a fleet can run on a paused clock.

use crate::model::id::BootId;
use crate::model::time::{Stamp, Timestamp};
use std::time::Duration;

/// Reads clocks.
pub trait Clock: Send + Sync {
    /// Returns the wall time.
    fn wall(&self) -> Timestamp;
    /// Returns the time since this machine booted, suspend included.
    fn uptime(&self) -> Duration;
    /// Returns both under a boot id, in whole milliseconds: what travels and is kept, so that a state and its
    /// copy are equal.
    fn stamp(&self, boot: &BootId) -> Stamp {
        let millis = u64::try_from(self.uptime().as_millis()).unwrap_or(u64::MAX);
        Stamp { wall: self.wall(), boot: boot.clone(), uptime: Duration::from_millis(millis) }
    }
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn wall(&self) -> Timestamp {
        Timestamp(chrono::Utc::now().timestamp_millis())
    }

    fn uptime(&self) -> Duration {
        let read = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME);
        read.map_or(Duration::ZERO, Duration::from)
    }
}
