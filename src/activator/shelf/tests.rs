//! The shelf against crashes: a kill between any two steps of a write.

use crate::activator::shelf::Shelf;
use crate::activator::tests::world::World;
use std::fs;

#[test]
fn a_write_that_was_cut_leaves_what_was_there() {
    let world = World::switched();
    let before = world.record();
    let path = world.helper.place.helper_state().join("records/stable@1-1.json");
    for half in ["", "{", "{\"v\":1,\"rolloutId\":\"sta"] {
        // Killed while the file beside is written: the record itself was not touched.
        fs::write(path.with_extension("json.tmp"), half).unwrap();
        let found = world.helper.shelf.records().unwrap();
        assert!(found.damaged.is_empty() && found.records[0] == before);
    }
    // Killed after the rename and before the directory is on disk: either of the two, and both are whole.
    world.helper.shelf.put_record(&before).unwrap();
    assert_eq!(world.record(), before);
}

#[test]
fn a_damaged_record_is_named_and_the_others_are_read() {
    let world = World::switched();
    for text in ["", "{\"v\":1", "{\"v\":7,\"x\":1}"] {
        fs::write(world.helper.place.helper_state().join("records/a@b-1.json"), text).unwrap();
        let found = world.helper.shelf.records().unwrap();
        assert_eq!((found.records.len(), found.damaged.len()), (1, 1), "{text}");
        assert!(found.damaged[0].contains("a@b-1.json"));
    }
}

#[test]
fn the_lock_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::open(dir.path().join("state")).unwrap();
    let held = shelf.lock().unwrap();
    let waiting = std::thread::spawn({
        let shelf = shelf.clone();
        move || shelf.lock().map(drop)
    });
    assert!(!waiting.is_finished());
    drop(held);
    waiting.join().unwrap().unwrap();
}

#[test]
fn what_belongs_to_no_record_is_forgotten() {
    let world = World::switched();
    let shelf = &world.helper.shelf;
    shelf.put("releases", "old@1-1.json", b"{}").unwrap();
    shelf.prune(&[world.record()]);
    assert_eq!(shelf.get("releases", "old@1-1.json").unwrap(), None);
    assert!(shelf.get("releases", "stable@1-1.json").unwrap().is_some());
}
