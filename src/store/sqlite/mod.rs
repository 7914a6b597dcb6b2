//! SQLite: one writer with group commit, a few readers, all on threads of their own. SQL lives in this folder only.
//!
//! A database belongs to one process at a time, by a lock file beside it. It is created whole or not at all, and
//! what looks damaged is refused, never replaced by an empty one. Of a log whose end is damaged SQLite keeps what
//! is before; the commit count then goes back, and agents, which echo the highest they saw, give that away.

mod failure;
mod files;
mod lock;
mod schema;
mod open;
mod convert;
mod tx;
mod hosts;
mod events;
mod records;
mod prune;
mod releases;
mod identities;
mod writer;
mod reader;
mod copies;

pub use crate::store::sqlite::copies::{Copied, Restored, backup, restore};

use crate::model::id::StoreId;
use crate::store::rules::Answer;
use crate::store::sqlite::lock::DatabaseLock;
use crate::store::sqlite::open::Opened;
use crate::store::sqlite::writer::Writer;
use crate::store::{Job, Store, StoreError, StoreMark};
use async_trait::async_trait;
use std::any::Any;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// Jobs that may wait for the writer, or for the readers; more are refused as [`StoreError::Busy`]. About a third
/// of a second of writing.
pub const QUEUE_JOBS: usize = 8192;

/// Reading threads: each holds a connection with its own cache, and reads are short.
const READERS: usize = 2;

/// What a database is opened with.
#[derive(Debug, Clone)]
pub struct Options {
    /// The identity that a new database gets, made at random by the caller; an existing one keeps its own.
    pub new_store_id: StoreId,
}

/// A job and where its answer goes.
struct Queued {
    job: Job,
    answer: oneshot::Sender<Answer>,
}

/// What the threads tell.
#[derive(Debug, Default)]
struct Tally {
    commit_count: AtomicU64,
    commits: AtomicU64,
    jobs: AtomicU64,
    micros: AtomicU64,
}

/// A store in an SQLite file. Dropping it finishes the queued jobs and closes the file.
#[derive(Debug)]
pub struct SqliteStore {
    store_id: StoreId,
    tally: Arc<Tally>,
    read: Line,
    write: Line,
}

/// A queue and the threads that work on it.
#[derive(Debug)]
struct Line {
    queue: Option<mpsc::Sender<Queued>>,
    threads: Vec<JoinHandle<()>>,
}

impl SqliteStore {
    /// Opens the database, creates it when there is none, and brings an older one up to date, after copying it to
    /// `<path>.before-v<n>`. Blocks; call it before serving.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::Corrupt`], [`StoreError::TooNew`], [`StoreError::Full`], or
    /// [`StoreError::Engine`] when the file can't be reached. Nothing is replaced by an empty database.
    pub fn open(path: &Path, options: Options) -> Result<Self, StoreError> {
        let lock = DatabaseLock::take(path)?;
        let Opened { writer, readers, mark } = open::open(path, &options.new_store_id, READERS)?;
        let tally = Arc::new(Tally { commit_count: AtomicU64::new(mark.commit_count), ..Tally::default() });
        let (store_id, path) = (mark.store_id.clone(), path.to_owned());
        let (mut write, queue) = Line::new();
        let writer = Writer { conn: writer, path: path.clone(), mark, tally: tally.clone(), uncopied: 0, _lock: lock };
        write.start("store-writer", move || writer.run(queue))?;
        let (mut read, queue) = Line::new();
        let queue = Arc::new(Mutex::new(queue));
        for conn in readers {
            let (queue, path) = (queue.clone(), path.clone());
            read.start("store-reader", move || reader::run(&conn, &path, &queue))?;
        }
        Ok(Self { store_id, tally, read, write })
    }
}

impl Line {
    fn new() -> (Self, mpsc::Receiver<Queued>) {
        let (queue, work) = mpsc::channel(QUEUE_JOBS);
        (Self { queue: Some(queue), threads: Vec::new() }, work)
    }

    fn start(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
        let thread = thread.map_err(|error| StoreError::Engine(format!("cannot start the thread {name}: {error}")))?;
        self.threads.push(thread);
        Ok(())
    }

    async fn ask(&self, job: Job) -> Answer {
        let queue = self.queue.as_ref().ok_or(StoreError::Closed)?;
        let (answer, answered) = oneshot::channel();
        queue.try_send(Queued { job, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        })?;
        answered.await.unwrap_or(Err(StoreError::Closed))
    }

    fn end(&mut self) {
        self.queue = None;
        let own = std::thread::current().id();
        for thread in self.threads.drain(..) {
            // A job may own the last handle of its store: a thread can't wait for itself, it ends by itself then.
            if thread.thread().id() != own {
                // A thread that panicked has answered all it held with `Closed`.
                let _ = thread.join();
            }
        }
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn write_job(&self, job: Job) -> Result<Box<dyn Any + Send>, StoreError> {
        self.write.ask(job).await
    }

    async fn read_job(&self, job: Job) -> Result<Box<dyn Any + Send>, StoreError> {
        self.read.ask(job).await
    }

    fn mark(&self) -> StoreMark {
        StoreMark { store_id: self.store_id.clone(), commit_count: self.tally.commit_count.load(Ordering::Acquire) }
    }

    fn commit_cost(&self) -> (u64, u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&self.tally.commits), read(&self.tally.jobs), read(&self.tally.micros))
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        // The writer's connection goes last: it copies the log into the database, which readers can't.
        self.read.end();
        self.write.end();
    }
}

/// Locks the readers' queue; a reader that panicked leaves nothing half done in it.
fn queue_of(queue: &Mutex<mpsc::Receiver<Queued>>) -> std::sync::MutexGuard<'_, mpsc::Receiver<Queued>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}
