//! Readings of clocks as plain values; must not read a clock.

use crate::model::id::BootId;
use std::fmt;
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

/// Milliseconds in a day.
const DAY_MS: i64 = 86_400_000;

/// Writes UTC as people and logs read it: `2026-05-04T13:00:00Z`, without parts of seconds.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0.div_euclid(DAY_MS));
        let second = self.0.rem_euclid(DAY_MS) / 1000;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        f.pad(&format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"))
    }
}

/// Turns days since 1970-01-01 into year, month and day of the Gregorian calendar. Years are counted from
/// March, so that the leap day is the last of its year; 400 of them have always the same number of days.
fn civil(days: i64) -> (i64, i64, i64) {
    /// Days in 400 years.
    const ERA: i64 = 146_097;
    /// From 0000-03-01 to 1970-01-01.
    const MARCH_0: i64 = 719_468;
    let day = days + MARCH_0;
    let of_era = day.rem_euclid(ERA);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / (ERA - 1)) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = day.div_euclid(ERA) * 400 + year_of_era + i64::from(month <= 2);
    (year, month, of_year - (153 * march_month + 2) / 5 + 1)
}

/// A span in words for people: its two greatest units, such as `2 d 3 h`, `5 min`, `42 s`, `0.3 s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spoken(pub Duration);

impl fmt::Display for Spoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let units =
            [(seconds / 86_400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "min"), (seconds % 60, "s")];
        let Some(first) = units.iter().position(|(count, _)| *count > 0) else {
            let tenths = self.0.subsec_millis() / 100;
            return f.pad(&if tenths == 0 { "0 s".to_owned() } else { format!("0.{tenths} s") });
        };
        let parts = units.iter().skip(first).take(2).filter(|(count, _)| *count > 0);
        f.pad(&parts.map(|(count, unit)| format!("{count} {unit}")).collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stamp(boot: &str, seconds: u64) -> Stamp {
        Stamp { wall: Timestamp(0), boot: BootId::new(boot).unwrap(), uptime: Duration::from_secs(seconds) }
    }

    #[test]
    fn spans_within_a_boot_ignore_the_wall() {
        let stepped = Stamp { wall: Timestamp(-10_800_000), ..stamp("a", 30) };
        assert_eq!(stepped.since(&stamp("a", 10)), Some(Duration::from_secs(20)));
        assert!(stepped.reached(&stamp("a", 30)));
        assert!(!stepped.reached(&stamp("a", 31)));
    }

    #[test]
    fn another_boot_is_after_every_wait_of_the_earlier_one() {
        assert_eq!(stamp("b", 1).since(&stamp("a", 100)), None);
        assert!(stamp("b", 1).reached(&stamp("a", 100)));
    }

    #[test]
    fn sums_stay_within_what_can_be_held() {
        assert_eq!(Timestamp(i64::MAX).plus(Duration::MAX), Timestamp(i64::MAX));
        assert_eq!(Timestamp(i64::MIN).minus(Duration::MAX), Timestamp(i64::MIN));
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
        assert_eq!(Timestamp(i64::MAX).since(Timestamp(i64::MIN)), Duration::from_millis(i64::MAX as u64));
        assert_eq!(stamp("a", 1).plus(Duration::MAX).uptime, Duration::MAX);
    }

    #[test]
    fn spans_are_spoken_in_two_units() {
        let spoken = |millis| Spoken(Duration::from_millis(millis)).to_string();
        assert_eq!(spoken(0), "0 s");
        assert_eq!(spoken(340), "0.3 s");
        assert_eq!(spoken(42_900), "42 s");
        assert_eq!(spoken(300_000), "5 min");
        assert_eq!(spoken(3_630_000), "1 h");
        assert_eq!(spoken(183_600_000), "2 d 3 h");
    }

    proptest! {
        #[test]
        fn timestamps_read_as_the_calendar_says(ms in -60_000_000_000_000_i64..250_000_000_000_000) {
            let expected = chrono::DateTime::from_timestamp_millis(ms).unwrap();
            prop_assert_eq!(Timestamp(ms).to_string(), expected.format("%Y-%m-%dT%H:%M:%SZ").to_string());
        }
    }
}
