//! Reboots and power cuts.

use super::world::{SOAK, START, World, closure, manifest, name, renew, rollout, sign};
use crate::agent::journal::{Journal, Recorded};
use crate::model::facts::Verdict;
use crate::model::host_rollout::{Event, HostRolloutState as State, Phase};
use crate::model::time::Timestamp;
use crate::system::sim::backing::Backing;
use crate::system::sim::host::SimHost;
use crate::system::sim::machine::Faults;
use crate::system::sim::power::set_faults;
use crate::wire::v1::agent::Act;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// A release whose target boots other components, so that it needs a trial boot.
fn deferred() -> World {
    let world = World::ordered(closure("1").with(|it| it.behaviour.boot_components = "kernel 2".to_owned()));
    world.plane.set_release(sign(&manifest(&world.target), 5));
    world
}

#[tokio::test(start_paused = true)]
async fn a_target_with_other_boot_components_is_booted_once_with_a_second_permit() {
    let world = deferred();
    world.until(State::Converged).await;
    let kinds = world.plane.kinds();
    assert_eq!(kinds.iter().filter(|kind| *kind == "dispatchAcked").count(), 2, "{kinds:?}");
    assert!(kinds.contains(&"trialBootStarted".to_owned()));
    let state = world.host.snapshot();
    assert_eq!((&state.booted, &state.loader), (&world.target, &world.target));
    assert_eq!(world.switches(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_permit_to_reboot_is_not_used_by_an_agent_that_was_away_for_its_life() {
    let world = deferred();
    world.plane.lock().grant = super::world::Grant::Times(1);
    world.until(State::Deferred).await;
    world.pass(1).await;
    world.plane.lock().grant = super::world::Grant::No;
    let boots = world.host.snapshot().boots;
    let away = |ms| {
        move |draft: &mut crate::system::sim::draft::Draft<'_>| {
            draft.state.machine.restart_delay_ms = ms;
            Ok(())
        }
    };
    world.host.change(away(90_000)).unwrap();
    assert!(world.host.kill_agent());
    // The intent is written, and the agent is gone before it can tell the root helper.
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (mut journal, _) = Journal::open(Box::new(world.file.clone()), &name(), &mut rng).unwrap();
    let now = SimHost::attach(world.host.clone()).unwrap().now();
    for event in [Event::DispatchAcked, Event::TrialBootStarted] {
        let recorded = journal.event(&rollout(), &event, &now).unwrap();
        assert!(matches!(recorded, Recorded::Moved(..)), "{event:?}: {recorded:?}");
    }
    world.pass(200).await;
    assert_eq!(world.host.snapshot().boots, boots, "it used a permit of a minute and a half ago");
    assert_eq!(world.plane.kinds().last().map(String::as_str), Some("permitLapsed"));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_renewed_before_the_reboot_is_the_one_that_counts() {
    let world = deferred();
    world.plane.lock().grant = super::world::Grant::Times(1);
    world.until(State::Deferred).await;
    let days = 8 * 86_400_000;
    world.host.set_wall_offset(days);
    let renewed = renew(&manifest(&world.target), 5, Timestamp(START + days - 60_000));
    world.plane.set_release(renewed);
    world.plane.lock().grant = super::world::Grant::Yes;
    world.plane.order(1, Act::Start);
    world.until(State::Converged).await;
    assert_eq!(world.host.snapshot().booted, world.target);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_does_not_reboot_when_told_to_is_not_waited_for_for_ever() {
    let world = deferred();
    set_faults(&world.host, &Faults { never_reboots: true, ..Faults::default() }).unwrap();
    world.until(State::Reverted).await;
    let Phase::Reverted(reverted) = world.phase() else { panic!() };
    assert!(matches!(reverted.verdict, Verdict::Refused(_)), "{:?}", reverted.verdict);
    let state = world.host.snapshot();
    assert_eq!((state.running, state.oneshot), (world.prior.clone(), None));
}

#[tokio::test(start_paused = true)]
async fn a_deferred_host_without_its_second_permit_does_not_reboot() {
    let world = deferred();
    world.plane.lock().grant = super::world::Grant::Times(1);
    world.until(State::Deferred).await;
    let boots = world.host.snapshot().boots;
    world.pass(900).await;
    assert_eq!(world.host.snapshot().boots, boots);
    world.plane.order(1, Act::Cancel { why: "a newer release".to_owned() });
    world.until(State::Cancelled).await;
}

#[tokio::test(start_paused = true)]
async fn a_trial_boot_that_fails_its_probes_boots_the_prior_again() {
    let world = World::ordered(closure("1").with(|it| {
        it.behaviour.boot_components = "kernel 2".to_owned();
        it.behaviour
            .units
            .insert("web.service".to_owned(), crate::system::sim::closure::UnitState::FailsAfterMs(15_000));
    }));
    world.until(State::Reverted).await;
    assert_eq!(world.running(), world.prior);
}

#[tokio::test(start_paused = true)]
async fn a_trial_boot_whose_units_fail_is_undone() {
    let world = World::ordered(closure("1").with(|it| {
        it.behaviour.boot_components = "kernel 2".to_owned();
        it.behaviour.units.insert("db.service".to_owned(), crate::system::sim::closure::UnitState::Fails);
    }));
    world.until(State::Reverted).await;
    let Phase::Reverted(reverted) = world.phase() else { panic!() };
    assert_eq!(reverted.verdict, Verdict::UnitsFailed(vec!["db.service".to_owned()]));
    assert_eq!(world.running(), world.prior);
    assert!(!world.plane.kinds().contains(&"probeTopologyDeclared".to_owned()), "it never soaked");
}

#[tokio::test(start_paused = true)]
async fn a_trial_boot_soaks_from_the_moment_that_its_units_are_judged() {
    let world = World::ordered(closure("1").with(|it| {
        it.behaviour.boot_components = "kernel 2".to_owned();
        it.behaviour.activate_at_ms = 0;
        it.behaviour.switch_ms = 20_000;
    }));
    world.until_it("the boot", |world| world.running() == world.target).await;
    let booted = world.secs();
    world.until(State::Soaking).await;
    assert!(world.secs() >= booted + 19, "soaks {} s after the boot", world.secs() - booted);
    world.until(State::Converged).await;
    assert!(world.secs() >= booted + 19 + SOAK);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_lost_its_state_over_a_trial_boot_goes_on() {
    let world = deferred();
    world.until_it("the boot", |world| world.running() == world.target).await;
    world.wipe();
    world.until(State::Converged).await;
    assert_eq!(world.running(), world.target);
}

#[tokio::test(start_paused = true)]
async fn a_clean_reboot_in_the_soak_starts_the_attempt_again() {
    let world = World::ordered(closure("1"));
    world.until(State::Soaking).await;
    world.pass(10).await;
    world.host.reboot().unwrap();
    world.until_it("the boot", |world| world.plane.kinds().contains(&"rebooted".to_owned())).await;
    world.until(State::Converged).await;
    assert_eq!(world.switches(), 2);
    world.assert_gapless();
}

#[tokio::test(start_paused = true)]
async fn the_second_power_cut_in_a_soak_is_a_verdict() {
    let world = World::ordered(closure("1"));
    for _ in 0..2 {
        world.until(State::Soaking).await;
        world.pass(10).await;
        world.host.power_cut().unwrap();
        world.host.boot();
        world.until_it("the boot", |world| world.state() != Some(State::Soaking)).await;
        world.plane.order(1, Act::Start);
    }
    world.until(State::Reverted).await;
    let Phase::Reverted(reverted) = world.phase() else { panic!() };
    assert_eq!((reverted.verdict, world.running()), (Verdict::UncleanReboots, world.prior.clone()));
}

#[tokio::test(start_paused = true)]
async fn a_power_cut_at_any_instant_ends_in_a_final_state() {
    for cut_at in (2_000..76_000).step_by(5_300) {
        let world = World::ordered(closure("1"));
        tokio::time::sleep(Duration::from_millis(cut_at)).await;
        world.host.power_cut().unwrap();
        world.host.boot();
        for _ in 0..4 {
            world.pass(30).await;
            // What the control plane does for an attempt that a boot set back.
            if world.state() == Some(State::Pending) {
                world.plane.order(1, Act::Start);
            }
        }
        world.until(State::Converged).await;
        let state = world.host.snapshot();
        assert_eq!((&state.running, &state.loader, &state.profile), (&world.target, &world.target, &world.target));
        assert!(world.switches() <= 2, "cut at {cut_at} ms: {} switches", world.switches());
        world.assert_gapless();
    }
}

#[tokio::test(start_paused = true)]
async fn a_power_cut_with_the_state_lost_too_goes_on_from_the_root_record() {
    for cut_at in [7_000, 30_000, 69_500] {
        let world = World::ordered(closure("1"));
        tokio::time::sleep(Duration::from_millis(cut_at)).await;
        world.host.power_cut().unwrap();
        world.file.set(b"");
        world.host.boot();
        for _ in 0..4 {
            world.pass(30).await;
            if world.state() == Some(State::Pending) {
                world.plane.order(1, Act::Start);
            }
        }
        world.until(State::Converged).await;
        assert_eq!(world.running(), world.target);
        assert!(world.secs() < 4 * SOAK);
    }
}
