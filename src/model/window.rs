//! Weekly windows in UTC in which hosts may start and reboot.

use crate::model::time::Timestamp;

/// Minutes in a day.
pub const DAY_MINUTES: u16 = 1440;

/// A weekly window, in UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The days on which it opens, Monday first.
    pub days: [bool; 7],
    /// The minute of the day at which it opens, below 1440.
    pub from: u16,
    /// How many minutes it stays open, 1 to 1440; it may run past midnight.
    pub minutes: u16,
}

/// Tells whether a start is allowed; without windows it always is.
#[must_use]
pub fn is_open(windows: &[Window], now: Timestamp) -> bool {
    let _ = (windows, now);
    false
}

/// Returns when the next window opens; `None` when one is open now or none ever will.
#[must_use]
pub fn opens_at(windows: &[Window], now: Timestamp) -> Option<Timestamp> {
    let _ = (windows, now);
    None
}
