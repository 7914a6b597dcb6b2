//! Backups of a database in use, and restores: what is replaced is kept, and nothing half done is ever opened.

use crate::process::{PATIENCE, until};
use crate::store_child::start;
use crate::store_samples::{event, host, host_row, open, store_id};
use convoy::store::rows::EventFilter;
use convoy::store::sqlite::{Options, SqliteStore, backup, restore};
use convoy::store::{Store, StoreError, StoreMark, read, write};
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

struct Place {
    dir: TempDir,
    database: PathBuf,
    backup: PathBuf,
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let (database, backup) = (dir.path().join("convoy.db"), dir.path().join("convoy.backup"));
    Place { dir, database, backup }
}

impl Place {
    fn names(&self) -> BTreeSet<String> {
        let entries = std::fs::read_dir(self.dir.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

async fn append(store: &SqliteStore, seqs: std::ops::RangeInclusive<u64>) {
    for seq in seqs {
        write(store, move |tx| tx.append_event(&event(1, seq))).await.unwrap();
    }
}

async fn seqs(path: &Path) -> Vec<u64> {
    let store = open(path);
    let rows = read(&store, |tx| tx.events(0, &EventFilter::default(), usize::MAX)).await.unwrap();
    rows.into_iter().map(|row| row.seq).collect()
}

/// Copies a database and its log, as a kill would leave them.
fn copy_as_killed(from: &Path, to: &Path) {
    for ending in ["", "-wal"] {
        std::fs::copy(format!("{}{ending}", from.display()), format!("{}{ending}", to.display())).unwrap();
    }
    assert!(Path::new(&format!("{}-wal", to.display())).metadata().unwrap().len() > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_during_writes_is_one_moment_of_them() {
    let place = place();
    let store = Arc::new(open(&place.database));
    append(&store, 1..=300).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (writing, stopping) = (store.clone(), stop.clone());
    let writer = tokio::spawn(async move {
        let mut seq = 300;
        while !stopping.load(Ordering::Relaxed) {
            seq += 1;
            append(&writing, seq..=seq).await;
        }
        seq
    });
    let mut last = 300;
    for _ in 0..5 {
        let (database, to) = (place.database.clone(), place.backup.clone());
        let before = store.mark();
        let copied = tokio::task::spawn_blocking(move || backup(&database, &to)).await.unwrap().unwrap();
        assert_eq!(copied.mark.store_id, before.store_id);
        assert!(copied.mark.commit_count >= before.commit_count && copied.mark.commit_count >= last);
        assert_eq!(copied.bytes, place.backup.metadata().unwrap().len());
        // Every commit was one event.
        let rows: u64 = Connection::open(&place.backup)
            .unwrap()
            .query_row("SELECT count(*) FROM events", [], |row| row.get::<_, i64>(0))
            .unwrap()
            .unsigned_abs();
        assert_eq!(rows, copied.mark.commit_count);
        last = rows;
    }
    stop.store(true, Ordering::Relaxed);
    let written = writer.await.unwrap();
    // A backup takes no lock away from the store that runs.
    assert!(matches!(restore(&place.backup, &place.database, &store_id(7)), Err(StoreError::Locked { .. })));
    drop(store);
    assert_eq!(seqs(&place.database).await, (1..=written).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_backup_is_one_file_that_needs_no_other() {
    let place = place();
    let store = open(&place.database);
    append(&store, 1..=10).await;
    backup(&place.database, &place.backup).unwrap();
    let bytes = std::fs::read(&place.backup).unwrap();
    // The file's format says that it has no log.
    assert_eq!(bytes[18..20], [1, 1]);
    let others: BTreeSet<_> = place.names().into_iter().filter(|name| !name.starts_with("convoy.db")).collect();
    assert_eq!(others, BTreeSet::from(["convoy.backup".to_owned()]));
}

#[tokio::test]
async fn a_backup_works_while_another_process_has_the_database_and_after_it_was_killed() {
    let place = place();
    let mut child = start("acknowledge", &place.database);
    until("acknowledged events", PATIENCE, || (child.stdout().matches("acked").count() > 20).then_some(()));
    let running = backup(&place.database, &place.backup).unwrap();
    assert!(running.mark.commit_count > 0);
    assert!(matches!(restore(&place.backup, &place.database, &store_id(7)), Err(StoreError::Locked { .. })));
    child.kill();
    let killed = backup(&place.database, &place.backup).unwrap();
    assert!(killed.mark.commit_count > running.mark.commit_count);
    assert_eq!(open(&place.database).mark(), killed.mark);
}

#[tokio::test]
async fn a_backup_is_never_written_onto_the_database() {
    let place = place();
    let store = open(&place.database);
    append(&store, 1..=3).await;
    let link = place.dir.path().join("link");
    std::os::unix::fs::symlink(&place.database, &link).unwrap();
    let names = place.names();
    for to in ["convoy.db", "convoy.db-wal", "convoy.db-shm", "convoy.db.lock", "link", "./convoy.db"] {
        let error = backup(&place.database, &place.dir.path().join(to)).unwrap_err().to_string();
        assert!(error.contains("belongs to the database"), "{to}: {error}");
    }
    let error = backup(&place.database, &place.dir.path().join("none/backup")).unwrap_err().to_string();
    assert!(error.contains("none/backup"), "{error}");
    assert_eq!(place.names(), names);
    append(&store, 4..=4).await;
    drop(store);
    assert_eq!(seqs(&place.database).await, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_damaged_database_gives_no_backup_and_the_last_one_stays() {
    let place = place();
    append(&open(&place.database), 1..=500).await;
    std::fs::write(&place.backup, "the last one").unwrap();
    let mut bytes = std::fs::read(&place.database).unwrap();
    bytes[40_000..60_000].fill(0xff);
    std::fs::write(&place.database, bytes).unwrap();
    let error = backup(&place.database, &place.backup).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&place.backup).unwrap(), "the last one");
    assert!(!place.names().iter().any(|name| name.contains("partial")));
    let error = backup(&place.dir.path().join("none"), &place.backup).unwrap_err().to_string();
    assert!(error.contains("there is no database at") && error.contains("/none"), "{error}");
}

#[tokio::test]
async fn a_restored_database_is_another_one_with_the_older_count() {
    let place = place();
    let store = open(&place.database);
    append(&store, 1..=5).await;
    let copied = backup(&place.database, &place.backup).unwrap();
    append(&store, 6..=9).await;
    let newest = store.mark();
    drop(store);
    let restored = restore(&place.backup, &place.database, &store_id(7)).unwrap();
    assert_eq!(restored.mark, StoreMark { store_id: store_id(7), ..copied.mark });
    let store = SqliteStore::open(&place.database, Options { new_store_id: store_id(9) }).unwrap();
    assert_eq!(store.mark(), restored.mark);
    assert!(store.mark().commit_count < newest.commit_count);
    drop(store);
    assert_eq!(seqs(&place.database).await, (1..=5).collect::<Vec<_>>());
    let replaced = restored.replaced.unwrap();
    assert_eq!(replaced, place.dir.path().join("convoy.db.replaced-1"));
    assert_eq!(seqs(&replaced).await, (1..=9).collect::<Vec<_>>());
    let second = restore(&place.backup, &place.database, &store_id(7)).unwrap();
    assert_eq!(second.replaced.unwrap(), place.dir.path().join("convoy.db.replaced-2"));
}

#[tokio::test]
async fn a_restore_over_a_killed_database_keeps_its_log_and_does_not_replay_it() {
    let place = place();
    let store = open(&place.database);
    append(&store, 1..=5).await;
    backup(&place.database, &place.backup).unwrap();
    append(&store, 6..=200).await;
    let killed = place.dir.path().join("killed.db");
    copy_as_killed(&place.database, &killed);
    let restored = restore(&place.backup, &killed, &store_id(7)).unwrap();
    assert_eq!(seqs(&killed).await, (1..=5).collect::<Vec<_>>());
    assert_eq!(seqs(&restored.replaced.unwrap()).await, (1..=200).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_restore_works_where_there_is_no_database_or_a_damaged_one() {
    let place = place();
    append(&open(&place.database), 1..=5).await;
    backup(&place.database, &place.backup).unwrap();
    std::fs::remove_file(&place.database).unwrap();
    assert_eq!(restore(&place.backup, &place.database, &store_id(7)).unwrap().replaced, None);
    assert_eq!(seqs(&place.database).await.len(), 5);
    std::fs::write(&place.database, "no database").unwrap();
    let kept = restore(&place.backup, &place.database, &store_id(7)).unwrap().replaced.unwrap();
    assert_eq!(std::fs::read_to_string(kept).unwrap(), "no database");
    assert_eq!(seqs(&place.database).await.len(), 5);
    // A log alone is kept too, and not mixed with the backup.
    std::fs::remove_file(&place.database).unwrap();
    std::fs::write(place.dir.path().join("convoy.db-wal"), "commits").unwrap();
    let kept = restore(&place.backup, &place.database, &store_id(7)).unwrap().replaced.unwrap();
    assert_eq!(std::fs::read_to_string(format!("{}-wal", kept.display())).unwrap(), "commits");
    assert_eq!(seqs(&place.database).await.len(), 5);
}

#[tokio::test]
async fn what_is_no_good_backup_is_not_restored() {
    let place = place();
    append(&open(&place.database), 1..=300).await;
    backup(&place.database, &place.backup).unwrap();
    let good = std::fs::read(&place.backup).unwrap();
    let mut damaged = good.clone();
    damaged[40_000..60_000].fill(0xff);
    let newer = |sql: &str| {
        std::fs::write(&place.backup, &good).unwrap();
        Connection::open(&place.backup).unwrap().execute_batch(sql).unwrap();
        std::fs::read(&place.backup).unwrap()
    };
    let cases: [(&[u8], &str); 6] = [
        (b"", "the file is empty"),
        (b"a text file", "is damaged"),
        (&good[..good.len() / 2], "is damaged"),
        (&damaged, "is damaged"),
        (&newer("PRAGMA user_version = 99"), "has schema 99"),
        (&newer("PRAGMA application_id = 7"), "not one of convoy-cp"),
    ];
    for (bytes, why) in cases {
        std::fs::write(&place.backup, bytes).unwrap();
        let error = restore(&place.backup, &place.database, &store_id(7)).unwrap_err().to_string();
        assert!(error.contains(why), "{why}: {error}");
        assert!(error.contains("convoy.backup"), "it names the backup, not the database: {error}");
        assert_eq!(seqs(&place.database).await.len(), 300);
        assert!(!place.names().iter().any(|name| name.contains("restor") || name.contains("replaced")));
    }
    let error = restore(&place.database, &place.database, &store_id(7)).unwrap_err().to_string();
    assert!(error.contains("belongs to the database"), "{error}");
}

#[tokio::test]
async fn an_interrupted_restore_is_refused_until_it_is_run_again() {
    let place = place();
    append(&open(&place.database), 1..=5).await;
    backup(&place.database, &place.backup).unwrap();
    let ready = place.dir.path().join("convoy.db.restoring");
    // As a crash leaves it between its last two steps.
    std::fs::rename(&place.backup, &ready).unwrap();
    let opened = SqliteStore::open(&place.database, Options { new_store_id: store_id(9) });
    assert!(opened.unwrap_err().to_string().contains("a restore was interrupted, run it again"));
    std::fs::copy(&ready, &place.backup).unwrap();
    restore(&place.backup, &place.database, &store_id(7)).unwrap();
    assert!(!ready.exists());
    let store = open(&place.database);
    write(&store, |tx| tx.put_host(&host_row(1))).await.unwrap();
    assert!(read(&store, |tx| tx.host(&host(1))).await.unwrap().is_some());
}
