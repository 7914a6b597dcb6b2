//! Events out: lost and repeated messages, a full disk.

use super::world::{World, closure};
use crate::model::host_rollout::HostRolloutState as State;
use crate::wire::v1::agent::Act;
use proptest::prelude::{ProptestConfig, proptest};
use std::collections::BTreeSet;
use std::time::Duration;

fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// An answer that is lost makes the same be said again; kills make it be said again by another process.
    #[test]
    fn every_event_arrives_once_and_in_order(lost: BTreeSet<u8>, kills in proptest::collection::vec(1_u64..40_000, 0..3)) {
        paused().block_on(async {
            let world = World::start(closure("1"));
            world.plane.lock().lose = lost.iter().map(|n| u64::from(*n % 60)).collect();
            world.plane.order(1, Act::Start);
            for wait in kills {
                tokio::time::sleep(Duration::from_millis(wait)).await;
                let _ = world.host.kill_agent();
            }
            for _ in 0..10 {
                world.pass(60).await;
                if world.state() == Some(State::Pending) {
                    world.plane.order(1, Act::Start);
                }
            }
            assert_eq!(world.state(), Some(State::Converged), "{:?}", world.plane.kinds());
            assert_eq!(world.switches(), 1);
            world.assert_gapless();
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_stops_every_act_and_loses_nothing() {
    let world = World::start(closure("1"));
    world.plane.order(1, Act::Stage);
    world.until(State::Pending).await;
    world.file.set_full(true);
    world.plane.order(1, Act::Start);
    world.pass(120).await;
    assert_eq!((world.switches(), world.plane.kinds().len()), (0, 1));
    let told = world.plane.lock().beats.last().unwrap().holds.clone();
    assert!(!told.is_empty(), "the host says that its disk is full");
    world.file.set_full(false);
    world.pass(30).await;
    world.plane.order(1, Act::Start);
    world.until(State::Converged).await;
    world.assert_gapless();
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_fills_in_the_soak_delays_what_it_can_and_ends_well() {
    let world = World::ordered(closure("1"));
    world.until(State::Soaking).await;
    world.pass(10).await;
    world.file.set_full(true);
    world.pass(120).await;
    assert_eq!(world.running(), world.target);
    world.file.set_full(false);
    world.until(State::Converged).await;
    world.assert_gapless();
}

#[tokio::test(start_paused = true)]
async fn a_question_that_went_down_with_a_fenced_journal_is_asked_again() {
    let world = World::start(closure("1"));
    world.plane.order(1, Act::Stage);
    world.until(State::Pending).await;
    world.pass(30).await;
    world.plane.fence();
    world.plane.order(1, Act::Start);
    world.until(State::Converged).await;
    world.assert_gapless();
}

#[tokio::test(start_paused = true)]
async fn two_agents_with_one_state_are_fenced_apart() {
    let world = World::ordered(closure("1"));
    world.until(State::Converged).await;
    world.pass(30).await;
    // The copy writes on; then the first comes back with what it had.
    let copy = world.file.bytes();
    world.plane.order(2, Act::Start);
    world.pass(60).await;
    world.file.set(&copy);
    assert!(world.host.kill_agent());
    world.pass(120).await;
    assert_eq!(world.plane.lock().held.len(), 2, "the earlier copy goes on in a journal of its own");
    world.assert_gapless();
}
