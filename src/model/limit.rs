//! How long a host may take to bring itself back: the figure that `release show` prints.

use crate::model::fleet::Policy;
use std::time::Duration;

/// How often the dead-man looks at its deadline.
pub const DEAD_MAN_PERIOD: Duration = Duration::from_secs(10);

/// The limits of self-rollback that follow from a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelfRollback {
    /// From the start of the switch until the dead-man acts at the latest, whatever happens.
    pub absolute_end: Duration,
    /// From the start of the switch until the prior closure runs again at the latest, a reboot included.
    pub back_by: Duration,
    /// From the first failing `enforce` probe until the prior closure runs again.
    pub after_failure: Duration,
}

/// Computes the limits from a policy.
#[must_use]
pub fn self_rollback(policy: &Policy) -> SelfRollback {
    let soak = policy.soak + policy.failure_after;
    let absolute_end = policy.switch_limit + soak + policy.isolation_limit + policy.commit_limit;
    let bring_back = policy.rollback_limit + policy.reboot_limit + DEAD_MAN_PERIOD;
    SelfRollback { absolute_end, back_by: absolute_end + bring_back, after_failure: policy.failure_after + bring_back }
}
