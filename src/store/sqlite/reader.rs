//! A reading thread: each job sees one moment of what is committed.

use crate::store::rules::{self, Answer};
use crate::store::sqlite::failure::store_error;
use crate::store::sqlite::tx::SqliteTx;
use crate::store::sqlite::{Queued, open, queue_of};
use rusqlite::Connection;
use std::path::Path;
use std::sync::Mutex;
use tokio::sync::mpsc;

/// Works until the store is dropped and the queue is empty.
pub(crate) fn run(conn: &Connection, path: &Path, queue: &Mutex<mpsc::Receiver<Queued>>) {
    loop {
        // One thread waits for the next job, the others for their turn to wait.
        let next = queue_of(queue).blocking_recv();
        let Some(Queued { job, answer }) = next else { return };
        let said = moment(conn, path, |tx| rules::run(job, tx));
        // The caller may have stopped waiting.
        let _ = answer.send(said);
    }
}

fn moment(conn: &Connection, path: &Path, work: impl FnOnce(&mut SqliteTx<'_>) -> Answer) -> Answer {
    let fail = |error| store_error(path, error);
    conn.execute_batch("BEGIN").map_err(|error| fail(error.into()))?;
    // The first read fixes the moment.
    let mark = open::read_mark(conn).map_err(fail);
    let said = mark.and_then(|mark| work(&mut SqliteTx::new(conn, path, mark)));
    // What was read stands; a transaction that stayed open would fail the next job's `BEGIN`, with the reason.
    let _ = conn.execute_batch("ROLLBACK");
    said
}
