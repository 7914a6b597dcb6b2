//! The trial boot, in its own unit: an entry for the target, booted just once, while the default stays the prior.

use crate::activator::change::Change;
use crate::activator::helper::Helper;
use crate::model::root_record::{RootEvent, RootState};
use crate::system::{SystemError, nix};
use std::fs;

impl Helper {
    /// Reboots into the target of a deferred attempt, once.
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
        let mut change = Change::begin(self)?;
        // Durable before the reboot: what boots is compared with it.
        if record.trial_from.as_ref() != Some(&change.now.boot) {
            change.step(&RootEvent::TrialOrdered)?;
        }
        self.call("set the one-shot boot entry", oneshot)?;
        self.order_reboot(&change.now)
    }
}
