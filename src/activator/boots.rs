//! The guard of a boot: tells the open record what booted, and arms the dead-man anew, since timers vanish at a reboot.

use crate::activator::change::Change;
use crate::activator::helper::Helper;
use crate::runtime::guard::Guard;
use crate::system::{SystemError, systemd};
use std::fs;

/// Says that the last shutdown was clean.
const MARK: &str = "shutdown-mark";

impl Helper {
    /// Guards this boot.
    ///
    /// # Errors
    /// When records can't be read, or the dead-man can't be armed.
    pub fn boot_guard(&self) -> Result<(), SystemError> {
        self.note_shutdown()?;
        let mut change = Change::begin(self)?;
        let trial = change.open().is_some_and(|record| record.trial_from.is_some());
        if trial && Guard::TrialGuard.left_out() {
            return Ok(());
        }
        change.guard()?;
        change.take_up()
    }

    /// Turns the mark of the last shutdown into a note about this boot, once.
    fn note_shutdown(&self) -> Result<(), SystemError> {
        if !self.shelf.take_away("", MARK) {
            return Ok(());
        }
        let note = self.place.clean_shutdown();
        let folder = note.parent().map_or(Ok(()), fs::create_dir_all);
        let written = folder.and(fs::write(&note, self.boot_id()?.as_str()));
        written.map_err(|why| SystemError::Failed { what: "note the clean shutdown", detail: why.to_string() })
    }

    /// Marks a clean shutdown, if the system is on its way down: the unit may be stopped for other reasons.
    ///
    /// # Errors
    /// When the mark can't be written.
    pub fn shutdown_mark(&self) -> Result<(), SystemError> {
        let state = self.run.run(systemd::system_state());
        let stopping = state.is_ok_and(|output| systemd::parse_stopping(&output.stdout));
        if stopping { self.shelf.put("", MARK, self.boot_id()?.as_str().as_bytes()) } else { Ok(()) }
    }
}
