//! Tokio's paused clock as everybody's clock.

use convoy::model::time::Timestamp;
use convoy::runtime::clock::Clock;
use std::time::Duration;
use tokio::time::Instant;

/// 2026-01-01T00:00:00Z in milliseconds.
const START: i64 = 1_767_225_600_000;
/// Everything has been up for an hour when a run begins.
const UP_BEFORE: Duration = Duration::from_secs(3600);

/// A clock that follows the runtime's.
pub(crate) struct PausedClock {
    from: Instant,
}

impl PausedClock {
    pub(crate) fn new() -> Self {
        Self { from: Instant::now() }
    }

    /// Returns the simulated time since the run began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.from.elapsed()
    }
}

impl Clock for PausedClock {
    fn wall(&self) -> Timestamp {
        Timestamp(START).plus(self.elapsed())
    }

    fn uptime(&self) -> Duration {
        UP_BEFORE + self.elapsed()
    }
}
