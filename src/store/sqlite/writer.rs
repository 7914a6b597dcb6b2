//! The one writer: many jobs, one commit, one `fsync`; an answer only after it.

use crate::store::rules::{self, Answer};
use crate::store::sqlite::failure::{again, store_error};
use crate::store::sqlite::lock::DatabaseLock;
use crate::store::sqlite::tx::SqliteTx;
use crate::store::sqlite::{Queued, Tally};
use crate::store::{Job, StoreError, StoreMark};
use rusqlite::Connection;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// Jobs that share one commit, at most: a commit of so many takes some ten milliseconds, and the first of them
/// waits that long.
const BATCH_JOBS: usize = 512;

/// Jobs after which the log is copied into the database, between two commits, after their answers.
const LOG_JOBS: u64 = 8192;

/// The writing thread's things. The lock goes last, when the connection is closed.
pub(crate) struct Writer {
    pub(crate) conn: Connection,
    pub(crate) path: PathBuf,
    pub(crate) mark: StoreMark,
    pub(crate) tally: Arc<Tally>,
    pub(crate) uncopied: u64,
    pub(crate) _lock: DatabaseLock,
}

/// A job that ran and waits for the commit.
type Waiting = (oneshot::Sender<Answer>, Answer);

impl Writer {
    /// Works until the store is dropped and its queue is empty.
    pub(crate) fn run(mut self, mut queue: mpsc::Receiver<Queued>) {
        while let Some(first) = queue.blocking_recv() {
            let mut batch = VecDeque::from([first]);
            while batch.len() < BATCH_JOBS
                && let Ok(next) = queue.try_recv()
            {
                batch.push_back(next);
            }
            while !batch.is_empty() {
                self.transaction(&mut batch);
            }
            self.copy_log();
        }
    }

    /// Runs the batch, or its first part when SQLite undoes the transaction on the way, and answers that part.
    fn transaction(&mut self, batch: &mut VecDeque<Queued>) {
        let started = Instant::now();
        if let Err(error) = self.begin() {
            batch.drain(..).for_each(|queued| answer(queued.answer, Err(again(&error))));
            return;
        }
        let mut waiting = Vec::with_capacity(batch.len());
        let mut failed = None;
        while failed.is_none()
            && let Some(Queued { job, answer }) = batch.pop_front()
        {
            let (said, dead) = self.savepoint(job);
            waiting.push((answer, said));
            failed = dead;
        }
        let kept = waiting.iter().filter(|(_, said)| said.is_ok()).count();
        let ended = match failed {
            Some(error) => Err(error),
            None if kept == 0 => Ok(()),
            None => self.commit(),
        };
        if ended.is_err() || kept == 0 {
            self.roll_back();
            if matches!(ended, Err(StoreError::Full { .. })) {
                // The log can't grow; where the database itself has room, copying it lets the log begin anew.
                self.uncopied = LOG_JOBS;
            }
        } else {
            self.count(kept, started.elapsed());
        }
        give_answers(waiting, ended.err().as_ref());
    }

    fn begin(&self) -> Result<(), StoreError> {
        let begun = self.statement("BEGIN IMMEDIATE");
        let begun = begun.and_then(|()| self.statement("UPDATE meta SET commit_count = commit_count + 1"));
        begun.inspect_err(|_| self.roll_back())
    }

    /// Runs one job by itself. The second value says that the whole transaction is lost.
    fn savepoint(&self, job: Job) -> (Answer, Option<StoreError>) {
        if let Err(error) = self.statement("SAVEPOINT job") {
            return (Err(again(&error)), Some(error));
        }
        let next = StoreMark { commit_count: self.mark.commit_count.saturating_add(1), ..self.mark.clone() };
        let mut tx = SqliteTx::new(&self.conn, &self.path, next).writing();
        let said = rules::run(job, &mut tx);
        let failure = tx.into_failure();
        if self.conn.is_autocommit() {
            let lost = || StoreError::Engine("the engine undid the whole commit".to_owned());
            let failure = failure.unwrap_or_else(lost);
            return (said.and_then(|_| Err(again(&failure))), Some(failure));
        }
        // A job that went on after a failure of the engine can't know what it did.
        let said = said.and_then(|value| failure.map_or(Ok(value), Err));
        let ended = if said.is_ok() { Ok(()) } else { self.statement("ROLLBACK TO job") };
        match ended.and_then(|()| self.statement("RELEASE job")) {
            Ok(()) => (said, None),
            Err(error) => (said.and_then(|_| Err(again(&error))), Some(error)),
        }
    }

    fn commit(&self) -> Result<(), StoreError> {
        self.statement("COMMIT")
    }

    fn roll_back(&self) {
        if !self.conn.is_autocommit() {
            // SQLite has no way to fail here that leaves the transaction open; `begin` would say so if it had.
            let _ = self.conn.execute_batch("ROLLBACK");
        }
    }

    fn statement(&self, sql: &str) -> Result<(), StoreError> {
        let ran = self.conn.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
        ran.map(drop).map_err(|error| store_error(&self.path, error))
    }

    fn count(&mut self, jobs: usize, took: Duration) {
        let jobs = u64::try_from(jobs).unwrap_or(u64::MAX);
        self.mark.commit_count = self.mark.commit_count.saturating_add(1);
        self.uncopied = self.uncopied.saturating_add(jobs);
        self.tally.commit_count.store(self.mark.commit_count, Ordering::Release);
        self.tally.commits.fetch_add(1, Ordering::Relaxed);
        self.tally.jobs.fetch_add(jobs, Ordering::Relaxed);
        self.tally.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Copies the log while nobody waits for an answer. Without room it stays in the log, and nothing is lost.
    fn copy_log(&mut self) {
        if self.uncopied >= LOG_JOBS {
            self.uncopied = 0;
            let _ = self.conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        }
    }
}

fn give_answers(waiting: Vec<Waiting>, lost: Option<&StoreError>) {
    for (to, said) in waiting {
        let said = match lost {
            Some(error) => said.and_then(|_| Err(again(error))),
            None => said,
        };
        answer(to, said);
    }
}

fn answer(to: oneshot::Sender<Answer>, said: Answer) {
    // The caller may have stopped waiting.
    let _ = to.send(said);
}

#[cfg(test)]
mod tests;
