//! Commits that can't be finished.

use super::world::{SOAK, World, closure};
use crate::model::facts::{HostHold, Verdict};
use crate::model::host_rollout::{HostRolloutState as State, Phase};
use crate::system::sim::backing::Backing;
use crate::system::sim::machine::Faults;
use crate::system::sim::power::set_faults;

fn told(world: &World) -> Vec<HostHold> {
    let beat = world.plane.lock().beats.last().unwrap().clone();
    beat.holds.into_iter().map(|hold| HostHold::try_from(hold).unwrap()).collect()
}

async fn stuck(faults: Faults) -> World {
    let world = World::ordered(closure("1"));
    set_faults(&world.host, &faults).unwrap();
    world.until(State::Soaking).await;
    world.pass(SOAK + 15).await;
    assert!(matches!(told(&world)[..], [HostHold::Commit(_)]), "{:?}", told(&world));
    world
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_can_write_nothing_is_undone_at_its_limit() {
    let world = stuck(Faults { profile_stuck: true, ..Faults::default() }).await;
    world.until(State::Reverted).await;
    let Phase::Reverted(reverted) = world.phase() else { panic!("{:?}", world.phase()) };
    assert!(matches!(reverted.verdict, Verdict::CommitFailed(_)), "{:?}", reverted.verdict);
    assert_eq!(world.running(), world.prior);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_wrote_a_part_is_finished_however_long_it_takes() {
    let world = stuck(Faults { loader_stuck: true, ..Faults::default() }).await;
    world.pass(1800).await;
    assert_eq!((world.running(), world.state()), (world.target.clone(), Some(State::Soaking)));
    set_faults(&world.host, &Faults::default()).unwrap();
    world.until(State::Converged).await;
    assert!(told(&world).is_empty(), "{:?}", told(&world));
}

#[tokio::test(start_paused = true)]
async fn a_target_whose_root_record_is_lost_is_not_waited_for() {
    let world = World::ordered(closure("1"));
    world.until(State::Soaking).await;
    world
        .host
        .change(|draft| {
            draft.state.records.clear();
            Ok(())
        })
        .unwrap();
    world.until(State::Failed).await;
    let Phase::Failed(failed) = world.phase() else { panic!("{:?}", world.phase()) };
    assert!(matches!(failed.verdict, Verdict::CommitFailed(_)), "{:?}", failed.verdict);
    world.until_it("the end", |world| world.plane.lock().record.as_ref().unwrap().is_final()).await;
}
