//! What is checked before a start, each by what breaks it.

use crate::activator::tests::world::{ISSUED, World, boots, closure, key, release};
use crate::model::facts::HostHold;
use crate::model::root_record::{RootState, SwitchResult};
use crate::system::SystemError;
use std::fs;
use std::time::Duration;

/// Breaks something, tries to start, and returns why that was held or refused.
fn check(breaks: impl FnOnce(&World)) -> SystemError {
    let world = World::new();
    let order = world.order();
    breaks(&world);
    let why = world.helper.start(&order).unwrap_err();
    assert!(world.helper.shelf.records().unwrap().records.is_empty(), "nothing is begun: {why}");
    assert_eq!(world.calls("run-switch"), 0);
    assert!(!world.runs("convoy-dead-man.timer"));
    assert!(fs::symlink_metadata(world.helper.place.gc_roots().join("stable@1-1-target")).is_err());
    why
}

fn held(why: SystemError) -> HostHold {
    let SystemError::Held(hold) = why else { panic!("not held: {why}") };
    hold
}

fn file(world: &World, letter: char, path: &str) -> std::path::PathBuf {
    world.helper.place.closure(&closure(letter)).join(path)
}

#[test]
fn a_good_order_is_recorded_guarded_and_begun() {
    let world = World::new();
    world.helper.start(&world.order()).unwrap();
    let record = world.record();
    assert_eq!((record.state, record.prior, record.target), (RootState::Launched, closure('a'), closure('b')));
    assert!(world.runs("convoy-dead-man.timer") && world.runs("convoy-switch.service"));
    let calls = world.script.lock().unwrap().calls.clone();
    let at = |part: &str| calls.iter().position(|call| call.contains(part)).unwrap();
    assert!(at("dead-man") < at("run-switch"), "the dead-man is armed first");
    let prior = format!("{}-nixos-system-web1/sw/bin/convoy-activator dead-man", "a".repeat(32));
    assert!(calls[at("--on-active")].ends_with(&prior), "{}", calls[at("--on-active")]);
    let roots = world.helper.place.gc_roots();
    assert_eq!(fs::read_link(roots.join("stable@1-1-target")).unwrap().to_str(), Some(closure('b').as_str()));
    assert_eq!(fs::read_link(roots.join("stable@1-1-prior")).unwrap().to_str(), Some(closure('a').as_str()));
    assert_eq!(world.helper.floor().unwrap().sequence, 5);
}

#[test]
fn what_may_pass_holds() {
    let hold = held(check(|world| boots(&world.helper.place, closure('c').as_str())));
    assert_eq!(hold, HostHold::BootDefaultDiffers);
    let hold = held(check(|world| fs::write(world.helper.place.at("/boot/loader/loader.conf"), "").unwrap()));
    assert_eq!(hold, HostHold::BootDefaultDiffers, "unknown blocks");
    let settings = r#"{"host":"web1","freeNixMiB":99999999999}"#;
    let hold = held(check(|world| fs::write(file(world, 'a', "etc/convoy/activator.json"), settings).unwrap()));
    assert!(matches!(hold, HostHold::Disk(_)));
    let hold = held(check(|world| {
        fs::create_dir_all(world.helper.place.at("/run/nixos")).unwrap();
        fs::create_dir_all(world.helper.place.at("/proc")).unwrap();
        let lock = fs::File::create(world.helper.place.switch_lock()).unwrap();
        let inode = std::os::unix::fs::MetadataExt::ino(&lock.metadata().unwrap());
        fs::write(world.helper.place.locks(), format!("1: FLOCK  ADVISORY  WRITE 1 00:17:{inode} 0 EOF\n")).unwrap();
    }));
    assert_eq!(hold, HostHold::Lock);
}

#[test]
fn what_is_not_signed_for_this_host_is_refused() {
    let world = World::new();
    let stranger = world.order_of(&release("1", "live"), key("mallory", 2), 5);
    assert!(matches!(held(world.helper.start(&stranger).unwrap_err()), HostHold::Untrusted(_)));
    let good = world.order();
    let mut other = good.clone();
    other.terms.target = closure('c');
    let refused = |order| world.helper.start(&order).unwrap_err();
    assert!(refused(other).to_string().contains("other terms"));
    let mut longer = good.clone();
    longer.agent_timeout += Duration::from_secs(1);
    assert!(refused(longer).to_string().contains("a shorter limit"));
    let mut late = good.clone();
    late.end_after += Duration::from_secs(1);
    assert!(refused(late).to_string().contains("a shorter limit"));
    let mut renamed = good.clone();
    renamed.rollout = "stable@2".parse().unwrap();
    assert!(refused(renamed).to_string().contains("another release"));
    let mut garbled = good;
    garbled.signed_release.truncate(100);
    assert!(matches!(refused(garbled), SystemError::Held(HostHold::Untrusted(_))));
    assert_eq!(world.calls("run-switch"), 0);
}

#[test]
fn the_floor_only_rises() {
    let world = World::switched();
    world
        .helper
        .revert((&world.order().rollout, crate::model::id::Attempt(1)), &crate::model::facts::Verdict::DeadMan, false)
        .unwrap();
    world.helper.run_rollback("stable@1-1").unwrap();
    let older = world.order_of(&release("0", "live"), key("ci", 1), 4);
    assert!(matches!(held(world.helper.start(&older).unwrap_err()), HostHold::Untrusted(_)));
    let same = world.order_of(&release("2", "live"), key("ci", 1), 5);
    assert!(
        matches!(held(world.helper.start(&same).unwrap_err()), HostHold::Untrusted(_)),
        "one sequence, two releases"
    );
    let newer = world.order_of(&release("2", "live"), key("ci", 1), 6);
    world.helper.start(&newer).unwrap();
}

#[test]
fn a_lease_ends() {
    let world = World::new();
    world.pass(Duration::from_secs(86_400));
    assert!(matches!(held(world.helper.start(&world.order()).unwrap_err()), HostHold::Lease(_)));
    assert!(world.helper.clock.wall() > ISSUED);
}

#[test]
fn closures_that_are_not_whole_are_refused() {
    for (letter, path) in [('b', "bin/switch-to-configuration"), ('a', "bin/switch-to-configuration")] {
        let why = check(|world| fs::write(file(world, letter, path), "").unwrap());
        assert!(why.to_string().contains("not whole"), "{why}");
    }
    let why = check(|world| world.script.lock().unwrap().broken.push("--check-validity".to_owned()));
    assert!(why.to_string().contains("not whole"), "{why}");
}

#[test]
fn without_a_dead_man_nothing_is_begun() {
    let why = check(|world| world.script.lock().unwrap().broken.push("--on-active".to_owned()));
    assert!(matches!(why, SystemError::Failed { what: "arm the dead-man", .. }));
}

#[test]
fn repeating_a_start_changes_nothing() {
    let world = World::new();
    world.helper.start(&world.order()).unwrap();
    let record = world.record();
    world.helper.start(&world.order()).unwrap();
    assert_eq!((world.record(), world.calls("run-switch")), (record, 1));
    let other = world.order_of(&release("2", "live"), key("ci", 1), 6);
    assert!(matches!(held(world.helper.start(&other).unwrap_err()), HostHold::Busy(_)));
}

#[test]
fn an_inhibitor_or_a_wanted_trial_defers() {
    for (name, reboot) in [("switch-inhibitors", "live"), ("reboot-triggers", "trial")] {
        let world = World::new();
        for (letter, value) in [('a', "1"), ('b', "2")] {
            fs::write(file(&world, letter, name), format!("{{\"part\":\"{value}\"}}")).unwrap();
        }
        let order = world.order_of(&release("1", reboot), key("ci", 1), 5);
        world.helper.start(&order).unwrap();
        let record = world.record();
        assert!(
            matches!(record.result, Some((SwitchResult::Deferred(ref why), _)) if why.contains("part")),
            "{record:?}"
        );
        assert!(!world.runs("convoy-switch.service") && !world.runs("convoy-dead-man.timer"));
        fs::remove_file(file(&world, 'b', "etc/systemd/system/convoy-boot-guard.service")).unwrap();
        let trial = world.helper.trial(&order.rollout, order.attempt, &order.signed_release).unwrap_err();
        assert!(matches!(held(trial), HostHold::NoTrialBoot(why) if why.contains("guard")));
    }
}

#[test]
fn a_damaged_record_stops_every_start() {
    let why = check(|world| world.helper.shelf.put("records", "stable@0-1.json", b"{\"v\":1,").unwrap());
    assert!(why.to_string().contains("stable@0-1.json"), "{why}");
}
