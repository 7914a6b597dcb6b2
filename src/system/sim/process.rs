//! Processes of a simulated host by id and start, so that a recycled id is never taken for the process that had it.

use crate::system::sim::state::Mark;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::fs;

/// Returns the mark of a process; `None` when it is gone, or dead and not yet waited for.
#[must_use]
pub fn mark(pid: u32) -> Option<Mark> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold anything; the state is the field after it.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    let start = fields.nth(18)?.parse().ok()?;
    Some(Mark { id: u64::from(pid), start })
}

/// Returns the mark of this process.
#[must_use]
pub fn own() -> Mark {
    let pid = std::process::id();
    mark(pid).unwrap_or(Mark { id: u64::from(pid), start: 0 })
}

/// Tells whether the process is there.
#[must_use]
pub fn is_alive(marked: Mark) -> bool {
    u32::try_from(marked.id).ok().and_then(mark) == Some(marked)
}

/// Sends a signal to the process, if it is still the same one.
pub fn signal(marked: Mark, signal: Signal) {
    if let (true, Ok(pid)) = (is_alive(marked), i32::try_from(marked.id)) {
        // It fails only when the process has gone meanwhile.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// Kills the process at once, with its group where it leads one.
pub fn kill_all(marked: Mark) {
    if let (true, Ok(pid)) = (is_alive(marked), i32::try_from(marked.id)) {
        // No group of that id: the process does not lead one.
        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        signal(marked, Signal::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recycled_id_is_not_the_process() {
        let mine = own();
        assert!(mine.start > 0 && is_alive(mine));
        let other = Mark { start: mine.start + 1, ..mine };
        assert!(!is_alive(other));
        // Were it not checked, this test would end here.
        kill_all(other);
        signal(other, Signal::SIGKILL);
    }
}
