//! The dead-man from tick to tick: a machine that was asleep gives its agent one chance to speak before it is judged.
//!
//! The clock counts the time asleep, so that a lid closed for longer than the agent's timeout would end every soak.

use crate::model::facts::Verdict;
use crate::model::root_record::{RootRecord, dead_man_due};
use crate::model::time::Stamp;
use std::time::Duration;

/// How long an agent that has just woken up is waited for: twice its longest pause between two pats.
pub const WAKE_GRACE: Duration = Duration::from_secs(30);
/// A step of so many periods is more than a late tick.
const LONG_STEP: u32 = 3;

/// What the dead-man remembers from tick to tick. A helper whose every tick is a process of its own keeps it in /run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ticks {
    /// The last tick.
    pub last: Option<Stamp>,
    /// The first tick after the machine was asleep.
    pub woke: Option<Stamp>,
}

impl Ticks {
    /// Ticks, at most every `period`, and returns why the dead-man has to act now, if it has to. After a step that
    /// only sleep explains, the agent's silence is forgiven for [`WAKE_GRACE`], or for its timeout where that is
    /// shorter; never past the absolute end, and no other verdict waits.
    #[must_use]
    pub fn tick(&mut self, record: &RootRecord, now: &Stamp, period: Duration) -> Option<Verdict> {
        let step = self.last.replace(now.clone()).and_then(|last| now.since(&last));
        let asleep = (period * LONG_STEP).max(record.agent_timeout / 2);
        if step.is_some_and(|step| step > asleep) {
            self.woke = Some(now.clone());
        }
        let verdict = dead_man_due(record, now)?;
        let grace = WAKE_GRACE.min(record.agent_timeout);
        let waking = self.woke.as_ref().and_then(|woke| now.since(woke)).is_some_and(|ago| ago < grace);
        let forgiven = waking && verdict == Verdict::DeadMan && !now.reached(&record.end);
        (!forgiven).then_some(verdict)
    }
}
