//! What only a database on disk can go through: kills, full disks, damage, two owners, older files.

use crate::process::{PATIENCE, until};
use crate::store_child::{WRITERS, author, start};
use crate::store_samples::{
    channel, event, host, host_row, journal_id, journal_row, open, permit, quarantine, record, release, rollout,
    rollout_id, store_id,
};
use convoy::model::rollout::Tally;
use convoy::store::rows::{Bucket, EventFilter, EventRow, RecordFilter};
use convoy::store::sqlite::{Options, QUEUE_JOBS, SqliteStore};
use convoy::store::{Store, StoreError, Tx, read, write};
use futures_util::FutureExt;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use tempfile::TempDir;

fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("convoy.db");
    (dir, path)
}

fn try_open(path: &Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(path, Options { new_store_id: store_id(2) })
}

async fn fill(path: &Path, events: u64) {
    let store = open(path);
    let filled = write(&store, move |tx| {
        for seq in 1..=events {
            tx.append_event(&EventRow { body: "x".repeat(300), ..event(1, seq) })?;
        }
        Ok::<_, StoreError>(())
    });
    filled.await.unwrap();
}

#[tokio::test]
async fn what_was_written_is_there_after_opening_again() {
    let (_dir, path) = place();
    fill(&path, 3).await;
    let store = try_open(&path).unwrap();
    assert_eq!(store.mark().commit_count, 1);
    assert_eq!(store.mark().store_id, store_id(1), "a database keeps its own id");
    let rows = read(&store, |tx| tx.events(0, &EventFilter::default(), 9)).await.unwrap();
    assert_eq!(rows.len(), 3);
    write(&store, |tx| tx.put_host(&host_row(1))).await.unwrap();
    assert_eq!(store.mark().commit_count, 2);
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn dropping_the_store_finishes_its_queue() {
    let (_dir, path) = place();
    let store = open(&path);
    for seq in 1..=50 {
        let _ = write(&store, move |tx| tx.append_event(&event(1, seq))).now_or_never();
    }
    drop(store);
    let rows = read(&open(&path), |tx| tx.events(0, &EventFilter::default(), 99)).await.unwrap();
    assert_eq!(rows.len(), 50);
}

#[tokio::test]
async fn a_job_may_hold_the_last_handle_of_its_store() {
    let (_dir, path) = place();
    let store = Arc::new(open(&path));
    let (go, wait) = mpsc::channel();
    let inside = store.clone();
    let work = move |tx: &mut dyn Tx| {
        wait.recv().unwrap();
        tx.put_host(&host_row(1))?;
        drop(inside);
        Ok::<_, StoreError>(())
    };
    assert!(write(&*store, work).now_or_never().is_none());
    drop(store);
    go.send(()).unwrap();
    let again = until("end of the first store", PATIENCE, || try_open(&path).ok());
    assert!(read(&again, |tx| tx.host(&host(1))).await.unwrap().is_some());
}

#[tokio::test]
async fn a_full_queue_is_busy_and_what_was_taken_is_done() {
    let (_dir, path) = place();
    let store = open(&path);
    let (go, wait) = mpsc::channel();
    let blocked = write(&store, move |_| {
        wait.recv().unwrap();
        Ok::<_, StoreError>(())
    });
    assert!(blocked.now_or_never().is_none());
    let (mut taken, mut refused) = (Vec::new(), 0);
    for seq in 1..=2 * QUEUE_JOBS as u64 {
        match write(&store, move |tx| tx.append_event(&event(1, seq))).now_or_never() {
            None => taken.push(seq),
            Some(answer) => {
                assert!(matches!(answer, Err(StoreError::Busy)));
                refused += 1;
            }
        }
    }
    assert!(refused > 0);
    // Reading has a queue of its own.
    assert_eq!(read(&store, |tx| tx.host(&host(1))).await.unwrap(), None);
    go.send(()).unwrap();
    write(&store, |tx| tx.put_host(&host_row(1)))
        .await
        .unwrap_or_else(|error| assert!(matches!(error, StoreError::Busy)));
    drop(store);
    let rows = read(&open(&path), |tx| tx.events(0, &EventFilter::default(), usize::MAX)).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.seq).collect::<Vec<_>>(), taken);
}

#[tokio::test]
async fn a_database_has_one_owner_at_a_time() {
    let (_dir, path) = place();
    let store = open(&path);
    let second = try_open(&path).unwrap_err();
    assert!(matches!(&second, StoreError::Locked { place } if *place == path.display().to_string()), "{second}");
    drop(store);
    let child = start("hold", &path);
    until("child with the database", PATIENCE, || child.stdout().contains("holding").then_some(()));
    assert!(matches!(try_open(&path), Err(StoreError::Locked { .. })));
    drop(child);
    // The kernel frees the lock of a killed process.
    try_open(&path).unwrap();
}

#[tokio::test]
async fn every_acknowledged_event_survives_sigkill() {
    let (_dir, path) = place();
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let (mut total, mut last_commit) = (0, 0);
    for round in 0..6 {
        let mut child = start("acknowledge", &path);
        let enough = random.random_range(1..300);
        until("acknowledged events", PATIENCE, || {
            assert!(child.is_running(), "{}", child.stderr());
            (child.stdout().matches("acked").count() >= enough).then_some(())
        });
        child.kill();
        let store = open(&path);
        let said = child.stdout();
        // The last line may be cut.
        let (whole, _) = said.rsplit_once('\n').unwrap();
        let mut events = BTreeMap::new();
        for row in read(&store, |tx| tx.events(0, &EventFilter::default(), usize::MAX)).await.unwrap() {
            events.insert(row.place, row);
        }
        assert!(events.keys().copied().eq(1..=events.len() as u64), "places have a gap in round {round}");
        for line in whole.lines().filter_map(|line| line.strip_prefix("acked ")) {
            let numbers: Vec<u64> = line.split(' ').map(|number| number.parse().unwrap()).collect();
            let [n, seq, place, commit] = numbers[..] else { panic!("{line}") };
            let row = events.get(&place).unwrap_or_else(|| panic!("acknowledged and lost: {line}"));
            assert_eq!((&row.host, row.seq, &row.author), (&Some(host(n as usize)), seq, &author()));
            assert!(store.mark().commit_count >= commit);
        }
        for n in 0..WRITERS {
            let held = read(&store, move |tx| tx.journal(&host(n), &journal_id(1))).await.unwrap();
            let stored = events.values().filter(|row| row.host == Some(host(n))).count() as u64;
            assert_eq!(held.map_or(0, |row| row.last_seq), stored, "a job is kept whole or not at all");
        }
        assert!(events.len() > total && store.mark().commit_count > last_commit);
        (total, last_commit) = (events.len(), store.mark().commit_count);
    }
}

fn play(part: &str) {
    let (_dir, path) = place();
    let ended = start(part, &path).ended_within(PATIENCE);
    assert!(ended.status.success() && ended.stdout.contains("part played"), "{}\n{}", ended.stdout, ended.stderr);
}

#[test]
fn a_full_disk_loses_nothing_and_the_store_goes_on_when_there_is_room() {
    play("fill");
}

#[test]
fn a_database_that_has_no_room_is_not_created_by_half() {
    play("create-without-room");
}

#[test]
fn a_backup_without_room_leaves_the_last_one() {
    play("backup-without-room");
}

#[tokio::test]
async fn a_creation_that_was_cut_off_is_begun_anew() {
    let (dir, path) = place();
    std::fs::write(dir.path().join("convoy.db.new"), "half").unwrap();
    std::fs::write(dir.path().join("convoy.db.new-journal"), "half").unwrap();
    drop(open(&path));
    assert!(!dir.path().join("convoy.db.new").exists());
    drop(open(&path));
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

/// Damages a good database and expects a refusal that names the file, says `why`, and changes nothing.
async fn expect_refused(damage: impl FnOnce(&Path), why: &str) {
    let (dir, path) = place();
    fill(&path, 500).await;
    damage(&path);
    let content = |path: &Path| std::fs::read(path).ok();
    let (database, log) = (content(&path), content(&dir.path().join("convoy.db-wal")));
    for _ in 0..2 {
        let error = try_open(&path).unwrap_err().to_string();
        assert!(error.contains("convoy.db") && error.contains(why), "{error}");
    }
    assert!(content(&path) == database && content(&dir.path().join("convoy.db-wal")) == log, "{why}: it was changed");
}

#[tokio::test]
async fn a_damaged_database_is_refused_and_left_as_it_is() {
    let restore = "stop convoy-cp, then restore the last backup";
    expect_refused(|path| std::fs::write(path, "").unwrap(), "the file is empty").await;
    expect_refused(|path| std::fs::write(path, "").unwrap(), restore).await;
    expect_refused(|path| std::fs::write(path, "a text file\n".repeat(2000)).unwrap(), restore).await;
    expect_refused(|path| std::fs::write(path, "short").unwrap(), restore).await;
    expect_refused(|path| overwrite(path, 0, &[0; 100]), restore).await;
    expect_refused(|path| overwrite(path, 100, &[0xff; 3900]), restore).await;
    for page in [2, 5, 20, 40] {
        expect_refused(|path| overwrite(path, page * 4096, &[0xff; 8192]), restore).await;
    }
    let cut = |path: &Path, part: u64| {
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(file.metadata().unwrap().len() * part / 8).unwrap();
    };
    expect_refused(|path| cut(path, 7), restore).await;
    expect_refused(|path| cut(path, 1), restore).await;
    let lose = |path: &Path| {
        std::fs::remove_file(path).unwrap();
        std::fs::write(path.with_extension("db-wal"), "commits").unwrap();
    };
    expect_refused(lose, "remove that too to begin anew").await;
    expect_refused(
        |path| std::fs::write(path.with_extension("db.restoring"), "x").unwrap(),
        "a restore was interrupted",
    )
    .await;
    let statement = |sql: &'static str| move |path: &Path| Connection::open(path).unwrap().execute_batch(sql).unwrap();
    expect_refused(statement("DELETE FROM meta"), "column meta: it is empty").await;
    expect_refused(statement("UPDATE meta SET store_id = 'odd'"), "column store_id").await;
    expect_refused(statement("UPDATE meta SET commit_count = -1"), "column commit_count: -1 is out of range").await;
    expect_refused(statement("DROP TABLE meta"), "no such table").await;
    expect_refused(statement("PRAGMA application_id = 5"), "not one of convoy-cp").await;
    expect_refused(statement("PRAGMA user_version = 99"), "has schema 99, this program knows up to").await;
}

#[tokio::test]
async fn a_directory_in_the_databases_place_is_said_to_be_one() {
    let (_dir, path) = place();
    std::fs::create_dir(&path).unwrap();
    let error = try_open(&path).unwrap_err().to_string();
    assert!(error.contains("convoy.db is a directory"), "{error}");
    let nowhere = path.join("none").join("convoy.db");
    let error = try_open(&nowhere).unwrap_err().to_string();
    assert!(error.contains("cannot open") && error.contains("none/convoy.db.lock"), "{error}");
}

#[tokio::test]
async fn damage_under_a_running_store_fails_the_job_only() {
    let (_dir, path) = place();
    fill(&path, 500).await;
    let store = open(&path);
    let length = path.metadata().unwrap().len();
    // The first page and the schema stay; every table is damaged.
    overwrite(&path, 4096, &vec![0xff; usize::try_from(length).unwrap() - 4096]);
    for _ in 0..4 {
        let error = read(&store, |tx| tx.events(0, &EventFilter::default(), 999)).await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    }
}

fn write_everything(tx: &mut dyn Tx) -> Result<(), StoreError> {
    tx.put_setting("name", "value")?;
    tx.put_host(&host_row(1))?;
    tx.put_journal(&journal_row(1))?;
    tx.append_event(&event(1, 1))?;
    tx.put_record(&record(1, 1, Bucket::InFlight))?;
    tx.put_release(&release(1))?;
    tx.put_rollout(&rollout(1))?;
    tx.put_permit(&permit(1))?;
    tx.put_quarantine(&quarantine(1))
}

type Look = fn(&mut dyn Tx) -> Result<(), StoreError>;

#[tokio::test]
async fn a_value_that_no_type_allows_is_damage() {
    let (_dir, path) = place();
    write(&open(&path), write_everything).await.unwrap();
    let hosts: Look = |tx| tx.hosts(None, 9).map(drop);
    let journals: Look = |tx| tx.journals(&host(1)).map(drop);
    let events: Look = |tx| tx.events(0, &EventFilter::default(), 9).map(drop);
    let records: Look = |tx| tx.records(&RecordFilter::default(), None, 9).map(drop);
    let releases: Look = |tx| tx.release(&rollout_id(1)).map(drop);
    let rollouts: Look = |tx| tx.rollouts(false, 9).map(drop);
    let permits: Look = |tx| tx.permit(&host(1), &rollout_id(1)).map(drop);
    let quarantines: Look = |tx| tx.quarantines(&channel()).map(drop);
    let tally: Look = |tx| tx.tally(&rollout_id(1), 0).map(drop);
    let recount: Look = |tx| tx.put_record(&record(1, 1, Bucket::Failed));
    let cases: [(&str, &str, Look); 20] = [
        ("UPDATE hosts SET name = ' '", "column name", hosts),
        ("UPDATE journals SET journal = x'00'", "column journal", journals),
        ("UPDATE journals SET last_seq = -1", "column last_seq", journals),
        ("UPDATE events SET host = 'a/b'", "column host", events),
        ("UPDATE events SET rollout = 'a'", "column rollout", events),
        ("UPDATE events SET author = x'ff'", "column author", events),
        ("UPDATE events SET seq = NULL", "column seq", events),
        ("UPDATE events SET attempt = 5000000000", "column attempt", events),
        ("UPDATE events SET digest = x''", "column digest", events),
        ("UPDATE records SET state = 'odd'", "column state", records),
        ("UPDATE records SET bucket = ''", "column bucket", records),
        ("UPDATE records SET wave = -1", "column wave", records),
        ("UPDATE records SET budgets = 'a,b c'", "column budgets", records),
        ("UPDATE releases SET digest = x'00'", "column digest", releases),
        ("UPDATE rollouts SET id = '@'", "column id", rollouts),
        ("UPDATE permits SET journal = x'00'", "column journal", permits),
        ("UPDATE quarantines SET closure = '/tmp'", "column closure", quarantines),
        ("UPDATE tallies SET bucket = 'odd'", "column bucket", tally),
        ("DELETE FROM tallies", "the tally of stable@r1 wave 0 is short", recount),
        ("DELETE FROM budgets", "the count of budget tag1 is short", recount),
    ];
    for (sql, why, look) in cases {
        let copy = path.with_extension("copy");
        std::fs::copy(&path, &copy).unwrap();
        Connection::open(&copy).unwrap().execute_batch(sql).unwrap();
        let store = open(&copy);
        let error = write(&store, look).await.unwrap_err();
        assert!(matches!(&error, StoreError::Corrupt { detail, .. } if detail.contains(why)), "{sql}: {error}");
        // A job that goes on after it is undone all the same.
        let swallowed = write(&store, move |tx| {
            tx.put_setting("name", "other")?;
            assert!(look(tx).is_err());
            assert!(tx.put_setting("name", "third").is_err());
            Ok::<_, StoreError>(())
        });
        assert!(matches!(swallowed.await, Err(StoreError::Corrupt { .. })), "{sql}");
        let kept = read(&store, |tx| tx.setting("name")).await.unwrap();
        assert_eq!(kept.as_deref(), Some("value"), "{sql}");
        write(&store, |tx| tx.put_setting("later", "on")).await.unwrap();
    }
}

#[tokio::test]
async fn counters_are_still_right_after_opening_again() {
    let (_dir, path) = place();
    write(&open(&path), |tx| tx.put_record(&record(1, 1, Bucket::InFlight))).await.unwrap();
    let store = open(&path);
    write(&store, |tx| tx.put_record(&record(1, 1, Bucket::Succeeded))).await.unwrap();
    let tally = read(&store, |tx| tx.tally(&rollout_id(1), 0)).await.unwrap();
    assert_eq!(tally, Tally { changed: 1, succeeded: 1, ..Tally::default() });
}

#[tokio::test]
async fn a_writer_of_another_process_is_waited_for() {
    let (_dir, path) = place();
    let store = open(&path);
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let written = write(&store, |tx| tx.put_host(&host_row(1)));
    let (written, ()) = tokio::join!(written, async {
        // Queued by now; the writer waits for this.
        other.execute_batch("COMMIT").unwrap();
    });
    written.unwrap();
}
