//! Times and spans as people read and write them; text of other machines made safe for a terminal.

use crate::model::time::Timestamp;
use chrono::{DateTime, Utc};
use std::time::Duration;

/// A span such as `90s`, `30m`, `12h` or `14d`, also `1h30m`; `500ms` alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl std::str::FromStr for Span {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a span of time: write it as 90s, 30m, 12h or 14d");
        if let Some(millis) = text.strip_suffix("ms") {
            let millis = millis.parse::<u32>().ok().filter(|millis| *millis > 0).ok_or_else(wrong)?;
            return Ok(Self(Duration::from_millis(u64::from(millis))));
        }
        let (mut total, mut number) = (0_u64, String::new());
        for c in text.chars() {
            if c.is_ascii_digit() {
                number.push(c);
                continue;
            }
            let unit = match c {
                's' => 1,
                'm' => 60,
                'h' => 3600,
                'd' => 86400,
                _ => return Err(wrong()),
            };
            let count: u64 = number.parse().map_err(|_| wrong())?;
            total = count.checked_mul(unit).and_then(|secs| total.checked_add(secs)).ok_or_else(wrong)?;
            number.clear();
        }
        let whole = number.is_empty() && !text.is_empty() && total > 0 && total <= MAX_SPAN_SECS;
        if whole { Ok(Self(Duration::from_secs(total))) } else { Err(wrong()) }
    }
}

/// The longest span that can be given, in seconds: a hundred years, so that adding it to a date stays a date.
const MAX_SPAN_SECS: u64 = 100 * 365 * 86400;

/// Writes a span with its two largest units, such as `2h 5m`; below a minute with tenths where it has some.
#[must_use]
pub fn span(length: Duration) -> String {
    let secs = length.as_secs();
    if secs < 60 {
        let tenths = length.subsec_millis() / 100;
        return if tenths == 0 { format!("{secs}s") } else { format!("{secs}.{tenths}s") };
    }
    let parts = [(secs / 86400, "d"), (secs / 3600 % 24, "h"), (secs / 60 % 60, "m"), (secs % 60, "s")];
    let first = parts.iter().position(|(count, _)| *count > 0).unwrap_or(3);
    let shown = parts[first..].iter().take(2).filter(|(count, _)| *count > 0);
    shown.map(|(count, unit)| format!("{count}{unit}")).collect::<Vec<_>>().join(" ")
}

/// Writes a wall time as a date in UTC.
#[must_use]
pub fn date(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Writes how far a wall time is from now, such as `5m 3s ago` or `in 2h`.
#[must_use]
pub fn from_now(at: DateTime<Utc>, now: Timestamp) -> String {
    let millis = at.timestamp_millis().saturating_sub(now.0);
    let length = Duration::from_secs(millis.unsigned_abs() / 1000);
    match (millis / 1000).signum() {
        0 => "now".to_owned(),
        1 => format!("in {}", span(length)),
        _ => format!("{} ago", span(length)),
    }
}

/// Writes a count with its word, such as `1 host` or `3 hosts`.
#[must_use]
pub fn count(number: impl Into<u64>, word: &str) -> String {
    let number = number.into();
    if number == 1 { format!("1 {word}") } else { format!("{number} {word}s") }
}

/// Takes control characters out, so that text of another machine can't steer the terminal or break a line.
#[must_use]
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Cuts a text to so many characters, with a mark where it was cut.
#[must_use]
pub fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// Shortens a store path to hash start and name: `abcdefg…-nixos-system-web1`.
#[must_use]
pub fn closure(path: &str) -> String {
    let base = path.strip_prefix("/nix/store/").unwrap_or(path);
    match base.split_once('-') {
        Some((hash, name)) if hash.len() == 32 && hash.is_ascii() => format!("{}…-{}", &hash[..7], clean(name)),
        _ => clean(base),
    }
}

#[cfg(test)]
mod tests {
    use crate::ctl::human::{Span, clean, closure, count, cut, from_now, span};
    use crate::model::time::Timestamp;
    use chrono::DateTime;
    use std::time::Duration;

    #[test]
    fn spans_are_read_as_they_are_written() {
        for (text, secs) in [("90s", 90), ("30m", 1800), ("12h", 43200), ("14d", 1_209_600), ("1h30m", 5400)] {
            assert_eq!(text.parse(), Ok(Span(Duration::from_secs(secs))), "{text}");
        }
        assert_eq!("250ms".parse(), Ok(Span(Duration::from_millis(250))));
        for bad in [
            "",
            "ms",
            "0ms",
            "1s5ms",
            "5",
            "d",
            "0s",
            "-1d",
            "1w",
            "1.5h",
            "99999999999999999999d",
            "300000000000d",
            "5m3",
        ] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_show_their_two_largest_units() {
        let cases =
            [(0, "0s"), (59, "59s"), (60, "1m"), (61, "1m 1s"), (3600, "1h"), (3661, "1h 1m"), (90061, "1d 1h")];
        for (secs, text) in cases {
            assert_eq!(span(Duration::from_secs(secs)), text);
        }
        assert_eq!(span(Duration::from_millis(1500)), "1.5s");
    }

    #[test]
    fn times_are_told_from_now_both_ways() {
        let at = DateTime::from_timestamp(1000, 0).unwrap();
        assert_eq!(from_now(at, Timestamp(1_065_000)), "1m 5s ago");
        assert_eq!(from_now(at, Timestamp(1_000_500)), "now");
        assert_eq!(from_now(at, Timestamp(0)), "in 16m 40s");
        assert_eq!(from_now(at, Timestamp(i64::MIN)), from_now(at, Timestamp(i64::MIN)));
    }

    #[test]
    fn foreign_text_can_not_steer_the_terminal() {
        assert_eq!(clean("a\u{1b}[31mb\nc"), "a [31mb c");
        assert_eq!(cut("straße", 4), "str…");
        assert_eq!(cut("abc", 3), "abc");
    }

    #[test]
    fn closures_are_short_and_still_telling() {
        let path = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-nixos-system-web1-26.05";
        assert_eq!(closure(path), "0123456…-nixos-system-web1-26.05");
        assert_eq!(closure("odd"), "odd");
        assert_eq!(count(1_u32, "host"), "1 host");
        assert_eq!(count(0_u32, "host"), "0 hosts");
    }
}
