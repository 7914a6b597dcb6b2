//! Who was heard when, and what the last heartbeat said: in memory, flushed in bulk. Must not decide what silence
//! means; that is `silence`'s.

use crate::model::facts::HostFacts;
use crate::model::host_rollout::HostRolloutState;
use crate::model::id::{HostName, JournalId, RolloutId};
use crate::model::time::{Stamp, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The most attempts remembered as over here that the agent may still hold: its next heartbeat lists them anyway.
pub const MAX_UNSETTLED: usize = 64;

/// What is known of one host without looking into the store.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// When it was last heard, on the wall clock.
    pub heard: Option<Timestamp>,
    /// The same on the process's own clock; `None` before its first contact since the start.
    pub heard_up: Option<Duration>,
    /// Whether it sent a heartbeat since the start.
    pub beat_since_start: bool,
    /// The host's clocks at its last heartbeat.
    pub stamp: Option<Stamp>,
    /// When that was, on the process's own clock.
    pub stamp_up: Option<Duration>,
    /// The last contact that is in the store.
    pub flushed: Option<Timestamp>,
    /// What lets a heartbeat with nothing new be answered from memory.
    pub known: Option<Known>,
    /// Grows with every change of the host's rows, so that an older reading is not remembered as [`Seen::known`].
    pub version: u64,
    /// Its newest attempt, for counts.
    pub newest: Option<Newest>,
    /// Attempts that the agent may still hold although they are over here: its last heartbeat listed them, or they
    /// were cancelled since.
    pub unsettled: Vec<RolloutId>,
    /// When its silence has to be judged again, on the process's own clock.
    pub judge_at: Duration,
}

/// What a heartbeat with nothing new needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Hash over everything in the heartbeat that is stored.
    pub fingerprint: u64,
    /// The journal in use.
    pub journal: JournalId,
    /// The last number held of it.
    pub last_seq: u64,
    /// The started, non-final records.
    pub started: Vec<RolloutId>,
}

/// A host's newest attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newest {
    /// The rollout.
    pub rollout: RolloutId,
    /// When that was opened.
    pub opened: Timestamp,
    /// The state.
    pub state: HostRolloutState,
    /// Since when.
    pub since: Timestamp,
    /// The number of the writing job that said so: answers of jobs may overtake each other.
    pub job: u64,
}

/// All hosts.
#[derive(Debug)]
pub struct Liveness {
    seen: Mutex<BTreeMap<HostName, Seen>>,
    started: Duration,
}

impl Liveness {
    /// Starts with nobody heard; `started` is the process's own clock.
    #[must_use]
    pub fn new(started: Duration) -> Self {
        Self { seen: Mutex::default(), started }
    }

    /// Locks the table; held for a moment only, never over a wait, and never where another method of it is called.
    pub fn lock(&self) -> MutexGuard<'_, BTreeMap<HostName, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `change` on one host's entry, which is made when there is none.
    pub fn with<T>(&self, host: &HostName, change: impl FnOnce(&mut Seen) -> T) -> T {
        let mut seen = self.lock();
        match seen.get_mut(host) {
            Some(entry) => change(entry),
            None => change(seen.entry(host.clone()).or_default()),
        }
    }

    /// Returns a copy of one host's entry.
    #[must_use]
    pub fn get(&self, host: &HostName) -> Seen {
        self.lock().get(host).cloned().unwrap_or_default()
    }

    /// Notes a contact.
    pub fn touch(&self, host: &HostName, wall: Timestamp, up: Duration) {
        self.with(host, |seen| {
            seen.heard = Some(wall);
            seen.heard_up = Some(up);
            seen.judge_at = Duration::ZERO;
        });
    }

    /// Returns how long the host has been silent, counted from the process's start at most: the time in which
    /// nobody listened is not silence.
    #[must_use]
    pub fn silent_for(&self, seen: &Seen, up: Duration) -> Duration {
        up.saturating_sub(seen.heard_up.unwrap_or(self.started))
    }

    /// Marks the host's rows as changed: what was remembered of them is dropped, its silence is judged anew.
    pub fn changed(&self, host: &HostName) {
        self.with(host, |seen| {
            seen.version += 1;
            seen.known = None;
            seen.judge_at = Duration::ZERO;
        });
    }

    /// Has the silence of every host judged anew.
    pub fn judge_all(&self) {
        self.lock().values_mut().for_each(|seen| seen.judge_at = Duration::ZERO);
    }

    /// Counts the hosts that are known.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.lock().len() as u64
    }

    /// Counts hosts heard within `span`.
    #[must_use]
    pub fn online(&self, up: Duration, span: Duration) -> u64 {
        let seen = self.lock();
        let online = seen.values().filter(|seen| seen.heard_up.is_some_and(|heard| up.saturating_sub(heard) <= span));
        online.count() as u64
    }

    /// Fills in what a decision needs to know of the host's contact.
    pub fn fill(&self, facts: &mut HostFacts) {
        let seen = self.get(&facts.name);
        facts.heard = seen.heard.or(facts.heard);
        facts.heard_since_start = seen.beat_since_start;
    }
}
