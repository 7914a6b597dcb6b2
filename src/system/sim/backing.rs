//! Where a simulated host's state lives and how its long acts run: on disk with processes, or in memory with tasks.

use crate::model::id::{BootId, Closure};
use crate::runtime::clock::Clock;
use crate::system::sim::closure::SimClosure;
use crate::system::sim::draft::Draft;
use crate::system::sim::error::SimError;
use crate::system::sim::state::{HostState, Job, Mark};
use std::future::Future;
use std::sync::Arc;

/// One place to keep a host. Cheap to clone; every clone is the same host.
pub trait Backing: Clone + Send + Sync + 'static {
    /// An agent that was started. Dropping it kills the agent.
    type Agent: Agent;

    /// Returns the host's clock, with its wrong wall time where it is wrong.
    fn clock(&self) -> Arc<dyn Clock>;

    /// Reads the state.
    ///
    /// # Errors
    /// [`SimError`] when it can't be read.
    fn look(&self) -> Result<HostState, SimError>;

    /// Reads something of the state, without a copy of the whole where that can be spared.
    ///
    /// # Errors
    /// [`SimError`] when it can't be read.
    fn peek<T>(&self, read: impl FnOnce(&HostState) -> T) -> Result<T, SimError> {
        Ok(read(&self.look()?))
    }

    /// Changes the state under the host's lock. When it returns, the change and its acts are kept for good; when
    /// the change is refused, nothing is.
    ///
    /// # Errors
    /// What the change says, or [`SimError`] when the state can't be read or kept.
    fn change<T>(&self, change: impl FnOnce(&mut Draft<'_>) -> Result<T, SimError>) -> Result<T, SimError>;

    /// Reads a closure from the simulated store.
    ///
    /// # Errors
    /// [`SimError`] when it is not there.
    fn closure(&self, path: &Closure) -> Result<Arc<SimClosure>, SimError>;

    /// Starts a long act of this boot, which first claims its place: one that comes too late ends at once.
    ///
    /// # Errors
    /// [`SimError`] when nothing can be started.
    fn launch(&self, job: Job, boot: &BootId) -> Result<(), SimError>;

    /// Returns the mark of the caller, for acts that are done within it.
    fn own_mark(&self) -> Mark;

    /// Tells whether a process or task is there.
    fn is_alive(&self, mark: Mark) -> bool;

    /// Ends a process or task at once, with all it started.
    fn kill(&self, mark: Mark);

    /// Returns a boot id that was never used.
    fn fresh_boot(&self) -> BootId;

    /// Waits until the state is no longer of this revision, or a little longer or shorter.
    fn changed(&self, revision: u64) -> impl Future<Output = ()> + Send;

    /// Asks a control plane whether it is there, at most for a second.
    fn reaches(&self, control_plane: &str) -> impl Future<Output = bool> + Send;

    /// Keeps the signed release of an attempt on the host.
    ///
    /// # Errors
    /// [`SimError`] when it can't be kept.
    fn keep_release(&self, name: &str, release: &str) -> Result<(), SimError>;

    /// Returns the signed release of an attempt.
    ///
    /// # Errors
    /// [`SimError`] when there is none.
    fn kept_release(&self, name: &str) -> Result<String, SimError>;

    /// Forgets the signed release of an attempt whose record is not kept any more.
    fn forget_release(&self, name: &str);

    /// Starts the agent in this boot.
    ///
    /// # Errors
    /// [`SimError`] when it can't be started.
    fn start_agent(&self, boot: &BootId) -> Result<Self::Agent, SimError>;
}

/// A started agent.
pub trait Agent: Send {
    /// Returns its mark.
    fn mark(&self) -> Mark;
    /// Waits until it has ended by itself. Safe to cancel.
    fn ended(&mut self) -> impl Future<Output = ()> + Send;
    /// Asks it to end, and kills it when it has not within a second.
    fn stop(&mut self) -> impl Future<Output = ()> + Send;
}
