use super::*;
use chrono::{DateTime, Datelike, Timelike, Utc};
use proptest::prelude::*;

fn at(text: &str) -> Timestamp {
    Timestamp(text.parse::<DateTime<Utc>>().unwrap().timestamp_millis())
}

fn on(days: &[usize], from: u16, minutes: u16) -> Window {
    let mut week = [false; 7];
    days.iter().for_each(|day| week[*day] = true);
    Window { days: week, from, minutes }
}

/// Says whether a window is open by walking back over every minute in which it could have opened.
fn open_by_scan(windows: &[Window], now: Timestamp) -> bool {
    if windows.is_empty() {
        return true;
    }
    let minute = now.0.div_euclid(60_000);
    windows.iter().any(|window| {
        (0..i64::from(window.minutes)).any(|back| {
            let then = DateTime::<Utc>::from_timestamp((minute - back) * 60, 0).unwrap();
            let day = usize::try_from(then.weekday().num_days_from_monday()).unwrap();
            window.days[day] && then.hour() * 60 + then.minute() == u32::from(window.from)
        })
    })
}

fn opening_by_scan(windows: &[Window], now: Timestamp) -> Option<Timestamp> {
    if open_by_scan(windows, now) {
        return None;
    }
    let minute = now.0.div_euclid(60_000);
    (1..=10_080).map(|ahead| Timestamp((minute + ahead) * 60_000)).find(|then| open_by_scan(windows, *then))
}

#[test]
fn without_windows_it_is_always_open() {
    assert!(is_open(&[], at("2026-05-04T00:00:00Z")));
    assert_eq!(opens_at(&[], at("2026-05-04T00:00:00Z")), None);
}

#[test]
fn monday_is_the_first_day() {
    let monday = [on(&[0], 0, 1440)];
    assert!(is_open(&monday, at("2026-05-04T00:00:00Z")), "2026-05-04 is a Monday");
    assert!(is_open(&monday, at("2026-05-04T23:59:59.999Z")));
    assert!(!is_open(&monday, at("2026-05-05T00:00:00Z")));
    assert!(!is_open(&monday, at("2026-05-03T23:59:59.999Z")));
}

#[test]
fn a_window_runs_past_midnight_and_past_the_end_of_the_week() {
    let sunday_night = [on(&[6], 23 * 60, 120)];
    assert!(!is_open(&sunday_night, at("2026-05-03T22:59:59.999Z")));
    assert!(is_open(&sunday_night, at("2026-05-03T23:00:00Z")));
    assert!(is_open(&sunday_night, at("2026-05-04T00:59:59.999Z")), "Monday, one o'clock is the end");
    assert!(!is_open(&sunday_night, at("2026-05-04T01:00:00Z")));
}

#[test]
fn the_next_opening_is_named_to_the_minute() {
    let windows = [on(&[2], 9 * 60 + 30, 60), on(&[5], 0, 10)];
    assert_eq!(opens_at(&windows, at("2026-05-04T12:00:30.500Z")), Some(at("2026-05-06T09:30:00Z")));
    assert_eq!(opens_at(&windows, at("2026-05-06T09:30:00Z")), None, "it is open");
    assert_eq!(opens_at(&windows, at("2026-05-06T10:30:00Z")), Some(at("2026-05-09T00:00:00Z")));
    assert_eq!(opens_at(&windows, at("2026-05-09T00:10:00Z")), Some(at("2026-05-13T09:30:00Z")));
}

#[test]
fn a_window_that_never_opens_is_closed_for_good() {
    let never = [on(&[], 0, 60), on(&[1], 0, 0)];
    assert!(!is_open(&never, at("2026-05-05T00:00:00Z")));
    assert_eq!(opens_at(&never, at("2026-05-05T00:00:00Z")), None);
}

#[test]
fn clocks_out_of_any_calendar_do_not_panic() {
    for extreme in [i64::MIN, i64::MAX, 0, -1] {
        let _ = is_open(&[on(&[0], 0, 1)], Timestamp(extreme));
        let _ = opens_at(&[on(&[0], 0, 1)], Timestamp(extreme));
    }
}

prop_compose! {
    fn any_window()(days in any::<[bool; 7]>(), from in 0_u16..1440, minutes in 0_u16..=1440) -> Window {
        Window { days, from, minutes }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn windows_agree_with_a_scan_of_every_minute(
        windows in prop::collection::vec(any_window(), 0..3),
        now in -2_000_000_000_000_i64..4_000_000_000_000,
    ) {
        let now = Timestamp(now);
        prop_assert_eq!(is_open(&windows, now), open_by_scan(&windows, now));
        prop_assert_eq!(opens_at(&windows, now), opening_by_scan(&windows, now));
    }
}
