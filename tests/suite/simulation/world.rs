//! The simulated fleet: hosts, their agents and journals, the network, the control plane on its store.

use crate::simulation::clock::PausedClock;
use crate::simulation::fleet::{Quality, closure, host_name, release};
use crate::simulation::transport::{CONTROL_PLANE, Net, Wire};
use crate::simulation::watch::Watch;
use async_trait::async_trait;
use convoy::agent::journal::file::MemoryFile;
use convoy::client::{Transport, operator};
use convoy::model::id::{Closure, RolloutId, StoreId};
use convoy::model::limit::self_rollback;
use convoy::plane::config::{PlaneConfig, RawConfig};
use convoy::plane::{self, Plane};
use convoy::probe::net::{HttpAnswer, ProbeNet};
use convoy::probe::spec::Exec;
use convoy::runtime::clock::Clock;
use convoy::runtime::signals::{Shutdown, ShutdownTrigger};
use convoy::store::Store;
use convoy::store::memory::MemoryStore;
use convoy::system::System;
use convoy::system::sim::backing::Backing;
use convoy::system::sim::machine::{Machine, Setup};
use convoy::system::sim::memory::World as HostWorld;
use convoy::system::sim::memory::{AgentFactory, MemoryHost, Reach};
use convoy::system::sim::state::HostState;
use convoy::trust::{Lease, SigningKey, TrustFile, sign_release};
use convoy::wire::v1::release::SignedRelease;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

/// How often hosts report: long, so that a day has few messages that say nothing.
const HEARTBEAT: Duration = Duration::from_secs(300);

/// A published release as the checks need it.
pub(crate) struct Published {
    pub(crate) id: RolloutId,
    pub(crate) quality: Quality,
    pub(crate) targets: Vec<Closure>,
    /// The wave of each host, from 0.
    pub(crate) waves: Vec<usize>,
    /// After so many milliseconds a host has brought itself back, as `release show` prints it.
    pub(crate) back_by: u64,
    pub(crate) signed: SignedRelease,
}

/// One host with what survives its agent.
pub(crate) struct Host {
    pub(crate) machine: MemoryHost,
    pub(crate) journal: MemoryFile,
}

struct Control {
    plane: Arc<Plane>,
    task: JoinHandle<()>,
    _trigger: ShutdownTrigger,
}

/// How often each fault was played.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    pub(crate) agent_kills: u64,
    pub(crate) plane_kills: u64,
    pub(crate) wipes: u64,
    pub(crate) power_cuts: u64,
    pub(crate) rewinds: u64,
    pub(crate) restores: u64,
}

/// Everything.
pub(crate) struct World {
    pub(crate) clock: Arc<PausedClock>,
    pub(crate) rng: ChaCha20Rng,
    pub(crate) net: Arc<Net>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) releases: Vec<Published>,
    pub(crate) faults: Faults,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) watch: Watch,
    /// How often in a row the operator saw a host wait while nothing held it.
    pub(crate) unexplained: Vec<u32>,
    key: SigningKey,
    trust: TrustFile,
    control: Option<Control>,
}

impl World {
    pub(crate) async fn new(seed: u64, hosts: usize) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let clock = Arc::new(PausedClock::new());
        let key = SigningKey::generate("release", &mut rng).unwrap();
        let trust = TrustFile::new(1, [key.public()]).unwrap();
        let net = Arc::new(Net::new(ChaCha20Rng::seed_from_u64(rng.next_u64())));
        let store = Arc::new(MemoryStore::new(store_id(&mut rng)));
        let trusted = trust.to_json();
        let made = (0..hosts).map(|n| host(n, &clock, &net, (rng.next_u64(), &trusted)));
        let hosts: Vec<Host> = made.collect();
        let (releases, faults) = (Vec::new(), Faults::default());
        let (watch, unexplained) = (Watch::default(), vec![0; hosts.len()]);
        let mut world =
            Self { clock, rng, net, hosts, releases, faults, store, watch, unexplained, key, trust, control: None };
        world.start_plane().await;
        world.hosts.iter().for_each(|host| host.machine.boot());
        world
    }

    /// Starts the control plane on its store.
    pub(crate) async fn start_plane(&mut self) {
        if self.control.is_some() {
            return;
        }
        let raw = RawConfig {
            heartbeat_interval_ms: Some(u64::try_from(HEARTBEAT.as_millis()).unwrap()),
            ..RawConfig::default()
        };
        let parts = plane::Parts {
            store: self.store.clone() as Arc<dyn Store>,
            clock: self.clock.clone(),
            rng: ChaCha20Rng::seed_from_u64(self.rng.next_u64()),
            trust: self.trust.clone(),
            config: PlaneConfig::check(raw).unwrap(),
        };
        let plane = Plane::open(parts).await.unwrap();
        let (trigger, shutdown) = Shutdown::manual();
        let running = plane.clone();
        let task = tokio::spawn(async move { running.run(shutdown).await });
        self.net.connect(Some(plane::app(plane.clone())));
        self.control = Some(Control { plane, task, _trigger: trigger });
    }

    /// Kills the control plane: what it had in memory is gone, its store stays.
    pub(crate) fn kill_plane(&mut self) {
        if let Some(control) = self.control.take() {
            self.faults.plane_kills += 1;
            self.net.connect(None);
            control.task.abort();
            drop(control.plane);
        }
    }

    /// Replaces the store by an older copy, or by an empty one, under a control plane that was killed.
    pub(crate) async fn restore_store(&mut self, copy: Option<MemoryStore>) {
        self.kill_plane();
        self.faults.restores += 1;
        let empty = MemoryStore::new(store_id(&mut self.rng));
        self.store = Arc::new(copy.unwrap_or(empty));
        self.start_plane().await;
    }

    /// Makes, signs and publishes the next release.
    pub(crate) async fn publish(&mut self, quality: Quality) {
        let number = self.releases.len() as u64 + 1;
        let trust = self.trust.to_json();
        let made: Vec<_> = (0..self.hosts.len()).map(|n| closure(n, number, quality, &trust)).collect();
        for (host, closure) in self.hosts.iter().zip(&made) {
            host.machine.add_closure(closure.clone());
        }
        let targets: Vec<Closure> = made.iter().map(|closure| closure.path.clone()).collect();
        let release = release(number, &targets, false);
        let issued = self.clock.wall();
        let lease = Lease { sequence: number, issued, expires: issued.plus(Duration::from_secs(7 * 86_400)) };
        let signed = sign_release(&release, std::slice::from_ref(&self.key), &lease).unwrap();
        let waves = (0..targets.len()).map(|n| release.wave_of(&host_name(n)).unwrap()).collect();
        let back_by = u64::try_from(self_rollback(&release.policy).back_by.as_millis()).unwrap();
        self.releases.push(Published { id: release.id, quality, targets, waves, back_by, signed });
        self.publish_again().await;
    }

    /// Publishes the newest release once more: it is there already, or was lost with a store.
    pub(crate) async fn publish_again(&self) {
        if let Some(newest) = self.releases.last() {
            let _ = operator::publish(&self.operator(), &newest.signed).await;
        }
    }

    /// Returns the operator's own line, which nothing disturbs while the control plane is up.
    pub(crate) fn operator(&self) -> Wire {
        Wire { net: self.net.clone(), up: None, address: CONTROL_PLANE.into() }
    }

    /// Puts a host's network cable in, or pulls it.
    pub(crate) fn set_cable(&self, n: usize, plugged: bool) {
        let changed = self.hosts[n].machine.change(|draft| {
            draft.state.faults.cable_out = !plugged;
            Ok(())
        });
        changed.unwrap();
    }

    /// Ends everything.
    pub(crate) async fn stop(&mut self) {
        for host in &self.hosts {
            let _ = host.machine.power_cut();
        }
        self.kill_plane();
    }
}

fn store_id(rng: &mut ChaCha20Rng) -> StoreId {
    StoreId::new(format!("{:016x}{:016x}", rng.next_u64(), rng.next_u64())).unwrap()
}

fn host(n: usize, clock: &Arc<PausedClock>, net: &Arc<Net>, (seed, trust): (u64, &str)) -> Host {
    let journal = MemoryFile::default();
    let (for_reach, shared) = (net.clone(), clock.clone());
    let reach: Reach = Arc::new(move |address: &str| address == CONTROL_PLANE && for_reach.is_up());
    let agent = agent_factory(n, net.clone(), (seed, journal.clone()));
    let first = closure(n, 0, Quality::Good, trust);
    let setup = Setup { name: host_name(n), machine: Machine::default(), closure: first.path.clone() };
    let machine = MemoryHost::new(setup, first, HostWorld { clock: shared, agent, reach });
    Host { machine, journal }
}

fn agent_factory(n: usize, net: Arc<Net>, (seed, journal): (u64, MemoryFile)) -> AgentFactory {
    let starts = Arc::new(AtomicU64::new(0));
    Arc::new(move |host| {
        let start = starts.fetch_add(1, Ordering::Relaxed);
        let (net, journal) = (net.clone(), journal.clone());
        Box::pin(async move {
            let (_never, stop) = Shutdown::manual();
            let up: Arc<dyn Fn() -> bool + Send + Sync> = Arc::new({
                let backing = host.backing().clone();
                move || network_works(&backing)
            });
            let connect = move |address: &str| {
                let up = up.clone();
                let up: Box<dyn Fn() -> bool + Send + Sync> = Box::new(move || up());
                let wire = Wire { net: net.clone(), up: Some(up), address: address.to_owned() };
                Ok(Arc::new(wire) as Arc<dyn Transport>)
            };
            let parts = convoy::agent::Parts {
                host: host_name(n),
                clock: host.clock(),
                system: Arc::new(host) as Arc<dyn System>,
                rng: Box::new(ChaCha20Rng::seed_from_u64(seed ^ (start << 32))),
                connect: Arc::new(connect),
                journal: Box::new(journal),
                net: Arc::new(NoNet),
                say: Box::new(|_| ()),
                heartbeat_floor: Duration::from_secs(5),
                hook: None,
                alive: convoy::runtime::alive::Alive::new(),
                stop,
            };
            convoy::agent::run(parts).await.unwrap();
        })
    })
}

fn network_works(machine: &MemoryHost) -> bool {
    use convoy::system::sim::closure::Network;
    let up = |state: &HostState| (state.power && !state.faults.cable_out).then(|| state.running.clone());
    let Ok(Some(running)) = machine.peek(up) else { return false };
    !machine.closure(&running).is_ok_and(|closure| closure.behaviour.network == Network::Broken)
}

/// The simulated hosts' probes look at units only.
struct NoNet;

#[async_trait]
impl ProbeNet for NoNet {
    async fn connect(&self, _: &str, _: Duration) -> Result<(), String> {
        Err("there is no network here".into())
    }

    async fn get(&self, _: &str, _: Duration) -> Result<HttpAnswer, String> {
        Err("there is no network here".into())
    }

    async fn run(&self, _: &Exec, _: Duration) -> Result<(), String> {
        Err("there are no programs here".into())
    }
}
