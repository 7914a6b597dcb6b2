//! The control plane: decides who goes when. It never holds a key that signs, and never reaches for the clock, for
//! randomness or for a store of its own: all are arguments.
//!
//! ```text
//! publish ─▶ records (Pending) ─▶ dispatch: invited ─▶ intake: DispatchAcked ─▶ permit: decide ─▶ granted
//!                 ▲                                        │ every other event: model::step
//!   operate ──────┤                                        ▼
//!   heartbeat ────┴──────────── desk: row + event in one transaction ─▶ advance: tally, rollout::step
//!                                                                        │ after the commit
//!                                                     wake · invite · chores ◀┘
//! ```

pub mod config;
pub mod credentials;
pub mod error;
pub mod digest;
pub mod releases;
pub mod liveness;
pub mod silence;
pub mod wake;
pub mod ledger;
pub mod desk;
pub mod effects;
pub mod follow;
pub mod history;
pub mod advance;
pub mod chores;
pub mod permit;
pub mod intake;
pub mod publish;
pub mod offers;
pub mod dispatch;
pub mod heartbeat;
pub mod newest;
pub mod restored;
pub mod attempt;
pub mod operate;
pub mod identity;
pub mod why;
pub mod view;
pub mod metrics;
pub mod retention;
pub mod tick;
pub mod sweep;
pub mod nudge;
pub mod load;
pub mod http;
pub mod listen;
pub mod serve;

pub use crate::plane::http::app;
pub use crate::plane::serve::serve;

use crate::model::facts::PlaneFacts;
use crate::model::id::{BootId, HostName, RolloutId};
use crate::model::time::{Stamp, Timestamp};
use crate::plane::config::PlaneConfig;
use crate::plane::credentials::Credentials;
use crate::plane::desk::Desk;
use crate::plane::error::{Done, PlaneError};
use crate::plane::identity::Identities;
use crate::plane::liveness::Liveness;
use crate::plane::offers::Offers;
use crate::plane::releases::Releases;
use crate::plane::silence::Silence;
use crate::plane::wake::Wakes;
use crate::runtime::clock::Clock;
use crate::store::{self, Store};
use crate::trust::TrustFile;
use rand::RngCore;
use rand_chacha::ChaCha20Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// What a control plane is made of.
pub struct Parts {
    /// Its memory.
    pub store: Arc<dyn Store>,
    /// Its clocks.
    pub clock: Arc<dyn Clock>,
    /// Its randomness: jitter, request ids, the secrets of tokens and the numbers of certificates. Seeded by the
    /// operating system, except in tests.
    pub rng: ChaCha20Rng,
    /// The keys that sign releases.
    pub trust: TrustFile,
    /// Its settings.
    pub config: PlaneConfig,
}

/// A control plane.
pub struct Plane {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    rng: Mutex<ChaCha20Rng>,
    credentials: Credentials,
    identities: Identities,
    config: PlaneConfig,
    boot: BootId,
    started: Duration,
    releases: Releases,
    live: Liveness,
    silence: Silence,
    wakes: Wakes,
    offers: Offers,
    nudges: Mutex<BTreeSet<RolloutId>>,
    recounts: Mutex<BTreeSet<RolloutId>>,
    cursors: Mutex<BTreeMap<(RolloutId, u32), HostName>>,
    busy: Notify,
    places: watch::Sender<u64>,
    draining: watch::Sender<bool>,
    publishing: tokio::sync::Mutex<()>,
    unfinished: AtomicBool,
    proven: tokio::sync::Mutex<Option<Duration>>,
    jobs: AtomicU64,
    requests: AtomicU64,
    chores_left: AtomicBool,
    restored: AtomicBool,
    losses: AtomicU64,
    judged_losses: AtomicU64,
    metrics: metrics::Counters,
}

impl Plane {
    /// Starts a control plane on its store: reads who was heard when, goes on with what a stop interrupted.
    ///
    /// # Errors
    /// The store's, and [`PlaneError::Credentials`].
    pub async fn open(parts: Parts) -> Done<Arc<Self>> {
        let Parts { store, clock, mut rng, trust, config } = parts;
        let started = clock.uptime();
        let plane = Arc::new(Self {
            requests: AtomicU64::new(u64::from(rng.next_u32()) << 20),
            store,
            clock,
            rng: Mutex::new(rng),
            credentials: Credentials::open(&config, trust)?,
            identities: Identities::default(),
            config,
            boot: BootId::new("control-plane")?,
            started,
            releases: Releases::default(),
            live: Liveness::new(started),
            silence: Silence::default(),
            wakes: Wakes::default(),
            offers: Offers::default(),
            nudges: Mutex::default(),
            recounts: Mutex::default(),
            cursors: Mutex::default(),
            busy: Notify::new(),
            places: watch::Sender::new(0),
            draining: watch::Sender::new(false),
            publishing: tokio::sync::Mutex::default(),
            unfinished: AtomicBool::new(false),
            proven: tokio::sync::Mutex::default(),
            jobs: AtomicU64::new(0),
            chores_left: AtomicBool::new(true),
            restored: AtomicBool::new(false),
            losses: AtomicU64::new(0),
            judged_losses: AtomicU64::new(0),
            metrics: metrics::Counters::default(),
        });
        plane.load().await?;
        plane.load_identities().await?;
        plane.finish_publishing().await?;
        plane.settle().await?;
        Ok(plane)
    }

    /// Returns the wall time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.wall()
    }

    /// Returns the process's own clock, which nobody sets.
    #[must_use]
    pub fn up(&self) -> Duration {
        self.clock.uptime()
    }

    /// Returns both, as the author of the control plane's events.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        self.clock.stamp(&self.boot)
    }

    /// Returns the settings.
    #[must_use]
    pub fn config(&self) -> &PlaneConfig {
        &self.config
    }

    /// Returns how long it has been up and what grace that leaves. After a loss it lasts until silence was judged: before,
    /// nobody knows which hosts may be in flight.
    #[must_use]
    pub fn facts(&self) -> PlaneFacts {
        let (up_for, grace) = (self.up().saturating_sub(self.started), self.config.heartbeat);
        let grace = if self.owes_judgement() { grace.max(up_for + sweep::SOON) } else { grace };
        PlaneFacts { up_for, grace }
    }

    fn next_job(&self) -> u64 {
        self.jobs.fetch_add(1, Ordering::Relaxed)
    }

    fn draw(&self) -> u32 {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).next_u32()
    }

    /// Runs `work` in one transaction; the rollouts whose counts it changed are judged in the same one. Once begun it
    /// is finished, with all that follows it, even when the caller stops waiting.
    ///
    /// # Errors
    /// Those of `work`, and the store's; then nothing of it was kept.
    pub async fn transact<T, F>(self: &Arc<Self>, work: F) -> Done<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Desk<'_>) -> Done<T> + Send + 'static,
    {
        let plane = self.clone();
        let task = tokio::spawn(async move {
            let within = plane.clone();
            let (value, follow) = store::write(&*plane.store, move |tx| {
                let mut desk = Desk::new(tx, &within);
                let value = work(&mut desk)?;
                desk.finish()?;
                Ok::<_, PlaneError>((value, desk.follow))
            })
            .await?;
            plane.follow(follow);
            Ok(value)
        });
        task.await.unwrap_or(Err(PlaneError::Ending))
    }

    /// Runs `work` on a consistent view of what is committed.
    ///
    /// # Errors
    /// Those of `work`, and the store's.
    pub async fn look<T, F>(self: &Arc<Self>, work: F) -> Done<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Desk<'_>) -> Done<T> + Send + 'static,
    {
        let plane = self.clone();
        store::read(&*self.store, move |tx| work(&mut Desk::new(tx, &plane))).await
    }

    fn nudge(&self, id: RolloutId) {
        self.nudges.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        self.busy.notify_one();
    }

    /// Has a rollout counted anew: hosts fell silent or came back.
    fn recount(&self, id: RolloutId) {
        self.recounts.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        self.busy.notify_one();
    }

    /// Returns one line on how things are, for systemd.
    #[must_use]
    pub fn status_line(&self) -> String {
        let online = self.live.online(self.up(), self.config.heartbeat * 3);
        let restored =
            if self.restored.load(Ordering::Acquire) { "STORE RESTORED, waiting for an operator; " } else { "" };
        format!("{restored}{online} hosts online, {} waiting for orders", self.wakes.count())
    }
}

#[cfg(test)]
mod tests;
