//! What an exit of `switch-to-configuration` means. Must not look at the machine.

use crate::model::facts::{UnitFailure, Verdict};
use crate::model::root_record::SwitchResult;

/// How a switch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwitchExit {
    /// By itself, with this status.
    Code(i32),
    /// By a signal that its own limit did not send.
    Signal(i32),
    /// Killed at its limit.
    TimedOut,
}

/// The status with which a switch says that another one holds its lock: `EAGAIN`.
pub const LOCKED: i32 = 11;

impl std::fmt::Display for SwitchExit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(signal) => write!(f, "killed by signal {signal}: its outcome is not known"),
            Self::TimedOut => f.write_str("killed at its limit"),
        }
    }
}

/// Judges a switch by its exit and by the units that fail now and did not before; logs are for the caller to fill in.
#[must_use]
pub fn judge(exit: SwitchExit, failed: &[String], baseline: &[String]) -> SwitchResult {
    let (old, new): (Vec<&String>, Vec<&String>) = failed.iter().partition(|unit| baseline.contains(unit));
    let verdict = match exit {
        SwitchExit::Code(100) => {
            return SwitchResult::Deferred("the init interface differs: a reboot is needed".to_owned());
        }
        SwitchExit::Code(0 | 4) if new.is_empty() => {
            let note = |unit: &&String| format!("{unit} failed before and still does");
            return SwitchResult::Good(old.iter().map(note).collect());
        }
        SwitchExit::Code(0 | 4) => Verdict::UnitsFailed(new.iter().map(ToString::to_string).collect()),
        // Nothing of the closure ran: it is not to blame.
        SwitchExit::Code(LOCKED) => Verdict::Refused("another switch held the lock all the time".to_owned()),
        SwitchExit::Code(_) | SwitchExit::Signal(_) => Verdict::SwitchFailed(exit.to_string()),
        SwitchExit::TimedOut => Verdict::SwitchTimedOut,
    };
    let units = new.iter().map(|unit| UnitFailure { unit: unit.to_string(), log: String::new() }).collect();
    SwitchResult::Bad { verdict, log: String::new(), units }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn verdict(exit: SwitchExit, failed: &[&str]) -> Option<Verdict> {
        match judge(exit, &units(failed), &units(&["old"])) {
            SwitchResult::Bad { verdict, .. } => Some(verdict),
            SwitchResult::Good(_) | SwitchResult::Deferred(_) => None,
        }
    }

    #[test]
    fn a_unit_that_failed_before_does_not_fail_the_switch() {
        let judged = judge(SwitchExit::Code(4), &units(&["old"]), &units(&["old", "gone"]));
        assert!(matches!(judged, SwitchResult::Good(notes) if notes.len() == 1));
        let judged = judge(SwitchExit::Code(4), &units(&["old", "new"]), &units(&["old"]));
        let SwitchResult::Bad { verdict: Verdict::UnitsFailed(named), units, .. } = judged else {
            panic!("{judged:?}")
        };
        assert_eq!((named, units.len()), (vec!["new".to_owned()], 1));
    }

    #[test]
    fn every_exit_means_what_happened() {
        let failed = |text: &str| Some(Verdict::SwitchFailed(text.to_owned()));
        assert!(matches!(judge(SwitchExit::Code(100), &[], &[]), SwitchResult::Deferred(_)));
        for (exit, units, expected) in [
            (SwitchExit::Code(0), vec![], None),
            (SwitchExit::Code(4), vec![], None),
            (SwitchExit::Code(0), vec!["new"], Some(Verdict::UnitsFailed(vec!["new".to_owned()]))),
            (SwitchExit::Code(4), vec!["new"], Some(Verdict::UnitsFailed(vec!["new".to_owned()]))),
            (SwitchExit::Code(1), vec![], failed("exit status 1")),
            (SwitchExit::Code(2), vec![], failed("exit status 2")),
            (SwitchExit::Code(3), vec![], failed("exit status 3")),
            (SwitchExit::Signal(9), vec![], failed("killed by signal 9: its outcome is not known")),
            (SwitchExit::TimedOut, vec![], Some(Verdict::SwitchTimedOut)),
        ] {
            assert_eq!(verdict(exit, &units), expected, "{exit}");
        }
        let locked = verdict(SwitchExit::Code(LOCKED), &[]).unwrap();
        assert!(matches!(locked, Verdict::Refused(_)) && !locked.blames_closure());
    }
}
