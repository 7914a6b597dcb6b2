//! The forward switch, in its own unit: runs the target's `switch-to-configuration test`, and writes the result from
//! inside.

use crate::activator::baseline::Baseline;
use crate::activator::change::Change;
use crate::activator::helper::Helper;
use crate::activator::shelf::id_of;
use crate::model::facts::{UnitFailure, Verdict};
use crate::model::id::Closure;
use crate::model::root_record::{RootEvent, RootRecord, RootState, SwitchResult};
use crate::model::time::Stamp;
use crate::runtime::guard::Guard;
use crate::system::exec::{ExecOutput, ExecSpec, Exit};
use crate::system::judge::{LOCKED, SwitchExit, judge};
use crate::system::{SystemError, nix, systemd};
use std::ffi::OsString;
use std::time::Duration;

/// The end of a switch's log that is kept, in bytes.
const LOG_CAP: usize = 8 * 1024;
/// The end of a failed unit's log that is kept, in bytes.
const UNIT_LOG_CAP: usize = 4 * 1024;
/// The most failed units whose logs are kept.
const LOGS: usize = 16;
/// How often systemd is asked for the failed units, while it does not answer: within what a unit has to write its result.
const LOOKS: u32 = 3;
/// How long to wait between two times.
const LOOK_PAUSE: Duration = Duration::from_secs(2);
/// How long to wait before a switch whose lock was held is tried again.
const LOCK_PAUSE: Duration = Duration::from_secs(3);

/// A run of `switch-to-configuration`.
#[derive(Debug, Clone)]
pub struct Ran {
    /// How it ended.
    pub exit: SwitchExit,
    /// The end of what it said.
    pub log: String,
}

impl Helper {
    /// Switches to the target of an attempt.
    ///
    /// # Errors
    /// When the record can't be read or moved; the dead-man takes the rest up.
    pub fn run_switch(&self, id: &str) -> Result<(), SystemError> {
        let record = self.record(id, RootState::Launched)?;
        if record.result.is_some() {
            return Err(SystemError::Refused("the result is written already".to_owned()));
        }
        self.shelf.put("begun", id, self.boot_id()?.as_str().as_bytes())?;
        let reached = self.reaches(&record.prior).unwrap_or(false);
        let baseline = Baseline { control_plane: reached, ..self.baseline(&record) };
        self.note_baseline(id, &baseline)?;
        // One limit for both: the dead-man's deadline is made of it.
        let end = self.now()?.plus(record.terms.switch_limit);
        let result = match self.verify_new(&record, &end) {
            Ok(()) => self.forward(&record, &baseline, &end)?,
            Err(why) => SwitchResult::Bad {
                verdict: Verdict::Refused(format!("the target is not what was signed for the store: {why}")),
                log: String::new(),
                units: Vec::new(),
            },
        };
        Change::begin(self)?.step(&RootEvent::Ended(result))
    }

    fn forward(&self, record: &RootRecord, baseline: &Baseline, end: &Stamp) -> Result<SwitchResult, SystemError> {
        let ran = loop {
            let ran = self.switch(&record.target, "test", self.left(end)?)?;
            let locked = ran.exit == SwitchExit::Code(LOCKED) && !Guard::LockRetry.left_out();
            if !locked || self.now()?.plus(LOCK_PAUSE).reached(end) {
                break ran;
            }
            self.run.pause(LOCK_PAUSE);
            // Whoever held the lock may have switched.
            if Change::begin(self)?.open().is_none() {
                return Err(SystemError::Refused("the attempt has ended while it waited for the lock".to_owned()));
            }
        };
        tracing::info!(rollout.id = %record.rollout, "the switch ended: {}", ran.exit);
        self.result(record, baseline, ran)
    }

    /// Judges a run, with the logs of what failed.
    ///
    /// # Errors
    /// When units or what runs can't be read.
    pub fn result(&self, record: &RootRecord, baseline: &Baseline, ran: Ran) -> Result<SwitchResult, SystemError> {
        let failed = self.failed_units_patiently(&record.target)?;
        let before = if Guard::Baseline.left_out() { &[][..] } else { &baseline.failed_units };
        let (exit, failed) = match ran.exit {
            SwitchExit::Code(4) if Guard::Exit4.left_out() => (SwitchExit::Code(0), Vec::new()),
            exit @ (SwitchExit::Code(_) | SwitchExit::Signal(_) | SwitchExit::TimedOut) => (exit, failed),
        };
        let mut judged = judge(exit, &failed, before);
        if matches!(judged, SwitchResult::Good(_)) && self.running()? != record.target {
            let why = format!("{exit}, and yet {} runs", self.running()?);
            let verdict = Verdict::SwitchFailed(why);
            judged = SwitchResult::Bad { verdict, log: String::new(), units: Vec::new() };
        }
        if let SwitchResult::Bad { log, units, .. } = &mut judged {
            *log = ran.log;
            for unit in units.iter_mut().take(LOGS) {
                *unit = UnitFailure { log: cut(&self.log_of(&unit.unit), UNIT_LOG_CAP), unit: unit.unit.clone() };
            }
        }
        Ok(judged)
    }

    /// As [`Helper::failed_units`], with patience: a manager that is busy after a switch must not cost its result.
    fn failed_units_patiently(&self, closure: &Closure) -> Result<Vec<String>, SystemError> {
        for _ in 1..LOOKS {
            match self.failed_units(closure) {
                Ok(failed) => return Ok(failed),
                Err(why) => tracing::warn!("{why}; asking again"),
            }
            self.run.pause(LOOK_PAUSE);
        }
        self.failed_units(closure)
    }

    /// Checks the content of what the prior does not have against what the store registered: a power cut can leave
    /// empty files that count as whole.
    ///
    /// # Errors
    /// What is damaged.
    pub fn verify_new(&self, record: &RootRecord, end: &Stamp) -> Result<(), SystemError> {
        let what = "list the target's store paths";
        let all = self.call(what, nix::requisites(&record.target))?.stdout;
        let old = self.call(what, nix::requisites(&record.prior))?.stdout;
        for paths in nix::added(&all, &old).chunks(nix::PATHS_AT_ONCE) {
            self.call("verify the target's store paths", nix::verify_path(paths, self.left(end)?))?;
        }
        Ok(())
    }

    /// Runs a closure's `switch-to-configuration`.
    ///
    /// # Errors
    /// When it can't be started at all.
    pub fn switch(&self, closure: &Closure, action: &str, limit: Duration) -> Result<Ran, SystemError> {
        let mut env: Vec<(OsString, OsString)> = Vec::new();
        // The checks before a switch are for what is new: going back must not fail for them.
        if action != "test" || self.is_prior(closure) {
            env.push(("NIXOS_NO_CHECK".into(), "1".into()));
        }
        let spec = ExecSpec {
            program: self.place.closure(closure).join("bin/switch-to-configuration").into(),
            args: vec![action.into()],
            env,
            cwd: Some("/".into()),
            timeout: limit,
            output_cap: LOG_CAP,
        };
        let output = self.run.run(spec);
        let output = output.map_err(|detail| SystemError::Failed { what: "run switch-to-configuration", detail })?;
        Ok(Ran { exit: exit_of(&output), log: said(&output) })
    }

    fn is_prior(&self, closure: &Closure) -> bool {
        let found = self.shelf.records().unwrap_or_default();
        found.records.iter().any(|record| !record.is_final() && record.prior == *closure)
    }

    /// The end of a unit's log.
    #[must_use]
    pub fn log_of(&self, unit: &str) -> String {
        let output = self.call("read a unit's log", systemd::log(unit));
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    }

    /// Finds the open record that an act was begun for.
    ///
    /// # Errors
    /// [`SystemError::Refused`] when the attempt is in another state by now.
    pub fn record(&self, id: &str, state: RootState) -> Result<RootRecord, SystemError> {
        let found = self.shelf.records()?.records;
        let of = found.into_iter().find(|record| id_of(&record.rollout, record.attempt) == id);
        of.filter(|record| record.state == state)
            .ok_or_else(|| SystemError::Refused(format!("there is nothing to do for {id} any more")))
    }

    /// Tells how much is left of a limit.
    ///
    /// # Errors
    /// When the boot can't be read.
    pub fn left(&self, end: &Stamp) -> Result<Duration, SystemError> {
        Ok(end.since(&self.now()?).unwrap_or_default())
    }
}

fn exit_of(output: &ExecOutput) -> SwitchExit {
    match output.status {
        _ if output.timed_out => SwitchExit::TimedOut,
        Exit::Code(code) => SwitchExit::Code(code),
        Exit::Signal(signal) => SwitchExit::Signal(signal),
    }
}

fn said(output: &ExecOutput) -> String {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    cut(&text, LOG_CAP)
}

/// The end of a text, at most so many bytes, from the beginning of a character.
fn cut(text: &str, most: usize) -> String {
    let mut from = text.len().saturating_sub(most);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text[from..].to_owned()
}
