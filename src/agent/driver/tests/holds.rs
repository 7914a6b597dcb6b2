//! Why a host does not even ask.

use super::world::{World, closure, manifest, sign};
use crate::model::facts::HostHold;
use crate::model::host_rollout::HostRolloutState as State;
use crate::system::sim::machine::Faults;
use crate::system::sim::power::set_faults;
use crate::wire::v1::agent::Act;
use serde_json::json;

/// The holds that the control plane was told of last.
fn told(world: &World) -> Vec<HostHold> {
    let beat = world.plane.lock().beats.last().unwrap().clone();
    beat.holds.into_iter().map(|hold| HostHold::try_from(hold).unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_release_that_does_not_verify_is_held_back_and_told() {
    let world = World::start(closure("1"));
    let good = sign(&manifest(&world.target), 5);
    world.plane.set_release(good.replace("\"signatures\":[{", "\"signatures\":[],\"was\":[{"));
    world.plane.order(1, Act::Start);
    world.pass(60).await;
    assert!(matches!(told(&world)[..], [HostHold::Untrusted(_)]), "{:?}", told(&world));
    assert_eq!(world.state(), None);
    world.plane.set_release(good);
    world.until(State::Converged).await;
    assert!(told(&world).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_release_for_another_host_is_not_taken() {
    let world = World::start(closure("1"));
    let mut other = manifest(&world.target);
    other["hosts"] = json!({"db1": {"closure": world.target.to_string()}});
    other["waves"] = json!([{"name": "all", "hosts": ["db1"]}]);
    world.plane.set_release(sign(&other, 5));
    world.plane.order(1, Act::Start);
    world.pass(60).await;
    assert!(matches!(told(&world)[..], [HostHold::Untrusted(_)]), "{:?}", told(&world));
}

#[tokio::test(start_paused = true)]
async fn a_machine_with_a_full_disk_says_so_and_goes_on_when_it_is_not() {
    let world = World::start(closure("1"));
    world.pass(10).await;
    set_faults(&world.host, &Faults { disk_full: true, ..Faults::default() }).unwrap();
    world.plane.order(1, Act::Start);
    world.pass(60).await;
    assert!(told(&world).iter().any(|hold| matches!(hold, HostHold::Disk(_))), "{:?}", told(&world));
    assert_eq!(world.switches(), 0);
    set_faults(&world.host, &Faults::default()).unwrap();
    world.until(State::Converged).await;
}

#[tokio::test(start_paused = true)]
async fn an_expired_lease_holds_until_it_is_renewed() {
    let world = World::start(closure("1"));
    world.host.set_wall_offset(30 * 86_400_000);
    world.plane.order(1, Act::Start);
    world.pass(60).await;
    assert!(matches!(told(&world)[..], [HostHold::Lease(_)]), "{:?}", told(&world));
    assert_eq!(world.switches(), 0);
    world.host.set_wall_offset(0);
    world.until(State::Converged).await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_behind_the_signed_date_holds() {
    let world = World::start(closure("1"));
    world.host.set_wall_offset(-86_400_000);
    world.plane.order(1, Act::Start);
    world.pass(60).await;
    assert_eq!(told(&world), [HostHold::ClockBehind]);
    assert_eq!(world.switches(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_signed_date_is_kept_on_the_host_too() {
    let world = World::start(closure("1"));
    let mut later = manifest(&world.target);
    // 2027-01-15T08:00:00Z is the start of the test.
    later["waves"][0]["notBefore"] = json!("2027-01-15T08:10:00.000Z");
    world.plane.set_release(sign(&later, 5));
    world.plane.order(1, Act::Start);
    world.pass(300).await;
    assert!(matches!(told(&world)[..], [HostHold::Window(_)]), "{:?}", told(&world));
    assert_eq!(world.switches(), 0);
    world.until(State::Converged).await;
    assert!(world.secs() > 600);
}

#[tokio::test(start_paused = true)]
async fn a_hold_of_the_root_helper_is_told_and_asked_about_once_a_minute() {
    let world = World::start(closure("1").with(|it| it.behaviour.boot_components = "kernel 2".to_owned()));
    set_faults(&world.host, &Faults { no_oneshot: true, ..Faults::default() }).unwrap();
    world.plane.order(1, Act::Start);
    world.pass(30).await;
    assert!(matches!(told(&world)[..], [HostHold::NoTrialBoot(_)]), "{:?}", told(&world));
    world.pass(600).await;
    let asked = world.plane.kinds().iter().filter(|kind| *kind == "dispatchAcked").count();
    assert!((5..=12).contains(&asked), "asked {asked} times in ten minutes");
    set_faults(&world.host, &Faults::default()).unwrap();
    world.until(State::Converged).await;
    assert!(told(&world).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_closure_that_the_cache_does_not_have_is_tried_again_later() {
    let world = World::start(closure("1"));
    let there = closure("1");
    let mut missing = there.clone();
    missing.behaviour.stage = crate::system::sim::closure::Stage::Fails;
    world.host.add_closure(missing);
    world.plane.order(1, Act::Start);
    world.until_it("a failure", |world| world.plane.kinds().contains(&"stageFailed".to_owned())).await;
    world.host.add_closure(there);
    world.until(State::Converged).await;
    assert_eq!(world.switches(), 1);
}
