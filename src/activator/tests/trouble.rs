//! What goes wrong with the helper's own things: its disk, its records, systemd, the boot loader.

use crate::activator::tests::boots::ordered;
use crate::activator::tests::world::{World, closure};
use crate::model::facts::{HostHold, Verdict};
use crate::model::id::{Attempt, RolloutId};
use crate::model::root_record::{RootState, SwitchResult};
use crate::system::SystemError;
use std::fs;
use std::time::Duration;

const ID: &str = "stable@1-1";
const ONE: Attempt = Attempt(1);

fn rollout() -> RolloutId {
    "stable@1".parse().unwrap()
}

fn record_file(world: &World) -> std::path::PathBuf {
    world.helper.place.helper_state().join(format!("records/{ID}.json"))
}

/// Lets no record be written: what is written first is in the way.
fn block_records(world: &World) {
    fs::create_dir(world.helper.place.helper_state().join(format!("records/{ID}.json.tmp"))).unwrap();
}

#[test]
fn a_verdict_that_cant_be_written_down_reboots_into_the_default() {
    let world = World::switched();
    block_records(&world);
    world.watch(world.record().agent_timeout + Duration::from_secs(30));
    assert!(world.calls("systemctl reboot --no-block") >= 1);
    assert_eq!(world.record().state, RootState::Soaking, "nothing was written");
}

#[test]
fn room_is_held_before_anything_begins() {
    let world = World::new();
    world.helper.start(&world.order()).unwrap();
    let held = fs::metadata(world.helper.place.helper_state().join("ballast")).unwrap().len();
    assert_eq!(held, 1 << 20);
}

#[test]
fn a_record_that_cant_be_read_disarms_nobody_and_is_rebooted_from_once() {
    let world = World::switched();
    fs::write(record_file(&world), "{").unwrap();
    for _ in 0..3 {
        world.pass(Duration::from_secs(10));
        world.helper.dead_man().unwrap();
    }
    assert!(world.runs("convoy-dead-man.timer"));
    assert_eq!(world.calls("systemctl reboot"), 1);
    world.reboot('a', 2);
    world.helper.dead_man().unwrap();
    assert_eq!(world.calls("systemctl reboot"), 1, "the default runs");
}

#[test]
fn a_verdict_of_a_newer_helper_is_no_damage() {
    let world = World::switched();
    world.helper.revert((&rollout(), ONE), &Verdict::DeadMan, false).unwrap();
    let text = fs::read_to_string(record_file(&world)).unwrap();
    fs::write(record_file(&world), text.replace("\"deadMan\"", "\"moonPhase\",\"phase\":3")).unwrap();
    assert!(matches!(world.record().verdict, Some(Verdict::Ordered(why)) if why.contains("moonPhase")));
    world.helper.run_rollback(ID).unwrap();
    assert_eq!(world.record().state, RootState::Reverted);
}

#[test]
fn where_systemd_does_not_say_whether_the_dead_man_is_armed_nothing_begins() {
    let world = World::new();
    world.script.lock().unwrap().broken = vec!["show convoy-dead-man.timer".to_owned()];
    world.helper.start(&world.order()).unwrap_err();
    assert!(!world.runs("convoy-switch.service"));
    assert!(world.helper.shelf.records().unwrap().records.is_empty());
}

#[test]
fn a_reboot_that_another_attempt_ordered_forces_none() {
    let world = World::switched();
    let now = world.helper.now().unwrap();
    world.helper.order_reboot(&now, "stable@0-1").unwrap();
    world.pass(Duration::from_secs(86_400));
    world.helper.revert((&rollout(), ONE), &Verdict::DeadMan, false).unwrap();
    world.helper.dead_man().unwrap();
    assert_eq!(world.calls("--force --force"), 0);
    assert!(world.runs("convoy-rollback.service"));
}

#[test]
fn a_host_that_has_booted_the_prior_is_not_rebooted_again_and_again() {
    let world = World::switched();
    world.helper.commit(&rollout(), ONE, None).unwrap();
    world.helper.call("set", crate::system::nix::set_profile(&world.helper.place.profile(), &closure('b'))).unwrap();
    world.reboot('a', 2);
    world.script.lock().unwrap().broken = vec!["nix-env".to_owned()];
    world.helper.boot_guard().unwrap();
    assert_eq!(world.record().state, RootState::Reverting);
    let before = world.calls("systemctl reboot");
    for _ in 0..3 {
        world.helper.run_rollback(ID).unwrap_err();
    }
    assert_eq!(world.calls("systemctl reboot"), before);
    world.script.lock().unwrap().broken.clear();
    world.helper.run_rollback(ID).unwrap();
    assert_eq!(world.record().state, RootState::Reverted);
}

#[test]
fn a_unit_that_the_target_stops_ignoring_is_judged_as_before() {
    let world = World::new();
    let settings = world.helper.place.closure(&closure('a')).join("etc/convoy/activator.json");
    fs::write(settings, r#"{"host":"web1","freeNixMiB":1,"freeBootMiB":1,"ignoreUnits":["old.service"]}"#).unwrap();
    world.fails('a', &["old.service"]);
    world.fails('b', &["old.service"]);
    world.exits('b', "test", &[4]);
    world.helper.start(&world.order()).unwrap();
    world.helper.run_switch(ID).unwrap();
    assert!(matches!(world.record().result, Some((SwitchResult::Good(_), _))), "{:?}", world.record().result);
}

#[test]
fn a_manager_that_answers_late_costs_no_result() {
    let world = World::new();
    world.helper.start(&world.order()).unwrap();
    world.script.lock().unwrap().late = 2;
    world.helper.run_switch(ID).unwrap();
    assert!(matches!(world.record().result, Some((SwitchResult::Good(_), _))), "{:?}", world.record().result);
}

#[test]
fn pins_of_ended_attempts_go_with_the_next_start() {
    let world = World::new();
    let roots = world.helper.place.gc_roots();
    fs::create_dir_all(&roots).unwrap();
    for name in ["stable@0-1-target", "stable@0-1-prior", "stable@0-2-target.tmp"] {
        std::os::unix::fs::symlink(closure('c').as_str(), roots.join(name)).unwrap();
    }
    world.helper.start(&world.order()).unwrap();
    let mut left: Vec<_> = fs::read_dir(&roots).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["stable@1-1-prior", "stable@1-1-target"]);
}

#[test]
fn a_default_that_was_set_in_the_firmware_holds_a_start() {
    let world = World::new();
    let variables = world.helper.place.at("/sys/firmware/efi/efivars");
    fs::create_dir_all(&variables).unwrap();
    let mut bytes = vec![6, 0, 0, 0];
    bytes.extend(format!("{}.conf\0", &closure('a').as_str()[11..43]).encode_utf16().flat_map(u16::to_le_bytes));
    fs::write(variables.join("LoaderEntryDefault-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"), bytes).unwrap();
    let held = world.helper.start(&world.order());
    assert!(matches!(held, Err(SystemError::Held(HostHold::BootDefaultDiffers))), "{held:?}");
}

#[test]
fn a_commit_whose_installation_fails_leaves_the_profile_as_it_was() {
    let world = World::switched();
    world.exits('b', "boot", &[1]);
    world.helper.commit(&rollout(), ONE, None).unwrap();
    world.helper.run_commit(ID).unwrap_err();
    let profile = fs::read_link(world.helper.place.profile()).unwrap();
    assert_eq!(profile.to_str(), Some(closure('a').as_str()));
    assert_eq!(world.record().commit_trouble.unwrap().tries, 1);
}

#[test]
fn a_trial_boot_that_is_still_ordered_is_taken_back_when_somebody_else_switches() {
    let world = ordered();
    world.person_switches('c');
    world.helper.dead_man().unwrap();
    assert_eq!(world.record().state, RootState::Overtaken);
    assert!(world.calls("bootctl set-oneshot ") >= 1);
    assert!(!world.runs("convoy-dead-man.timer"));
}
