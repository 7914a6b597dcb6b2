//! The commit, in its own unit: profile and boot loader, read back. A commit that has begun is finished, never undone.

use crate::activator::change::Change;
use crate::activator::helper::Helper;
use crate::model::id::Closure;
use crate::model::root_record::{RootEvent, RootRecord, RootState};
use crate::system::boot::BootDefault;
use crate::system::judge::{LOCKED, SwitchExit};
use crate::system::{SystemError, nix};
use std::fs;
use std::time::Duration;

/// How long to wait before a boot loader's installation whose lock was held is tried again.
const LOCK_PAUSE: Duration = Duration::from_secs(3);

impl Helper {
    /// Makes the target of an attempt the boot default.
    ///
    /// # Errors
    /// What could not be done; the record has it, and the dead-man begins it again when that is due.
    pub fn run_commit(&self, id: &str) -> Result<(), SystemError> {
        let record = self.record(id, RootState::Committing)?;
        let written = self.write_default(&record);
        let mut change = Change::begin(self)?;
        if change.open().is_none_or(|open| open.rollout != record.rollout) {
            return Ok(());
        }
        match written {
            Ok(()) => change.step(&RootEvent::CommitDone),
            Err(why) => {
                self.take_profile_back(&record.prior);
                let untouched = self.defaults(&record.prior).are(&record.prior);
                change.step(&RootEvent::CommitFailed { why: why.to_string(), untouched })?;
                Err(why)
            }
        }
    }

    /// Sets the profile back where the boot loader still boots the prior: such a commit has done nothing, and has an end.
    fn take_profile_back(&self, prior: &Closure) {
        let defaults = self.defaults(prior);
        if defaults.loader == BootDefault::Is(prior.clone()) && defaults.profile.as_ref() != Some(prior) {
            self.tell(nix::set_profile(&self.place.profile(), prior));
        }
    }

    fn write_default(&self, record: &RootRecord) -> Result<(), SystemError> {
        let end = self.now()?.plus(record.terms.commit_limit);
        let target = &record.target;
        self.drop_trial_profile();
        sync(&self.place.at("/nix"))?;
        self.verify_new(record, &end)?;
        self.call("set the profile", nix::set_profile(&self.place.profile(), target))?;
        self.install(target, "boot", self.left(&end)?)?;
        let defaults = self.defaults(target);
        if !defaults.are(target) {
            let detail = format!("{defaults:?} is not {target}");
            return Err(SystemError::Failed { what: "read the boot default back", detail });
        }
        sync(&self.boot(target).mount)
    }

    /// Has a closure install the boot loader, with what else its action does; waits for the lock.
    ///
    /// # Errors
    /// With what it said.
    pub fn install(&self, closure: &Closure, action: &str, limit: Duration) -> Result<(), SystemError> {
        let end = self.now()?.plus(limit);
        loop {
            let ran = self.switch(closure, action, self.left(&end)?)?;
            match ran.exit {
                SwitchExit::Code(0) => return Ok(()),
                SwitchExit::Code(LOCKED) if !self.now()?.plus(LOCK_PAUSE).reached(&end) => self.run.pause(LOCK_PAUSE),
                exit @ (SwitchExit::Code(_) | SwitchExit::Signal(_) | SwitchExit::TimedOut) => {
                    let detail = format!("{exit}: {}", ran.log.trim());
                    return Err(SystemError::Failed { what: "write the boot default", detail });
                }
            }
        }
    }

    /// Takes the entry of a trial boot away.
    pub fn drop_trial_profile(&self) {
        let profile = self.place.trial_profile();
        let (Some(folder), Some(name)) = (profile.parent(), profile.file_name().and_then(|name| name.to_str())) else {
            return;
        };
        let Ok(entries) = fs::read_dir(folder) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let generation = file.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
            if generation && let Err(why) = fs::remove_file(&path) {
                tracing::warn!("{}: {why}", path.display());
            }
        }
    }
}

/// Has everything on the file system of a path written to the disk; where it is not there nothing has to be.
fn sync(path: &std::path::Path) -> Result<(), SystemError> {
    let failed = |why: String| SystemError::Failed { what: "write the store to the disk", detail: why };
    let Ok(file) = fs::File::open(path) else { return Ok(()) };
    ::nix::unistd::syncfs(&file).map_err(|why| failed(format!("{}: {why}", path.display())))
}
