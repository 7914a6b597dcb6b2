//! What every engine of the store promises, tried on each of them.

use crate::store_samples::{
    Fresh, channel, closure, digest, event, host, host_row, identity, journal_id, journal_row, permit, quarantine,
    record, release, rollout, rollout_id, tag, token, token_id,
};
use convoy::model::host_rollout::HostRolloutState;
use convoy::model::id::{Attempt, Author, Channel, HostName, RolloutId};
use convoy::model::identity::Origin;
use convoy::model::rollout::Tally;
use convoy::model::time::Timestamp;
use convoy::store::rows::{
    Bucket, EventFilter, EventRow, HostRow, IdentityRow, JournalRow, PermitRow, QuarantineRow, RecordFilter, RecordRow,
    ReleaseRow, RolloutRow, TokenRow,
};
use convoy::store::{StoreError, Tx, write};
use futures_util::FutureExt;
use futures_util::future::join_all;

macro_rules! contract {
    ($($claim:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test] async fn $claim() { super::$claim(super::Fresh::memory()).await; })*
        }
        mod sqlite {
            $(#[tokio::test] async fn $claim() { super::$claim(super::Fresh::sqlite()).await; })*
        }
    };
}

contract!(
    every_row_comes_back_as_it_was_written,
    a_second_writing_replaces_the_row,
    absent_rows_are_none,
    every_word_of_a_record_comes_back,
    a_failed_job_is_undone_alone,
    a_panicking_job_is_undone_and_the_store_goes_on,
    a_job_answers_with_its_own_value_and_its_own_error,
    a_job_runs_though_nobody_waits_for_it,
    places_have_no_gaps_after_undone_jobs,
    a_place_is_never_given_twice,
    a_repeated_event_is_a_conflict_and_the_job_may_go_on,
    a_journals_event_without_a_host_is_a_conflict,
    the_control_planes_events_are_numbered_by_place,
    a_release_with_another_digest_is_a_conflict,
    a_refusal_is_set_lifted_and_needs_an_event,
    numbers_that_no_column_holds_are_refused,
    reading_jobs_refuse_every_write,
    reads_see_whole_commits_only,
    a_job_sees_its_own_writes,
    the_commit_count_grows_by_durable_commits_only,
    pruning_keeps_open_rollouts_and_young_events,
    a_rollout_is_deleted_whole_in_chunks_and_never_while_it_is_open,
    pages_hold_what_was_asked_for_and_lose_nothing,
    a_page_of_records_never_cuts_a_host,
    equal_dates_keep_the_order_of_writing,
    the_newest_of_a_quiet_channel_is_found_behind_those_of_a_busy_one,
    a_failing_host_counts_as_failed_and_in_flight,
    a_second_attempt_moves_the_counters,
    many_writers_lose_nothing,
    a_token_keeps_its_host_and_secret,
    identities_and_tokens_are_listed_in_order_and_by_pages,
    only_tokens_that_can_be_spent_are_counted_open,
    tokens_that_ended_before_a_time_go_oldest_first,
);

type Done = Result<(), StoreError>;

fn is_conflict<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Conflict(_)))
}

fn write_everything(tx: &mut dyn Tx) -> Done {
    tx.put_setting("name", "value")?;
    tx.put_host(&host_row(1))?;
    tx.put_journal(&journal_row(1))?;
    tx.append_event(&event(1, 1))?;
    tx.put_record(&record(1, 1, Bucket::InFlight))?;
    tx.put_release(&release(1))?;
    tx.put_rollout(&rollout(1))?;
    tx.put_permit(&permit(1))?;
    tx.put_quarantine(&quarantine(1))?;
    tx.put_identity(&identity(1))?;
    tx.put_token(&token(1))
}

async fn expect_nothing(fresh: &Fresh) {
    let read = fresh.read(|tx| {
        assert_eq!(tx.setting("name")?, None);
        assert_eq!(tx.host(&host(1))?, None);
        assert_eq!(tx.hosts(None, 9)?, []);
        assert_eq!(tx.journal(&host(1), &journal_id(1))?, None);
        assert_eq!(tx.journals(&host(1))?, []);
        assert_eq!(tx.event(&host(1), &Author::Journal(journal_id(1)), 1)?, None);
        assert_eq!(tx.event(&host(1), &Author::ControlPlane, 1)?, None);
        assert_eq!(tx.events(0, &EventFilter::default(), 9)?, []);
        assert_eq!(tx.record(&host(1), &rollout_id(1))?, None);
        assert_eq!(tx.open_records(&host(1))?, []);
        assert_eq!(tx.records(&RecordFilter::default(), None, 9)?, []);
        assert_eq!(tx.tally(&rollout_id(1), 0)?, Tally::default());
        assert_eq!(tx.budget_in_flight(&tag(1))?, 0);
        assert_eq!(tx.release(&rollout_id(1))?, None);
        assert_eq!(tx.rollout(&rollout_id(1))?, None);
        assert_eq!(tx.rollouts(false, 9)?, []);
        assert_eq!(tx.rollouts_of(&channel(), 9)?, []);
        assert_eq!(tx.newest_rollouts(9)?, []);
        assert_eq!(tx.newest_records(&host(1), 9)?, []);
        assert_eq!(tx.permit(&host(1), &rollout_id(1))?, None);
        assert_eq!(tx.quarantines(&channel())?, []);
        assert_eq!(tx.identity(&identity(1).identity)?, None);
        assert_eq!(tx.identities(None, 9)?, []);
        assert_eq!(tx.token(&token_id(1))?, None);
        assert_eq!(tx.tokens(None, 9)?, []);
        assert_eq!(tx.tokens_of(&host(1))?, []);
        assert_eq!(tx.open_tokens(Timestamp(0))?, 0);
        Ok(())
    });
    read.await.unwrap();
}

async fn every_row_comes_back_as_it_was_written(fresh: Fresh) {
    fresh.write(write_everything).await.unwrap();
    let read = fresh.read(|tx| {
        let written = EventRow { place: 1, ..event(1, 1) };
        assert_eq!(tx.setting("name")?.as_deref(), Some("value"));
        assert_eq!(tx.host(&host(1))?, Some(host_row(1)));
        assert_eq!(tx.hosts(None, 9)?, [host_row(1)]);
        assert_eq!(tx.journal(&host(1), &journal_id(1))?, Some(journal_row(1)));
        assert_eq!(tx.journals(&host(1))?, [journal_row(1)]);
        assert_eq!(tx.event(&host(1), &Author::Journal(journal_id(1)), 1)?, Some(written.clone()));
        assert_eq!(tx.events(0, &EventFilter::default(), 9)?, [written]);
        assert_eq!(tx.record(&host(1), &rollout_id(1))?, Some(record(1, 1, Bucket::InFlight)));
        assert_eq!(tx.open_records(&host(1))?, [record(1, 1, Bucket::InFlight)]);
        assert_eq!(tx.release(&rollout_id(1))?, Some(release(1)));
        assert_eq!(tx.rollout(&rollout_id(1))?, Some(rollout(1)));
        assert_eq!(tx.rollouts(true, 9)?, [rollout(1)]);
        assert_eq!(tx.rollouts_of(&channel(), 9)?, [rollout(1)]);
        assert_eq!(tx.newest_rollouts(9)?, [rollout(1)]);
        assert_eq!(tx.newest_records(&host(1), 9)?, [record(1, 1, Bucket::InFlight)]);
        assert_eq!(tx.permit(&host(1), &rollout_id(1))?, Some(permit(1)));
        assert_eq!(tx.quarantines(&channel())?, [quarantine(1)]);
        assert_eq!(tx.identity(&identity(1).identity)?, Some(identity(1)));
        assert_eq!(tx.identities(None, 9)?, [identity(1)]);
        assert_eq!(tx.token(&token_id(1))?, Some(token(1)));
        assert_eq!(tx.tokens(None, 9)?, [token(1)]);
        assert_eq!(tx.tokens_of(&host(1))?, [token(1)]);
        Ok(())
    });
    read.await.unwrap();
}

async fn a_second_writing_replaces_the_row(fresh: Fresh) {
    fresh.write(write_everything).await.unwrap();
    let host_row = HostRow { heard: None, body: String::new(), ..host_row(1) };
    let journal = JournalRow { last_seq: 0, opened: Timestamp(8), fenced: None, ..journal_row(1) };
    let release = ReleaseRow { sequence: 3, published: Timestamp(2), body: "new".to_owned(), ..release(1) };
    let rollout =
        RolloutRow { open: false, opened: Timestamp(11), updated: Timestamp(12), body: "new".to_owned(), ..rollout(1) };
    let permit = convoy::store::rows::PermitRow {
        attempt: Attempt(3),
        journal: journal_id(9),
        seq: 6,
        granted: false,
        holds: "[1]".to_owned(),
        at: Timestamp(7),
        ..permit(1)
    };
    let quarantine = QuarantineRow { why: "units".to_owned(), at: Timestamp(3), ..quarantine(1) };
    let rows = (host_row, journal, release, rollout, permit, quarantine);
    let (host_row, journal, release, rollout, permit, quarantine) = rows.clone();
    let written = fresh.write(move |tx| {
        tx.put_setting("name", "")?;
        tx.put_host(&host_row)?;
        tx.put_journal(&journal)?;
        tx.put_release(&release)?;
        tx.put_rollout(&rollout)?;
        tx.put_permit(&permit)?;
        tx.put_quarantine(&quarantine)
    });
    written.await.unwrap();
    let read = fresh.read(move |tx| {
        assert_eq!(tx.setting("name")?.as_deref(), Some(""));
        assert_eq!(tx.hosts(None, 9)?, [rows.0]);
        assert_eq!(tx.journals(&host(1))?, [rows.1]);
        assert_eq!(tx.release(&rollout_id(1))?, Some(rows.2));
        assert_eq!(tx.rollouts(false, 9)?, [rows.3]);
        assert_eq!(tx.rollouts(true, 9)?, []);
        assert_eq!(tx.permit(&host(1), &rollout_id(1))?, Some(rows.4));
        assert_eq!(tx.quarantines(&channel())?, [rows.5]);
        Ok(())
    });
    read.await.unwrap();
    fresh.write(|tx| tx.lift_quarantine(&channel(), &closure(1))).await.unwrap();
    fresh.write(|tx| tx.lift_quarantine(&channel(), &closure(1))).await.unwrap();
    assert_eq!(fresh.read(|tx| tx.quarantines(&channel())).await.unwrap(), []);
}

async fn absent_rows_are_none(fresh: Fresh) {
    expect_nothing(&fresh).await;
}

async fn every_word_of_a_record_comes_back(fresh: Fresh) {
    for (n, state) in HostRolloutState::ALL.into_iter().enumerate() {
        for (m, bucket) in Bucket::ALL.into_iter().enumerate() {
            let budgets = (0..n).map(tag).collect();
            let attempt = Attempt(u32::MAX);
            let row = RecordRow { state, budgets, attempt, changed: n % 2 == 0, ..record(n, m, bucket) };
            let written = row.clone();
            fresh.write(move |tx| tx.put_record(&written)).await.unwrap();
            let found = fresh.read(move |tx| tx.record(&host(n), &rollout_id(m))).await.unwrap();
            assert_eq!(found, Some(row));
        }
    }
}

async fn a_failed_job_is_undone_alone(fresh: Fresh) {
    let failing = fresh.write(|tx| {
        write_everything(tx)?;
        Err::<(), _>(StoreError::Conflict("mine".to_owned()))
    });
    let before = fresh.write(|tx| tx.put_setting("before", "kept"));
    let after = fresh.write(|tx| tx.put_setting("after", "kept"));
    // Queued together, so that an engine that shares commits shares one among them.
    let (before, failed, after) = tokio::join!(before, failing, after);
    before.unwrap();
    after.unwrap();
    assert!(matches!(failed, Err(StoreError::Conflict(why)) if why == "mine"));
    expect_nothing(&fresh).await;
    let kept = fresh.read(|tx| Ok((tx.setting("before")?, tx.setting("after")?))).await.unwrap();
    assert_eq!(kept, (Some("kept".to_owned()), Some("kept".to_owned())));
    // What was overwritten or deleted comes back too.
    fresh.write(write_everything).await.unwrap();
    let failing = fresh.write(|tx| {
        tx.put_record(&record(1, 1, Bucket::Failed))?;
        tx.put_setting("name", "other")?;
        tx.lift_quarantine(&channel(), &closure(1))?;
        tx.set_refusal(1, Some("no"))?;
        Err::<(), _>(StoreError::Conflict("mine".to_owned()))
    });
    assert!(is_conflict(&failing.await));
    let read = fresh.read(|tx| {
        assert_eq!(tx.setting("name")?.as_deref(), Some("value"));
        assert_eq!(tx.record(&host(1), &rollout_id(1))?, Some(record(1, 1, Bucket::InFlight)));
        assert_eq!(tx.tally(&rollout_id(1), 0)?, Tally { changed: 1, in_flight: 1, ..Tally::default() });
        assert_eq!(tx.budget_in_flight(&tag(1))?, 1);
        assert_eq!(tx.quarantines(&channel())?.len(), 1);
        assert_eq!(tx.events(0, &EventFilter::default(), 9)?, [EventRow { place: 1, ..event(1, 1) }]);
        Ok(())
    });
    read.await.unwrap();
}

async fn a_panicking_job_is_undone_and_the_store_goes_on(fresh: Fresh) {
    let panicking = fresh.write::<()>(|tx| {
        write_everything(tx)?;
        panic!("a test's panic {}", 1);
    });
    let beside = fresh.write(|tx| tx.put_setting("beside", "kept"));
    let (panicked, beside) = tokio::join!(panicking, beside);
    beside.unwrap();
    assert!(matches!(panicked, Err(StoreError::Engine(why)) if why.contains("a test's panic 1")));
    expect_nothing(&fresh).await;
    for _ in 0..4 {
        let panicked = fresh.read::<()>(|_| panic!("a test's panic")).await;
        assert!(matches!(panicked, Err(StoreError::Engine(_))));
    }
    assert_eq!(fresh.read(|tx| tx.setting("beside")).await.unwrap().as_deref(), Some("kept"));
    fresh.write(write_everything).await.unwrap();
}

#[derive(Debug, PartialEq)]
enum Mine {
    Refused(u8),
    Store(String),
}

impl From<StoreError> for Mine {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

async fn a_job_answers_with_its_own_value_and_its_own_error(fresh: Fresh) {
    let value = write(&*fresh.store, |_| Ok::<_, Mine>(vec![1, 2])).await;
    assert_eq!(value, Ok(vec![1, 2]));
    let error = write(&*fresh.store, |_| Err::<(), _>(Mine::Refused(7))).await;
    assert_eq!(error, Err(Mine::Refused(7)));
    let error = write(&*fresh.store, |tx| Ok::<_, Mine>(tx.set_refusal(5, None)?)).await;
    assert_eq!(error, Err(Mine::Store("the store refused a row: there is no event at place 5".to_owned())));
}

async fn a_job_runs_though_nobody_waits_for_it(fresh: Fresh) {
    let _ = write(&*fresh.store, |tx| tx.put_setting("left", "alone")).now_or_never();
    fresh.write(|tx| tx.put_setting("next", "one")).await.unwrap();
    assert_eq!(fresh.read(|tx| tx.setting("left")).await.unwrap().as_deref(), Some("alone"));
}

async fn places_have_no_gaps_after_undone_jobs(fresh: Fresh) {
    for seq in 1..=20 {
        let appended = fresh.write(move |tx| {
            let place = tx.append_event(&event(1, seq))?;
            if seq % 3 == 0 { Err(StoreError::Conflict("mine".to_owned())) } else { Ok(place) }
        });
        let _ = appended.await;
        let again = fresh.write(move |tx| tx.append_event(&event(1, 1))).await;
        assert!(is_conflict(&again));
    }
    let rows = fresh.read(|tx| tx.events(0, &EventFilter::default(), 99)).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.place).collect::<Vec<_>>(), (1..=14).collect::<Vec<_>>());
}

async fn a_place_is_never_given_twice(fresh: Fresh) {
    let appended = fresh.write(|tx| {
        tx.append_event(&event(1, 1))?;
        tx.append_event(&event(1, 2))
    });
    assert_eq!(appended.await.unwrap(), 2);
    assert_eq!(fresh.write(|tx| tx.prune_events(Timestamp(i64::MAX), 9)).await.unwrap(), 2);
    assert_eq!(fresh.write(|tx| tx.append_event(&event(1, 3))).await.unwrap(), 3);
}

async fn a_repeated_event_is_a_conflict_and_the_job_may_go_on(fresh: Fresh) {
    fresh.write(|tx| tx.append_event(&event(1, 1))).await.unwrap();
    let went_on = fresh.write(|tx| {
        assert!(is_conflict(&tx.append_event(&EventRow { body: "other".to_owned(), ..event(1, 1) })));
        let other_journal = EventRow { author: Author::Journal(journal_id(2)), ..event(1, 1) };
        Ok([tx.append_event(&event(1, 2))?, tx.append_event(&event(2, 1))?, tx.append_event(&other_journal)?])
    });
    assert_eq!(went_on.await.unwrap(), [2, 3, 4]);
    let first = fresh.read(|tx| tx.event(&host(1), &Author::Journal(journal_id(1)), 1)).await.unwrap();
    assert_eq!(first.unwrap().body, "{}");
}

async fn a_journals_event_without_a_host_is_a_conflict(fresh: Fresh) {
    assert!(is_conflict(&fresh.write(|tx| tx.append_event(&EventRow { host: None, ..event(1, 1) })).await));
}

async fn the_control_planes_events_are_numbered_by_place(fresh: Fresh) {
    let own = |host: Option<HostName>| EventRow { host, author: Author::ControlPlane, seq: 0, ..event(1, 0) };
    let without_rollout = EventRow { rollout: None, ..own(Some(host(1))) };
    let appended = fresh.write(move |tx| {
        tx.append_event(&event(1, 1))?;
        Ok([tx.append_event(&own(None))?, tx.append_event(&own(Some(host(1))))?, tx.append_event(&without_rollout)?])
    });
    assert_eq!(appended.await.unwrap(), [2, 3, 4]);
    let read = fresh.read(|tx| {
        let third = tx.event(&host(1), &Author::ControlPlane, 3)?.unwrap();
        assert_eq!((third.place, third.seq, &third.author), (3, 3, &Author::ControlPlane));
        // Another's place, or another host's, is not its event.
        assert_eq!(tx.event(&host(1), &Author::ControlPlane, 1)?, None);
        assert_eq!(tx.event(&host(1), &Author::ControlPlane, 2)?, None);
        assert_eq!(tx.event(&host(2), &Author::ControlPlane, 3)?, None);
        let of_rollout = EventFilter { rollout: Some(rollout_id(1)), ..EventFilter::default() };
        assert_eq!(tx.events(0, &of_rollout, 9)?.len(), 3);
        assert_eq!(tx.events(3, &EventFilter::default(), 9)?[0].rollout, None);
        Ok(())
    });
    read.await.unwrap();
}

async fn a_release_with_another_digest_is_a_conflict(fresh: Fresh) {
    fresh.write(|tx| tx.put_release(&release(1))).await.unwrap();
    let other = ReleaseRow { digest: digest(2), ..release(1) };
    assert!(is_conflict(&fresh.write(move |tx| tx.put_release(&other)).await));
    assert_eq!(fresh.read(|tx| tx.release(&rollout_id(1))).await.unwrap(), Some(release(1)));
}

async fn a_refusal_is_set_lifted_and_needs_an_event(fresh: Fresh) {
    let refused_only = EventFilter { refused_only: true, ..EventFilter::default() };
    let filter = refused_only.clone();
    let written = fresh.write(move |tx| {
        tx.append_event(&EventRow { refused: Some("early".to_owned()), ..event(1, 1) })?;
        tx.append_event(&event(1, 2))?;
        tx.set_refusal(2, Some("late"))?;
        let refused: Vec<_> = tx.events(0, &filter, 9)?.into_iter().map(|row| (row.place, row.refused)).collect();
        tx.set_refusal(1, None)?;
        Ok(refused)
    });
    let reasons = [(1, Some("early".to_owned())), (2, Some("late".to_owned()))];
    assert_eq!(written.await.unwrap(), reasons);
    let refused = fresh.read(move |tx| tx.events(0, &refused_only, 9)).await.unwrap();
    assert_eq!(refused.iter().map(|row| row.place).collect::<Vec<_>>(), [2]);
    for place in [0, 3, u64::MAX] {
        assert!(is_conflict(&fresh.write(move |tx| tx.set_refusal(place, None)).await), "place {place}");
    }
}

async fn numbers_that_no_column_holds_are_refused(fresh: Fresh) {
    let above = i64::MAX.unsigned_abs() + 1;
    let tried = fresh.write(move |tx| {
        assert!(is_conflict(&tx.append_event(&event(1, above))));
        assert!(is_conflict(&tx.put_journal(&JournalRow { last_seq: above, ..journal_row(1) })));
        assert!(is_conflict(&tx.put_release(&ReleaseRow { sequence: above, ..release(1) })));
        assert!(is_conflict(&tx.put_permit(&convoy::store::rows::PermitRow { seq: above, ..permit(1) })));
        tx.append_event(&event(1, above - 1))?;
        assert_eq!(tx.event(&host(1), &Author::Journal(journal_id(1)), above)?, None);
        assert_eq!(tx.event(&host(1), &Author::ControlPlane, above)?, None);
        assert_eq!(tx.events(u64::MAX, &EventFilter::default(), 9)?, []);
        Ok(tx.events(0, &EventFilter::default(), usize::MAX)?.len())
    });
    assert_eq!(tried.await.unwrap(), 1);
}

async fn reading_jobs_refuse_every_write(fresh: Fresh) {
    fresh.write(|tx| tx.append_event(&event(1, 1))).await.unwrap();
    type Try = fn(&mut dyn Tx) -> Done;
    let tries: [Try; 15] = [
        |tx| tx.put_setting("a", "b"),
        |tx| tx.put_host(&host_row(1)),
        |tx| tx.put_journal(&journal_row(1)),
        |tx| tx.append_event(&event(1, 2)).map(drop),
        |tx| tx.set_refusal(1, Some("no")),
        |tx| tx.prune_events(Timestamp(i64::MAX), 9).map(drop),
        |tx| tx.prune_rollout(&rollout_id(1), 9).map(drop),
        |tx| tx.put_record(&record(1, 1, Bucket::Waiting)),
        |tx| tx.put_release(&release(1)),
        |tx| tx.put_rollout(&rollout(1)),
        |tx| tx.put_permit(&permit(1)),
        |tx| tx.put_quarantine(&quarantine(1)),
        |tx| tx.lift_quarantine(&channel(), &closure(1)),
        |tx| tx.put_identity(&identity(1)),
        |tx| tx.put_token(&token(1)),
    ];
    for (n, attempt) in tries.into_iter().enumerate() {
        let refused = fresh.read(attempt).await;
        assert!(matches!(&refused, Err(StoreError::Engine(why)) if why.contains("only reads")), "{n}: {refused:?}");
        // Swallowed, it still writes nothing.
        fresh.read(move |tx| Ok(attempt(tx).is_err())).await.unwrap();
    }
    assert_eq!(fresh.store.mark().commit_count, 1);
    fresh.write(|tx| tx.prune_events(Timestamp(i64::MAX), 9)).await.unwrap();
    expect_nothing(&fresh).await;
}

async fn reads_see_whole_commits_only(fresh: Fresh) {
    let writes = async {
        for n in 0..60 {
            let text = n.to_string();
            let both = fresh.write(move |tx| {
                tx.put_setting("left", &text)?;
                tx.put_setting("right", &text)
            });
            let failed = fresh.write(|tx| {
                tx.put_setting("left", "undone")?;
                Err::<(), _>(StoreError::Conflict("mine".to_owned()))
            });
            both.await.unwrap();
            assert!(failed.await.is_err());
        }
    };
    let reads = async {
        for _ in 0..200 {
            let pair = fresh.read(|tx| Ok((tx.setting("left")?, tx.setting("right")?, tx.mark()?)));
            let (left, right, mark) = pair.await.unwrap();
            assert_eq!(left, right);
            // Commit n wrote n - 1.
            assert_eq!(left.map_or(0, |left| left.parse::<u64>().unwrap() + 1), mark.commit_count);
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(writes, reads);
}

async fn a_job_sees_its_own_writes(fresh: Fresh) {
    let written = fresh.write(|tx| {
        write_everything(tx)?;
        assert_eq!(tx.host(&host(1))?, Some(host_row(1)));
        assert_eq!(tx.tally(&rollout_id(1), 0)?.in_flight, 1);
        assert_eq!(tx.events(0, &EventFilter::default(), 9)?.len(), 1);
        tx.put_record(&record(1, 1, Bucket::Succeeded))?;
        assert_eq!(tx.tally(&rollout_id(1), 0)?, Tally { changed: 1, succeeded: 1, ..Tally::default() });
        tx.budget_in_flight(&tag(1))
    });
    assert_eq!(written.await.unwrap(), 0);
}

async fn the_commit_count_grows_by_durable_commits_only(fresh: Fresh) {
    assert_eq!(fresh.store.mark().commit_count, 0);
    let inside = fresh.write(|tx| tx.mark()).await.unwrap();
    assert_eq!(inside.commit_count, 1);
    assert_eq!(inside, fresh.store.mark());
    assert_eq!(inside, fresh.read(|tx| tx.mark()).await.unwrap());
    let failed = fresh.write(|_| Err::<(), _>(StoreError::Conflict("mine".to_owned()))).await;
    assert!(failed.is_err());
    assert_eq!(fresh.store.mark(), inside);
    let next = fresh.write(|tx| tx.mark()).await.unwrap();
    assert_eq!(next.commit_count, 2);
    assert_eq!(next.store_id, inside.store_id);
    let (commits, jobs, _) = fresh.store.commit_cost();
    assert_eq!((commits, jobs), (2, 2));
}

async fn pruning_keeps_open_rollouts_and_young_events(fresh: Fresh) {
    let at = |seq, rollout: Option<RolloutId>, received| EventRow {
        rollout,
        received: Timestamp(received),
        ..event(1, seq)
    };
    let written = fresh.write(move |tx| {
        tx.put_record(&record(1, 1, Bucket::Succeeded))?;
        tx.put_record(&record(2, 1, Bucket::Failed))?;
        tx.put_record(&record(1, 2, Bucket::Succeeded))?;
        tx.put_record(&record(2, 2, Bucket::Failing))?;
        tx.put_journal(&journal_row(1))?;
        tx.append_event(&at(1, Some(rollout_id(1)), 30))?;
        tx.append_event(&at(2, Some(rollout_id(2)), 10))?;
        tx.append_event(&at(3, Some(rollout_id(3)), 20))?;
        tx.append_event(&at(4, None, 10))?;
        tx.append_event(&at(5, Some(rollout_id(1)), 50))?;
        tx.append_event(&at(6, Some(rollout_id(1)), 49))
    });
    written.await.unwrap();
    let prune = |limit| fresh.write(move |tx| tx.prune_events(Timestamp(50), limit));
    let left = || async {
        let rows = fresh.read(|tx| tx.events(0, &EventFilter::default(), 99)).await.unwrap();
        rows.iter().map(|row| row.seq).collect::<Vec<_>>()
    };
    assert_eq!(prune(0).await.unwrap(), 0);
    assert_eq!(prune(2).await.unwrap(), 2);
    assert_eq!(left().await, [1, 2, 5, 6]);
    assert_eq!(prune(99).await.unwrap(), 2);
    assert_eq!(left().await, [2, 5]);
    assert_eq!(prune(99).await.unwrap(), 0);
    fresh.write(|tx| tx.put_record(&record(2, 2, Bucket::Failed))).await.unwrap();
    assert_eq!(prune(99).await.unwrap(), 1);
    assert_eq!(left().await, [5]);
    assert_eq!(fresh.read(|tx| tx.journals(&host(1))).await.unwrap(), [journal_row(1)]);
    // The number may come again: it is the journal's position that tells.
    assert_eq!(fresh.write(|tx| tx.append_event(&event(1, 1))).await.unwrap(), 7);
}

async fn a_rollout_is_deleted_whole_in_chunks_and_never_while_it_is_open(fresh: Fresh) {
    let written = fresh.write(|tx| {
        for n in [1, 2] {
            tx.put_release(&release(n))?;
            tx.put_rollout(&RolloutRow { open: n == 2, ..rollout(n) })?;
            tx.put_record(&record(1, n, Bucket::Succeeded))?;
            tx.put_record(&record(2, n, Bucket::Failed))?;
        }
        tx.put_permit(&PermitRow { rollout: rollout_id(1), host: host(1), ..permit(1) })?;
        tx.put_record(&record(3, 1, Bucket::Failing))
    });
    written.await.unwrap();
    let prune = |n, limit| fresh.write(move |tx| tx.prune_rollout(&rollout_id(n), limit));
    let refused = |n: usize| format!("rollout {} can't be deleted", rollout_id(n));
    for n in [1, 2] {
        let answer = prune(n, 9).await;
        assert!(matches!(&answer, Err(StoreError::Conflict(why)) if why.contains(&refused(n))), "{answer:?}");
    }
    fresh.write(|tx| tx.put_record(&record(3, 1, Bucket::Failed))).await.unwrap();
    let left = || async {
        let wave = record(1, 1, Bucket::Failed).wave;
        fresh
            .read(move |tx| {
                let records =
                    tx.records(&RecordFilter { rollout: Some(rollout_id(1)), ..Default::default() }, None, 9)?;
                let tally = tx.tally(&rollout_id(1), wave)?;
                let known = tx.rollout(&rollout_id(1))?.is_some() && tx.release(&rollout_id(1))?.is_some();
                Ok((records.len(), tally.succeeded, tally.failed, known))
            })
            .await
            .unwrap()
    };
    assert_eq!(left().await, (3, 1, 2, true));
    assert_eq!(prune(1, 2).await.unwrap(), 2);
    assert_eq!(left().await, (1, 0, 1, true), "the counters go with the records");
    assert_eq!(prune(1, 2).await.unwrap(), 1);
    assert_eq!(left().await, (0, 0, 0, false));
    assert_eq!(prune(1, 2).await.unwrap(), 0, "of an unknown one there is nothing to delete");
    let kept = fresh.read(|tx| Ok((tx.permit(&host(1), &rollout_id(1))?, tx.record(&host(1), &rollout_id(2))?)));
    let (permit, other) = kept.await.unwrap();
    assert!(permit.is_none() && other.is_some());
}

async fn pages_hold_what_was_asked_for_and_lose_nothing(fresh: Fresh) {
    let written = fresh.write(|tx| {
        for n in 10..35 {
            tx.put_host(&host_row(n))?;
            tx.put_rollout(&RolloutRow { opened: Timestamp(i64::try_from(n).unwrap()), ..rollout(n) })?;
            tx.put_record(&record(n, 1, if n % 2 == 0 { Bucket::Waiting } else { Bucket::Failed }))?;
            tx.append_event(&event(n % 2, n as u64))?;
        }
        Ok(())
    });
    written.await.unwrap();
    let read = fresh.read(|tx| {
        let (mut hosts, mut after) = (Vec::new(), None);
        loop {
            let page = tx.hosts(after.as_ref(), 10)?;
            assert!(page.len() <= 10);
            let Some(last) = page.last() else { break };
            after = Some(last.name.clone());
            hosts.extend(page);
        }
        assert_eq!(hosts, (10..35).map(host_row).collect::<Vec<_>>());
        let odd = EventFilter { host: Some(host(1)), ..EventFilter::default() };
        let first = tx.events(0, &odd, 5)?;
        assert_eq!(first.iter().map(|row| row.seq).collect::<Vec<_>>(), [11, 13, 15, 17, 19]);
        let second = tx.events(first[4].place, &odd, 99)?;
        assert_eq!(second.iter().map(|row| row.seq).collect::<Vec<_>>(), [21, 23, 25, 27, 29, 31, 33]);
        let newest = tx.rollouts(false, 3)?;
        assert_eq!(newest.iter().map(|row| row.id.clone()).collect::<Vec<_>>(), [34, 33, 32].map(rollout_id));
        let waiting =
            RecordFilter { rollout: Some(rollout_id(1)), buckets: vec![Bucket::Waiting], ..RecordFilter::default() };
        let page = tx.records(&waiting, Some(&host(12)), 2)?;
        assert_eq!(page.iter().map(|row| row.host.clone()).collect::<Vec<_>>(), [host(14), host(16)]);
        let either = RecordFilter { buckets: vec![Bucket::Failed, Bucket::Waiting, Bucket::Failed], ..waiting.clone() };
        assert_eq!(tx.records(&either, None, 99)?.len(), 25);
        let open = RecordFilter { open_only: true, ..RecordFilter::default() };
        assert_eq!(tx.records(&open, None, 99)?.len(), 13);
        assert_eq!(tx.records(&RecordFilter { wave: Some(1), ..waiting.clone() }, None, 99)?, []);
        assert_eq!(tx.records(&RecordFilter { wave: Some(0), ..waiting.clone() }, None, 99)?.len(), 13);
        // None asked for, none given; more than there can be is no error.
        assert!(tx.hosts(None, 0)?.is_empty() && tx.rollouts(false, 0)?.is_empty());
        assert!(tx.events(0, &odd, 0)?.is_empty() && tx.records(&open, None, 0)?.is_empty());
        assert_eq!(tx.hosts(None, usize::MAX)?.len(), 25);
        assert_eq!(tx.records(&open, None, usize::MAX)?.len(), 13);
        Ok(())
    });
    read.await.unwrap();
}

async fn a_page_of_records_never_cuts_a_host(fresh: Fresh) {
    let written = fresh.write(|tx| {
        for n in 1..=4 {
            for rollout in 1..=3 {
                tx.put_record(&record(n, rollout, Bucket::Waiting))?;
            }
        }
        Ok(())
    });
    written.await.unwrap();
    for limit in 1..=13 {
        let read = fresh.read(move |tx| {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = tx.records(&RecordFilter::default(), after.as_ref(), limit)?;
                let Some(last) = page.last() else { return Ok(seen) };
                after = Some(last.host.clone());
                seen.extend(page.into_iter().map(|row| (row.host, row.rollout)));
            }
        });
        let all: Vec<_> = (1..=4).flat_map(|n| (1..=3).map(move |r| (host(n), rollout_id(r)))).collect();
        assert_eq!(read.await.unwrap(), all, "limit {limit}");
    }
}

async fn equal_dates_keep_the_order_of_writing(fresh: Fresh) {
    let written = fresh.write(|tx| {
        for n in [5, 3, 9, 1] {
            tx.put_rollout(&rollout(n))?;
            tx.put_journal(&journal_row(n))?;
            tx.put_record(&record(1, n, Bucket::Waiting))?;
        }
        tx.put_record(&record(1, 7, Bucket::Waiting))?;
        // Writing again does not make it newer.
        tx.put_rollout(&rollout(3))?;
        tx.put_journal(&journal_row(3))?;
        tx.put_rollout(&RolloutRow { id: "other@r1".parse().unwrap(), ..rollout(1) })
    });
    written.await.unwrap();
    let read = fresh.read(|tx| {
        let rollouts: Vec<_> = tx.rollouts(true, 9)?.into_iter().map(|row| row.id.to_string()).collect();
        assert_eq!(rollouts, ["other@r1", "stable@r1", "stable@r9", "stable@r3", "stable@r5"]);
        let ids = |rows: Vec<RolloutRow>| rows.into_iter().map(|row| row.id.to_string()).collect::<Vec<_>>();
        assert_eq!(ids(tx.rollouts_of(&channel(), 2)?), ["stable@r1", "stable@r9"]);
        assert_eq!(tx.rollouts_of(&Channel::new("none").unwrap(), 9)?, []);
        assert_eq!(ids(tx.newest_rollouts(9)?), ["other@r1", "stable@r1"]);
        let journals: Vec<_> = tx.journals(&host(1))?.into_iter().map(|row| row.journal).collect();
        assert_eq!(journals, [5, 3, 9, 1].map(journal_id));
        // Oldest rollout first, after those that are not stored.
        let open: Vec<_> = tx.open_records(&host(1))?.into_iter().map(|row| row.rollout).collect();
        assert_eq!(open, [7, 5, 3, 9, 1].map(rollout_id));
        // Newest rollout first, without those that are not stored.
        let newest: Vec<_> = tx.newest_records(&host(1), 3)?.into_iter().map(|row| row.rollout).collect();
        assert_eq!(newest, [1, 9, 3].map(rollout_id));
        Ok(())
    });
    read.await.unwrap();
}

async fn the_newest_of_a_quiet_channel_is_found_behind_those_of_a_busy_one(fresh: Fresh) {
    let written = fresh.write(|tx| {
        tx.put_rollout(&rollout(1))?;
        tx.put_record(&record(1, 1, Bucket::Succeeded))?;
        for n in 1..=200 {
            let id: RolloutId = format!("dev@r{n}").parse().unwrap();
            tx.put_record(&RecordRow { rollout: id.clone(), ..record(2, 1, Bucket::Succeeded) })?;
            tx.put_rollout(&RolloutRow { id, opened: Timestamp(10 + n), ..rollout(1) })?;
        }
        Ok(())
    });
    written.await.unwrap();
    let read = fresh.read(|tx| {
        let newest: Vec<_> = tx.newest_rollouts(9)?.into_iter().map(|row| row.id.to_string()).collect();
        assert_eq!(newest, ["dev@r200", "stable@r1"]);
        assert_eq!(tx.newest_records(&host(1), 1)?, [record(1, 1, Bucket::Succeeded)]);
        let of_busy: Vec<_> = tx.newest_records(&host(2), 2)?.into_iter().map(|row| row.rollout.to_string()).collect();
        assert_eq!(of_busy, ["dev@r200", "dev@r199"]);
        Ok(())
    });
    read.await.unwrap();
}

async fn a_failing_host_counts_as_failed_and_in_flight(fresh: Fresh) {
    fresh.write(|tx| tx.put_record(&record(1, 1, Bucket::Failing))).await.unwrap();
    let counted = fresh.read(|tx| Ok((tx.tally(&rollout_id(1), 0)?, tx.budget_in_flight(&tag(2))?))).await.unwrap();
    assert_eq!(counted, (Tally { changed: 1, failed: 1, in_flight: 1, ..Tally::default() }, 1));
}

async fn a_second_attempt_moves_the_counters(fresh: Fresh) {
    let first = RecordRow { budgets: vec![tag(1), tag(1), tag(2)], ..record(1, 1, Bucket::InFlight) };
    let second = RecordRow {
        attempt: Attempt(2),
        wave: 1,
        changed: false,
        budgets: vec![tag(2), tag(3)],
        ..record(1, 1, Bucket::InFlight)
    };
    let counts = |tx: &mut dyn Tx| {
        let budgets = [tx.budget_in_flight(&tag(1))?, tx.budget_in_flight(&tag(2))?, tx.budget_in_flight(&tag(3))?];
        Ok((tx.tally(&rollout_id(1), 0)?, tx.tally(&rollout_id(1), 1)?, budgets))
    };
    let counted = fresh.write(move |tx| {
        tx.put_record(&first)?;
        // A budget that is named twice is taken once.
        assert_eq!(tx.budget_in_flight(&tag(1))?, 1);
        tx.put_record(&second)?;
        counts(tx)
    });
    let moved = Tally { unchanged: 1, in_flight: 1, ..Tally::default() };
    assert_eq!(counted.await.unwrap(), (Tally::default(), moved, [0, 1, 1]));
}

async fn many_writers_lose_nothing(fresh: Fresh) {
    const TASKS: usize = 64;
    const EACH: u64 = 20;
    let task = |n: usize| {
        let store = fresh.store.clone();
        tokio::spawn(async move {
            let mut places = Vec::new();
            for seq in 1..=EACH {
                let appended = write(&*store, move |tx| {
                    let known = tx.journal(&host(n), &journal_id(n))?.map_or(0, |row| row.last_seq);
                    tx.put_journal(&JournalRow { host: host(n), last_seq: known + 1, ..journal_row(n) })?;
                    tx.append_event(&event(n, seq))
                });
                places.push(appended.await.unwrap());
                // Answered is committed: a read that starts now sees it.
                let last = convoy::store::read(&*store, move |tx| tx.journal(&host(n), &journal_id(n)));
                assert_eq!(last.await.unwrap().unwrap().last_seq, seq);
            }
            places
        })
    };
    let mut places: Vec<u64> = Vec::new();
    for done in join_all((0..TASKS).map(task)).await {
        let own = done.unwrap();
        assert!(own.is_sorted());
        places.extend(own);
    }
    places.sort_unstable();
    let total = TASKS as u64 * EACH;
    assert_eq!(places, (1..=total).collect::<Vec<_>>());
    let (commits, jobs, _) = fresh.store.commit_cost();
    assert_eq!(jobs, total);
    assert!(commits <= jobs && commits == fresh.store.mark().commit_count);
}

async fn a_token_keeps_its_host_and_secret(fresh: Fresh) {
    let open = TokenRow { spent: None, revoked: None, labels: Vec::new(), ..token(1) };
    let spent = open.clone();
    fresh.write(move |tx| tx.put_token(&spent)).await.unwrap();
    for other in [TokenRow { host: host(2), ..token(1) }, TokenRow { digest: digest(9), ..token(1) }] {
        assert!(is_conflict(&fresh.write(move |tx| tx.put_token(&other)).await));
    }
    assert_eq!(fresh.read(|tx| tx.token(&token_id(1))).await.unwrap(), Some(open));
    fresh.write(|tx| tx.put_token(&token(1))).await.unwrap();
    assert_eq!(fresh.read(|tx| tx.token(&token_id(1))).await.unwrap(), Some(token(1)));
}

async fn identities_and_tokens_are_listed_in_order_and_by_pages(fresh: Fresh) {
    let names = ["viewer/a", "agent/b-1", "operator/c", "agent/b", "admin/z", "agent/b.1"];
    let row = |name: &str| IdentityRow {
        identity: name.parse().unwrap(),
        origin: Origin::Elsewhere,
        certificate: None,
        token: None,
        revoked: None,
        reason: None,
        ..identity(1)
    };
    let rows = names.map(row);
    let again = IdentityRow { key: digest(8), ..rows[0].clone() };
    let written = fresh.write(move |tx| {
        rows.iter().try_for_each(|row| tx.put_identity(row))?;
        tx.put_identity(&again)?;
        (1..=3).rev().try_for_each(|n| tx.put_token(&token(n)))?;
        tx.put_token(&TokenRow { id: token_id(4), ..token(1) })
    });
    written.await.unwrap();
    let read = fresh.read(|tx| {
        let (mut seen, mut after) = (Vec::new(), None);
        while let Some(page) = Some(tx.identities(after.as_ref(), 2)?).filter(|page| !page.is_empty()) {
            after = page.last().map(|last| last.identity.clone());
            seen.extend(page.iter().map(|row| row.identity.to_string()));
        }
        assert_eq!(seen, ["admin/z", "agent/b", "agent/b-1", "agent/b.1", "operator/c", "viewer/a"]);
        assert_eq!(tx.identity(&"viewer/a".parse().unwrap())?.unwrap().key, digest(8));
        let ids = |rows: Vec<TokenRow>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
        assert_eq!(ids(tx.tokens(None, 2)?), [token_id(1), token_id(2)]);
        assert_eq!(ids(tx.tokens(Some(&token_id(2)), 9)?), [token_id(3), token_id(4)]);
        assert_eq!(ids(tx.tokens_of(&host(1))?), [token_id(1), token_id(4)]);
        Ok(())
    });
    read.await.unwrap();
}

async fn tokens_that_ended_before_a_time_go_oldest_first(fresh: Fresh) {
    let written = fresh.write(|tx| {
        let ends = [(1, 30), (2, 10), (3, 20), (4, 40)];
        ends.iter().try_for_each(|(n, at)| tx.put_token(&TokenRow { expires: Timestamp(*at), ..token(*n) }))
    });
    written.await.unwrap();
    let ids = |rows: Vec<TokenRow>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(fresh.write(|tx| tx.prune_tokens(Timestamp(40), 2)).await.unwrap(), 2);
    assert_eq!(ids(fresh.read(|tx| tx.tokens(None, 9)).await.unwrap()), [token_id(1), token_id(4)]);
    assert_eq!(fresh.write(|tx| tx.prune_tokens(Timestamp(40), 2)).await.unwrap(), 1);
    assert_eq!(fresh.write(|tx| tx.prune_tokens(Timestamp(40), 2)).await.unwrap(), 0);
    assert_eq!(ids(fresh.read(|tx| tx.tokens(None, 9)).await.unwrap()), [token_id(4)]);
}

async fn only_tokens_that_can_be_spent_are_counted_open(fresh: Fresh) {
    let written = fresh.write(|tx| {
        tx.put_token(&TokenRow { spent: None, revoked: None, ..token(1) })?;
        tx.put_token(&TokenRow { spent: None, ..token(2) })?;
        tx.put_token(&TokenRow { revoked: None, ..token(3) })
    });
    written.await.unwrap();
    for (now, open) in [(0, 1), (99, 1), (100, 0)] {
        assert_eq!(fresh.read(move |tx| tx.open_tokens(Timestamp(now))).await.unwrap(), open);
    }
}
