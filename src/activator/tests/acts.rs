//! Switch, dead-man, commit and rollback, each by what it does to the machine.

use crate::activator::tests::world::{World, closure};
use crate::model::facts::Verdict;
use crate::model::id::{Attempt, RolloutId};
use crate::model::root_record::{RootState, SwitchResult};
use crate::system::SystemError;
use crate::system::boot::BootDefault;
use std::fs;
use std::path::Path;
use std::time::Duration;

fn rollout() -> RolloutId {
    "stable@1".parse().unwrap()
}

const ID: &str = "stable@1-1";
const ONE: Attempt = Attempt(1);

/// Runs a switch with these exits and failed units, and returns its result.
fn result(exits: &[i32], failed_before: &[&str], failed_after: &[&str]) -> SwitchResult {
    let world = World::new();
    world.exits('b', "test", exits);
    world.fails('a', failed_before);
    world.fails('b', failed_after);
    world.helper.start(&world.order()).unwrap();
    world.helper.run_switch(ID).unwrap();
    world.record().result.unwrap().0
}

fn verdict(result: &SwitchResult) -> Option<&Verdict> {
    match result {
        SwitchResult::Bad { verdict, .. } => Some(verdict),
        SwitchResult::Good(_) | SwitchResult::Deferred(_) => None,
    }
}

#[test]
fn a_result_is_what_happened() {
    assert!(matches!(result(&[0], &[], &[]), SwitchResult::Good(_)));
    assert!(matches!(result(&[4], &["old.service"], &["old.service"]), SwitchResult::Good(notes) if notes.len() == 1));
    let new = result(&[4], &["old.service"], &["old.service", "new.service"]);
    assert_eq!(verdict(&new), Some(&Verdict::UnitsFailed(vec!["new.service".to_owned()])));
    assert!(matches!(verdict(&result(&[1], &[], &[])), Some(Verdict::SwitchFailed(_))));
    assert!(matches!(verdict(&result(&[2], &[], &[])), Some(Verdict::SwitchFailed(_))));
    assert!(matches!(result(&[100], &[], &[]), SwitchResult::Deferred(_)));
}

#[test]
fn a_held_lock_is_waited_for_and_blames_nobody() {
    assert!(matches!(result(&[11, 11, 0], &[], &[]), SwitchResult::Good(_)));
    let always = result(&[11; 1000], &[], &[]);
    assert!(matches!(verdict(&always), Some(Verdict::Refused(_))), "{always:?}");
}

#[test]
fn exit_0_of_a_switch_that_left_another_closure_is_no_success() {
    let world = World::new();
    world.helper.start(&world.order()).unwrap();
    world.script.lock().unwrap().lies = true;
    world.helper.run_switch(ID).unwrap();
    let result = world.record().result.unwrap().0;
    assert!(matches!(verdict(&result), Some(Verdict::SwitchFailed(why)) if why.contains("and yet")), "{result:?}");
}

#[test]
fn a_damaged_store_path_is_never_switched_to() {
    let world = World::new();
    world.helper.start(&world.order()).unwrap();
    world.script.lock().unwrap().broken.push("--verify-path".to_owned());
    world.helper.run_switch(ID).unwrap();
    assert!(matches!(world.record().result, Some((SwitchResult::Bad { verdict: Verdict::Refused(_), .. }, _))));
    assert_eq!(world.helper.running().unwrap(), closure('a'));
}

#[test]
fn a_switch_that_was_killed_is_never_good() {
    let world = World::new();
    world.helper.start(&world.order()).unwrap();
    world.helper.shelf.put("begun", ID, b"boot-1").unwrap();
    world.helper.dead_man().unwrap();
    assert_eq!(world.record().state, RootState::Launched, "its unit runs");
    world.unit_ends("convoy-switch.service");
    world.helper.dead_man().unwrap();
    assert!(matches!(world.record().result, Some((SwitchResult::Bad { .. }, _))));
}

#[test]
fn a_switch_that_was_never_begun_is_begun() {
    let world = World::new();
    world.helper.start(&world.order()).unwrap();
    world.unit_ends("convoy-switch.service");
    world.helper.dead_man().unwrap();
    assert!(world.runs("convoy-switch.service") && world.record().result.is_none());
}

#[test]
fn a_silent_agent_is_undone_by_the_dead_man() {
    let world = World::switched();
    let timeout = world.record().agent_timeout;
    world.watch(timeout / 2);
    world.helper.pat(&rollout(), ONE).unwrap();
    world.watch(timeout / 2);
    assert_eq!(world.record().state, RootState::Soaking, "patted in time");
    world.watch(timeout);
    assert_eq!((world.record().state, world.record().verdict), (RootState::Reverting, Some(Verdict::DeadMan)));
    assert!(world.runs("convoy-rollback.service"));
    world.helper.run_rollback(ID).unwrap();
    assert_eq!((world.record().state, world.helper.running().unwrap()), (RootState::Reverted, closure('a')));
    assert!(!world.runs("convoy-dead-man.timer"));
    let quarantine = world.helper.shelf.get("", "quarantine").unwrap().unwrap();
    assert_eq!(quarantine.trim(), closure('b').as_str());
    assert!(!world.helper.place.gc_roots().join("stable@1-1-prior").exists());
}

#[test]
fn three_agent_starts_are_a_crash_loop() {
    let world = World::switched();
    for _ in 0..3 {
        world.helper.agent_started().unwrap();
    }
    world.helper.dead_man().unwrap();
    assert_eq!(world.record().verdict, Some(Verdict::AgentCrashLoop));
}

#[test]
fn a_commit_is_written_and_read_back() {
    let world = World::switched();
    let agent = fs::canonicalize(world.helper.place.closure(&closure('b')).join("sw/bin/convoy-agent")).unwrap();
    let other = world.helper.commit(&rollout(), ONE, Some(Path::new("/nix/store/old/bin/convoy-agent")));
    assert!(matches!(other, Err(SystemError::Refused(why)) if why.contains("does not ship")));
    world.helper.commit(&rollout(), ONE, Some(&agent)).unwrap();
    assert_eq!(world.record().state, RootState::Committing);
    world.helper.run_commit(ID).unwrap();
    let defaults = world.helper.defaults(&closure('b'));
    assert_eq!((defaults.profile, defaults.loader), (Some(closure('b')), BootDefault::Is(closure('b'))));
    assert_eq!(world.record().state, RootState::Committed);
    assert!(!world.runs("convoy-dead-man.timer"));
    world.helper.commit(&rollout(), ONE, Some(&agent)).unwrap();
}

#[test]
fn a_commit_that_died_is_finished() {
    let world = World::switched();
    world.helper.commit(&rollout(), ONE, None).unwrap();
    world.exits('b', "boot", &[1]);
    world.helper.run_commit(ID).unwrap_err();
    world.unit_ends("convoy-commit.service");
    let revert = world.helper.revert((&rollout(), ONE), &Verdict::DeadMan, false);
    assert!(matches!(revert, Err(SystemError::Refused(_))), "finished, never reverted");
    world.helper.dead_man().unwrap();
    assert!(!world.runs("convoy-commit.service"), "not at once again");
    assert!(world.record().commit_trouble.is_some_and(|trouble| trouble.why.contains("exit status 1")));
    world.watch(Duration::from_secs(60));
    assert!(world.runs("convoy-commit.service"));
    world.helper.run_commit(ID).unwrap();
    assert_eq!(world.record().state, RootState::Committed);
}

#[test]
fn a_commit_that_changes_nothing_for_its_whole_limit_is_undone() {
    let world = World::switched();
    world.helper.commit(&rollout(), ONE, None).unwrap();
    world.script.lock().unwrap().broken.push("nix-env".to_owned());
    world.helper.run_commit(ID).unwrap_err();
    world.unit_ends("convoy-commit.service");
    world.pass(world.record().terms.commit_limit + Duration::from_secs(1));
    world.helper.run_commit(ID).unwrap_err();
    assert!(matches!(world.record().verdict, Some(Verdict::CommitFailed(_))), "{:?}", world.record());
    assert!(world.runs("convoy-rollback.service"));
}

#[test]
fn a_machine_that_slept_gives_its_agent_a_chance() {
    let world = World::switched();
    world.watch(Duration::from_secs(20));
    world.pass(world.record().agent_timeout * 2);
    world.helper.dead_man().unwrap();
    assert_eq!(world.record().state, RootState::Soaking);
    world.watch(Duration::from_secs(60));
    assert_eq!(world.record().verdict, Some(Verdict::DeadMan));
}

#[test]
fn a_target_that_could_take_no_next_release_is_not_committed() {
    let world = World::switched();
    let trust = crate::trust::TrustFile::new(1, [crate::activator::tests::world::key("new", 9).public()]).unwrap();
    let path = world.helper.place.closure(&closure('b')).join("etc/convoy/trust.json");
    fs::write(path, trust.to_json()).unwrap();
    assert!(matches!(world.helper.commit(&rollout(), ONE, None), Err(SystemError::Held(_))));
    assert_eq!(world.record().state, RootState::Soaking);
}

#[test]
fn a_person_who_switches_is_left_alone() {
    let world = World::switched();
    world.person_switches('c');
    world.helper.dead_man().unwrap();
    assert_eq!(world.record().state, RootState::Overtaken);
    assert_eq!(world.helper.running().unwrap(), closure('c'));
    assert!(!world.runs("convoy-dead-man.timer") && world.calls("run-rollback") == 0);
}

#[test]
fn a_rollback_that_does_not_come_up_reboots() {
    let world = World::switched();
    world.fails('a', &["broken.service"]);
    world.helper.revert((&rollout(), ONE), &Verdict::DeadMan, false).unwrap();
    world.helper.run_rollback(ID).unwrap();
    assert!(world.record().rollback_trouble.unwrap().contains("broken.service"));
    assert_eq!(world.calls("systemctl reboot"), 1);
    world.unit_ends("convoy-rollback.service");
    world.helper.dead_man().unwrap();
    assert!(!world.runs("convoy-rollback.service"), "the reboot is waited for");
    world.pass(world.record().terms.reboot_limit + Duration::from_secs(1));
    world.helper.dead_man().unwrap();
    assert_eq!(world.calls("--force --force"), 1, "and then forced");
    world.reboot('a', 2);
    world.helper.boot_guard().unwrap();
    world.helper.run_rollback(ID).unwrap();
    assert_eq!(world.record().state, RootState::Reverted);
}

#[test]
fn a_rollback_kills_the_forward_switch_first() {
    let world = World::new();
    world.helper.start(&world.order()).unwrap();
    world.helper.revert((&rollout(), ONE), &Verdict::Ordered("x".to_owned()), false).unwrap();
    let calls = world.script.lock().unwrap().calls.clone();
    let at = |part: &str| calls.iter().position(|call| call.contains(part)).unwrap();
    assert!(at("kill --signal=SIGKILL convoy-switch.service") < at("run-rollback"));
}
