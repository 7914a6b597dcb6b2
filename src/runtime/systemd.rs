//! Messages to systemd: ready, status, stopping, watchdog. Without systemd they go nowhere; they never fail the
//! program.

use crate::runtime::signals::Shutdown;
use sd_notify::NotifyState;
use std::time::Duration;
use std::{env, process};

/// The longest status that is sent, in characters: systemctl shows one line.
const MAX_STATUS: usize = 200;

/// Says that the program is ready, with what it does in words.
pub fn ready(status: &str) {
    say(&[NotifyState::Ready, NotifyState::Status(&line(status))]);
}

/// Says what the program does now.
pub fn status(status: &str) {
    say(&[NotifyState::Status(&line(status))]);
}

/// Says that the program ends, with what it still does.
pub fn stopping(status: &str) {
    say(&[NotifyState::Stopping, NotifyState::Status(&line(status))]);
}

/// Tells systemd's watchdog at half its interval that the program is alive, until the end is asked for; `alive`
/// is asked each time, and silence is kept when it says no. Returns at once when no watchdog is set.
pub async fn watchdog(shutdown: Shutdown, alive: impl Fn() -> bool) {
    let set = |name| env::var(name).ok();
    let Some(interval) = interval(set("WATCHDOG_USEC"), set("WATCHDOG_PID"), process::id()) else { return };
    let half = (interval / 2).max(Duration::from_millis(1));
    loop {
        if alive() {
            say(&[NotifyState::Watchdog]);
        }
        tokio::select! {
            () = tokio::time::sleep(half) => {}
            () = shutdown.asked() => return,
        }
    }
}

/// Reads how long systemd waits for a sign of life; `None` when it does not, or waits for another process. As in
/// sd_watchdog_enabled(3), a missing process id means this one.
fn interval(micros: Option<String>, pid: Option<String>, own: u32) -> Option<Duration> {
    if pid.is_some_and(|pid| pid.parse() != Ok(own)) {
        return None;
    }
    let micros = micros?.parse().ok().filter(|micros| *micros > 0)?;
    Some(Duration::from_micros(micros))
}

/// Cuts a text to one short line: a newline would start another assignment of the protocol.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_STATUS).collect()
}

fn say(messages: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, messages) {
        tracing::debug!(%error, "systemd could not be told");
    }
}

#[cfg(test)]
mod tests {
    use crate::runtime::systemd::{interval, line};
    use std::time::Duration;

    #[test]
    fn the_watchdog_is_that_of_this_process_only() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(interval(some("2000000"), some("7"), 7), Some(Duration::from_secs(2)));
        assert_eq!(interval(some("2000000"), None, 7), Some(Duration::from_secs(2)));
        assert_eq!(interval(some("2000000"), some("8"), 7), None);
        assert_eq!(interval(None, some("7"), 7), None);
        assert_eq!(interval(some("0"), None, 7), None);
        assert_eq!(interval(some("soon"), None, 7), None);
    }

    #[test]
    fn a_status_can_not_smuggle_in_another_assignment() {
        assert_eq!(line("soaking\nMAINPID=1"), "soaking MAINPID=1");
        assert_eq!(line(&"x".repeat(1000)).len(), 200);
    }
}
