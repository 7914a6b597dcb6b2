//! A simulated host in memory: its long acts are tasks, and time is whatever clock is passed, so that a whole
//! fleet can run in one process on tokio's paused clock. Everything must be called within a tokio runtime.

use crate::model::id::{BootId, Closure};
use crate::runtime::clock::Clock;
use crate::system::sim::backing::Backing;
use crate::system::sim::closure::SimClosure;
use crate::system::sim::draft::{Draft, Place};
use crate::system::sim::error::SimError;
use crate::system::sim::host::SimHost;
use crate::system::sim::log::Entry;
use crate::system::sim::machine::Setup;
use crate::system::sim::state::{HostState, Job, Mark};
use crate::system::sim::tasks::{BoxFuture, MemoryAgent, OffsetClock, Tasks, lock};
use crate::system::sim::{init, jobs, power};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// Makes the agent's future, once for each start, for the boot that it is started in.
pub type AgentFactory = Arc<dyn Fn(SimHost<MemoryHost>) -> BoxFuture + Send + Sync>;
/// Tells whether a control plane can be reached at this address.
pub type Reach = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// The mark of whoever acts from outside: always there, never killed.
const OUTSIDE: Mark = Mark { id: 0, start: 0 };

/// What a host in memory is given.
#[derive(Clone)]
pub struct World {
    /// The clock that the host's own follows.
    pub clock: Arc<dyn Clock>,
    /// Makes its agents.
    pub agent: AgentFactory,
    /// Tells whether a control plane can be reached.
    pub reach: Reach,
}

/// A simulated host in memory. Cheap to clone; every clone is the same host.
#[derive(Clone)]
pub struct MemoryHost {
    inner: Arc<Inner>,
}

struct Inner {
    world: World,
    clock: Arc<OffsetClock>,
    state: Mutex<HostState>,
    log: Mutex<Vec<Entry>>,
    store: Mutex<BTreeMap<Closure, Arc<SimClosure>>>,
    releases: Mutex<BTreeMap<String, String>>,
    tasks: Arc<Tasks>,
    boots: AtomicU64,
    revision: watch::Sender<u64>,
}

impl MemoryHost {
    /// Makes a host that is off. Its closure is put into its store.
    #[must_use]
    pub fn new(setup: Setup, closure: SimClosure, world: World) -> Self {
        let clock = Arc::new(OffsetClock::new(Arc::clone(&world.clock)));
        let state = HostState::new(setup, boot_id(0));
        let inner = Inner {
            world,
            clock,
            state: Mutex::new(state),
            log: Mutex::default(),
            store: Mutex::new(BTreeMap::from([(closure.path.clone(), Arc::new(closure))])),
            releases: Mutex::default(),
            tasks: Arc::default(),
            boots: AtomicU64::new(0),
            revision: watch::Sender::new(0),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Puts a closure where the host can fetch it.
    pub fn add_closure(&self, closure: SimClosure) {
        lock(&self.inner.store).insert(closure.path.clone(), Arc::new(closure));
    }

    /// Returns the act log.
    #[must_use]
    pub fn acts(&self) -> Vec<Entry> {
        lock(&self.inner.log).clone()
    }

    /// Returns the acts after the first `count`.
    #[must_use]
    pub fn acts_after(&self, count: usize) -> Vec<Entry> {
        lock(&self.inner.log).get(count..).map(<[Entry]>::to_vec).unwrap_or_default()
    }

    /// Moves the host's wall time.
    pub fn set_wall_offset(&self, offset_ms: i64) {
        self.inner.clock.set(offset_ms);
    }

    /// Switches the machine on: it boots, and runs its agent, until [`MemoryHost::power_cut`].
    pub fn boot(&self) {
        let (mark, host) = (self.inner.tasks.reserve(), self.clone());
        let machine: BoxFuture = Box::pin(async move {
            let (_trigger, never) = crate::runtime::signals::Shutdown::manual();
            if let Err(error) = init::run(host, mark, never).await {
                tracing::debug!(%error, "a simulated machine ended");
            }
        });
        self.inner.tasks.spawn(mark, machine);
    }

    /// Cuts the power: every task of the machine ends.
    ///
    /// # Errors
    /// [`SimError`] never in memory.
    pub fn power_cut(&self) -> Result<(), SimError> {
        let running = self.inner.tasks.all();
        power::power_cut(self)?;
        running.into_iter().for_each(|mark| self.kill(mark));
        Ok(())
    }

    /// Asks for a clean reboot.
    ///
    /// # Errors
    /// [`SimError::Off`] when it is off.
    pub fn reboot(&self) -> Result<(), SimError> {
        power::reboot(&SimHost::attach(self.clone())?)
    }

    /// Kills the agent, which is started again after a while. Tells whether there was one.
    #[must_use]
    pub fn kill_agent(&self) -> bool {
        let agent = lock(&self.inner.state).agent;
        if let Some(mark) = agent {
            self.kill(mark);
        }
        agent.is_some()
    }

    /// Returns a copy of all its files, as a snapshot of a virtual machine has them.
    #[must_use]
    pub fn snapshot(&self) -> HostState {
        lock(&self.inner.state).clone()
    }

    /// Puts a snapshot back into a machine that is off. The act log goes on: it is outside the machine.
    ///
    /// # Errors
    /// [`SimError::Refused`] when it is on.
    pub fn restore(&self, snapshot: HostState) -> Result<(), SimError> {
        self.change(|draft| {
            if draft.state.power {
                return Err(SimError::Refused("the simulated host is on".to_owned()));
            }
            let (next_act, revision) = (draft.state.next_act, draft.state.revision);
            *draft.state = HostState { next_act, revision, power: false, shutdown_mark: false, ..snapshot };
            Ok(())
        })
    }
}

fn boot_id(n: u64) -> BootId {
    BootId::new(format!("boot-{n}")).expect("a word and a number are a boot id")
}

struct MemoryPlace<'a>(&'a MemoryHost);

impl Place for MemoryPlace<'_> {
    fn alive(&self, mark: Mark) -> bool {
        self.0.is_alive(mark)
    }

    fn read_closure(&self, path: &Closure) -> Result<Arc<SimClosure>, SimError> {
        self.0.closure(path)
    }
}

impl Backing for MemoryHost {
    type Agent = MemoryAgent;

    fn clock(&self) -> Arc<dyn Clock> {
        self.inner.clock.clone()
    }

    fn look(&self) -> Result<HostState, SimError> {
        Ok(lock(&self.inner.state).clone())
    }

    fn peek<T>(&self, read: impl FnOnce(&HostState) -> T) -> Result<T, SimError> {
        Ok(read(&lock(&self.inner.state)))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Draft<'_>) -> Result<T, SimError>) -> Result<T, SimError> {
        let mut kept = lock(&self.inner.state);
        let mut state = kept.clone();
        let now = self.inner.clock.stamp(&state.boot);
        let place = MemoryPlace(self);
        let mut draft = Draft::new(&mut state, now, &place);
        let done = change(&mut draft)?;
        draft.seal();
        if state != *kept {
            state.revision += 1;
            if state.next_act != kept.next_act {
                lock(&self.inner.log).append(&mut state.unlogged);
            }
            let revision = state.revision;
            *kept = state;
            drop(kept);
            self.inner.revision.send_replace(revision);
        }
        Ok(done)
    }

    fn closure(&self, path: &Closure) -> Result<Arc<SimClosure>, SimError> {
        lock(&self.inner.store).get(path).cloned().ok_or_else(|| SimError::NoClosure(path.clone()))
    }

    fn launch(&self, job: Job, boot: &BootId) -> Result<(), SimError> {
        let (host, boot, mark) = (self.clone(), boot.clone(), self.inner.tasks.reserve());
        let task: BoxFuture = Box::pin(async move {
            if let Err(error) = jobs::run(host, boot, job, mark).await {
                tracing::debug!(job = job.name(), %error, "a simulated act ended early");
            }
        });
        self.inner.tasks.spawn(mark, task);
        Ok(())
    }

    fn own_mark(&self) -> Mark {
        OUTSIDE
    }

    fn is_alive(&self, mark: Mark) -> bool {
        mark == OUTSIDE || self.inner.tasks.is_running(mark)
    }

    fn kill(&self, mark: Mark) {
        self.inner.tasks.abort(mark);
    }

    fn fresh_boot(&self) -> BootId {
        boot_id(self.inner.boots.fetch_add(1, Ordering::Relaxed) + 1)
    }

    async fn changed(&self, revision: u64) {
        // The sender lives as long as the host does.
        drop(self.inner.revision.subscribe().wait_for(|now| *now != revision).await);
    }

    async fn reaches(&self, control_plane: &str) -> bool {
        (self.inner.world.reach)(control_plane)
    }

    fn keep_release(&self, name: &str, release: &str) -> Result<(), SimError> {
        lock(&self.inner.releases).insert(name.to_owned(), release.to_owned());
        Ok(())
    }

    fn kept_release(&self, name: &str) -> Result<String, SimError> {
        let kept = lock(&self.inner.releases).get(name).cloned();
        kept.ok_or_else(|| SimError::invalid("release", &format!("none is kept of {name}")))
    }

    fn forget_release(&self, name: &str) {
        lock(&self.inner.releases).remove(name);
    }

    fn start_agent(&self, boot: &BootId) -> Result<MemoryAgent, SimError> {
        let mark = self.inner.tasks.reserve();
        let task = (self.inner.world.agent)(SimHost::of_boot(self.clone(), boot.clone()));
        Ok(MemoryAgent::new(&self.inner.tasks, mark, task))
    }
}

impl fmt::Debug for MemoryHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryHost").finish_non_exhaustive()
    }
}
