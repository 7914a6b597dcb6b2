//! The transient units of the root helper: one for each long act, and the dead-man's timer. Names are fixed, so that
//! systemd itself lets no act run twice at once.

use crate::activator::helper::Helper;
use crate::activator::shelf::id_of;
use crate::model::limit::DEAD_MAN_PERIOD;
use crate::model::root_record::RootRecord;
use crate::runtime::guard::Guard;
use crate::system::SystemError;
use crate::system::systemd::{self, Transient};
use std::time::Duration;

/// The dead-man's unit, without its ending.
const DEAD_MAN: &str = "convoy-dead-man";
/// How long one look of the dead-man may take: some calls to systemd and one write.
const DEAD_MAN_LIMIT: Duration = Duration::from_secs(120);
/// What a unit is given beyond the limit that the act keeps by itself, so that the act can write its result.
const TO_WRITE: Duration = Duration::from_secs(60);

/// A long act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// The forward switch.
    Switch,
    /// The boot entry of a trial, and the reboot.
    Trial,
    /// Judging the units of a trial boot, once it has settled.
    Guard,
    /// Writing the boot default.
    Commit,
    /// Going back.
    Rollback,
}

impl Act {
    /// The unit's name, without its ending.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::Switch => "convoy-switch",
            Self::Trial => "convoy-trial",
            Self::Guard => "convoy-trial-guard",
            Self::Commit => "convoy-commit",
            Self::Rollback => "convoy-rollback",
        }
    }

    /// The unit's full name.
    #[must_use]
    pub fn service(self) -> String {
        format!("{}.service", self.unit())
    }

    fn verb(self) -> &'static str {
        match self {
            Self::Switch => "run-switch",
            Self::Trial => "run-trial",
            Self::Guard => "run-guard",
            Self::Commit => "run-commit",
            Self::Rollback => "run-rollback",
        }
    }

    fn limit(self, record: &RootRecord) -> Duration {
        match self {
            Self::Switch | Self::Guard => record.terms.switch_limit,
            Self::Trial | Self::Commit => record.terms.commit_limit,
            Self::Rollback => record.terms.rollback_limit,
        }
    }
}

impl Helper {
    /// Starts a long act, unless it runs.
    ///
    /// # Errors
    /// When systemd does not take it.
    pub fn begin(&self, act: Act, record: &RootRecord) -> Result<(), SystemError> {
        if self.unit_runs(&act.service()) {
            return Ok(());
        }
        // A commit and the guard of a boot are the target's own work, all else that of the closure it came from.
        let by = match act {
            Act::Commit | Act::Guard => &record.target,
            Act::Switch | Act::Trial | Act::Rollback => &record.prior,
        };
        let (program, id) = (self.program_of(by), id_of(&record.rollout, record.attempt));
        let unit = Transient {
            unit: act.unit(),
            limit: act.limit(record).saturating_add(TO_WRITE),
            env: &self.env,
            program: &program,
            args: &[act.verb(), &id],
        };
        self.call("start a unit", unit.start()).map(drop)
    }

    /// Kills a long act with all it started.
    pub fn end(&self, act: Act) {
        if self.unit_runs(&act.service()) {
            self.tell(systemd::kill(&act.service()));
            self.tell(systemd::stop(&act.service()));
        }
    }

    /// Kills everything that brings the target on.
    pub fn end_forward(&self) {
        for act in [Act::Switch, Act::Trial, Act::Guard] {
            self.end(act);
        }
    }

    /// Arms the dead-man, unless it is armed. It is the prior's own program: it needs nothing of the target.
    ///
    /// # Errors
    /// When systemd does not take the timer.
    pub fn arm(&self, record: &RootRecord) -> Result<(), SystemError> {
        // Where systemd does not say, it is not armed: nothing may begin on a guess.
        if Guard::DeadMan.left_out() || self.try_unit_runs(&format!("{DEAD_MAN}.timer"))? {
            return Ok(());
        }
        let program = self.program_of(&record.prior);
        let (env, limit) = (&self.env, DEAD_MAN_LIMIT);
        let unit = Transient { unit: DEAD_MAN, limit, env, program: &program, args: &["dead-man"] };
        self.call("arm the dead-man", unit.periodic(DEAD_MAN_PERIOD)).map(drop)
    }

    /// Disarms the dead-man.
    pub fn disarm(&self) {
        if self.unit_runs(&format!("{DEAD_MAN}.timer")) {
            self.tell(systemd::stop(&format!("{DEAD_MAN}.timer")));
        }
    }

    /// Runs something whose failure changes nothing that is decided here.
    pub fn tell(&self, spec: crate::system::exec::ExecSpec) {
        if let Err(why) = self.call("tell systemd", spec) {
            tracing::warn!("{why}");
        }
    }
}
