//! Weekly windows in UTC in which hosts may start and reboot.

use crate::model::time::Timestamp;

/// Minutes in a day.
pub const DAY_MINUTES: u16 = 1440;

/// Minutes in a week.
const WEEK_MINUTES: i64 = 7 * DAY_MINUTES as i64;

/// Milliseconds in a minute.
const MINUTE_MS: i64 = 60_000;

/// 1970-01-01 was a Thursday: three days into a week that starts on Monday.
const EPOCH_MINUTE_OF_WEEK: i64 = 3 * DAY_MINUTES as i64;

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

impl Window {
    /// Lists the minutes of the week at which it opens.
    fn openings(&self) -> impl Iterator<Item = i64> + '_ {
        let open = self.days.iter().enumerate().filter(|(_, open)| **open);
        open.filter_map(|(day, _)| i64::try_from(day).ok())
            .map(|day| day * i64::from(DAY_MINUTES) + i64::from(self.from))
    }
}

/// Tells whether a start is allowed; without windows it always is.
#[must_use]
pub fn is_open(windows: &[Window], now: Timestamp) -> bool {
    let minute = minute_of_week(now);
    let covers = |window: &Window| {
        window.openings().any(|start| (minute - start).rem_euclid(WEEK_MINUTES) < i64::from(window.minutes))
    };
    windows.is_empty() || windows.iter().any(covers)
}

/// Returns when the next window opens; `None` when one is open now or none ever will.
#[must_use]
pub fn opens_at(windows: &[Window], now: Timestamp) -> Option<Timestamp> {
    if is_open(windows, now) {
        return None;
    }
    let minute = minute_of_week(now);
    let ever = windows.iter().filter(|window| window.minutes > 0);
    let wait = ever.flat_map(Window::openings).map(|start| (start - minute).rem_euclid(WEEK_MINUTES)).min()?;
    let opening = now.0.div_euclid(MINUTE_MS).checked_add(wait)?;
    opening.checked_mul(MINUTE_MS).map(Timestamp)
}

fn minute_of_week(now: Timestamp) -> i64 {
    (now.0.div_euclid(MINUTE_MS) + EPOCH_MINUTE_OF_WEEK).rem_euclid(WEEK_MINUTES)
}

#[cfg(test)]
mod tests;
