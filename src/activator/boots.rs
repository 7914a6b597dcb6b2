//! The guard of a boot: tells the open record what booted, and arms the dead-man anew, since timers vanish at a reboot.

use crate::activator::change::{Change, ignore_refused};
use crate::activator::helper::{Helper, is_guarded};
use crate::activator::switch::Ran;
use crate::model::root_record::{RootEvent, RootState};
use crate::runtime::guard::Guard;
use crate::system::judge::SwitchExit;
use crate::system::{SystemError, systemd};
use std::fs;
use std::time::Duration;

/// How often a boot is looked at that has not settled.
const SETTLE_PAUSE: Duration = Duration::from_secs(2);

/// Says that the last shutdown was clean.
const MARK: &str = "shutdown-mark";

impl Helper {
    /// Guards this boot.
    ///
    /// # Errors
    /// When records can't be read, or the dead-man can't be armed.
    pub fn boot_guard(&self) -> Result<(), SystemError> {
        if let Err(why) = self.note_shutdown() {
            tracing::warn!("{why}");
        }
        let found = self.shelf.records()?.records.into_iter().find(|record| !record.is_final());
        let trial = found.as_ref().is_some_and(|record| record.trial_from.is_some());
        if trial && Guard::TrialGuard.left_out() {
            return Ok(());
        }
        // Before anything is written: a full disk must not leave a boot unguarded.
        if let Some(record) = found.filter(|record| trial || is_guarded(record)) {
            self.arm(&record)?;
        }
        let mut change = Change::begin(self)?;
        change.guard()?;
        change.take_up()
    }

    /// Waits for a trial boot to settle, and judges its units as those of a switch.
    ///
    /// # Errors
    /// When the record can't be read or moved; the dead-man begins it again.
    pub fn run_guard(&self, id: &str) -> Result<(), SystemError> {
        let record = self.record(id, RootState::Soaking)?;
        if !record.is_unjudged_trial() {
            return Err(SystemError::Refused("the boot is judged already".to_owned()));
        }
        let end = self.now()?.plus(record.terms.switch_limit);
        while self.is_starting() && !self.now()?.reached(&end) {
            self.run.pause(SETTLE_PAUSE);
        }
        let failed = self.failed_units(&record.target)?;
        let exit = SwitchExit::Code(if failed.is_empty() { 0 } else { 4 });
        let ran = Ran { exit, log: "booted for a trial".to_owned() };
        let result = self.result(&record, &self.baseline(&record), ran)?;
        ignore_refused(Change::begin(self)?.step(&RootEvent::Ended(result)))
    }

    fn is_starting(&self) -> bool {
        let state = self.run.run(systemd::system_state());
        state.is_ok_and(|output| systemd::parse_starting(&output.stdout))
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
