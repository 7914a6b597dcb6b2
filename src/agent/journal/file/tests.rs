use super::*;

#[test]
fn a_second_agent_on_one_state_directory_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let first = DiskFile::open(dir.path()).unwrap();
    let second = DiskFile::open(dir.path()).err().unwrap();
    assert!(matches!(second, StateDirError::InUse(_)));
    assert!(second.to_string().contains("another agent"), "{second}");
    drop(first);
    DiskFile::open(dir.path()).unwrap();
}

#[test]
fn what_was_appended_and_replaced_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    {
        let mut file = DiskFile::open(dir.path()).unwrap();
        file.append(b"one\n").unwrap();
        file.replace(b"two\n").unwrap();
        file.append(b"three\n").unwrap();
    }
    let mut file = DiskFile::open(dir.path()).unwrap();
    assert_eq!(file.read_all().unwrap(), b"two\nthree\n");
    file.append(b"four\n").unwrap();
    assert_eq!(file.read_all().unwrap(), b"two\nthree\nfour\n");
}

#[test]
fn a_crash_before_the_rename_leaves_the_old_bytes() {
    let dir = tempfile::tempdir().unwrap();
    DiskFile::open(dir.path()).unwrap().append(b"old\n").unwrap();
    for cut in 0..=8 {
        std::fs::write(dir.path().join("journal.new"), &b"new new\n"[..cut]).unwrap();
        let mut file = DiskFile::open(dir.path()).unwrap();
        assert_eq!(file.read_all().unwrap(), b"old\n");
    }
}

#[test]
fn the_rest_of_a_failed_append_is_cut_off_before_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = DiskFile::open(dir.path()).unwrap();
    file.append(b"one\n").unwrap();
    // As a full disk leaves it: half a line behind, and cutting it off failed too.
    std::fs::write(dir.path().join("journal"), b"one\ntw").unwrap();
    file.torn = true;
    file.append(b"three\n").unwrap();
    assert_eq!(file.read_all().unwrap(), b"one\nthree\n");
}

#[test]
fn few_damaged_journals_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = DiskFile::open(dir.path()).unwrap();
    let names: Vec<_> = (0..20).map(|_| file.keep_aside("corrupt", b"x").unwrap()).collect();
    assert_eq!((names[0].as_str(), names[19].as_str()), ("journal.corrupt-1", "journal.corrupt-8"));
    let there = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(there, 8 + 2);
}

#[test]
fn a_directory_that_can_not_be_synced_sends_nothing_into_an_unlinked_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = DiskFile::open(dir.path()).unwrap();
    file.append(b"old\n").unwrap();
    let there = std::mem::replace(&mut file.dir, dir.path().to_owned());
    file.replace(b"new\n").unwrap();
    // The directory can't be opened any more: nothing that is added could be found again.
    file.unnamed = true;
    file.dir = there.join("gone");
    assert!(file.append(b"lost\n").is_err());
    file.dir = there.clone();
    file.append(b"more\n").unwrap();
    assert_eq!(std::fs::read(there.join("journal")).unwrap(), b"new\nmore\n");
}
