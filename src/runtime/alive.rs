//! Whether a loop still turns: it stamps each turn, and the watchdog asks how long ago the last one was.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The last turn of a loop. A clone is the same.
#[derive(Debug, Clone)]
pub struct Alive {
    last: Arc<Mutex<Instant>>,
}

impl Alive {
    /// Begins with a turn now.
    #[must_use]
    pub fn new() -> Self {
        Self { last: Arc::new(Mutex::new(Instant::now())) }
    }

    /// Stamps a turn.
    pub fn turn(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Tells whether the last turn lies no longer ago than this.
    #[must_use]
    pub fn within(&self, span: Duration) -> bool {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed() <= span
    }
}

impl Default for Alive {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use crate::runtime::alive::Alive;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_does_not_turn_is_noticed() {
        let alive = Alive::new();
        let watched = alive.clone();
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert!(watched.within(Duration::from_secs(10)));
        alive.turn();
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert!(!watched.within(Duration::from_secs(10)));
    }
}
