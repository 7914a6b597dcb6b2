//! Promise 1 on a simulated host, one table of scenarios played twice: in memory on a paused clock, and on disk with
//! real processes. Both must end as the table says, and by the very same acts.

use crate::process::PATIENCE;
use crate::sim_world::{Disk, Signed, good, healthy_plane, memory, quick_machine, quick_policy, short};
use convoy::model::root_record::RootState;
use convoy::system::sim::backing::Backing;
use convoy::system::sim::closure::{AgentKind, Behaviour, Boots, Network, SimClosure, SwitchOutcome, UnitState};
use convoy::system::sim::log::Entry;
use convoy::system::sim::state::HostState;
use convoy::system::sim::tally;
use serde_json::json;
use std::time::Duration;

/// One way through an attempt.
struct Scenario {
    /// What the target does.
    target: fn(&mut SimClosure),
    /// What the prior does.
    prior: fn(&mut SimClosure),
    /// Whether the control plane answers, and whom: everybody, nobody, or only the prior.
    plane: Plane,
    /// What the signed release says.
    signed: fn(&mut Signed),
    /// The state in which the root record ends.
    ends: RootState,
    /// A part of the verdict; empty for none.
    verdict: &'static str,
    /// Acts that must stand in the log, in this order; each is the beginning of a line.
    acts: &'static [&'static str],
}

#[derive(PartialEq)]
enum Plane {
    Answers,
    Silent,
    PriorOnly,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            target: |_| (),
            prior: |_| (),
            plane: Plane::Silent,
            signed: |_| (),
            ends: RootState::Reverted,
            verdict: "",
            acts: &[],
        }
    }
}

impl Scenario {
    fn behaves(change: fn(&mut SimClosure)) -> Self {
        Self { target: change, ..Self::default() }
    }

    fn reverts(self, verdict: &'static str) -> Self {
        Self { verdict, ..self }
    }

    fn by(self, acts: &'static [&'static str]) -> Self {
        Self { acts, ..self }
    }

    fn closures(&self, plane: &str) -> [SimClosure; 2] {
        let (prior, target) = match self.plane {
            Plane::Answers => (plane, plane),
            Plane::Silent => ("http://127.0.0.1:9", "http://127.0.0.1:9"),
            Plane::PriorOnly => (plane, "http://127.0.0.1:9"),
        };
        // Another version of the agent, so that every switch restarts it.
        let versioned = |closure: &mut SimClosure| closure.agent.version = "2".to_owned();
        [good("old", prior).with(self.prior), good("new", target).with(versioned).with(self.target)]
    }

    fn release(&self) -> Signed {
        let mut signed = Signed::default();
        (self.signed)(&mut signed);
        signed
    }

    fn holds(&self, state: &HostState, acts: &[Entry], [prior, target]: &[SimClosure; 2]) {
        let record = &state.records[0];
        let lines: Vec<String> = acts.iter().filter_map(short).collect();
        let shown = format!("{record:#?}\n{lines:#?}");
        assert_eq!(record.state, self.ends, "{shown}");
        let verdict = record.verdict.as_ref().map(|verdict| format!("{verdict:?}")).unwrap_or_default();
        assert!(verdict.contains(self.verdict) && verdict.is_empty() == self.verdict.is_empty(), "{shown}");
        let (runs, boots) = match self.ends {
            RootState::Committed => (target, target),
            RootState::Kept => (target, prior),
            RootState::Launched
            | RootState::Soaking
            | RootState::Committing
            | RootState::Reverting
            | RootState::Reverted
            | RootState::Overtaken => (prior, prior),
        };
        assert_eq!((&state.running, &state.loader, &state.profile), (&runs.path, &boots.path, &boots.path), "{shown}");
        let mut rest = lines.iter();
        for act in self.acts {
            assert!(rest.any(|line| line.starts_with(act)), "{act} is missing, or not in its place: {shown}");
        }
        assert_eq!(tally::duplicate_activations(acts), 0, "{shown}");
        let open = tally::in_flight_intervals(acts).iter().filter(|interval| interval.until_ms.is_none()).count();
        assert_eq!(open, 0, "{shown}");
        let numbers: Vec<u64> = acts.iter().map(|entry| entry.n).collect();
        assert_eq!(numbers, (1..=acts.len() as u64).collect::<Vec<u64>>());
    }
}

/// Plays the scenario in memory.
fn in_memory(scenario: &Scenario) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let closures = scenario.closures("http://plane");
        let host = memory(quick_machine(), &closures, Some(scenario.release()));
        host.boot();
        let ended = async {
            while !ended(&host.look().unwrap()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            // Nothing more may happen after the end.
            tokio::time::sleep(Duration::from_secs(60)).await;
        };
        if tokio::time::timeout(Duration::from_secs(600), ended).await.is_err() {
            panic!("no end: {:#?}\n{:#?}", host.look().unwrap(), host.acts());
        }
        scenario.holds(&host.look().unwrap(), &host.acts(), &closures);
        host.acts().iter().filter_map(short).collect()
    })
}

/// Plays the scenario on disk.
fn on_disk(scenario: &Scenario) -> Vec<String> {
    let closures = scenario.closures(&healthy_plane());
    let mut disk = Disk::new(quick_machine(), &closures, Some(scenario.release()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _context = runtime.enter();
    disk.boot();
    crate::process::until("end of the attempt", PATIENCE, || ended(&disk.state()).then_some(()));
    scenario.holds(&disk.state(), &disk.acts(), &closures);
    disk.acts().iter().filter_map(short).collect()
}

fn ended(state: &HostState) -> bool {
    let done = |record: &convoy::model::root_record::RootRecord| record.is_final() && !record.may_relaunch();
    state.records.first().is_some_and(done) && state.power
}

fn check(scenario: &Scenario) {
    let (memory, disk) = (in_memory(scenario), on_disk(scenario));
    assert_eq!(memory, disk, "the two hosts differ");
}

fn unit(closure: &mut SimClosure, name: &str, state: UnitState) {
    closure.behaviour.units.insert(name.to_owned(), state);
}

#[test]
fn a_good_release_is_committed_after_its_soak() {
    let acts = &[
        "booted clean=true closure=old",
        "activated by=boot closure=old was=old",
        "switchStarted action=test by=forward from=old to=new",
        "activated by=forward closure=new was=old",
        "switchEnded by=forward result=exit status 0 to=new",
        "defaultWritten by=forward closure=new",
        "committed closure=new",
    ];
    check(&Scenario { plane: Plane::Answers, ends: RootState::Committed, ..Scenario::default() }.by(acts));
}

#[test]
fn a_release_that_breaks_the_network_is_undone() {
    let scenario = Scenario::behaves(|new| new.behaviour.network = Network::Broken).reverts("ProbesFailed");
    check(&scenario.by(&["switchEnded by=forward result=exit status 0", "activated by=rollback closure=old was=new"]));
}

#[test]
fn a_release_whose_probes_fail_is_undone() {
    // Long after the switch, also on a busy machine.
    let late = |new: &mut SimClosure| unit(new, "web.service", UnitState::FailsAfterMs(2_500));
    let long = |signed: &mut Signed| signed.policy["soakMs"] = json!(20_000);
    check(&Scenario { signed: long, ..Scenario::behaves(late) }.reverts("ProbesFailed([ProbeName(\"web.service\")])"));
}

#[test]
fn a_release_whose_units_fail_is_undone() {
    let acts = &["switchEnded by=forward result=exit status 4", "switchStarted action=test by=rollback", "reverted"];
    let fails = |new: &mut SimClosure| unit(new, "web.service", UnitState::Fails);
    check(&Scenario::behaves(fails).reverts("UnitsFailed([\"web.service\"])").by(acts));
}

#[test]
fn a_release_whose_agent_crashes_is_undone_by_the_dead_man() {
    let crash = |new: &mut SimClosure| new.agent.agent = AgentKind::CrashLoop;
    check(&Scenario::behaves(crash).reverts("AgentCrashLoop").by(&["deadManFired verdict=AgentCrashLoop", "reverted"]));
}

#[test]
fn a_release_without_an_agent_is_undone_by_the_dead_man() {
    let missing = |new: &mut SimClosure| new.agent.agent = AgentKind::Missing;
    let scenario = Scenario { signed: |signed| *signed = Signed::impatient(), ..Scenario::behaves(missing) };
    check(&scenario.reverts("DeadMan").by(&["deadManFired verdict=DeadMan", "reverted"]));
}

#[test]
fn a_switch_that_hangs_is_killed_and_undone() {
    let hangs = |new: &mut SimClosure| new.behaviour.switch = SwitchOutcome::Hangs;
    check(
        &Scenario::behaves(hangs).reverts("SwitchTimedOut").by(&["switchEnded by=forward result=killed at its limit"]),
    );
}

#[test]
fn a_release_with_wrong_settings_for_the_control_plane_is_undone() {
    let scenario = Scenario { plane: Plane::PriorOnly, ..Scenario::default() };
    check(&scenario.reverts("ControlPlaneLost"));
}

#[test]
fn a_long_outage_of_the_control_plane_ends_as_isolated() {
    check(&Scenario::default().reverts("Isolated").by(&["switchEnded by=forward result=exit status 0", "reverted"]));
}

#[test]
fn a_switch_that_fails_half_way_is_undone() {
    let fails = |new: &mut SimClosure| new.behaviour.switch = SwitchOutcome::Fails;
    let acts = &["activated by=forward", "switchEnded by=forward result=exit status 2", "activated by=rollback"];
    check(&Scenario::behaves(fails).reverts("SwitchFailed(\"exit status 2\")").by(acts));
}

#[test]
fn a_switch_that_refuses_leaves_the_host_as_it_was() {
    let scenario = Scenario::behaves(|new| new.behaviour.switch = SwitchOutcome::Refused);
    let scenario = scenario.reverts("SwitchFailed(\"exit status 1\")");
    check(&scenario);
    assert!(!in_memory(&scenario).iter().any(|act| act.starts_with("activated") && !act.contains("by=boot")));
}

#[test]
fn a_unit_that_failed_before_does_not_hold_a_release_back() {
    let broken = |closure: &mut SimClosure| unit(closure, "old.service", UnitState::Fails);
    let acts = &["switchEnded by=forward result=exit status 4", "committed closure=new"];
    let scenario =
        Scenario { prior: broken, plane: Plane::Answers, ends: RootState::Committed, ..Scenario::behaves(broken) };
    check(&scenario.by(acts));
}

#[test]
fn a_prior_that_does_not_come_back_live_comes_back_by_boot() {
    let fails = |new: &mut SimClosure| unit(new, "web.service", UnitState::Fails);
    let stuck = |old: &mut SimClosure| old.behaviour.only_by_boot = true;
    let acts = &["rollbackFailed", "rebooted clean=true", "booted clean=true closure=old", "reverted closure=old"];
    check(&Scenario { prior: stuck, ..Scenario::behaves(fails) }.reverts("UnitsFailed").by(acts));
}

#[test]
fn a_failed_release_that_is_kept_stays_and_is_no_boot_default() {
    let fails = |new: &mut SimClosure| unit(new, "web.service", UnitState::Fails);
    let keep = |signed: &mut Signed| signed.policy["onFailure"] = json!("keep");
    let scenario = Scenario { signed: keep, ends: RootState::Kept, ..Scenario::behaves(fails) };
    check(&scenario.reverts("UnitsFailed").by(&["kept"]));
}

fn other_kernel(new: &mut SimClosure) {
    new.behaviour.boot_components = "linux-6.18".to_owned();
}

fn trial(signed: &mut Signed) {
    signed.reboot = "trial";
}

#[test]
fn a_trial_boot_proves_the_boot_before_the_default_changes() {
    let scenario = Scenario { signed: trial, plane: Plane::Answers, ends: RootState::Committed, ..Scenario::default() };
    let acts = &[
        "deferred",
        "trialOrdered closure=new",
        "rebooted clean=true",
        "booted clean=true closure=new",
        "defaultWritten by=forward closure=new",
        "committed closure=new",
    ];
    check(&Scenario { target: other_kernel, ..scenario }.by(acts));
}

#[test]
fn a_trial_boot_that_hangs_ends_in_the_prior() {
    let hangs = |new: &mut SimClosure| {
        other_kernel(new);
        new.behaviour.boots = Boots::Hangs;
    };
    let acts = &["trialOrdered", "bootHung closure=new", "booted clean=false closure=old", "reverted closure=old"];
    let scenario = Scenario { signed: trial, plane: Plane::Answers, ..Scenario::behaves(hangs) };
    check(&scenario.reverts("BootedElsewhere").by(acts));
}

#[test]
fn a_trial_boot_is_guarded_by_the_dead_man_whose_act_ends_in_the_prior() {
    let crash = |new: &mut SimClosure| {
        other_kernel(new);
        new.agent.agent = AgentKind::CrashLoop;
    };
    let acts = &[
        "booted clean=true closure=new",
        "deadManFired verdict=AgentCrashLoop",
        "rollbackFailed why=refused: another kernel runs",
        "booted clean=true closure=old",
        "reverted closure=old",
    ];
    let scenario = Scenario { signed: trial, plane: Plane::Answers, ..Scenario::behaves(crash) };
    check(&scenario.reverts("AgentCrashLoop").by(acts));
}

#[test]
fn a_switch_that_asks_for_a_reboot_waits_for_it() {
    let exit100 = |new: &mut SimClosure| new.behaviour.switch = SwitchOutcome::Exit100;
    let acts =
        &["switchEnded by=forward result=exit status 100", "deferred", "trialOrdered", "booted clean=true closure=new"];
    let scenario = Scenario { plane: Plane::Answers, ends: RootState::Committed, ..Scenario::behaves(exit100) };
    check(&scenario.by(acts));
}

#[test]
fn the_limit_that_is_printed_is_kept() {
    let Ok(behaviour) = serde_json::from_value::<Behaviour>(json!({ "switch": "hangs", "network": "broken" })) else {
        panic!("the file's words have changed")
    };
    assert_eq!((behaviour.switch, behaviour.network), (SwitchOutcome::Hangs, Network::Broken));
    let release = convoy::trust::draft(
        &json!({
            "schema": "convoy.release/1", "release": "stable@1", "policy": quick_policy(),
            "hosts": { "web1": { "closure": good("new", "").path.as_str() } },
            "waves": [{ "name": "all", "hosts": ["web1"] }],
        })
        .to_string(),
    );
    let limit = convoy::model::limit::self_rollback(&release.unwrap().policy).back_by;
    let ways: [fn(&mut SimClosure); 5] = [
        |new| new.behaviour.switch = SwitchOutcome::Hangs,
        |new| new.behaviour.network = Network::Broken,
        |new| new.agent.agent = AgentKind::Missing,
        |new| new.agent.agent = AgentKind::CrashLoop,
        |_| (),
    ];
    for way in ways {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let closures = Scenario::behaves(way).closures("");
            let host = memory(quick_machine(), &closures, Some(Signed::default()));
            host.boot();
            while !ended(&host.look().unwrap()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let times = tally::in_flight_intervals(&host.acts());
            let lasted = times[0].until_ms.unwrap() - times[0].from_ms;
            assert!(u128::from(lasted) <= limit.as_millis(), "{lasted} ms is longer than {limit:?}");
        });
    }
}
