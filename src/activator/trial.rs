//! The trial boot, in its own unit: an entry for the target, booted just once, while the default stays the prior.

use crate::activator::change::Change;
use crate::activator::helper::Helper;
use crate::model::root_record::{RootRecord, RootState};
use crate::system::{SystemError, nix, systemd};
use std::fs;

impl Helper {
    /// Reboots into the target of a deferred attempt, once, as its record says already.
    ///
    /// # Errors
    /// What could not be done; the agent asks again.
    pub fn run_trial(&self, id: &str) -> Result<(), SystemError> {
        let record = self.record(id, RootState::Launched)?;
        let (target, prior) = (&record.target, &record.prior);
        let failed = |what: &'static str, detail: String| SystemError::Failed { what, detail };
        let profile = self.place.trial_profile();
        if let Some(folder) = profile.parent() {
            let made = fs::create_dir_all(folder);
            made.map_err(|why| failed("make the trial's profile", format!("{}: {why}", folder.display())))?;
        }
        self.call("set the trial's profile", nix::set_profile(&profile, target))?;
        self.install(prior, "boot", record.terms.commit_limit)?;
        let defaults = self.defaults(prior);
        if !defaults.are(prior) {
            return Err(failed("read the boot default back", format!("{defaults:?} is not {prior}")));
        }
        let no_entry = || failed("find the trial's boot entry", format!("the boot loader has none of {target}"));
        let oneshot = self.boot(prior).oneshot(target).ok_or_else(no_entry)?;
        let change = Change::begin(self)?;
        let ours = change.open().is_some_and(|open| open.trial_from.is_some() && open.rollout == record.rollout);
        if !ours {
            return Err(SystemError::Refused("the attempt has ended while its boot entry was made".to_owned()));
        }
        self.call("set the one-shot boot entry", oneshot)?;
        drop(change);
        self.call("reboot", systemd::reboot()).map(drop)
    }

    /// Takes a trial boot back that may still be ordered, and its entry: nobody would guard it.
    ///
    /// # Errors
    /// When the boot loader does not forget it.
    pub fn forget_trial(&self, record: &RootRecord) -> Result<(), SystemError> {
        if record.trial_from.is_none() {
            return Ok(());
        }
        let spec = self.boot(&record.prior).no_more_oneshot();
        let forgotten = spec.map_or(Ok(()), |spec| self.call("take the one-shot boot entry back", spec).map(drop));
        // In the trial boot itself the order is used up, and nothing is lost where it can't be taken back.
        let used = record.trial_boot.as_ref() == Some(&self.boot_id()?);
        let forgotten = if used { Ok(()) } else { forgotten };
        self.drop_trial_profile();
        forgotten
    }
}
