//! Boots in the middle of an attempt, clean and not, and trial boots.

use crate::activator::tests::world::{World, closure, key, release};
use crate::model::facts::Verdict;
use crate::model::id::Attempt;
use crate::model::root_record::{RootState, SwitchResult};
use std::fs;
use std::time::Duration;

const ID: &str = "stable@1-1";

/// A deferred attempt.
fn deferred() -> World {
    let world = World::new();
    for (letter, value) in [('a', "1"), ('b', "2")] {
        let path = world.helper.place.closure(&closure(letter)).join("reboot-triggers");
        fs::write(path, format!("{{\"kernel\":\"{value}\"}}")).unwrap();
    }
    world.helper.start(&world.order_of(&release("1", "trial"), key("ci", 1), 5)).unwrap();
    world
}

/// A deferred attempt whose trial boot was ordered.
pub(crate) fn ordered() -> World {
    let world = deferred();
    let order = world.order_of(&release("1", "trial"), key("ci", 1), 5);
    world.helper.trial(&order.rollout, order.attempt, &order.signed_release).unwrap();
    assert!(world.runs("convoy-trial.service"));
    // The prior's `boot` gives every profile's closure an entry.
    let entry = world.helper.place.at("/boot/loader/entries/trial.conf");
    fs::write(entry, format!("options init={}/init\n", closure('b').as_str())).unwrap();
    world.helper.run_trial(ID).unwrap();
    world
}

#[test]
fn a_power_cut_in_a_soak_starts_over() {
    let world = World::switched();
    world.reboot('a', 2);
    world.helper.boot_guard().unwrap();
    assert_eq!((world.record().state, world.record().verdict), (RootState::Reverting, None));
    assert!(world.runs("convoy-dead-man.timer") && world.runs("convoy-rollback.service"));
    world.helper.run_rollback(ID).unwrap();
    assert!(world.record().may_relaunch());
    assert_eq!(world.calls("switch-to-configuration test"), 1, "the prior booted: nothing has to be switched");
    world.helper.start(&world.order()).unwrap();
    assert_eq!(world.record().state, RootState::Launched);
}

#[test]
fn a_power_cut_in_a_commit_ends_on_one_side() {
    for into in ['b', 'a'] {
        let world = World::switched();
        world.helper.commit(&"stable@1".parse().unwrap(), Attempt(1), None).unwrap();
        // Cut after the profile was written.
        world.exits('b', "boot", &[1]);
        world.helper.run_commit(ID).unwrap_err();
        world.reboot(into, 2);
        world.helper.boot_guard().unwrap();
        if into == 'b' {
            world.helper.run_commit(ID).unwrap();
            assert_eq!(world.record().state, RootState::Committed);
        } else {
            world.helper.run_rollback(ID).unwrap();
            assert_eq!(world.record().state, RootState::Reverted);
        }
        let defaults = world.helper.defaults(&closure(into));
        assert!(defaults.are(&closure(into)), "{defaults:?}");
    }
}

#[test]
fn the_record_is_told_of_a_boot_once() {
    let world = World::switched();
    world.reboot('a', 2);
    world.helper.boot_guard().unwrap();
    world.helper.boot_guard().unwrap();
    world.helper.status().unwrap();
    assert_eq!(world.calls("run-rollback"), 1);
}

#[test]
fn a_trial_boots_once_and_leaves_the_default() {
    let world = ordered();
    let calls = world.script.lock().unwrap().calls.clone();
    let at = |part: &str| calls.iter().position(|call| call.contains(part)).unwrap();
    assert!(at("convoy_trial --set") < at("switch-to-configuration boot"));
    assert!(at("switch-to-configuration boot") < at("bootctl set-oneshot trial.conf"));
    assert!(at("bootctl set-oneshot") < at("systemctl reboot"));
    assert!(world.helper.defaults(&closure('a')).are(&closure('a')), "the default stays the prior");
    assert_eq!(world.record().trial_from.unwrap().as_str(), "boot-1");
}

#[test]
fn a_trial_that_comes_up_is_guarded_and_committed() {
    let world = ordered();
    world.reboot('b', 2);
    world.helper.boot_guard().unwrap();
    assert!(world.record().is_unjudged_trial() && world.runs("convoy-trial-guard.service"));
    assert!(world.runs("convoy-dead-man.timer"));
    assert!(world.helper.commit(&"stable@1".parse().unwrap(), Attempt(1), None).is_err(), "not judged yet");
    world.helper.run_guard(ID).unwrap();
    assert!(matches!(world.record().result, Some((SwitchResult::Good(_), _))));
    world.helper.commit(&"stable@1".parse().unwrap(), Attempt(1), None).unwrap();
    world.helper.run_commit(ID).unwrap();
    assert_eq!(world.record().state, RootState::Committed);
    assert!(fs::symlink_metadata(world.helper.place.trial_profile()).is_err(), "its own profile is gone");
}

#[test]
fn a_trial_whose_units_fail_goes_back() {
    let world = ordered();
    world.reboot('b', 2);
    world.fails('b', &["new.service"]);
    world.helper.boot_guard().unwrap();
    world.script.lock().unwrap().system = "starting\n";
    world.helper.run_guard(ID).unwrap();
    let result = world.record().result.unwrap().0;
    assert!(matches!(result, SwitchResult::Bad { verdict: Verdict::UnitsFailed(_), .. }), "{result:?}");
    world.watch(world.record().agent_timeout + Duration::from_secs(10));
    assert_eq!(world.record().state, RootState::Reverting);
    assert_eq!(world.calls("bootctl set-oneshot "), 2, "the one-shot is taken back");
}

#[test]
fn a_trial_takes_the_release_that_was_started_and_its_newest_lease() {
    let world = deferred();
    let other = world.order_of(&release("2", "trial"), key("ci", 1), 6);
    let (rollout, one) = ("stable@1".parse().unwrap(), Attempt(1));
    let refused = world.helper.trial(&rollout, one, &other.signed_release).unwrap_err();
    assert!(refused.to_string().contains("another manifest"), "{refused}");
    let renewed = world.order_of(&release("1", "trial"), key("ci", 1), 7);
    world.helper.trial(&rollout, one, &renewed.signed_release).unwrap();
    assert_eq!(world.helper.floor().unwrap().sequence, 7);
    assert_eq!(world.helper.shelf.get("releases", "stable@1-1.json").unwrap(), Some(renewed.signed_release));
}

#[test]
fn a_trial_nobody_pats_is_ended_by_a_reboot() {
    let world = ordered();
    world.reboot('b', 2);
    world.helper.boot_guard().unwrap();
    world.helper.run_guard(ID).unwrap();
    world.pass(world.record().agent_timeout * 2);
    world.helper.dead_man().unwrap();
    world.helper.run_rollback(ID).unwrap();
    assert_eq!(world.calls("systemctl reboot"), 2, "another kernel runs");
    world.reboot('a', 3);
    world.helper.boot_guard().unwrap();
    world.helper.run_rollback(ID).unwrap();
    assert_eq!((world.record().state, world.record().verdict), (RootState::Reverted, Some(Verdict::DeadMan)));
}

#[test]
fn a_trial_that_boots_the_prior_is_a_verdict() {
    let world = ordered();
    world.reboot('a', 2);
    world.helper.boot_guard().unwrap();
    assert_eq!(world.record().verdict, Some(Verdict::BootedElsewhere));
}

#[test]
fn only_a_shutdown_leaves_a_mark_and_only_once() {
    let world = World::new();
    let clean = |world: &World| {
        let boot = world.helper.boot_id().unwrap();
        crate::system::links::clean_shutdown(&world.helper.place, &boot)
    };
    world.helper.shutdown_mark().unwrap();
    world.reboot('a', 9);
    world.helper.boot_guard().unwrap();
    assert!(!clean(&world), "a unit that is stopped is no shutdown");
    world.script.lock().unwrap().system = "stopping\n";
    world.helper.shutdown_mark().unwrap();
    world.reboot('a', 2);
    world.helper.boot_guard().unwrap();
    assert!(clean(&world));
    world.reboot('a', 3);
    world.helper.boot_guard().unwrap();
    assert!(!clean(&world));
}
