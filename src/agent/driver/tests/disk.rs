//! A disk that refuses in mid-soak: what could not be written counts all the same.

use super::world::{FAILURE, SOAK, World, closure};
use crate::model::host_rollout::HostRolloutState as State;
use crate::system::sim::closure::UnitState;

fn failing_at(ms: u64) -> World {
    World::ordered(closure("1").with(|it| {
        it.behaviour.units.insert("web.service".to_owned(), UnitState::FailsAfterMs(ms));
    }))
}

#[tokio::test(start_paused = true)]
async fn a_failing_probe_that_could_not_be_written_commits_nothing_and_keeps_nothing_alive() {
    let world = failing_at(SOAK * 1000 - 15_000);
    world.until(State::Soaking).await;
    world.pass(10).await;
    world.file.set_full(true);
    world.pass(SOAK + 30).await;
    assert_ne!(world.host.snapshot().loader, world.target, "committed");
    world.until_it("the way back", |world| world.running() == world.prior).await;
    world.file.set_full(false);
    world.until(State::Reverted).await;
}

#[tokio::test(start_paused = true)]
async fn probes_that_could_not_be_declared_again_commit_nothing() {
    let world = failing_at(SOAK * 1000 - 15_000);
    world.until(State::Soaking).await;
    world.until_it("a pass", |world| world.plane.kinds().contains(&"probeResult".to_owned())).await;
    world.file.set_full(true);
    assert!(world.host.kill_agent());
    world.pass(SOAK + 30).await;
    assert_ne!(world.host.snapshot().loader, world.target, "committed");
    assert_eq!(world.running(), world.prior);
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_was_full_for_a_while_ends_no_healthy_soak() {
    let world = World::ordered(closure("1"));
    world.until(State::Soaking).await;
    world.until_it("a pass", |world| world.plane.kinds().contains(&"probeResult".to_owned())).await;
    world.file.set_full(true);
    assert!(world.host.kill_agent());
    world.pass(FAILURE / 2).await;
    world.file.set_full(false);
    world.until(State::Converged).await;
}
