//! The writer at a limit of pages: a job that finds no room, among others of the same commit.

use super::Writer;
use crate::model::id::{HostName, StoreId};
use crate::store::rows::HostRow;
use crate::store::rules::Answer;
use crate::store::sqlite::lock::DatabaseLock;
use crate::store::sqlite::open::open;
use crate::store::sqlite::{Queued, Tally};
use crate::store::{Job, StoreError, Tx};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::sync::oneshot;

struct Bench {
    _dir: TempDir,
    writer: Writer,
}

fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let path: PathBuf = dir.path().join("convoy.db");
    let lock = DatabaseLock::take(&path).unwrap();
    let opened = open(&path, &StoreId::new("b".repeat(32)).unwrap(), 0).unwrap();
    let tally = Arc::new(Tally::default());
    let writer = Writer { conn: opened.writer, path, mark: opened.mark, tally, uncopied: 0, _lock: lock };
    Bench { _dir: dir, writer }
}

fn put(n: usize, size: usize) -> Job {
    Box::new(move |tx: &mut dyn Tx| {
        let name = HostName::new(format!("host{n}")).unwrap();
        tx.put_host(&HostRow { name, heard: None, body: "x".repeat(size) })?;
        Ok(Box::new(()))
    })
}

/// Swallows whatever the engine says.
fn put_blindly(n: usize, size: usize) -> Job {
    let job = put(n, size);
    Box::new(move |tx: &mut dyn Tx| {
        let _ = job(tx);
        let _ = put(n + 1, 1)(tx);
        Ok(Box::new(()))
    })
}

impl Bench {
    fn run(&mut self, jobs: Vec<Job>) -> Vec<Answer> {
        let mut waiting = Vec::new();
        let mut batch = VecDeque::new();
        for job in jobs {
            let (answer, answered) = oneshot::channel();
            batch.push_back(Queued { job, answer });
            waiting.push(answered);
        }
        while !batch.is_empty() {
            self.writer.transaction(&mut batch);
        }
        waiting.into_iter().map(|mut answered| answered.try_recv().unwrap()).collect()
    }

    fn limit_pages(&self, more: i64) {
        let pages: i64 = self.writer.conn.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        self.writer.conn.query_row(&format!("PRAGMA max_page_count = {}", pages + more), [], |_| Ok(())).unwrap();
    }

    fn hosts(&self) -> Vec<String> {
        let mut names = self.writer.conn.prepare("SELECT name FROM hosts ORDER BY name").unwrap();
        let names = names.query_map([], |row| row.get(0)).unwrap();
        names.map(Result::unwrap).collect()
    }

    fn stored_count(&self) -> u64 {
        let count = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        self.writer.conn.query_row("SELECT commit_count FROM meta", [], count).unwrap().unsigned_abs()
    }
}

fn is_full(answer: &Answer) -> bool {
    matches!(answer, Err(StoreError::Full { .. }))
}

#[test]
fn a_job_without_room_takes_no_other_with_it_in_silence() {
    let mut bench = bench();
    bench.limit_pages(8);
    let mut expected = Vec::new();
    for large in [200_000, 40_000_000] {
        let n = if large > 1_000_000 { 50 } else { 10 };
        let mut answers = bench.run(vec![put(n, 10), put(n + 1, large), put(n + 2, 10)]);
        assert!(is_full(&answers[1]));
        answers.extend(bench.run(vec![put(n + 3, 10), put_blindly(n + 4, large)]));
        assert!(is_full(&answers[4]));
        for (at, answer) in answers.iter().enumerate() {
            match answer {
                Ok(_) => expected.push(format!("host{}", n + at)),
                Err(error) => assert!(matches!(error, StoreError::Full { .. }), "{error}"),
            }
        }
        assert!(answers[2].is_ok(), "what comes after it has a commit of its own");
        expected.sort();
        assert_eq!(bench.hosts(), expected, "what was answered is there and nothing else");
        assert_eq!(bench.stored_count(), bench.writer.mark.commit_count);
        assert!(bench.writer.conn.is_autocommit());
    }
    bench.limit_pages(1000);
    assert!(bench.run(vec![put(500, 200_000)])[0].is_ok());
}

#[test]
fn a_commit_that_fails_fails_all_its_jobs() {
    let mut bench = bench();
    bench.run(vec![put(1, 10)]);
    // Deferred constraints are checked by COMMIT itself.
    let strict = "PRAGMA foreign_keys = ON; CREATE TABLE parent (n INTEGER PRIMARY KEY);
        CREATE TABLE child (n INTEGER REFERENCES parent (n) DEFERRABLE INITIALLY DEFERRED);
        CREATE TRIGGER orphan AFTER INSERT ON hosts WHEN NEW.name = 'host3'
        BEGIN INSERT INTO child VALUES (7); END;";
    bench.writer.conn.execute_batch(strict).unwrap();
    let answers = bench.run(vec![put(2, 10), put(3, 10), put(4, 10)]);
    assert!(answers.iter().all(Result::is_err));
    assert_eq!(bench.hosts(), ["host1"]);
    assert_eq!((bench.stored_count(), bench.writer.mark.commit_count), (1, 1));
    assert!(bench.run(vec![put(5, 10)])[0].is_ok());
    assert_eq!((bench.stored_count(), bench.writer.mark.commit_count), (2, 2));
}

#[test]
fn many_jobs_share_one_commit() {
    let mut bench = bench();
    let answers = bench.run((0..100).map(|n| put(n, 10)).collect());
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(bench.stored_count(), 1);
    assert_eq!(bench.hosts().len(), 100);
}

/// No kill of a process can show this: only a power cut would.
#[test]
fn a_commit_is_synced_before_it_is_answered() {
    let bench = bench();
    let pragma = |name: &str| bench.writer.conn.pragma_query_value(None, name, |row| row.get::<_, String>(0));
    assert_eq!(pragma("journal_mode").unwrap(), "wal");
    let full = bench.writer.conn.pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0));
    assert_eq!(full.unwrap(), 2);
}
