//! The store in a process of its own, which may be killed or run out of room. The parent starts this same test
//! binary with a part to play; run by itself the entry has no part and ends at once.

use crate::process::Process;
use crate::store_samples::{event, host, host_row, journal_id, journal_row, open, store_id};
use convoy::model::id::{Author, JournalId};
use convoy::store::rows::{EventFilter, EventRow, JournalRow};
use convoy::store::sqlite::{Options, SqliteStore, backup};
use convoy::store::{Store, StoreError, read, write};
use futures_util::future::join_all;
use nix::sys::resource::{Resource, rlim_t, setrlimit};
use nix::sys::signal::Signal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

const PART: &str = "CONVOY_STORE_CHILD";
const PLACE: &str = "CONVOY_STORE_PLACE";

/// Hosts that write at the same time.
pub(crate) const WRITERS: usize = 8;

/// Starts this test binary in a part, with its files at `place`.
pub(crate) fn start(part: &str, place: &Path) -> Process {
    let own = std::env::current_exe().unwrap();
    let args = ["store_child::a_part_in_another_test", "--exact", "--nocapture"];
    Process::start_with(own.to_str().unwrap(), &args, &[(PART, part), (PLACE, place.to_str().unwrap())])
}

#[tokio::test]
async fn a_part_in_another_test() {
    let Ok(part) = std::env::var(PART) else { return };
    let place = PathBuf::from(std::env::var(PLACE).unwrap());
    match part.as_str() {
        "acknowledge" => acknowledge(&place).await,
        "hold" => hold(&place).await,
        "fill" => fill(&place).await,
        "create-without-room" => create_without_room(&place).await,
        "backup-without-room" => backup_without_room(&place).await,
        other => panic!("no part {other}"),
    }
    println!("part played");
}

/// Writes from many hosts for ever, and says each event that was answered: host, number, place, commit.
async fn acknowledge(place: &Path) {
    let store = Arc::new(open(place));
    let writer = |n: usize| {
        let store = store.clone();
        async move {
            loop {
                let (seq, place, commit) = write(&*store, move |tx| next_event(tx, n)).await.unwrap();
                println!("\nacked {n} {seq} {place} {commit}");
            }
        }
    };
    join_all((0..WRITERS).map(writer)).await;
}

fn next_event(tx: &mut dyn convoy::store::Tx, n: usize) -> Result<(u64, u64, u64), StoreError> {
    let seq = tx.journal(&host(n), &journal_id(1))?.map_or(0, |row| row.last_seq) + 1;
    tx.put_journal(&JournalRow { host: host(n), last_seq: seq, ..journal_row(1) })?;
    Ok((seq, tx.append_event(&event(n, seq))?, tx.mark()?.commit_count))
}

/// Keeps the database open until it is killed.
async fn hold(place: &Path) {
    let store = open(place);
    println!("\nholding");
    std::future::pending::<()>().await;
    drop(store);
}

/// Lets no file of this process grow beyond `bytes`. The signal that comes with it would end the process.
fn limit_files(bytes: rlim_t) {
    setrlimit(Resource::RLIMIT_FSIZE, bytes, nix::sys::resource::RLIM_INFINITY).unwrap();
}

fn survive_the_limit() {
    // The handler stays when what listens to it goes.
    drop(signal(SignalKind::from_raw(Signal::SIGXFSZ as i32)).unwrap());
}

fn large(n: usize, seq: u64) -> EventRow {
    EventRow { body: "x".repeat(4000), ..event(n, seq) }
}

fn is_full<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(error @ StoreError::Full { .. }) if error.to_string().contains("free some space"))
}

async fn fill(place: &Path) {
    survive_the_limit();
    let store = Arc::new(open(place));
    limit_files(1 << 20);
    let writer = |n: usize| {
        let store = store.clone();
        async move {
            let mut acked = Vec::new();
            for seq in 1..1000 {
                let appended = write(&*store, move |tx| tx.append_event(&large(n, seq))).await;
                if appended.is_err() {
                    assert!(is_full(&appended), "{appended:?}");
                    return acked;
                }
                acked.push(seq);
            }
            panic!("it never got full");
        }
    };
    let mut acked = join_all((0..WRITERS).map(writer)).await;
    assert!(acked.iter().map(Vec::len).sum::<usize>() > 20);
    // What is too much for many at once may still fit one by one; in the end nothing does.
    let mut refused = 0;
    for seq in 1000..3000 {
        let appended = write(&*store, move |tx| tx.append_event(&large(0, seq))).await;
        refused = if appended.is_ok() { 0 } else { refused + 1 };
        if appended.is_ok() {
            acked[0].push(seq);
        } else {
            assert!(is_full(&appended), "{appended:?}");
        }
        if refused == 20 {
            break;
        }
    }
    assert_eq!(refused, 20);
    let mark = store.mark();
    assert!(is_full(&write(&*store, |tx| tx.append_event(&large(0, 5000))).await));
    assert_eq!(store.mark(), mark);
    // Without room for writing everything can still be read.
    expect_acked(&*store, &acked).await;
    limit_files(nix::sys::resource::RLIM_INFINITY);
    write(&*store, |tx| tx.put_host(&host_row(1))).await.unwrap();
    assert_eq!(store.mark().commit_count, mark.commit_count + 1);
    expect_acked(&*store, &acked).await;
    drop(store);
    expect_acked(&open(place), &acked).await;
}

/// What was answered is there and nothing else.
async fn expect_acked(store: &dyn Store, acked: &[Vec<u64>]) {
    for (n, seqs) in acked.iter().enumerate() {
        let filter = EventFilter { host: Some(host(n)), ..EventFilter::default() };
        let rows = read(store, move |tx| tx.events(0, &filter, 9999)).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.seq).collect::<Vec<_>>(), *seqs);
    }
}

async fn create_without_room(place: &Path) {
    survive_the_limit();
    limit_files(8192);
    let opened = SqliteStore::open(place, Options { new_store_id: store_id(1) });
    assert!(is_full(&opened.map(drop)));
    assert!(!place.exists());
    limit_files(nix::sys::resource::RLIM_INFINITY);
    let store = open(place);
    assert_eq!(store.mark().commit_count, 0);
}

async fn backup_without_room(place: &Path) {
    survive_the_limit();
    let store = open(place);
    for seq in 1..50 {
        write(&store, move |tx| tx.append_event(&large(0, seq))).await.unwrap();
    }
    let to = place.with_extension("backup");
    std::fs::write(&to, "the last one").unwrap();
    limit_files(64 * 1024);
    let copied = backup(place, &to);
    assert!(is_full(&copied), "{copied:?}");
    assert_eq!(std::fs::read_to_string(&to).unwrap(), "the last one");
    let names = || std::fs::read_dir(place.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!names().any(|name| name.to_string_lossy().contains("partial")));
    limit_files(nix::sys::resource::RLIM_INFINITY);
    assert_eq!(backup(place, &to).unwrap().mark, store.mark());
}

/// The author of the events that children write.
pub(crate) fn author() -> Author {
    let journal: JournalId = journal_id(1);
    Author::Journal(journal)
}
