//! A simulated host on disk: its state in one file under a lock, its long acts in processes of their own, time from
//! the machine. What `state.json` says is true at every instant: a change is there as a whole, with its acts, or
//! not at all.

use crate::model::id::{BootId, Closure};
use crate::model::time::Timestamp;
use crate::runtime::clock::{Clock, SystemClock};
use crate::system::exec::{self, ChildOutput, ChildSpec};
use crate::system::sim::backing::{Agent, Backing};
use crate::system::sim::closure::{self, SimClosure};
use crate::system::sim::draft::{Draft, Place};
use crate::system::sim::error::SimError;
use crate::system::sim::host::SimHost;
use crate::system::sim::log::{self, Entry};
use crate::system::sim::machine::Setup;
use crate::system::sim::state::{HostState, Job, Mark, VERSION};
use crate::system::sim::{files, process, reach};
use nix::sys::signal::Signal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// The state.
const STATE: &str = "state.json";
/// The lock.
const LOCK: &str = "state.lock";
/// How far the host's wall time is off, in milliseconds.
const WALL_OFFSET: &str = "wall-offset";
/// The signed releases of attempts.
const RELEASES: &str = "releases";
/// The output of agents and long acts.
const OUTPUT: &str = "output.log";
/// How often the state's file is looked at while something waits for a change.
const POLL: Duration = Duration::from_millis(25);
/// How long an agent may take to end when it is asked to.
const AGENT_GRACE: Duration = Duration::from_secs(1);
/// Tells an agent in which boot it was started.
pub const BOOT_VARIABLE: &str = "CONVOY_SIMULATED_BOOT";

/// A simulated host in a directory. Cheap to clone; every clone is the same host.
#[derive(Debug, Clone)]
pub struct DiskHost {
    dir: Arc<PathBuf>,
}

impl DiskHost {
    /// Makes a host that is off, in a directory that holds none. Its closure must be in the store.
    ///
    /// # Errors
    /// [`SimError`] when the directory holds one or can't be written, or the closure is not in the store.
    pub fn create(dir: &Path, setup: Setup) -> Result<Self, SimError> {
        let releases = dir.join(RELEASES);
        std::fs::create_dir_all(&releases).map_err(|source| SimError::io("make", &releases, source))?;
        let host = Self { dir: Arc::new(dir.to_owned()) };
        let _lock = files::lock(&host.path(LOCK))?;
        if host.path(STATE).exists() {
            return Err(SimError::Refused(format!("{} holds a simulated host already", dir.display())));
        }
        closure::read(&setup.machine.store, &setup.closure)?;
        let state = HostState::new(setup, host.fresh_boot());
        files::replace(&host.path(STATE), &write(&state)?)?;
        Ok(host)
    }

    /// Opens a host.
    ///
    /// # Errors
    /// [`SimError`] when the directory holds none.
    pub fn open(dir: &Path) -> Result<Self, SimError> {
        let host = Self { dir: Arc::new(dir.to_owned()) };
        host.look().map(|_| host)
    }

    /// Returns its directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the act log.
    ///
    /// # Errors
    /// [`SimError`] when it can't be read or makes no sense.
    pub fn acts(&self) -> Result<Vec<Entry>, SimError> {
        let _lock = files::lock(&self.path(LOCK))?;
        let log = self.path(log::FILE);
        files::append_acts(&log, &self.look()?.unlogged)?;
        let text = files::read(&log)?;
        text.lines()
            .map(|line| serde_json::from_str(line).map_err(|error| SimError::invalid(log::FILE, &error)))
            .collect()
    }

    /// Moves the host's wall time.
    ///
    /// # Errors
    /// [`SimError`] when it can't be written.
    pub fn set_wall_offset(&self, offset_ms: i64) -> Result<(), SimError> {
        files::replace(&self.path(WALL_OFFSET), &offset_ms.to_string())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn output(&self) -> ChildOutput {
        ChildOutput::Append(self.path(OUTPUT))
    }
}

/// Opens the host for the agent process that the machine has started: it belongs to that boot, and dies with the
/// machine. Anybody else gets the host in the boot that runs now.
///
/// # Errors
/// [`SimError::Off`] when the machine is off or was replaced meanwhile.
pub fn attach(dir: &Path) -> Result<SimHost<DiskHost>, SimError> {
    let host = DiskHost::open(dir)?;
    let Ok(boot) = std::env::var(BOOT_VARIABLE) else { return SimHost::attach(host) };
    let boot = BootId::new(boot).map_err(|error| SimError::invalid(BOOT_VARIABLE, &error))?;
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(|errno| SimError::io("bind to", dir, errno.into()))?;
    // The machine may have died before the line above; then it is not the parent any more.
    let parent = u32::try_from(nix::unistd::getppid().as_raw()).ok().and_then(process::mark);
    let host = SimHost::of_boot(host, boot);
    if parent.is_some() && host.look()?.init == parent { Ok(host) } else { Err(SimError::Off) }
}

fn write(state: &HostState) -> Result<String, SimError> {
    serde_json::to_string(state).map_err(|error| SimError::invalid(STATE, &error))
}

fn read(text: &str) -> Result<HostState, SimError> {
    let state: HostState = serde_json::from_str(text).map_err(|error| SimError::invalid(STATE, &error))?;
    if state.version == VERSION {
        Ok(state)
    } else {
        Err(SimError::invalid(STATE, &format!("version {} is not {VERSION}", state.version)))
    }
}

/// The machine's clock, with wall time moved where a file says so.
struct DiskClock(PathBuf);

impl Clock for DiskClock {
    fn wall(&self) -> Timestamp {
        let offset = std::fs::read_to_string(&self.0).ok().and_then(|text| text.trim().parse::<i64>().ok());
        Timestamp(SystemClock.wall().0.saturating_add(offset.unwrap_or(0)))
    }

    fn uptime(&self) -> Duration {
        SystemClock.uptime()
    }
}

struct DiskPlace(PathBuf);

impl Place for DiskPlace {
    fn alive(&self, mark: Mark) -> bool {
        process::is_alive(mark)
    }

    fn read_closure(&self, path: &Closure) -> Result<Arc<SimClosure>, SimError> {
        closure::read(&self.0, path).map(Arc::new)
    }
}

impl Backing for DiskHost {
    type Agent = DiskAgent;

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(DiskClock(self.path(WALL_OFFSET)))
    }

    fn look(&self) -> Result<HostState, SimError> {
        read(&files::read(&self.path(STATE))?)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Draft<'_>) -> Result<T, SimError>) -> Result<T, SimError> {
        let _lock = files::lock(&self.path(LOCK))?;
        let mut state = self.look()?;
        let log = self.path(log::FILE);
        // Whoever made the last change may have died before its acts came into the log.
        state.next_act = files::append_acts(&log, &state.unlogged)?.max(state.next_act);
        let before = state.clone();
        let place = DiskPlace(state.machine.store.clone());
        let now = self.clock().stamp(&state.boot);
        let mut draft = Draft::new(&mut state, now, &place);
        let done = change(&mut draft)?;
        draft.seal();
        if state != before {
            state.revision += 1;
            files::replace(&self.path(STATE), &write(&state)?)?;
            files::append_acts(&log, &state.unlogged)?;
        }
        Ok(done)
    }

    fn closure(&self, path: &Closure) -> Result<Arc<SimClosure>, SimError> {
        closure::read(&self.look()?.machine.store, path).map(Arc::new)
    }

    fn launch(&self, job: Job, boot: &BootId) -> Result<(), SimError> {
        let dir = self.dir.as_os_str().to_owned();
        let args = vec!["simulate".into(), "job".into(), dir, job.name().into(), "--boot".into(), boot.as_str().into()];
        let program = self.look()?.machine.program.into();
        exec::spawn_detached(&ChildSpec { program, args, env: Vec::new(), output: self.output() })?;
        Ok(())
    }

    fn own_mark(&self) -> Mark {
        process::own()
    }

    fn is_alive(&self, mark: Mark) -> bool {
        process::is_alive(mark)
    }

    fn kill(&self, mark: Mark) {
        process::kill_all(mark);
    }

    fn fresh_boot(&self) -> BootId {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default();
        let clock = || format!("boot-{}", SystemClock.uptime().as_nanos());
        let id = BootId::new(kernel.trim()).or_else(|_| BootId::new(clock()));
        id.expect("a word and a number are a boot id")
    }

    async fn changed(&self, revision: u64) {
        let seen = files::identity(&self.path(STATE));
        // Read after the file's identity, so that a change in between is seen by one of the two.
        if self.look().is_ok_and(|state| state.revision == revision) {
            while files::identity(&self.path(STATE)) == seen {
                sleep(POLL).await;
            }
        }
    }

    async fn reaches(&self, control_plane: &str) -> bool {
        let ca = self.look().ok().and_then(|state| state.machine.ca);
        reach::answers(control_plane, ca.as_deref()).await
    }

    fn keep_release(&self, name: &str, release: &str) -> Result<(), SimError> {
        files::replace(&self.path(RELEASES).join(name), release)
    }

    fn kept_release(&self, name: &str) -> Result<String, SimError> {
        files::read(&self.path(RELEASES).join(name))
    }

    fn forget_release(&self, name: &str) {
        // One that is not there is forgotten already.
        drop(std::fs::remove_file(self.path(RELEASES).join(name)));
    }

    fn start_agent(&self, boot: &BootId) -> Result<DiskAgent, SimError> {
        let argv = self.look()?.machine.agent;
        let Some((program, args)) = argv.split_first() else {
            return Err(SimError::Refused("the simulated host was given no agent to start".to_owned()));
        };
        let args = args.iter().map(Into::into).collect();
        let env = vec![(BOOT_VARIABLE.into(), boot.as_str().into())];
        let spec = ChildSpec { program: program.into(), args, env, output: self.output() };
        let process = exec::spawn_child(&spec)?;
        let mark = process.id().and_then(process::mark);
        // One that has died already is waited for like any other.
        Ok(DiskAgent { process, mark: mark.unwrap_or(Mark { id: u64::MAX, start: 0 }) })
    }
}

/// An agent that runs as a process. Dropping it kills the process.
#[derive(Debug)]
pub struct DiskAgent {
    process: exec::Process,
    mark: Mark,
}

impl Agent for DiskAgent {
    fn mark(&self) -> Mark {
        self.mark
    }

    async fn ended(&mut self) {
        drop(self.process.wait().await);
    }

    async fn stop(&mut self) {
        drop(self.process.stop(AGENT_GRACE).await);
    }
}
