//! Migrations, tried with steps that do not exist yet.

use super::{STEPS, check, create, migrate};
use crate::model::id::StoreId;
use crate::store::sqlite::files::beside;
use crate::store::sqlite::{Options, SqliteStore};
use crate::store::{Store, StoreError};
use rusqlite::Connection;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const SECOND: &str = "ALTER TABLE hosts ADD COLUMN seen INTEGER; CREATE TABLE extra (n INTEGER) STRICT;";
const THIRD: &str = "UPDATE hosts SET seen = 3;";
const BROKEN: &str = "CREATE TABLE half (n INTEGER) STRICT; INSERT INTO nowhere VALUES (1);";

fn first() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("convoy.db");
    let id = StoreId::new("a".repeat(32)).unwrap();
    create(&path, STEPS, &id).unwrap();
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("INSERT INTO hosts (name, body) VALUES ('web1', '{}')").unwrap();
    (dir, path)
}

fn steps(more: &[&'static str]) -> Vec<&'static str> {
    STEPS.iter().chain(more).copied().collect()
}

fn number(path: &Path, sql: &str) -> i64 {
    Connection::open(path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

fn take(path: &Path, more: &[&'static str]) -> Result<(), StoreError> {
    migrate(&mut Connection::open(path).unwrap(), path, &steps(more))
}

#[test]
fn an_older_database_is_brought_up_to_date_and_kept() {
    let (_dir, path) = first();
    let old = STEPS.len();
    take(&path, &[SECOND, THIRD]).unwrap();
    assert_eq!(number(&path, "PRAGMA user_version"), i64::try_from(old).unwrap() + 2);
    assert_eq!(number(&path, "SELECT seen FROM hosts WHERE name = 'web1'"), 3);
    let before = beside(&path, &format!(".before-v{}", old + 1));
    assert_eq!(number(&before, "PRAGMA user_version"), i64::try_from(old).unwrap());
    assert_eq!(number(&before, "SELECT count(*) FROM hosts"), 1);
    assert_eq!(check(&Connection::open(&before).unwrap(), &before, STEPS).unwrap() as usize, old);
    assert!(beside(&path, &format!(".before-v{}", old + 2)).exists());
}

#[test]
fn a_step_that_fails_leaves_the_version_before_it() {
    let (_dir, path) = first();
    let old = i64::try_from(STEPS.len()).unwrap();
    for _ in 0..2 {
        let error = take(&path, &[SECOND, BROKEN]).unwrap_err();
        assert!(error.to_string().contains("no such table: nowhere"), "{error}");
        assert_eq!(number(&path, "PRAGMA user_version"), old + 1);
        assert_eq!(number(&path, "SELECT count(*) FROM sqlite_schema WHERE name = 'half'"), 0);
        assert_eq!(number(&path, "SELECT count(*) FROM hosts"), 1);
    }
    // With the step mended it goes on from there.
    take(&path, &[SECOND, THIRD]).unwrap();
    assert_eq!(number(&path, "SELECT seen FROM hosts"), 3);
}

#[test]
fn a_database_that_is_up_to_date_is_not_copied() {
    let (dir, path) = first();
    take(&path, &[]).unwrap();
    let names = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.filter(|name| name.to_string_lossy().contains("before")).count(), 0);
}

#[test]
fn a_newer_database_is_left_alone() {
    let (_dir, path) = first();
    take(&path, &[SECOND]).unwrap();
    let known = u32::try_from(STEPS.len()).unwrap();
    let error = take(&path, &[]).unwrap_err();
    assert!(matches!(error, StoreError::TooNew { found, known: k, .. } if found == known + 1 && k == known), "{error}");
    assert_eq!(number(&path, "PRAGMA user_version"), i64::from(known) + 1);
}

/// A released step must never change: databases that took it would differ from new ones. A new one is added here.
#[test]
fn released_steps_stay_as_they_were() {
    let released = [
        "c44bc6a6a4ad1615b0634a7271c1033463d3d6165e147d913d4a968af7595415",
        "4d7d0b48af791223bff80dec4f0e4d98f9530759d77736fdd4d17f0ef1414552",
    ];
    let digests: Vec<_> = STEPS.iter().map(|step| format!("{:x}", Sha256::digest(step))).collect();
    assert_eq!(digests, released);
}

#[test]
fn a_database_of_the_first_version_learns_identities_and_is_kept_beside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("convoy.db");
    let id = StoreId::new("a".repeat(32)).unwrap();
    create(&path, &STEPS[..1], &id).unwrap();
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("INSERT INTO hosts (name, body) VALUES ('web1', '{}')").unwrap();
    drop(conn);
    let store = SqliteStore::open(&path, Options { new_store_id: StoreId::new("b".repeat(32)).unwrap() }).unwrap();
    assert_eq!(store.mark().store_id, id);
    drop(store);
    assert_eq!(number(&path, "PRAGMA user_version"), 2);
    assert_eq!(number(&path, "SELECT count(*) FROM hosts WHERE name = 'web1'"), 1);
    assert_eq!(number(&path, "SELECT count(*) FROM identities") + number(&path, "SELECT count(*) FROM tokens"), 0);
    let before = beside(&path, ".before-v2");
    assert_eq!(number(&before, "PRAGMA user_version"), 1);
    assert_eq!(number(&before, "SELECT count(*) FROM hosts"), 1);
}
