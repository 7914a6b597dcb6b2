//! The control plane's files: backup and restore of its database, and what is said when they can't be used.

use crate::process::{CONVOY_CP, Ended, run, shown};
use convoy::model::id::StoreId;
use convoy::store::sqlite::{Options, SqliteStore};
use convoy::store::{StoreError, read, write};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// The code for a database that can't be used.
const DATABASE: i32 = 3;

/// Opens a database and writes a setting; returns the setting that was there before.
pub(crate) fn put(path: &Path, value: &str) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = SqliteStore::open(path, Options { new_store_id: StoreId::new("a".repeat(32)).unwrap() }).unwrap();
    let value = value.to_owned();
    runtime.block_on(async {
        let before = read(&store, |tx| tx.setting("test")).await.unwrap();
        write::<_, StoreError>(&store, move |tx| tx.put_setting("test", &value)).await.unwrap();
        before
    })
}

fn database() -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("convoy.db");
    put(&path, "one");
    let path = shown(&path);
    (dir, path)
}

fn beside(dir: &TempDir, name: &str) -> String {
    shown(&dir.path().join(name))
}

fn fails(ended: &Ended, code: i32, says: &[&str]) {
    assert_eq!(ended.code(), code, "{ended:?}");
    assert!(ended.stderr.starts_with("error: ") && ended.stdout.is_empty(), "{ended:?}");
    for word in says {
        assert!(ended.stderr.contains(word), "{word:?} is not in {}", ended.stderr);
    }
}

#[test]
fn a_restored_backup_holds_what_was_there_then_and_keeps_the_newer_beside_it() {
    let (dir, database) = database();
    let copy = beside(&dir, "copy.db");
    let backup = run(CONVOY_CP, &["backup", "--database", &database, "--to", &copy]);
    assert!(backup.code() == 0 && backup.stdout.contains("commits"), "{backup:?}");
    put(Path::new(&database), "two");
    let restored = run(CONVOY_CP, &["restore", "--database", &database, "--from", &copy]);
    assert!(restored.code() == 0 && restored.stdout.contains("convoy rollout resume"), "{restored:?}");
    assert_eq!(put(Path::new(&database), "three").as_deref(), Some("one"));
    let kept = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let kept = kept.filter(|path| shown(path).contains("replaced") && !shown(path).ends_with("-wal")).min().unwrap();
    assert_eq!(put(&kept, "x").as_deref(), Some("two"), "{}", kept.display());
}

#[test]
fn a_backup_of_nothing_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (missing, copy) = (beside(&dir, "missing.db"), beside(&dir, "copy.db"));
    fails(&run(CONVOY_CP, &["backup", "--database", &missing, "--to", &copy]), DATABASE, &[&missing]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_damaged_backup_does_not_replace_a_good_database() {
    let (dir, database) = database();
    let copy = beside(&dir, "copy.db");
    run(CONVOY_CP, &["backup", "--database", &database, "--to", &copy]);
    let mut bytes = fs::read(&copy).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0xa5);
    fs::write(&copy, bytes).unwrap();
    fails(&run(CONVOY_CP, &["restore", "--database", &database, "--from", &copy]), DATABASE, &[&copy]);
    fs::write(&copy, "this is no database, and long enough to be looked at as one").unwrap();
    fails(&run(CONVOY_CP, &["restore", "--database", &database, "--from", &copy]), DATABASE, &[&copy]);
    assert_eq!(put(Path::new(&database), "x").as_deref(), Some("one"));
}

#[test]
fn a_backup_that_finds_no_room_leaves_the_old_backup() {
    let (dir, database) = database();
    let copy = beside(&dir, "copy.db");
    run(CONVOY_CP, &["backup", "--database", &database, "--to", &copy]);
    let before = fs::read(&copy).unwrap();
    let script = format!("ulimit -f 4; exec {CONVOY_CP} backup --database {database} --to {copy}");
    let ended = run("/bin/sh", &["-c", &script]);
    fails(&ended, DATABASE, &["free some space"]);
    assert_eq!(fs::read(&copy).unwrap(), before);
}

#[test]
fn a_missing_flag_is_named_and_exits_with_2() {
    let ended = run(CONVOY_CP, &["backup", "--database", "x"]);
    assert!(ended.code() == 2 && ended.stderr.contains("--to"), "{ended:?}");
}
