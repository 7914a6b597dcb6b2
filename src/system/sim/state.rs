//! Everything a simulated host remembers, in one value: what is on its disk, and what is forgotten at a boot.

use crate::model::id::{BootId, Closure, HostName};
use crate::model::root_record::{RootRecord, RootState, SwitchResult};
use crate::model::time::Stamp;
use crate::system::sim::closure::AgentFile;
use crate::system::sim::log::{By, Entry};
use crate::system::sim::machine::{Faults, Machine, Setup, StoredFloor};
use crate::wire::text;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The version of the file.
pub const VERSION: u32 = 1;
/// The most root records that are kept.
pub const MAX_RECORDS: usize = 8;
/// The most generations that are kept.
pub const MAX_GENERATIONS: usize = 32;

/// Everything a simulated host remembers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostState {
    /// [`VERSION`].
    pub version: u32,
    /// Counts the changes.
    pub revision: u64,
    /// The host.
    #[serde(with = "text")]
    pub name: HostName,
    /// What does not change.
    pub machine: Machine,
    /// Whether the machine is on.
    pub power: bool,
    /// This boot, or the last one.
    #[serde(with = "text")]
    pub boot: BootId,
    /// Counts the boots.
    pub boots: u64,
    /// A shutdown wrote it; the next boot takes it away.
    pub shutdown_mark: bool,
    /// Whether this boot found a shutdown mark.
    pub clean_shutdown: bool,
    /// `/run/current-system`.
    #[serde(with = "text")]
    pub running: Closure,
    /// Uptime at the last activation, in milliseconds.
    pub activated_ms: u64,
    /// `/run/booted-system`.
    #[serde(with = "text")]
    pub booted: Closure,
    /// The profile.
    #[serde(with = "text")]
    pub profile: Closure,
    /// The loader's default.
    #[serde(with = "text")]
    pub loader: Closure,
    /// The loader's one-shot entry.
    #[serde(with = "text::option")]
    pub oneshot: Option<Closure>,
    /// The profile's generations, oldest first.
    #[serde(with = "text::list")]
    pub generations: Vec<Closure>,
    /// Closures that are in its store.
    #[serde(with = "text::list")]
    pub staged: BTreeSet<Closure>,
    /// What is wrong with the machine itself.
    pub faults: Faults,
    /// The newest signed release that was started.
    pub floor: StoredFloor,
    /// The root records, newest first.
    #[serde(with = "records")]
    pub records: Vec<RootRecord>,
    /// Units that failed before the newest attempt.
    pub baseline: Vec<String>,
    /// Who holds the lock of `switch-to-configuration`.
    pub lock: Option<Lock>,
    /// The long acts that are wanted or run.
    pub jobs: BTreeMap<Job, JobState>,
    /// A clean reboot is asked for.
    pub reboot: bool,
    /// The machine itself: the process that starts and restarts the agent.
    pub init: Option<Mark>,
    /// The agent's process.
    pub agent: Option<Mark>,
    /// The settings with which it was started, once it has said that it runs.
    pub agent_ready: Option<AgentFile>,
    /// The number of the next act.
    pub next_act: u64,
    /// The last acts, which may not be in the log yet.
    pub unlogged: Vec<Entry>,
}

/// A process (its id and when it started), or a task (its number and 0). A mark is never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mark {
    /// Process id or task number.
    pub id: u64,
    /// The process's start, in clock ticks since the machine's boot.
    pub start: u64,
}

/// Who holds the lock of `switch-to-configuration`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lock {
    /// For whom.
    pub by: By,
    /// Which process; `None` while the job that the lock was taken for has not begun.
    pub mark: Option<Mark>,
}

/// A long act that runs by itself: a transient unit of a real host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Job {
    /// The switch to the target.
    Forward,
    /// The commit.
    Commit,
    /// Bringing the prior back.
    Revert,
    /// The dead-man.
    DeadMan,
    /// The target's own guard of a trial boot: it judges the units once the boot has settled.
    Guard,
}

impl Job {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Forward, Self::Commit, Self::Revert, Self::DeadMan, Self::Guard];

    /// Returns its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Commit => "commit",
            Self::Revert => "revert",
            Self::DeadMan => "dead-man",
            Self::Guard => "guard",
        }
    }
}

/// Where a long act stands; one that is in no list is not wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum JobState {
    /// To be started.
    Wanted,
    /// This process or task does it.
    Runs(Mark),
}

impl HostState {
    /// Makes a new host that has never booted.
    #[must_use]
    pub fn new(setup: Setup, boot: BootId) -> Self {
        let closure = setup.closure;
        Self {
            version: VERSION,
            revision: 0,
            name: setup.name,
            machine: setup.machine,
            power: false,
            boot,
            boots: 0,
            shutdown_mark: true,
            clean_shutdown: true,
            running: closure.clone(),
            activated_ms: 0,
            booted: closure.clone(),
            profile: closure.clone(),
            loader: closure.clone(),
            oneshot: None,
            generations: vec![closure.clone()],
            staged: BTreeSet::from([closure]),
            faults: Faults::default(),
            floor: StoredFloor::default(),
            records: Vec::new(),
            baseline: Vec::new(),
            lock: None,
            jobs: BTreeMap::new(),
            reboot: false,
            init: None,
            agent: None,
            agent_ready: None,
            next_act: 1,
            unlogged: Vec::new(),
        }
    }

    /// Returns what somebody else switched the host to while an attempt is open, if somebody did.
    #[must_use]
    pub fn takeover(&self) -> Option<Closure> {
        let record = self.open_record()?;
        let expected = [&record.target, &record.prior];
        let target_alone = match record.state {
            RootState::Soaking => matches!(record.result, Some((SwitchResult::Good(_), _))),
            RootState::Committing => true,
            RootState::Launched | RootState::Reverting => false,
            RootState::Committed | RootState::Reverted | RootState::Overtaken | RootState::Kept => false,
        };
        let runs_other = !expected.contains(&&self.running) || (target_alone && self.running != record.target);
        let default_moved = match record.state {
            RootState::Launched | RootState::Soaking => self.profile != record.prior || self.loader != record.prior,
            RootState::Committing | RootState::Reverting => {
                !expected.contains(&&self.profile) || !expected.contains(&&self.loader)
            }
            RootState::Committed | RootState::Reverted | RootState::Overtaken | RootState::Kept => false,
        };
        let by = if runs_other { &self.running } else { &self.loader };
        (runs_other || default_moved).then(|| by.clone())
    }

    /// Returns the newest record while its attempt has not ended.
    #[must_use]
    pub fn open_record(&self) -> Option<&RootRecord> {
        self.records.first().filter(|record| !record.is_final())
    }

    /// Returns how long the running closure has run.
    #[must_use]
    pub fn active_for(&self, now: &Stamp) -> Duration {
        now.uptime.saturating_sub(Duration::from_millis(self.activated_ms))
    }

    /// Tells whether profile and loader agree on the running closure.
    #[must_use]
    pub fn default_is_running(&self) -> bool {
        self.profile == self.running && self.loader == self.running
    }

    /// Returns every process of the host that is known: the machine first.
    #[must_use]
    pub fn marks(&self) -> Vec<Mark> {
        let jobs = self.jobs.values().filter_map(|state| match state {
            JobState::Wanted => None,
            JobState::Runs(mark) => Some(*mark),
        });
        let lock = self.lock.iter().filter_map(|lock| lock.mark);
        let mut marks: Vec<Mark> = self.init.into_iter().chain(self.agent).chain(jobs).chain(lock).collect();
        marks.dedup();
        marks
    }
}

/// Root records inside the file, each as the text in which they are kept.
mod records {
    use crate::model::root_record::RootRecord;
    use crate::wire::stored;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(records: &[RootRecord], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(records.iter().map(stored::write_root_record))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<RootRecord>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        texts.iter().map(|text| stored::read_root_record(text).map_err(D::Error::custom)).collect()
    }
}
