//! The driver: one loop over everything that can happen, which turns it into events and carries out the effects.
//!
//! ```text
//!   work done · probe result · a time is reached
//!        └─▶ event ─▶ model::step ─▶ journal (durable) ─▶ effects ─▶ acts
//! ```
//! Nothing is polled while nothing is under way, except by the long poll and the heartbeat.

pub mod link;
pub mod work;
pub mod write;
pub mod unwritten;
pub mod orders;
pub mod permit;
pub mod start;
pub mod look;
pub mod soak;
pub mod absence;
pub mod effects;
pub mod outbox;
pub mod beat;
pub mod due;

use crate::agent::driver::link::Link;
use crate::agent::driver::soak::Watch;
use crate::agent::driver::work::{Done, Running, Work};
use crate::agent::hook::Spool;
use crate::agent::journal::Journal;
use crate::agent::journal::content::Content;
use crate::agent::offer::Offer;
use crate::agent::{Connect, Parts, Say};
use crate::model::effect::Effect;
use crate::model::facts::HostHold;
use crate::model::host_rollout::Event;
use crate::model::id::{Closure, HostName, RolloutId};
use crate::model::root_record::RootRecord;
use crate::model::time::Stamp;
use crate::probe::net::ProbeNet;
use crate::probe::runner::{QUEUE, Report};
use crate::runtime::alive::Alive;
use crate::runtime::clock::Clock;
use crate::system::{AgentSettings, Observation, System, SystemError};
use crate::wire::v1::agent::{HostRolloutSnapshot, Order};
use rand::RngCore;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long one call to the machine may take before it counts as failed: all of them return soon.
const SYSTEM_LIMIT: Duration = Duration::from_secs(30);
/// How long to wait before a machine that can't be looked at is tried again.
const LOOK_RETRY: Duration = Duration::from_secs(1);
/// The longest sleep: deadlines count suspended time and the timer does not.
const LONGEST_NAP: Duration = Duration::from_secs(60);

/// Why the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The machine shows another boot id: everything is recovered anew.
    Rebooted,
}

/// The agent at work.
pub struct Driver {
    pub(crate) host: HostName,
    pub(crate) system: Arc<dyn System>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Box<dyn RngCore + Send>,
    pub(crate) connect: Connect,
    pub(crate) net: Arc<dyn ProbeNet>,
    pub(crate) say: Say,
    pub(crate) said: String,
    pub(crate) alive: Alive,
    pub(crate) heartbeat_floor: Duration,
    pub(crate) hook: Option<Spool>,
    pub(crate) journal: Journal,
    /// Why the journal could not be written last, and when it is tried again.
    pub(crate) disk: Option<(String, Instant)>,
    /// What speaks against a soaking target and could not be written: at most one event of a probe, one
    /// declaration and one verdict of each attempt. While there is any, the target is neither kept alive nor
    /// committed.
    pub(crate) unwritten: Vec<(RolloutId, Event)>,
    pub(crate) seen: Observation,
    pub(crate) records: Vec<RootRecord>,
    pub(crate) settings: AgentSettings,
    pub(crate) link: Link,
    pub(crate) orders: BTreeMap<RolloutId, Order>,
    pub(crate) offers: BTreeMap<RolloutId, Offer>,
    /// Why a release could not be used, for the heartbeat.
    pub(crate) refusals: BTreeMap<RolloutId, HostHold>,
    /// Why an attempt that is invited does not ask, for the heartbeat.
    pub(crate) holds: BTreeMap<RolloutId, Vec<HostHold>>,
    /// What the root helper held back for, until it is asked again.
    pub(crate) helper_holds: BTreeMap<RolloutId, (HostHold, Instant)>,
    /// When the last new journal was begun.
    pub(crate) renewed: Option<Instant>,
    pub(crate) snapshots: Vec<HostRolloutSnapshot>,
    pub(crate) asks: permit::Asks,
    pub(crate) watch: Option<Watch>,
    pub(crate) round: u64,
    /// Rollouts whose commit was asked for.
    pub(crate) committing: BTreeSet<RolloutId>,
    /// What keeps a commit from being finished, as it was told last.
    pub(crate) troubles: BTreeMap<RolloutId, HostHold>,
    /// An attempt that is due is not looked at again before this.
    pub(crate) naps: BTreeMap<RolloutId, Instant>,
    pub(crate) look_at: Option<Instant>,
    pub(crate) effects: VecDeque<(RolloutId, Effect)>,
    pub(crate) work: JoinSet<Done>,
    pub(crate) busy: BTreeMap<Work, Running>,
    /// Counts the pieces of work.
    pub(crate) begun: u64,
    pub(crate) reports: mpsc::Receiver<Report>,
    pub(crate) report_to: mpsc::Sender<Report>,
}

impl Driver {
    /// Takes the parts up; waits until the machine can be looked at.
    pub async fn new(mut parts: Parts, content: Content) -> Self {
        let (seen, settings) = first_look(&mut parts).await;
        let (report_to, reports) = mpsc::channel(QUEUE);
        let mut driver = Self {
            host: parts.host,
            system: parts.system,
            clock: parts.clock,
            rng: parts.rng,
            connect: parts.connect,
            net: parts.net,
            say: parts.say,
            said: String::new(),
            alive: parts.alive,
            heartbeat_floor: parts.heartbeat_floor,
            hook: parts.hook.map(Spool::of),
            journal: Journal::with(parts.journal, content),
            disk: None,
            unwritten: Vec::new(),
            seen,
            records: Vec::new(),
            settings,
            link: Link::new(),
            orders: BTreeMap::new(),
            offers: BTreeMap::new(),
            refusals: BTreeMap::new(),
            holds: BTreeMap::new(),
            helper_holds: BTreeMap::new(),
            renewed: None,
            snapshots: Vec::new(),
            asks: permit::Asks::default(),
            watch: None,
            round: 0,
            committing: BTreeSet::new(),
            troubles: BTreeMap::new(),
            naps: BTreeMap::new(),
            look_at: None,
            effects: VecDeque::new(),
            work: JoinSet::new(),
            busy: BTreeMap::new(),
            begun: 0,
            reports,
            report_to,
        };
        driver.relink();
        driver
    }

    /// Runs until the machine shows another boot.
    pub async fn drive(&mut self) -> Exit {
        loop {
            if let Some(exit) = self.turn().await {
                return exit;
            }
            self.tell();
            let wake = self.next_wake();
            tokio::select! {
                biased;
                Some(done) = self.work.join_next() => {
                    // A task that was aborted says nothing; one that panicked is a defect, and its work is done
                    // again like any that failed.
                    match done {
                        Ok(done) => self.take(done).await,
                        Err(why) if why.is_panic() => self.forget_finished(),
                        Err(_) => {}
                    }
                }
                Some(report) = self.reports.recv() => self.take_report(report).await,
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    /// Does everything that is due now.
    async fn turn(&mut self) -> Option<Exit> {
        let now = Instant::now();
        self.alive.turn();
        if self.disk.as_ref().is_some_and(|(_, at)| *at <= now) {
            self.try_disk();
        }
        if self.look_at.is_some_and(|at| at <= now) && self.look().await {
            return Some(Exit::Rebooted);
        }
        self.deadlines().await;
        self.advance().await;
        self.exchange().await;
        None
    }

    /// The machine's clocks now.
    pub(crate) fn now(&self) -> Stamp {
        self.clock.stamp(&self.seen.boot)
    }

    /// What runs, where that can be read.
    pub(crate) fn running(&self) -> Option<&Closure> {
        self.seen.closures.running.as_ref()
    }

    /// When the machine's clock will show a reading.
    pub(crate) fn instant_of(&self, at: &Stamp) -> Instant {
        let now = self.now();
        let left = if now.boot == at.boot { at.uptime.saturating_sub(now.uptime) } else { Duration::ZERO };
        Instant::now() + left.min(LONGEST_NAP)
    }

    /// Takes up what a boot changed: nothing of the old one is under way any more.
    pub async fn reboot_seen(&mut self) {
        self.work.abort_all();
        self.work = JoinSet::new();
        self.busy.clear();
        self.watch = None;
        self.effects.clear();
        self.committing.clear();
        self.unwritten.clear();
        self.naps.clear();
        self.helper_holds.clear();
        self.asks = permit::Asks::default();
        self.reload().await;
    }

    /// Reads again what the running closure tells its agent, and connects to the control plane it names; false when
    /// it could not be read.
    pub(crate) async fn reload(&mut self) -> bool {
        let read = within("read the agent's settings", self.system.settings()).await;
        let could = read.is_ok();
        match read {
            Ok(settings) if settings == self.settings => {}
            Ok(settings) => {
                if settings.trust != self.settings.trust {
                    self.offers.clear();
                    self.refusals.clear();
                }
                self.settings = settings;
                self.relink();
            }
            Err(why) => tracing::warn!(host.name = %self.host, "{why}"),
        }
        could
    }
}

async fn first_look(parts: &mut Parts) -> (Observation, AgentSettings) {
    loop {
        parts.alive.turn();
        let seen = within("look at the machine", parts.system.observe()).await;
        let settings = within("read the agent's settings", parts.system.settings()).await;
        match (seen, settings) {
            (Ok(seen), Ok(settings)) => return (seen, settings),
            (Err(why), _) | (_, Err(why)) => {
                (parts.say)(&format!("{why}; trying again"));
                tracing::error!(host.name = %parts.host, "{why}; trying again");
                tokio::time::sleep(LOOK_RETRY).await;
            }
        }
    }
}

/// Calls the machine, within the limit of one call.
pub(crate) async fn within<T>(
    what: &'static str,
    call: impl Future<Output = Result<T, SystemError>>,
) -> Result<T, SystemError> {
    let late = |_| SystemError::Failed { what, detail: format!("no answer within {SYSTEM_LIMIT:?}") };
    tokio::time::timeout(SYSTEM_LIMIT, call).await.map_err(late)?
}

#[cfg(test)]
mod tests;
