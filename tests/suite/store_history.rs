//! Random histories of jobs, on each engine, against a model that only keeps lists and counts them anew.

use crate::store_samples::{
    Fresh, channel, closure, event, host, journal_id, journal_row, quarantine, record, rollout, rollout_id, tag,
};
use convoy::model::id::{Author, Tag};
use convoy::model::rollout::Tally;
use convoy::model::time::Timestamp;
use convoy::store::rows::{
    Bucket, EventFilter, EventRow, JournalRow, QuarantineRow, RecordFilter, RecordRow, RolloutRow,
};
use convoy::store::{StoreError, Tx};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeSet;

const HOSTS: usize = 4;
const ROLLOUTS: usize = 3;
const WAVES: u32 = 2;
const TAGS: usize = 3;

#[derive(Debug, Clone)]
enum Op {
    Record { host: usize, rollout: usize, wave: u32, changed: bool, bucket: Bucket, tags: Vec<usize> },
    Rollout { rollout: usize, open: bool, opened: i64 },
    Event { host: usize, journal: Option<usize>, seq: u64, rollout: usize, received: i64 },
    Refuse { place: u64, why: Option<u8> },
    Prune { before: i64, limit: usize },
    Journal { journal: usize, opened: i64 },
    Quarantine { closure: usize, at: i64 },
    Lift { closure: usize },
}

/// What is said to an operation: a number, or that it conflicts.
type Said = Option<u64>;

fn op() -> impl Strategy<Value = Op> {
    let bucket = prop::sample::select(&Bucket::ALL[..]);
    let record = (0..HOSTS, 0..ROLLOUTS, 0..WAVES, any::<bool>(), bucket, vec(0..TAGS, 0..4));
    let event = (0..HOSTS, prop::option::weighted(0.8, 0..2_usize), 0..5_u64, 0..=ROLLOUTS, 0..10_i64);
    prop_oneof![
        6 => record.prop_map(|(host, rollout, wave, changed, bucket, tags)| Op::Record {
            host, rollout, wave, changed, bucket, tags
        }),
        2 => (0..ROLLOUTS, any::<bool>(), 0..3_i64).prop_map(|(rollout, open, opened)| Op::Rollout {
            rollout, open, opened
        }),
        6 => event.prop_map(|(host, journal, seq, rollout, received)| Op::Event {
            host, journal, seq, rollout, received
        }),
        1 => (0..20_u64, any::<Option<u8>>()).prop_map(|(place, why)| Op::Refuse { place, why }),
        1 => (0..12_i64, 0..4_usize).prop_map(|(before, limit)| Op::Prune { before, limit }),
        1 => (0..4_usize, 0..3_i64).prop_map(|(journal, opened)| Op::Journal { journal, opened }),
        1 => (0..3_usize, 0..9_i64).prop_map(|(closure, at)| Op::Quarantine { closure, at }),
        1 => (0..3_usize).prop_map(|closure| Op::Lift { closure }),
    ]
}

/// Jobs; those that fail must leave no trace.
fn history() -> impl Strategy<Value = Vec<(Vec<Op>, bool)>> {
    vec((vec(op(), 1..6), prop::bool::weighted(0.25)), 1..14)
}

fn record_of(op: &Op) -> Option<RecordRow> {
    let Op::Record { host, rollout, wave, changed, bucket, tags } = op else { return None };
    let budgets = tags.iter().copied().map(tag).collect();
    Some(RecordRow { wave: *wave, changed: *changed, budgets, ..record(*host, *rollout, *bucket) })
}

fn event_of(op: &Op) -> Option<EventRow> {
    let Op::Event { host: n, journal, seq, rollout, received } = op else { return None };
    // The last one stands for no host and no rollout.
    let (of_host, of_rollout) = ((*n != 3).then(|| host(*n)), (*rollout != ROLLOUTS).then(|| rollout_id(*rollout)));
    let author = journal.map_or(Author::ControlPlane, |journal| Author::Journal(journal_id(journal)));
    Some(EventRow { host: of_host, rollout: of_rollout, author, received: Timestamp(*received), ..event(*n, *seq) })
}

fn rollout_of(op: &Op) -> Option<RolloutRow> {
    let Op::Rollout { rollout: n, open, opened } = op else { return None };
    Some(RolloutRow { open: *open, opened: Timestamp(*opened), ..rollout(*n) })
}

fn journal_of(op: &Op) -> Option<JournalRow> {
    let Op::Journal { journal, opened } = op else { return None };
    Some(JournalRow { opened: Timestamp(*opened), ..journal_row(*journal) })
}

fn quarantine_of(op: &Op) -> Option<QuarantineRow> {
    let Op::Quarantine { closure, at } = op else { return None };
    Some(QuarantineRow { at: Timestamp(*at), ..quarantine(*closure) })
}

fn apply(tx: &mut dyn Tx, op: &Op) -> Result<Said, StoreError> {
    let said = match op {
        Op::Record { .. } => tx.put_record(&record_of(op).unwrap()).map(|()| 0),
        Op::Rollout { .. } => tx.put_rollout(&rollout_of(op).unwrap()).map(|()| 0),
        Op::Event { .. } => tx.append_event(&event_of(op).unwrap()),
        Op::Refuse { place, why } => tx.set_refusal(*place, why.map(|why| why.to_string()).as_deref()).map(|()| 0),
        Op::Prune { before, limit } => tx.prune_events(Timestamp(*before), *limit).map(|n| n as u64),
        Op::Journal { .. } => tx.put_journal(&journal_of(op).unwrap()).map(|()| 0),
        Op::Quarantine { .. } => tx.put_quarantine(&quarantine_of(op).unwrap()).map(|()| 0),
        Op::Lift { closure: n } => tx.lift_quarantine(&channel(), &closure(*n)).map(|()| 0),
    };
    match said {
        Ok(said) => Ok(Some(said)),
        Err(StoreError::Conflict(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Lists in the order of their first writing.
#[derive(Debug, Clone, Default)]
struct Model {
    records: Vec<RecordRow>,
    rollouts: Vec<RolloutRow>,
    events: Vec<EventRow>,
    journals: Vec<JournalRow>,
    quarantines: Vec<QuarantineRow>,
    places: u64,
}

fn replace<T>(list: &mut Vec<T>, row: T, same: impl Fn(&T) -> bool) {
    match list.iter().position(same) {
        Some(at) => list[at] = row,
        None => list.push(row),
    }
}

impl Model {
    fn apply(&mut self, op: &Op) -> Said {
        match op {
            Op::Record { .. } => {
                let row = record_of(op).unwrap();
                let key = (row.host.clone(), row.rollout.clone());
                replace(&mut self.records, row, |old| (&old.host, &old.rollout) == (&key.0, &key.1));
            }
            Op::Rollout { .. } => {
                let row = rollout_of(op).unwrap();
                let id = row.id.clone();
                replace(&mut self.rollouts, row, |old| old.id == id);
            }
            Op::Event { .. } => return self.append(event_of(op).unwrap()),
            Op::Refuse { place, why } => {
                let row = self.events.iter_mut().find(|row| row.place == *place)?;
                row.refused = why.map(|why| why.to_string());
            }
            Op::Prune { before, limit } => return Some(self.prune(*before, *limit)),
            Op::Journal { .. } => {
                let row = journal_of(op).unwrap();
                let id = row.journal.clone();
                replace(&mut self.journals, row, |old| old.journal == id);
            }
            Op::Quarantine { .. } => {
                let row = quarantine_of(op).unwrap();
                let closure = row.closure.clone();
                replace(&mut self.quarantines, row, |old| old.closure == closure);
            }
            Op::Lift { closure: n } => self.quarantines.retain(|row| row.closure != closure(*n)),
        }
        Some(0)
    }

    fn append(&mut self, row: EventRow) -> Said {
        let mut row = row;
        if row.author == Author::ControlPlane {
            row.seq = self.places + 1;
        } else {
            let same = |old: &EventRow| (&old.host, &old.author, old.seq) == (&row.host, &row.author, row.seq);
            if row.host.is_none() || self.events.iter().any(same) {
                return None;
            }
        }
        self.places += 1;
        row.place = self.places;
        self.events.push(row);
        Some(self.places)
    }

    fn prune(&mut self, before: i64, limit: usize) -> u64 {
        let open =
            |row: &EventRow| self.records.iter().any(|r| !r.is_final && Some(&r.rollout) == row.rollout.as_ref());
        let mut old: Vec<_> = self.events.iter().filter(|row| row.received.0 < before && !open(row)).collect();
        old.sort_by_key(|row| row.received);
        let gone: BTreeSet<u64> = old.into_iter().take(limit).map(|row| row.place).collect();
        self.events.retain(|row| !gone.contains(&row.place));
        gone.len() as u64
    }

    fn tally(&self, rollout: usize, wave: u32) -> Tally {
        let rows = || self.records.iter().filter(|row| row.rollout == rollout_id(rollout) && row.wave == wave);
        let count = |wanted: &[Bucket]| rows().filter(|row| wanted.contains(&row.bucket)).count() as u32;
        let changed = rows().filter(|row| row.changed).count() as u32;
        Tally {
            changed,
            unchanged: rows().count() as u32 - changed,
            waiting: count(&[Bucket::Waiting]),
            in_flight: count(&[Bucket::InFlight, Bucket::Failing]),
            succeeded: count(&[Bucket::Succeeded]),
            failed: count(&[Bucket::Failed, Bucket::Failing]),
            neutral: count(&[Bucket::Neutral]),
            set_aside: 0,
        }
    }

    fn in_flight(&self, tag: &Tag) -> u32 {
        let takes =
            |row: &&RecordRow| matches!(row.bucket, Bucket::InFlight | Bucket::Failing) && row.budgets.contains(tag);
        self.records.iter().filter(takes).count() as u32
    }

    fn records(&self, fits: impl Fn(&RecordRow) -> bool) -> Vec<RecordRow> {
        let mut rows: Vec<_> = self.records.iter().filter(|row| fits(row)).cloned().collect();
        rows.sort_by_key(|row| (row.host.clone(), row.rollout.clone()));
        rows
    }

    fn newest_rollouts(&self, open_only: bool) -> Vec<RolloutRow> {
        let mut rows: Vec<_> = self.rollouts.iter().filter(|row| row.open || !open_only).cloned().collect();
        rows.sort_by_key(|row| row.opened);
        rows.reverse();
        rows
    }

    fn open_records(&self, n: usize) -> Vec<RecordRow> {
        let mut rows = self.records(|row| row.host == host(n) && !row.is_final);
        let oldest: Vec<_> = self.newest_rollouts(false).into_iter().rev().map(|row| row.id).collect();
        rows.sort_by_key(|row| oldest.iter().position(|id| *id == row.rollout));
        rows
    }
}

fn compare_records(tx: &mut dyn Tx, model: &Model) -> Result<(), StoreError> {
    for rollout in 0..ROLLOUTS {
        for wave in 0..WAVES {
            assert_eq!(tx.tally(&rollout_id(rollout), wave)?, model.tally(rollout, wave));
            for bucket in Bucket::ALL {
                let filter = RecordFilter {
                    rollout: Some(rollout_id(rollout)),
                    wave: Some(wave),
                    buckets: vec![bucket, Bucket::Neutral],
                    open_only: bucket == Bucket::Failing,
                };
                let wanted = model.records(|row| {
                    row.rollout == rollout_id(rollout)
                        && row.wave == wave
                        && filter.buckets.contains(&row.bucket)
                        && !(filter.open_only && row.is_final)
                });
                assert_eq!(tx.records(&filter, None, 99)?, wanted);
            }
        }
    }
    for n in 0..TAGS {
        assert_eq!(tx.budget_in_flight(&tag(n))?, model.in_flight(&tag(n)));
    }
    for n in 0..HOSTS {
        assert_eq!(tx.open_records(&host(n))?, model.open_records(n));
        let after = tx.records(&RecordFilter::default(), Some(&host(n)), 99)?;
        assert_eq!(after, model.records(|row| row.host > host(n)));
    }
    Ok(())
}

fn compare(tx: &mut dyn Tx, model: &Model) -> Result<(), StoreError> {
    compare_records(tx, model)?;
    for (host_n, rollout_n, refused_only) in [
        (None, None, false),
        (Some(1), None, false),
        (None, Some(1), false),
        (Some(0), Some(2), false),
        (None, None, true),
    ] {
        let filter = EventFilter { host: host_n.map(host), rollout: rollout_n.map(rollout_id), refused_only };
        let fits = |row: &&EventRow| {
            (filter.host.is_none() || row.host == filter.host)
                && (filter.rollout.is_none() || row.rollout == filter.rollout)
                && (!refused_only || row.refused.is_some())
        };
        let wanted: Vec<_> = model.events.iter().filter(fits).filter(|row| row.place > 2).take(5).cloned().collect();
        assert_eq!(tx.events(2, &filter, 5)?, wanted);
    }
    for row in &model.events {
        if let Some(host) = &row.host {
            assert_eq!(tx.event(host, &row.author, row.seq)?.as_ref(), Some(row));
        }
    }
    for open_only in [false, true] {
        assert_eq!(tx.rollouts(open_only, 99)?, model.newest_rollouts(open_only));
    }
    let newest = model.newest_rollouts(false);
    assert_eq!(tx.rollouts_of(&channel(), 99)?, newest);
    assert_eq!(tx.newest_rollouts(99)?, newest.get(..1).unwrap_or_default());
    let mut journals = model.journals.clone();
    journals.sort_by_key(|row| row.opened);
    assert_eq!(tx.journals(&host(1))?, journals);
    let mut quarantines = model.quarantines.clone();
    quarantines.sort_by_key(|row| row.closure.clone());
    assert_eq!(tx.quarantines(&channel())?, quarantines);
    Ok(())
}

async fn run(fresh: Fresh, history: Vec<(Vec<Op>, bool)>) {
    let mut model = Model::default();
    let mut commits = 0;
    for (ops, fails) in history {
        let mut next = model.clone();
        let wanted: Vec<Said> = ops.iter().map(|op| next.apply(op)).collect();
        let at_the_end = next.clone();
        let written = fresh.write(move |tx| {
            let said = ops.iter().map(|op| apply(tx, op)).collect::<Result<Vec<_>, _>>()?;
            assert_eq!(said, wanted);
            compare(tx, &at_the_end)?;
            if fails { Err(StoreError::Closed) } else { Ok(()) }
        });
        match written.await {
            Ok(()) => {
                commits += 1;
                model = next;
            }
            Err(StoreError::Closed) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(fresh.store.mark().commit_count, commits);
    fresh.read(move |tx| compare(tx, &model)).await.unwrap();
}

fn block_on(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]
    #[test]
    fn memory_says_what_a_recount_says(history in history()) {
        block_on(run(Fresh::memory(), history));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]
    #[test]
    fn sqlite_says_what_a_recount_says(history in history()) {
        block_on(run(Fresh::sqlite(), history));
    }
}
