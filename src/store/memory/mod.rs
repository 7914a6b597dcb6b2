//! The simulator's store: maps behind a mutex, the same answers as the real engine, nothing on disk. Must stay
//! deterministic: jobs run at once, in the caller's turn, and every list has an order.

mod state;
mod scan;
mod identities;
mod newest;
mod prune;
mod tx;

use crate::model::id::StoreId;
use crate::store::memory::state::State;
use crate::store::memory::tx::MemoryTx;
use crate::store::rules::{Answer, run};
use crate::store::{Job, Store, StoreError, StoreMark};
use async_trait::async_trait;
use std::any::Any;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A store that lives as long as its process.
#[derive(Debug)]
pub struct MemoryStore {
    inner: Mutex<Inner>,
}

#[derive(Debug, Clone)]
struct Inner {
    mark: StoreMark,
    state: State,
    jobs: u64,
}

impl MemoryStore {
    /// Makes an empty store.
    #[must_use]
    pub fn new(store_id: StoreId) -> Self {
        let mark = StoreMark { store_id, commit_count: 0 };
        Self { inner: Mutex::new(Inner { mark, state: State::default(), jobs: 0 }) }
    }

    /// Copies everything, store id and commit count included: what a backup made now would restore.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self { inner: Mutex::new(self.lock().clone()) }
    }

    // No job can poison the lock: panics are caught inside it. Should one, the state was put back before.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_now(&self, job: Job) -> Answer {
        let inner = &mut *self.lock();
        let next = StoreMark { commit_count: inner.mark.commit_count.saturating_add(1), ..inner.mark.clone() };
        let mut tx = MemoryTx::writing(&mut inner.state, next.clone());
        let answer = run(job, &mut tx);
        if answer.is_err() {
            tx.undo();
        } else {
            inner.mark = next;
            inner.jobs = inner.jobs.saturating_add(1);
        }
        answer
    }

    fn read_now(&self, job: Job) -> Answer {
        let inner = &mut *self.lock();
        let mark = inner.mark.clone();
        run(job, &mut MemoryTx::reading(&mut inner.state, mark))
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn write_job(&self, job: Job) -> Result<Box<dyn Any + Send>, StoreError> {
        self.write_now(job)
    }

    async fn read_job(&self, job: Job) -> Result<Box<dyn Any + Send>, StoreError> {
        self.read_now(job)
    }

    fn mark(&self) -> StoreMark {
        self.lock().mark.clone()
    }

    /// Takes no time at all: the third number is always 0.
    fn commit_cost(&self) -> (u64, u64, u64) {
        let inner = self.lock();
        (inner.mark.commit_count, inner.jobs, 0)
    }
}
