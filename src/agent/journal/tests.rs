use super::*;
use crate::agent::journal::file::MemoryFile;
use crate::model::facts::{ProbeMode, ProbeOutcome, Verdict};
use crate::model::fleet::{OnFailure, RebootPolicy};
use crate::model::host_rollout::{HostRollout, HostRolloutState, Terms};
use crate::model::id::{Attempt, BootId, StoreId};
use crate::model::time::Timestamp;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

fn host() -> HostName {
    HostName::new("web1").unwrap()
}

fn closure(n: u32) -> Closure {
    Closure::new(format!("/nix/store/{n:032}-sys")).unwrap()
}

fn id(n: u32) -> RolloutId {
    format!("stable@{n}").parse().unwrap()
}

fn at(secs: u64) -> Stamp {
    let boot = BootId::new("boot-1").unwrap();
    Stamp { wall: Timestamp(1_800_000_000_000 + secs as i64 * 1000), boot, uptime: Duration::from_secs(secs) }
}

fn terms(target: u32) -> Terms {
    let minute = Duration::from_secs(60);
    Terms {
        target: closure(target),
        soak: minute,
        failure_after: minute,
        switch_limit: minute,
        commit_limit: minute,
        rollback_limit: minute,
        reboot_limit: minute,
        stage_limit: minute,
        isolation_limit: minute,
        on_failure: OnFailure::Revert,
        reboot: RebootPolicy::Live,
    }
}

fn rng() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(1)
}

fn open(file: &MemoryFile) -> (Journal, Option<Damage>) {
    Journal::open(Box::new(file.clone()), &host(), &mut ChaCha8Rng::seed_from_u64(file.bytes().len() as u64)).unwrap()
}

fn begin(journal: &mut Journal, n: u32) {
    let progress = HostRollout::open(Attempt::FIRST, terms(n), &at(0));
    let dispatched = Some(Timestamp(1_800_000_000_000));
    journal.open_attempt(&id(n), &Tracked { progress, digest: None, dispatched, last_seq: 0 }).unwrap();
}

fn step_to_soaking(journal: &mut Journal, n: u32) {
    begin(journal, n);
    let probe = crate::model::id::ProbeName::new("web").unwrap();
    for (event, secs) in [
        (Event::Staged, 1),
        (Event::DispatchAcked, 2),
        (Event::ActivationStarted { prior: closure(0) }, 3),
        (Event::ActivationCompleted { at: at(4), notes: vec![] }, 5),
        (Event::ProbeTopologyDeclared([(probe.clone(), ProbeMode::Enforce)].into()), 6),
        (Event::ProbeResult { probe, outcome: ProbeOutcome::Fail("no".into()) }, 7),
    ] {
        let done = journal.event(&id(n), &event, &at(secs)).unwrap();
        assert!(matches!(done, Recorded::Moved(..)), "{event:?}: {done:?}");
    }
}

fn finish(journal: &mut Journal, n: u32) {
    for event in [Event::Committed, Event::Converged] {
        journal.event(&id(n), &event, &at(90)).unwrap();
    }
}

fn store(commits: u64) -> StoreMarkBody {
    StoreMarkBody { store_id: StoreId::new("a".repeat(32)).unwrap(), commit_count: commits }
}

fn sample() -> MemoryFile {
    let file = MemoryFile::default();
    let (mut journal, damage) = open(&file);
    assert_eq!(damage, None);
    step_to_soaking(&mut journal, 1);
    journal.acked(3, &store(10)).unwrap();
    journal.quarantine(&closure(9), false).unwrap();
    journal.floor(FloorLine { sequence: 4, ..FloorLine::default() }).unwrap();
    file
}

#[test]
fn what_was_recorded_is_read_again_exactly() {
    let file = sample();
    let live = {
        let (mut journal, _) = open(&file);
        finish(&mut journal, 1);
        journal.book().clone()
    };
    let (journal, damage) = open(&file);
    assert_eq!((journal.book(), damage), (&live, None));
    assert_eq!(live.rollouts[&id(1)].progress.state(), HostRolloutState::Converged);
    assert_eq!(journal.events_from(1, 99).len(), 8);
    assert_eq!(journal.events_from(4, 2).iter().map(|event| event.seq).collect::<Vec<_>>(), [4, 5]);
}

#[test]
fn an_event_that_changes_nothing_is_not_written() {
    let file = sample();
    let (mut journal, _) = open(&file);
    let before = file.bytes();
    let done = journal.event(&id(1), &Event::Staged, &at(9)).unwrap();
    assert!(matches!(done, Recorded::Ignored(_)));
    assert!(matches!(journal.event(&id(7), &Event::Staged, &at(9)).unwrap(), Recorded::Ignored(_)));
    assert_eq!(file.bytes(), before);
}

#[test]
fn a_tail_torn_at_any_byte_loses_only_the_line_that_was_being_written() {
    let whole = sample().bytes();
    let (full, _) = open(&MemoryFile::with(&whole));
    let base_end = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for cut in 1..whole.len() {
        let file = MemoryFile::with(&whole[..cut]);
        let (journal, damage) = open(&file);
        let on_boundary = whole[cut - 1] == b'\n';
        assert_eq!(damage.is_none(), on_boundary, "cut at {cut}");
        if let Some(damage) = damage {
            assert!(damage.torn && damage.kept_as.is_some());
            let kept = &file.aside()[0].1;
            assert_eq!(kept.as_slice(), &whole[damage.offset..cut]);
        }
        let same_id = journal.book().journal == full.book().journal;
        assert_eq!(same_id, cut >= base_end, "cut at {cut}");
        let held = journal.events_from(1, 99);
        assert_eq!(held, full.events_from(1, 99)[..held.len()]);
        assert_eq!(open(&file).1, None, "the damage is mended");
    }
}

#[test]
fn a_flipped_bit_anywhere_keeps_what_stands_before_it_and_opens_a_new_journal() {
    let whole = sample().bytes();
    let (full, _) = open(&MemoryFile::with(&whole));
    // The last newline flipped looks like a torn tail; the control plane's digests tell that one.
    for at in 0..whole.len() - 1 {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        let file = MemoryFile::with(&bytes);
        let (journal, damage) = open(&file);
        let damage = damage.unwrap_or_else(|| panic!("a flip at {at} went unseen"));
        assert!(damage.offset <= at && damage.kept_as.is_some());
        assert_ne!(journal.book().journal, full.book().journal, "flip at {at}");
        if damage.line > 1 {
            let lost = &journal.book().lost[0];
            assert_eq!((&lost.journal, lost.to), (&full.book().journal, None));
            let rollouts = journal.base_body().rollouts.len();
            assert_eq!(rollouts, usize::from(damage.line > 2));
        }
        assert_eq!((journal.book().last_seq, journal.book().acked), (0, None));
        assert_eq!(open(&file).1, None, "the damage is mended");
    }
}

#[test]
fn a_newer_format_and_another_host_are_refused_with_what_to_do() {
    let mut line = b"2 ".to_vec();
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&2_u32.to_be_bytes());
    hasher.update(b"{}");
    line.extend_from_slice(format!("{:08x} {{}}\n", hasher.finalize()).as_bytes());
    let file = MemoryFile::with(&line);
    let refused = Journal::open(Box::new(file.clone()), &host(), &mut rng()).err().unwrap();
    assert!(matches!(refused, JournalError::Newer(2)));
    assert_eq!(file.bytes(), line, "nothing is touched");
    let other = HostName::new("web2").unwrap();
    let refused = Journal::open(Box::new(sample()), &other, &mut rng()).err().unwrap();
    assert!(refused.to_string().contains("belongs to host web1"), "{refused}");
}

fn unknown_line() -> String {
    let json = r#"{"kind":"omen","of":"later"}"#;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&1_u32.to_be_bytes());
    hasher.update(json.as_bytes());
    format!("1 {:08x} {json}\n", hasher.finalize())
}

#[test]
fn lines_and_events_of_unknown_kinds_are_kept_and_skipped() {
    let file = sample();
    let mut bytes = file.bytes();
    bytes.extend_from_slice(unknown_line().as_bytes());
    let event = serde_json::from_str(r#"{"kind":"transcended","how":1}"#).unwrap();
    let envelope = EventEnvelope { seq: 7, rollout_id: id(1), attempt: 1, at: StampBody::from(&at(8)), event };
    bytes.extend_from_slice(line::write(&Entry::Event(envelope.clone())).as_bytes());
    file.set(&bytes);
    let (mut journal, damage) = open(&file);
    assert_eq!(damage, None);
    assert_eq!(journal.events_from(7, 9), [envelope]);
    finish(&mut journal, 1);
    assert_eq!(journal.book().last_seq, 9);
    journal.put(journal.content.compacted().unwrap()).unwrap();
    let text = String::from_utf8(file.bytes()).unwrap();
    assert!(text.contains("omen") && text.contains("transcended"));
    assert_eq!(open(&file).0.book().last_seq, 9);
}

#[test]
fn a_full_disk_refuses_the_line_and_loses_nothing() {
    let file = sample();
    let (mut journal, _) = open(&file);
    let before = journal.book().clone();
    file.set_full(true);
    assert!(matches!(journal.event(&id(1), &Event::Committed, &at(9)), Err(JournalError::Write(_))));
    assert!(journal.renew(&mut rng()).is_err());
    assert!(journal.put(journal.content.compacted().unwrap()).is_err());
    assert_eq!(journal.book(), &before);
    file.set_full(false);
    let done = journal.event(&id(1), &Event::Committed, &at(9)).unwrap();
    assert!(matches!(done, Recorded::Moved(7, _)), "{done:?}");
    assert_eq!(open(&file).0.book(), journal.book());
}

#[test]
fn a_full_disk_at_the_start_leaves_the_file_for_another_try() {
    let mut file = MemoryFile::default();
    file.set_full(true);
    assert!(matches!(Journal::load(&mut file, &host(), &mut rng()), Err(JournalError::Write(_))));
    file.set_full(false);
    assert!(Journal::load(&mut file, &host(), &mut rng()).is_ok());
}

#[test]
fn compaction_keeps_open_rollouts_the_last_three_and_all_that_is_not_acknowledged() {
    let file = MemoryFile::default();
    let (mut journal, _) = open(&file);
    for n in 1..=6 {
        step_to_soaking(&mut journal, n);
        finish(&mut journal, n);
    }
    step_to_soaking(&mut journal, 7);
    journal.acked(30, &store(1)).unwrap();
    let before = journal.book().clone();
    journal.put(journal.content.compacted().unwrap()).unwrap();
    assert_eq!(journal.base_seq(), 30, "4 rollouts and a half are acknowledged, 25 to 30 are of the fourth");
    journal.acked(54, &store(2)).unwrap();
    journal.put(journal.content.compacted().unwrap()).unwrap();
    assert_eq!(journal.base_seq(), 32);
    assert_eq!(journal.book().rollouts.keys().cloned().collect::<Vec<_>>(), [id(5), id(6), id(7)]);
    for n in 5..=7 {
        assert_eq!(journal.book().rollouts[&id(n)], before.rollouts[&id(n)]);
    }
    assert_eq!(journal.events_from(1, 99)[0].seq, 33);
    let again = open(&file);
    assert_eq!((again.0.book(), again.1), (journal.book(), None));
}

#[test]
fn a_journal_that_only_grows_is_compacted_by_itself_and_stays_bounded() {
    let file = MemoryFile::default();
    let (mut journal, _) = open(&file);
    step_to_soaking(&mut journal, 1);
    let probe = crate::model::id::ProbeName::new("web").unwrap();
    for n in 0..20_000_u64 {
        let outcome = if n % 2 == 0 { ProbeOutcome::Pass } else { ProbeOutcome::Fail("no".into()) };
        let done = journal.event(&id(1), &Event::ProbeResult { probe: probe.clone(), outcome }, &at(10 + n)).unwrap();
        assert!(matches!(done, Recorded::Moved(..)));
        let last = journal.book().last_seq;
        journal.acked(last - 1, &store(n)).unwrap();
        journal.compact().unwrap();
    }
    assert!(file.bytes().len() < 2 * 1024 * 1024, "{}", file.bytes().len());
    assert!(journal.events_from(1, usize::MAX).len() as u64 >= content::ACKED_KEPT);
    assert_eq!(open(&file).0.book(), journal.book());
}

#[test]
fn a_fenced_journal_goes_on_under_a_new_id_and_marks_what_was_not_taken() {
    let file = sample();
    let (mut journal, _) = open(&file);
    let old = journal.book().clone();
    journal.renew(&mut rng()).unwrap();
    let new = journal.book();
    assert_ne!(new.journal, old.journal);
    assert_eq!((new.last_seq, new.acked), (0, None));
    assert_eq!(new.lost, [line::Lost { journal: old.journal.clone(), from: 4, to: Some(6) }]);
    assert_eq!(new.rollouts[&id(1)].progress, old.rollouts[&id(1)].progress);
    assert_eq!((&new.quarantined, &new.floor), (&old.quarantined, &old.floor));
    assert_eq!(journal.base_body().rollouts.len(), 1);
    assert_eq!(file.aside()[0].0, "journal.fenced-1");
    let mark = Event::HistoryLost { journal: old.journal, from: 4, to: Some(6) };
    assert!(matches!(journal.event(&id(1), &mark, &at(20)).unwrap(), Recorded::Moved(1, _)));
    assert_eq!(open(&file).0.book().lost, []);
}

#[test]
fn a_fenced_journal_of_very_many_rollouts_goes_on_with_as_many_as_a_base_takes() {
    for acked in [true, false] {
        let file = MemoryFile::default();
        let (mut journal, _) = open(&file);
        for n in 1..=70 {
            begin(&mut journal, n);
            if n > 1 {
                step_to_soaking(&mut journal, n);
                finish(&mut journal, n);
            }
        }
        if acked {
            journal.acked(journal.book().last_seq, &store(1)).unwrap();
        }
        journal.renew(&mut rng()).unwrap();
        let kept: Vec<_> = journal.book().rollouts.keys().cloned().collect();
        assert_eq!(kept.len(), if acked { content::ROLLOUTS_KEPT + 1 } else { content::BASE_KEPT });
        assert!(kept.contains(&id(1)), "what is open is never left out");
        assert!([68, 69, 70].iter().all(|n| kept.contains(&id(*n))), "the newest are kept");
        assert_eq!(journal.base_body().rollouts.len(), kept.len());
    }
}

#[test]
fn a_quarantine_that_was_lifted_does_not_come_back_with_compaction() {
    let file = MemoryFile::default();
    let (mut journal, _) = open(&file);
    begin(&mut journal, 1);
    step_to_soaking(&mut journal, 1);
    journal.event(&id(1), &Event::SustainedFailure(Verdict::DeadMan), &at(90)).unwrap();
    let target = journal.book().quarantined.clone();
    assert_eq!(target.len(), 1);
    journal.quarantine(&target[0], true).unwrap();
    journal.put(journal.content.compacted().unwrap()).unwrap();
    assert!(journal.book().quarantined.is_empty());
    assert!(open(&file).0.book().quarantined.is_empty(), "read again");
}

#[test]
fn only_so_many_quarantined_closures_are_kept_and_the_oldest_go_first() {
    let file = MemoryFile::default();
    let (mut journal, _) = open(&file);
    (1..=70).for_each(|n| journal.quarantine(&closure(n), false).unwrap());
    let kept: Vec<_> = (7..=70).map(closure).collect();
    assert_eq!(journal.book().quarantined, kept);
    journal.renew(&mut rng()).unwrap();
    assert_eq!(open(&file).0.book().quarantined, kept);
}

#[test]
fn a_store_mark_only_grows_within_one_store() {
    let file = sample();
    let (mut journal, _) = open(&file);
    let size = file.bytes().len();
    journal.acked(3, &store(900)).unwrap();
    journal.acked(3, &store(800)).unwrap();
    assert_eq!(file.bytes().len(), size, "a heartbeat with nothing new writes nothing");
    assert_eq!(journal.book().store, Some(store(900)));
    let other = StoreMarkBody { store_id: StoreId::new("b".repeat(32)).unwrap(), commit_count: 2 };
    journal.acked(3, &other).unwrap();
    assert_eq!(open(&file).0.book().store, Some(other));
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
        let file = MemoryFile::with(&bytes);
        let _ = Journal::open(Box::new(file.clone()), &host(), &mut rng());
        let mut after = sample().bytes();
        after.extend_from_slice(&bytes);
        let _ = Journal::open(Box::new(MemoryFile::with(&after)), &host(), &mut rng());
    }
}
