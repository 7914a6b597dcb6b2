//! Kills and lost memories, in every state.

use super::world::{FAILURE, SOAK, World, closure, name, rollout, snapshot_of};
use crate::agent::hook::{self, Around};
use crate::agent::journal::{Journal, Recorded};
use crate::model::facts::Verdict;
use crate::model::host_rollout::{Event, HostRolloutState as State, Observed, Phase};
use crate::model::time::Timestamp;
use crate::system::place::Place;
use crate::system::sim::backing::Backing;
use crate::system::sim::closure::UnitState;
use crate::system::sim::host::SimHost;
use crate::wire::v1::agent::Act;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// When the soak began and when its failure clock did, as the control plane sees it.
fn clocks(world: &World) -> (Duration, Option<Duration>) {
    let phase = world.phase();
    let Phase::Soaking(soaking) = phase else { panic!("not soaking: {phase:?}") };
    (soaking.since.uptime, soaking.failing_since.map(|at| at.uptime))
}

#[tokio::test(start_paused = true)]
async fn an_agent_killed_at_any_instant_ends_where_it_would_have() {
    for kill_at in (500..60_000).step_by(2_900) {
        let world = World::ordered(closure("1"));
        tokio::time::sleep(Duration::from_millis(kill_at)).await;
        assert!(world.host.kill_agent(), "killed at {kill_at} ms");
        world.until(State::Converged).await;
        assert_eq!(world.switches(), 1, "killed at {kill_at} ms");
        assert!(world.secs() < SOAK + 80, "killed at {kill_at} ms: {} s", world.secs());
        world.assert_gapless();
    }
}

#[tokio::test(start_paused = true)]
async fn a_state_directory_lost_at_any_instant_is_restored() {
    for wipe_at in (1_000..90_000).step_by(4_300) {
        let world = World::ordered(closure("1"));
        tokio::time::sleep(Duration::from_millis(wipe_at)).await;
        world.wipe();
        world.pass(SOAK + 120).await;
        assert_eq!(world.running(), world.target, "wiped at {wipe_at} ms");
        assert_eq!(world.host.snapshot().loader, world.target, "wiped at {wipe_at} ms");
        assert_eq!(world.state(), Some(State::Converged), "wiped at {wipe_at} ms");
        assert_eq!(world.switches(), 1, "wiped at {wipe_at} ms");
        world.assert_gapless();
    }
}

#[tokio::test(start_paused = true)]
async fn a_wiped_agent_in_its_soak_goes_on_from_the_snapshot_with_its_clock() {
    let world = World::ordered(closure("1"));
    world.until(State::Soaking).await;
    let before = clocks(&world);
    let began = world.secs();
    world.pass(SOAK / 2).await;
    world.wipe();
    world.until_it("the adopted state", |world| world.plane.kinds().contains(&"adopted".to_owned())).await;
    assert_eq!(world.plane.lock().snapshots_given, 1);
    assert_eq!(clocks(&world), before);
    world.until(State::Converged).await;
    let took = world.secs() - began;
    assert!((SOAK - 1..SOAK + 8).contains(&took), "the soak took {took} s");
    assert_eq!(world.plane.lock().held.len(), 2, "a new journal");
}

#[tokio::test(start_paused = true)]
async fn with_both_memories_lost_the_root_record_decides() {
    let world = World::ordered(closure("1"));
    world.until(State::Soaking).await;
    world.plane.lock().up = false;
    world.plane.lock().record = None;
    world.plane.lock().orders.clear();
    world.wipe();
    world.pass(SOAK + 2 * FAILURE).await;
    assert_eq!((world.running(), world.switches()), (world.target.clone(), 1));
    world.plane.lock().up = true;
    world.until(State::Converged).await;
    assert_eq!(world.plane.lock().snapshots_given, 0);
    assert_eq!(world.host.snapshot().loader, world.target);
}

#[tokio::test(start_paused = true)]
async fn with_both_memories_lost_a_failing_host_still_reverts_by_itself() {
    let world = World::ordered(closure("1").with(|it| {
        it.behaviour.units.insert("web.service".to_owned(), UnitState::FailsAfterMs(10_000));
    }));
    world.until(State::Soaking).await;
    world.plane.lock().up = false;
    world.wipe();
    world.pass(10 + FAILURE + 20).await;
    assert_eq!(world.running(), world.prior);
}

#[tokio::test(start_paused = true)]
async fn a_control_plane_that_hangs_while_the_agent_recovers_ends_no_soak() {
    let world = World::ordered(closure("1"));
    world.until(State::Soaking).await;
    world.plane.lock().hangs = true;
    // Just before the next pat is due.
    world.pass(7).await;
    assert!(world.host.kill_agent());
    world.pass(100).await;
    assert_eq!(world.running(), world.target);
    world.plane.lock().hangs = false;
    world.until(State::Converged).await;
}

#[tokio::test(start_paused = true)]
async fn a_stale_snapshot_changes_nothing() {
    let world = World::ordered(closure("1"));
    world.until(State::Soaking).await;
    let stale = snapshot_of(world.plane.lock().record.as_ref().unwrap());
    world.until(State::Converged).await;
    world.pass(60).await;
    let before = world.plane.kinds();
    world.plane.lock().stale = Some(stale);
    world.pass(300).await;
    assert!(world.plane.lock().snapshots_given > 0);
    assert!(world.host.kill_agent());
    world.pass(300).await;
    assert_eq!(world.plane.kinds(), before);
}

#[tokio::test(start_paused = true)]
async fn a_stale_snapshot_given_to_a_wiped_agent_meets_the_root_record() {
    let world = World::ordered(closure("1"));
    world.until(State::Soaking).await;
    let stale = snapshot_of(world.plane.lock().record.as_ref().unwrap());
    world.until(State::Converged).await;
    world.pass(10).await;
    world.plane.lock().stale = Some(stale);
    world.wipe();
    world.pass(60).await;
    assert_eq!(world.switches(), 1);
    assert_eq!(world.state(), Some(State::Converged));
}

fn failing_at(ms: u64) -> World {
    World::ordered(closure("1").with(|it| {
        it.behaviour.units.insert("web.service".to_owned(), UnitState::FailsAfterMs(ms));
    }))
}

#[tokio::test(start_paused = true)]
async fn a_failure_clock_survives_kill_and_wipe_and_fires_at_its_time() {
    for wipe in [false, true] {
        let world = failing_at(20_000);
        world.until(State::Soaking).await;
        world.until_it("a failing probe", |world| clocks(world).1.is_some()).await;
        let since = clocks(&world).1.unwrap();
        let began = world.secs();
        world.pass(FAILURE / 2).await;
        if wipe {
            world.wipe()
        } else {
            assert!(world.host.kill_agent())
        }
        world.pass(3).await;
        assert_eq!(clocks(&world).1, Some(since), "wipe: {wipe}");
        world.until(State::Failed).await;
        let took = world.secs() - began;
        assert!((FAILURE - 1..=FAILURE + 1).contains(&took), "fired after {took} s, wipe: {wipe}");
        world.until(State::Reverted).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_pass_after_the_kill_clears_the_failure_clock() {
    let world = World::ordered(closure("1"));
    world.until(State::Soaking).await;
    world.pass(10).await;
    // The probe fails only while the closure's files are away from the store of the simulated host.
    let good = closure("1");
    let bad = crate::system::sim::closure::SimClosure { behaviour: closure("1").behaviour, ..good.clone() };
    let mut broken = bad;
    broken.behaviour.units.insert("web.service".to_owned(), UnitState::Fails);
    world.host.add_closure(broken);
    world.until_it("a failing probe", |world| clocks(world).1.is_some()).await;
    assert!(world.host.kill_agent());
    world.host.add_closure(good);
    world.until(State::Converged).await;
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_jumps_changes_no_soak_and_no_failure_clock() {
    for hours in [-3_i64, 3] {
        let good = World::ordered(closure("1"));
        good.until(State::Soaking).await;
        let began = good.secs();
        good.pass(10).await;
        good.host.set_wall_offset(hours * 3_600_000);
        good.pass(5).await;
        assert!(good.host.kill_agent());
        good.until(State::Converged).await;
        let took = good.secs() - began;
        assert!((SOAK - 1..SOAK + 8).contains(&took), "{hours} h: the soak took {took} s");

        let bad = failing_at(10_000);
        bad.until(State::Soaking).await;
        bad.until_it("a failing probe", |world| clocks(world).1.is_some()).await;
        let began = bad.secs();
        bad.host.set_wall_offset(hours * 3_600_000);
        bad.wipe();
        bad.until(State::Failed).await;
        let took = bad.secs() - began;
        assert!((FAILURE - 1..=FAILURE + 1).contains(&took), "{hours} h: fired after {took} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_whose_answer_was_lost_with_the_agent_is_asked_again_under_its_number() {
    let world = World::start(closure("1"));
    world.plane.lock().grant = super::world::Grant::Lost(1);
    world.plane.order(1, Act::Start);
    world.until_it("the question", |world| world.plane.kinds().contains(&"dispatchAcked".to_owned())).await;
    assert!(world.host.kill_agent());
    world.until(State::Converged).await;
    let asked = world.plane.kinds().iter().filter(|kind| *kind == "dispatchAcked").count();
    assert_eq!((asked, world.switches()), (1, 1));
}

/// A host whose agent wrote the intent to start, and then was gone for so long.
async fn away_after_the_intent(secs: u64) -> World {
    let world = World::start(closure("1"));
    world.plane.order(1, Act::Stage);
    world.until_it("the closure", |world| world.plane.kinds().contains(&"staged".to_owned())).await;
    world.pass(1).await;
    world.plane.lock().grant = super::world::Grant::No;
    let away = |draft: &mut crate::system::sim::draft::Draft<'_>| {
        draft.state.machine.restart_delay_ms = secs * 1000;
        Ok(())
    };
    world.host.change(away).unwrap();
    assert!(world.host.kill_agent());
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (mut journal, _) = Journal::open(Box::new(world.file.clone()), &name(), &mut rng).unwrap();
    let now = SimHost::attach(world.host.clone()).unwrap().now();
    for event in [Event::DispatchAcked, Event::ActivationStarted { prior: world.prior.clone() }] {
        let recorded = journal.event(&rollout(), &event, &now).unwrap();
        assert!(matches!(recorded, Recorded::Moved(..)), "{event:?}: {recorded:?}");
    }
    world
}

#[tokio::test(start_paused = true)]
async fn a_start_that_was_written_down_is_made_by_the_next_agent_at_once() {
    let world = away_after_the_intent(10).await;
    world.pass(10 + 8).await;
    assert_eq!(world.switches(), 1, "it waits for the switch limit");
    world.until(State::Converged).await;
}

#[tokio::test(start_paused = true)]
async fn a_start_that_was_written_down_a_minute_ago_is_not_made_any_more() {
    let world = away_after_the_intent(90).await;
    world.pass(200).await;
    assert_eq!((world.switches(), world.state()), (0, Some(State::Pending)));
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_not_used_by_an_agent_that_was_dead_for_its_life() {
    let world = World::start(closure("1"));
    world.plane.lock().grant = super::world::Grant::Lost(1);
    world.plane.order(1, Act::Start);
    world.until_it("the question", |world| world.plane.kinds().contains(&"dispatchAcked".to_owned())).await;
    world.plane.lock().up = false;
    assert!(world.host.kill_agent());
    world.pass(90).await;
    world.plane.lock().grant = super::world::Grant::No;
    world.plane.lock().up = true;
    world.pass(120).await;
    assert_eq!(world.switches(), 0);
    assert!(world.plane.kinds().contains(&"permitLapsed".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_journal_set_back_is_fenced_and_the_host_goes_on_in_a_new_one() {
    let world = World::ordered(closure("1"));
    world.until_it("the question", |world| world.plane.kinds().contains(&"dispatchAcked".to_owned())).await;
    let earlier = world.file.bytes();
    world.until(State::Soaking).await;
    world.pass(20).await;
    world.file.set(&earlier);
    assert!(world.host.kill_agent());
    world.until(State::Converged).await;
    assert_eq!(world.switches(), 1);
    assert_eq!(world.plane.lock().held.len(), 2);
    world.assert_gapless();
}

#[tokio::test(start_paused = true)]
async fn a_corrupt_journal_is_kept_aside_marked_and_gone_on_from() {
    let world = World::ordered(closure("1"));
    world.until(State::Soaking).await;
    world.pass(20).await;
    let mut bytes = world.file.bytes();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    world.file.set(&bytes);
    assert!(world.host.kill_agent());
    world.until(State::Converged).await;
    assert_eq!(world.switches(), 1);
    assert!(world.plane.kinds().contains(&"historyLost".to_owned()));
    assert_eq!(world.file.aside()[0].0, "journal.corrupt-1");
    world.assert_gapless();
}

#[tokio::test(start_paused = true)]
async fn a_verdict_that_fell_before_a_kill_is_carried_out_after_it() {
    for wait in [0, 1, 2, 3, 4] {
        let world = failing_at(10_000);
        world.until(State::Failed).await;
        tokio::time::sleep(Duration::from_millis(wait * 900)).await;
        world.wipe();
        world.until(State::Reverted).await;
        let Phase::Reverted(reverted) = world.phase() else { panic!() };
        assert!(matches!(reverted.verdict, Verdict::ProbesFailed(_)));
        assert_eq!(world.running(), world.prior);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_hook_noted_is_reported_once_and_taken_out_of_the_spool() {
    let world = World::ordered(closure("1"));
    let place = Place::below(world.spool.path());
    let by = |user: &str| Around {
        action: Some("switch".to_owned()),
        sudo_user: Some(user.to_owned()),
        ..Around::default()
    };
    world.until(State::Soaking).await;
    hook::note(&place, &world.prior, &by("ada"), Timestamp(1)).unwrap();
    world.until(State::Converged).await;
    hook::note(&place, &world.target, &by("bob"), Timestamp(2)).unwrap();
    let people = |world: &World| {
        let held = world.plane.lock().held.clone().into_values().flatten();
        let seen = held.filter_map(|sent| {
            let Ok(Event::ClosureObserved(Observed { by, .. })) = Event::try_from(sent.event) else { return None };
            by.map(|done| (done.who, done.action, done.closure))
        });
        seen.collect::<Vec<_>>()
    };
    world.until_it("both notes", |world| people(world).len() == 2).await;
    world.pass(100).await;
    let switch = "switch".to_owned();
    let wanted =
        [("ada".to_owned(), switch.clone(), world.prior.clone()), ("bob".to_owned(), switch, world.target.clone())];
    assert_eq!(people(&world), wanted);
    assert_eq!(std::fs::read_dir(place.hook_spool()).unwrap().count(), 0);
    world.assert_gapless();
}

#[tokio::test(start_paused = true)]
async fn a_note_waits_for_a_journal_that_takes_it() {
    let world = World::start(closure("1"));
    let place = Place::below(world.spool.path());
    hook::note(&place, &world.prior, &Around::default(), Timestamp(1)).unwrap();
    world.pass(100).await;
    assert_eq!(hook::Spool::of(place.clone()).waiting().len(), 1, "no attempt carries it yet");
    world.plane.order(1, Act::Start);
    world.until_it("the note", |world| world.plane.kinds().contains(&"closureObserved".to_owned())).await;
    assert_eq!(hook::Spool::of(place.clone()).waiting(), []);
}
