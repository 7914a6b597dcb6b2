//! The tasks and the clock of a simulated host in memory.

use crate::model::time::Timestamp;
use crate::runtime::clock::Clock;
use crate::system::sim::backing::Agent;
use crate::system::sim::state::Mark;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::{AbortHandle, JoinHandle};

/// A future on the heap.
pub type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Locks, also after a panic: every change of what is locked is made in one step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The tasks of one host, by their marks. A mark is reserved before its task is spawned, and counts as running
/// from then on.
#[derive(Default)]
pub(crate) struct Tasks {
    inner: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    last: u64,
    tasks: BTreeMap<u64, Option<AbortHandle>>,
}

impl Tasks {
    /// Returns a mark that was never used.
    pub(crate) fn reserve(&self) -> Mark {
        let mut running = lock(&self.inner);
        running.last += 1;
        let id = running.last;
        running.tasks.retain(|_, task| task.as_ref().is_none_or(|task| !task.is_finished()));
        running.tasks.insert(id, None);
        Mark { id, start: 0 }
    }

    /// Spawns the task of a reserved mark.
    pub(crate) fn spawn(&self, mark: Mark, task: BoxFuture) -> JoinHandle<()> {
        let handle = tokio::spawn(task);
        lock(&self.inner).tasks.insert(mark.id, Some(handle.abort_handle()));
        handle
    }

    /// Tells whether a task runs, or will.
    pub(crate) fn is_running(&self, mark: Mark) -> bool {
        let running = lock(&self.inner);
        let task = running.tasks.get(&mark.id);
        task.is_some_and(|task| task.as_ref().is_none_or(|task| !task.is_finished()))
    }

    /// Aborts a task; it does not count as running from now on.
    pub(crate) fn abort(&self, mark: Mark) {
        if let Some(Some(task)) = lock(&self.inner).tasks.remove(&mark.id) {
            task.abort();
        }
    }

    /// Returns the marks of all tasks.
    pub(crate) fn all(&self) -> Vec<Mark> {
        lock(&self.inner).tasks.keys().map(|id| Mark { id: *id, start: 0 }).collect()
    }
}

/// The host's clock: the world's, with wall time moved.
pub(crate) struct OffsetClock {
    inner: Arc<dyn Clock>,
    offset_ms: AtomicI64,
}

impl OffsetClock {
    /// Makes one that is right.
    pub(crate) fn new(inner: Arc<dyn Clock>) -> Self {
        Self { inner, offset_ms: AtomicI64::new(0) }
    }

    /// Moves its wall time.
    pub(crate) fn set(&self, offset_ms: i64) {
        self.offset_ms.store(offset_ms, Ordering::Relaxed);
    }
}

impl Clock for OffsetClock {
    fn wall(&self) -> Timestamp {
        Timestamp(self.inner.wall().0.saturating_add(self.offset_ms.load(Ordering::Relaxed)))
    }

    fn uptime(&self) -> Duration {
        self.inner.uptime()
    }
}

/// An agent that runs as a task. Dropping it aborts the task.
pub struct MemoryAgent {
    tasks: Arc<Tasks>,
    mark: Mark,
    handle: JoinHandle<()>,
}

impl MemoryAgent {
    /// Spawns the agent under a reserved mark.
    pub(crate) fn new(tasks: &Arc<Tasks>, mark: Mark, task: BoxFuture) -> Self {
        let handle = tasks.spawn(mark, task);
        Self { tasks: Arc::clone(tasks), mark, handle }
    }
}

impl Agent for MemoryAgent {
    fn mark(&self) -> Mark {
        self.mark
    }

    async fn ended(&mut self) {
        // An agent that panicked has ended too.
        drop((&mut self.handle).await);
    }

    async fn stop(&mut self) {
        self.tasks.abort(self.mark);
    }
}

impl Drop for MemoryAgent {
    fn drop(&mut self) {
        self.tasks.abort(self.mark);
    }
}
