//! What the root helper has in its hands: places, clocks, processes. Everything it touches is an argument, so that its
//! decisions are tested on a machine in a directory.

use crate::activator::settings::Settings;
use crate::activator::shelf::Shelf;
use crate::model::id::{BootId, Closure};
use crate::model::root_record::RootRecord;
use crate::model::time::Stamp;
use crate::runtime::clock::Clock;
use crate::runtime::guard;
use crate::system::boot::{Boot, BootDefault};
use crate::system::exec::{ExecOutput, ExecSpec, run_blocking};
use crate::system::links;
use crate::system::pattern::fits;
use crate::system::place::Place;
use crate::system::systemd;
use crate::system::{SystemError, systemd::SWITCH_VARIABLES};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Runs programs and waits.
pub trait Run: Send + Sync {
    /// Runs a program to its end.
    ///
    /// # Errors
    /// What the system said when it could not be run.
    fn run(&self, spec: ExecSpec) -> Result<ExecOutput, String>;
    /// Waits.
    fn pause(&self, span: Duration);
}

/// The real thing.
#[derive(Debug, Clone, Copy)]
pub struct Processes;

impl Run for Processes {
    fn run(&self, spec: ExecSpec) -> Result<ExecOutput, String> {
        run_blocking(spec).map_err(|why| why.to_string())
    }

    fn pause(&self, span: Duration) {
        std::thread::sleep(span);
    }
}

/// The root helper.
pub struct Helper {
    /// Where things are.
    pub place: Place,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// Processes.
    pub run: Box<dyn Run>,
    /// This program, as its store path.
    pub own: PathBuf,
    /// Variables that its transient units need.
    pub env: Vec<(String, String)>,
    /// Its files.
    pub shelf: Shelf,
}

/// The default that a closure is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// The profile.
    pub profile: Option<Closure>,
    /// The boot loader's.
    pub loader: BootDefault,
}

impl Defaults {
    /// Tells whether profile and loader say this closure, as far as there is a loader.
    #[must_use]
    pub fn are(&self, closure: &Closure) -> bool {
        self.profile.as_ref() == Some(closure) && self.loader_is(closure)
    }

    /// Tells whether somebody set profile or loader to none of these. A loader that can't be read proves nothing.
    #[must_use]
    pub fn other_than(&self, closures: &[&Closure]) -> Option<Closure> {
        let loader = match &self.loader {
            BootDefault::Is(loader) => Some(loader),
            BootDefault::Unknown | BootDefault::ByProfile => None,
        };
        let both = [self.profile.as_ref(), loader];
        both.into_iter().flatten().find(|found| !closures.contains(found)).cloned()
    }

    /// Returns what boots, where profile and loader agree.
    #[must_use]
    pub fn agreed(&self) -> Option<Closure> {
        self.profile.clone().filter(|profile| self.loader_is(profile))
    }

    fn loader_is(&self, closure: &Closure) -> bool {
        match &self.loader {
            BootDefault::Is(loader) => loader == closure,
            BootDefault::ByProfile => true,
            BootDefault::Unknown => false,
        }
    }
}

impl Helper {
    /// The root helper of this machine.
    ///
    /// # Errors
    /// When its own program or directory can't be had.
    pub fn real(clock: Arc<dyn Clock>) -> Result<Self, SystemError> {
        let place = Place::real();
        let own = std::env::current_exe().and_then(std::fs::canonicalize);
        let own = own.map_err(|why| SystemError::Failed { what: "find its own program", detail: why.to_string() })?;
        let variable = |name: &str| std::env::var(name).ok().map(|value| (name.to_owned(), value));
        let names = ["PATH", "CONVOY_LOG"].into_iter().chain(SWITCH_VARIABLES);
        let env = names.filter_map(variable).chain(guard::handed_on()).collect();
        let shelf = Shelf::open(place.helper_state())?;
        Ok(Self { place, clock, run: Box::new(Processes), own, env, shelf })
    }

    /// The clocks now.
    ///
    /// # Errors
    /// When the kernel does not name this boot.
    pub fn now(&self) -> Result<Stamp, SystemError> {
        Ok(self.clock.stamp(&self.boot_id()?))
    }

    /// This boot.
    ///
    /// # Errors
    /// When the kernel does not name it.
    pub fn boot_id(&self) -> Result<BootId, SystemError> {
        let unnamed = || SystemError::Failed { what: "read the boot id", detail: "the kernel names none".to_owned() };
        links::boot_id(&self.place).ok_or_else(unnamed)
    }

    /// What runs.
    ///
    /// # Errors
    /// When `/run/current-system` leads to no closure.
    pub fn running(&self) -> Result<Closure, SystemError> {
        let what = "read what runs";
        let detail = || format!("{} leads to no closure", self.place.running().display());
        links::running(&self.place).ok_or_else(|| SystemError::Failed { what, detail: detail() })
    }

    /// What boots, as far as the settings of a closure say how to find out.
    #[must_use]
    pub fn defaults(&self, closure: &Closure) -> Defaults {
        Defaults { profile: links::profile(&self.place), loader: self.boot(closure).default() }
    }

    /// The boot loader, as the settings of a closure say; found by its files where they say nothing.
    #[must_use]
    pub fn boot(&self, closure: &Closure) -> Boot {
        match Settings::of(&self.place, closure) {
            Ok(settings) => Boot::find(&self.place, &settings.boot_mount, settings.boot_loader.wanted()),
            Err(_) => Boot::find(&self.place, "/boot", None),
        }
    }

    /// Runs a program to its end; a bad exit status is a failure that says what it said.
    ///
    /// # Errors
    /// What was tried, and why it failed.
    pub fn call(&self, what: &'static str, spec: ExecSpec) -> Result<ExecOutput, SystemError> {
        let program = spec.program.to_string_lossy().into_owned();
        let failed = |detail: String| SystemError::Failed { what, detail };
        let output = self.run.run(spec).map_err(failed)?;
        if output.timed_out {
            return Err(failed(format!("{program} took too long")));
        }
        if !output.status.is_success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(failed(format!("{program}: {}: {said}", output.status)));
        }
        Ok(output)
    }

    /// Lists the units that fail now, without those that nobody judges by the settings of a closure.
    ///
    /// # Errors
    /// When systemd does not say.
    pub fn failed_units(&self, closure: &Closure) -> Result<Vec<String>, SystemError> {
        let mut failed = self.all_failed_units()?;
        let ignored = Settings::of(&self.place, closure).map(|settings| settings.ignore_units).unwrap_or_default();
        failed.retain(|unit| !ignored.iter().any(|pattern| fits(pattern, unit)));
        Ok(failed)
    }

    /// Lists all units that fail now.
    ///
    /// # Errors
    /// When systemd does not say.
    pub fn all_failed_units(&self) -> Result<Vec<String>, SystemError> {
        let what = "list the failed units";
        let (mut failed, restarting) = systemd::parse_failed(&self.call(what, systemd::failed_units())?.stdout);
        if !restarting.is_empty() {
            let answer = self.call(what, systemd::exit_statuses(&restarting))?;
            failed.extend(systemd::parse_bad_exits(&answer.stdout));
        }
        failed.sort();
        Ok(failed)
    }

    /// Tells whether a unit runs, or waits to be started. Where systemd does not say, it does: what may run is never
    /// started twice.
    #[must_use]
    pub fn unit_runs(&self, unit: &str) -> bool {
        self.try_unit_runs(unit).unwrap_or(true)
    }

    /// As [`Helper::unit_runs`].
    ///
    /// # Errors
    /// When systemd does not say.
    pub fn try_unit_runs(&self, unit: &str) -> Result<bool, SystemError> {
        let answer = self.call("look at a unit", systemd::show(unit))?;
        Ok(systemd::parse_runs(&answer.stdout))
    }

    /// The program that a closure ships, or this one.
    #[must_use]
    pub fn program_of(&self, closure: &Closure) -> PathBuf {
        links::program(&self.place, closure, "convoy-activator").unwrap_or_else(|| self.own.clone())
    }
}

/// Tells whether an attempt has to be guarded by the dead-man.
#[must_use]
pub fn is_guarded(record: &RootRecord) -> bool {
    !record.is_final() && (record.deadline.is_some() || record.state != crate::model::root_record::RootState::Launched)
}
