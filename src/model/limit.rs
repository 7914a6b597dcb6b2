//! How long a host may take to bring itself back: the figures that `release show` prints.
//!
//! ```text
//!  start                     result                    soaked                                        end
//!    ├─────── switch ──────────┼──────── soak ───────────┼── failure ──┼── isolation ──┼── commit ──────┤
//!    │ dead-man: switch limit  │ dead-man: agent timeout after the last sign of life, and never later   │
//!    │ + agent timeout         │ than the end                                                           │
//! ```
//! Past any of these the prior closure is brought back: live within the rollback limit, else by a reboot. A trial
//! boot is counted from its own start: until then nothing of the target ran.

use crate::model::fleet::Policy;
use std::time::Duration;

/// How often the dead-man looks at its deadline: it acts at most this much late.
pub const DEAD_MAN_PERIOD: Duration = Duration::from_secs(10);
/// How many reboot limits a machine that was told to reboot into its target is waited for before it is given up.
pub const REBOOT_PATIENCE: u32 = 3;

/// The limits of self-rollback that follow from a policy. Sums that can't be held are as long as can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelfRollback {
    /// From the start of the switch until the dead-man acts at the latest, whatever happens.
    pub absolute_end: Duration,
    /// From the start of the switch until the prior closure runs again at the latest, a reboot included.
    pub back_by: Duration,
    /// From the permit for a trial boot until the prior closure runs again at the latest: the boot forward takes its
    /// time before anything is counted.
    pub trial_back_by: Duration,
    /// From the start of a switch that hangs or fails until the prior closure runs again.
    pub after_switch: Duration,
    /// From the agent's last sign of life until the prior closure runs again.
    pub after_silence: Duration,
    /// From the first failing `enforce` probe until the prior closure runs again, even when the agent dies at
    /// the moment of the verdict.
    pub after_failure: Duration,
}

/// Computes the limits from a policy.
#[must_use]
pub fn self_rollback(policy: &Policy) -> SelfRollback {
    // The dead-man notices late by a period at most; then the live rollback is given its time, and after it
    // the reboot into the prior, which is still the boot default.
    let bring_back = total(&[DEAD_MAN_PERIOD, policy.rollback_limit, policy.reboot_limit]);
    let absolute_end = absolute_end(policy);
    let after_silence = total(&[policy.agent_timeout, bring_back]);
    SelfRollback {
        absolute_end,
        back_by: total(&[absolute_end, bring_back]),
        trial_back_by: total(&[policy.reboot_limit.saturating_mul(REBOOT_PATIENCE), absolute_end, bring_back]),
        // The switch is given its limit, and the agent its timeout to act on the result before the dead-man does.
        after_switch: total(&[policy.switch_limit, after_silence]),
        after_silence,
        after_failure: total(&[policy.failure_after, after_silence]),
    }
}

/// Adds what an attempt may need one after the other: the switch, the soak, a failure that begins at its end and
/// is cleared at the last moment, the wait for a control plane that does not answer, and the commit, which may
/// only begin while more than its limit is left.
fn absolute_end(policy: &Policy) -> Duration {
    total(&[policy.switch_limit, policy.soak, policy.failure_after, policy.isolation_limit, policy.commit_limit])
}

fn total(spans: &[Duration]) -> Duration {
    spans.iter().fold(Duration::ZERO, |sum, span| sum.saturating_add(*span))
}

#[cfg(test)]
mod tests;
