//! The simulated host on disk, with real processes: what is killed when, what must not be, and that nothing is left.

use crate::process::{CONVOY_AGENT, PATIENCE, Process, run, until};
use crate::sim_world::{Disk, Signed, foreign_trust, good, healthy_plane, order, quick_machine};
use convoy::model::facts::{HostHold, Verdict};
use convoy::model::id::RolloutId;
use convoy::model::root_record::{RootState, SwitchResult};
use convoy::runtime::clock::{Clock, SystemClock};
use convoy::system::sim::closure::{self, AgentKind, SimClosure, SwitchOutcome};
use convoy::system::sim::disk::DiskHost;
use convoy::system::sim::host::SimHost;
use convoy::system::sim::log::{Act, By, Entry};
use convoy::system::sim::machine::{Faults, Machine};
use convoy::system::sim::state::{Job, JobState, Mark};
use convoy::system::sim::{power, process, tally};
use convoy::system::{System, SystemError};
use nix::sys::signal::Signal;
use serde_json::json;
use std::time::Duration;

/// A host whose agent is nobody, so that the test speaks for it; and its order.
struct Manual {
    disk: Disk,
    host: SimHost<DiskHost>,
    order: convoy::system::StartOrder,
}

impl Manual {
    fn new(target: fn(&mut SimClosure)) -> Self {
        Self::with(target, &Signed::default())
    }

    fn with(target: fn(&mut SimClosure), signed: &Signed) -> Self {
        Self::on(quick_machine(), target, signed)
    }

    fn on(machine: Machine, target: fn(&mut SimClosure), signed: &Signed) -> Self {
        let nobody = |closure: &mut SimClosure| closure.agent.agent = AgentKind::Missing;
        let closures = [good("old", "").with(nobody), good("new", "").with(nobody).with(target)];
        let mut disk = Disk::new(machine, &closures, None);
        let host = disk.boot();
        let order = order(&host, &signed.sign(&closures[1], SystemClock.wall()));
        Self { disk, host, order }
    }

    async fn start(&self) -> Result<(), SystemError> {
        self.host.stage(&self.order.terms.target).await?;
        self.host.start(&self.order).await
    }

    async fn soaking(&self) {
        self.start().await.unwrap();
        self.disk.record("soak", |record| record.state == RootState::Soaking);
    }

    fn id(&self) -> &RolloutId {
        &self.order.rollout
    }

    fn boot_again(&mut self) {
        self.host = self.disk.boot();
    }

    fn job(&self, job: Job) -> Mark {
        let found = until("long act", PATIENCE, || match self.disk.state().jobs.get(&job) {
            Some(JobState::Runs(mark)) => Some(*mark),
            Some(JobState::Wanted) | None => None,
        });
        assert!(process::is_alive(found));
        found
    }

    /// Cuts the power, boots again, and checks that the prior runs and that the attempt may be launched again.
    fn power_cut_ends_in_the_prior(mut self) {
        self.disk.verb("power-cut", &[]);
        until("end of every process", PATIENCE, || self.disk.processes().is_empty().then_some(()));
        self.boot_again();
        let state = self.disk.state();
        assert_eq!((&state.running, &state.booted), (&state.generations[0], &state.generations[0]));
        assert!(!state.clean_shutdown);
        let record = self.disk.record("end", convoy::model::root_record::RootRecord::is_final);
        assert!(record.may_relaunch(), "{record:#?}");
        let state = self.disk.state();
        assert_eq!((&state.profile, &state.loader), (&state.running, &state.running));
        assert!(self.disk.acts().iter().any(|entry| entry.act == Act::PowerCut));
    }
}

fn activated(acts: &[Entry], by: By) -> usize {
    let of = |entry: &&Entry| matches!(entry.act, Act::Activated { by: who, .. } if who == by);
    acts.iter().filter(of).count()
}

fn slow_switch(new: &mut SimClosure) {
    (new.behaviour.switch_ms, new.behaviour.activate_at_ms) = (60_000, 0);
}

fn slow_commit(new: &mut SimClosure) {
    new.behaviour.commit_ms = 1_500;
}

#[tokio::test]
async fn power_cut_before_the_switch_moved_anything_ends_in_the_prior() {
    let manual = Manual::new(|new| (new.behaviour.switch_ms, new.behaviour.activate_at_ms) = (60_000, 60_000));
    manual.start().await.unwrap();
    manual.disk.act("switch", |act| matches!(act, Act::SwitchStarted { .. }));
    manual.power_cut_ends_in_the_prior();
}

#[tokio::test]
async fn power_cut_in_mid_switch_ends_in_the_prior() {
    let manual = Manual::new(slow_switch);
    manual.start().await.unwrap();
    manual.disk.act("activation", |act| matches!(act, Act::Activated { by: By::Forward, .. }));
    manual.power_cut_ends_in_the_prior();
}

#[tokio::test]
async fn power_cut_in_mid_soak_ends_in_the_prior() {
    let manual = Manual::new(|_| ());
    manual.soaking().await;
    manual.power_cut_ends_in_the_prior();
}

#[tokio::test]
async fn power_cut_between_profile_and_loader_ends_in_the_prior() {
    let manual = Manual::new(slow_commit);
    manual.soaking().await;
    manual.host.commit(manual.id(), manual.order.attempt).await.unwrap();
    until("profile", PATIENCE, || {
        let state = manual.disk.state();
        (state.profile != state.loader).then_some(())
    });
    manual.power_cut_ends_in_the_prior();
}

#[tokio::test]
async fn power_cut_after_the_loader_was_written_finishes_the_commit() {
    let mut manual = Manual::new(slow_commit);
    manual.soaking().await;
    manual.host.commit(manual.id(), manual.order.attempt).await.unwrap();
    let target = manual.order.terms.target.clone();
    until("loader", PATIENCE, || (manual.disk.state().loader == target).then_some(()));
    manual.disk.verb("power-cut", &[]);
    assert_eq!(manual.disk.state().records[0].state, RootState::Committing);
    manual.boot_again();
    manual.disk.record("commit", |record| record.state == RootState::Committed);
    let state = manual.disk.state();
    assert_eq!((&state.running, &state.profile, &state.loader), (&target, &target, &target));
}

#[tokio::test]
async fn a_clean_reboot_in_mid_soak_ends_in_the_prior_and_leaves_a_mark() {
    let manual = Manual::new(|_| ());
    manual.soaking().await;
    let before = manual.disk.state().boot;
    manual.disk.verb("reboot", &[]);
    until("boot", PATIENCE, || {
        let state = manual.disk.state();
        (state.power && state.boot != before).then_some(())
    });
    let record = manual.disk.record("end", convoy::model::root_record::RootRecord::is_final);
    assert!(record.may_relaunch() && manual.disk.state().clean_shutdown);
    // A handle of the boot before sees nothing and does nothing.
    assert!(manual.host.observe().await.is_err() && manual.start().await.is_err());
}

#[tokio::test]
async fn an_interrupted_attempt_is_launched_again_and_committed() {
    let mut manual = Manual::new(|_| ());
    manual.soaking().await;
    manual.disk.verb("power-cut", &[]);
    manual.boot_again();
    manual.disk.record("end", convoy::model::root_record::RootRecord::may_relaunch);
    manual.soaking().await;
    manual.host.commit(manual.id(), manual.order.attempt).await.unwrap();
    manual.disk.record("commit", |record| record.state == RootState::Committed);
    let acts = manual.disk.acts();
    assert_eq!((activated(&acts, By::Forward), tally::duplicate_activations(&acts)), (2, 0));
    assert_eq!(manual.disk.state().records.len(), 1);
}

#[tokio::test]
async fn a_killed_agent_neither_stops_the_switch_nor_escapes_the_dead_man() {
    let plane = healthy_plane();
    let slow =
        |closure: &mut SimClosure| (closure.behaviour.switch_ms, closure.behaviour.activate_at_ms) = (1_000, 900);
    // A dead agent stays dead.
    let machine = Machine { restart_delay_ms: 3_600_000, ..quick_machine() };
    let mut disk =
        Disk::new(machine, &[good("old", &plane), good("new", &plane).with(slow)], Some(Signed::impatient()));
    disk.boot();
    disk.act("switch", |act| matches!(act, Act::SwitchStarted { by: By::Forward, .. }));
    let agent = disk.state().agent.unwrap();
    process::signal(agent, Signal::SIGKILL);
    until("death", PATIENCE, || (!process::is_alive(agent)).then_some(()));
    assert_eq!(activated(&disk.acts(), By::Forward), 0);
    let record = disk.record("result", |record| record.result.is_some());
    assert!(matches!(record.result, Some((SwitchResult::Good(_), _))), "{record:#?}");
    let record = disk.record("rollback", |record| record.state == RootState::Reverted);
    assert_eq!(record.verdict, Some(Verdict::DeadMan));
    assert!(disk.acts().iter().any(|entry| matches!(entry.act, Act::DeadManFired { .. })));
    assert_eq!(disk.state().running, record.prior);
}

#[tokio::test]
async fn the_dead_man_is_a_process_that_the_machine_brings_back() {
    let manual = Manual::with(|_| (), &Signed::impatient());
    manual.soaking().await;
    let first = manual.job(Job::DeadMan);
    process::signal(first, Signal::SIGKILL);
    until("death", PATIENCE, || (!process::is_alive(first)).then_some(()));
    until("another dead-man", PATIENCE, || match manual.disk.state().jobs.get(&Job::DeadMan) {
        Some(JobState::Runs(mark)) if *mark != first => Some(()),
        Some(_) | None => None,
    });
    let record = manual.disk.record("rollback", |record| record.state == RootState::Reverted);
    assert_eq!(record.verdict, Some(Verdict::DeadMan));
}

#[tokio::test]
async fn a_killed_switch_has_an_unknown_outcome_and_is_undone() {
    let manual = Manual::with(slow_switch, &Signed::impatient());
    manual.start().await.unwrap();
    manual.disk.act("activation", |act| matches!(act, Act::Activated { by: By::Forward, .. }));
    process::signal(manual.job(Job::Forward), Signal::SIGKILL);
    let record = manual.disk.record("rollback", |record| record.state == RootState::Reverted);
    assert!(matches!(record.result, Some((SwitchResult::Bad { .. }, _))), "{record:#?}");
    assert_eq!(manual.disk.state().running, record.prior);
}

#[tokio::test]
async fn a_killed_commit_is_finished_and_a_killed_rollback_too() {
    let manual = Manual::new(slow_commit);
    manual.soaking().await;
    manual.host.commit(manual.id(), manual.order.attempt).await.unwrap();
    process::signal(manual.job(Job::Commit), Signal::SIGKILL);
    manual.disk.record("commit", |record| record.state == RootState::Committed);

    let manual = Manual::new(slow_switch);
    manual.start().await.unwrap();
    let slow = |old: &mut SimClosure| (old.behaviour.switch_ms, old.behaviour.activate_at_ms) = (700, 600);
    let old = manual.disk.state();
    let mut prior = closure::read(&old.machine.store, &old.running).unwrap();
    slow(&mut prior);
    closure::write(&old.machine.store, &prior).unwrap();
    manual.host.revert(manual.id(), manual.order.attempt, &Verdict::Ordered("test".to_owned()), false).await.unwrap();
    process::signal(manual.job(Job::Revert), Signal::SIGKILL);
    manual.disk.record("rollback", |record| record.state == RootState::Reverted);
}

#[tokio::test]
async fn starting_twice_starts_once() {
    let manual = Manual::new(|_| ());
    manual.soaking().await;
    for _ in 0..5 {
        manual.start().await.unwrap();
    }
    manual.host.commit(manual.id(), manual.order.attempt).await.unwrap();
    manual.host.commit(manual.id(), manual.order.attempt).await.unwrap();
    manual.disk.record("commit", |record| record.state == RootState::Committed);
    manual.start().await.unwrap();
    let acts = manual.disk.acts();
    assert_eq!(activated(&acts, By::Forward), 1);
    assert_eq!(acts.iter().filter(|entry| matches!(entry.act, Act::SwitchStarted { .. })).count(), 1);
    assert_eq!(manual.disk.state().records.len(), 1);
}

#[tokio::test]
async fn a_start_that_died_after_its_record_is_taken_up_by_the_next() {
    let manual = Manual::new(|_| ());
    manual.host.stage(&manual.order.terms.target).await.unwrap();
    // The record is there, its switch is wanted, and nobody has started it.
    let start = manual.host.change(|draft| {
        let launch = convoy::model::root_record::Launch {
            rollout: manual.order.rollout.clone(),
            attempt: manual.order.attempt,
            prior: draft.state.running.clone(),
            terms: manual.order.terms.clone(),
            agent_timeout: manual.order.agent_timeout,
            end_after: manual.order.end_after,
        };
        let record = convoy::model::root_record::RootRecord::launch(launch, &draft.now);
        draft.state.records.insert(0, record);
        draft.want(Job::DeadMan);
        draft.want(Job::Forward);
        draft.launches.clear();
        Ok(())
    });
    start.unwrap();
    manual.soaking().await;
    assert_eq!(activated(&manual.disk.acts(), By::Forward), 1);
}

#[tokio::test]
async fn a_commit_is_never_reverted_and_a_rollback_never_committed() {
    let manual = Manual::new(slow_commit);
    manual.soaking().await;
    manual.host.commit(manual.id(), manual.order.attempt).await.unwrap();
    let why = Verdict::Ordered("test".to_owned());
    for keep in [false, true] {
        let refused = manual.host.revert(manual.id(), manual.order.attempt, &why, keep).await;
        assert!(matches!(refused, Err(SystemError::Refused(_))), "{refused:?}");
    }
    manual.disk.record("commit", |record| record.state == RootState::Committed);

    let manual = Manual::new(slow_switch);
    manual.start().await.unwrap();
    manual.host.revert(manual.id(), manual.order.attempt, &why, false).await.unwrap();
    let refused = manual.host.commit(manual.id(), manual.order.attempt).await;
    assert!(matches!(refused, Err(SystemError::Refused(_))), "{refused:?}");
    manual.disk.record("rollback", |record| record.state == RootState::Reverted);
}

#[tokio::test]
async fn a_manual_switch_overtakes_and_is_not_undone() {
    let manual = Manual::new(|_| ());
    manual.soaking().await;
    let own = good("own", "");
    closure::write(&manual.disk.state().machine.store, &own).unwrap();
    manual.disk.verb("switch", &[own.path.as_str()]);
    let record = manual.disk.record("overtaking", |record| record.state == RootState::Overtaken);
    assert_eq!((record.verdict, record.deadline), (Some(Verdict::Overtaken), None));
    until("end of the dead-man", PATIENCE, || manual.disk.state().jobs.is_empty().then_some(()));
    let state = manual.disk.state();
    assert_eq!((&state.running, &state.profile, &state.loader), (&own.path, &own.path, &own.path));
    let records = manual.host.status().await.unwrap();
    assert_eq!(records[0].state, RootState::Overtaken);
    assert_eq!(activated(&manual.disk.acts(), By::Rollback), 0);
}

#[tokio::test]
async fn a_manual_switch_back_to_the_prior_overtakes_too() {
    let manual = Manual::new(|_| ());
    manual.soaking().await;
    let prior = manual.disk.state().records[0].prior.clone();
    manual.disk.verb("switch", &[prior.as_str()]);
    manual.disk.record("overtaking", |record| record.state == RootState::Overtaken);
}

#[tokio::test]
async fn two_switches_never_run_at_once() {
    let manual = Manual::new(slow_switch);
    manual.start().await.unwrap();
    let ended = run(CONVOY_AGENT, &["simulate", "switch", &manual.disk.home(), manual.order.terms.target.as_str()]);
    assert_eq!(ended.code(), 1, "{ended:?}");
    assert!(ended.stderr.contains("Lock"), "{ended:?}");

    let manual = Manual::new(|_| ());
    let own = good("own", "").with(|own| (own.behaviour.switch_ms, own.behaviour.activate_at_ms) = (60_000, 60_000));
    closure::write(&manual.disk.state().machine.store, &own).unwrap();
    let mut person = Process::start(CONVOY_AGENT, &["simulate", "switch", &manual.disk.home(), own.path.as_str()]);
    manual.disk.act("switch", |act| matches!(act, Act::ManualSwitch { .. }));
    assert!(manual.host.observe().await.unwrap().holds.contains(&HostHold::Lock));
    // The default is written already, before anything is proven: that hold is named first.
    assert_eq!(manual.start().await, Err(SystemError::Held(HostHold::BootDefaultDiffers)));
    person.kill();
    assert!(!manual.host.change(|draft| Ok(draft.lock_is_held())).unwrap(), "a dead switch holds no lock");
}

#[tokio::test]
async fn what_is_not_signed_for_this_host_and_time_does_not_start() {
    let check = async |signed: Signed, says: fn(&HostHold) -> bool| {
        let manual = Manual::with(|_| (), &signed);
        let refused = manual.start().await;
        let Err(SystemError::Held(hold)) = &refused else { panic!("{refused:?}") };
        assert!(says(hold), "{hold:?}");
        assert!(manual.disk.state().records.is_empty());
    };
    let signed = Signed::default;
    check(Signed { lease: (-3, -1), ..signed() }, |hold| matches!(hold, HostHold::Lease(_))).await;
    check(Signed { lease: (1, 3), ..signed() }, |hold| matches!(hold, HostHold::ClockBehind)).await;

    let mut manual = Manual::new(|_| ());
    manual.order.signed_release = manual.order.signed_release.replace("soakMs\\\":400", "soakMs\\\":100");
    let refused = manual.start().await;
    assert!(matches!(refused, Err(SystemError::Held(HostHold::Untrusted(_)))), "{refused:?}");

    let mut manual = Manual::new(|_| ());
    manual.order.terms.soak = Duration::ZERO;
    let refused = manual.start().await;
    assert!(matches!(refused, Err(SystemError::Refused(_))), "{refused:?}");
}

#[tokio::test]
async fn an_older_release_does_not_start_after_a_newer_one() {
    let mut manual =
        Manual::with(|new| new.behaviour.switch = SwitchOutcome::Refused, &Signed { sequence: 9, ..Signed::default() });
    manual.soaking().await;
    let why = Verdict::Ordered("test".to_owned());
    manual.host.revert(manual.id(), manual.order.attempt, &why, false).await.unwrap();
    manual.disk.record("rollback", |record| record.state == RootState::Reverted);
    let target = closure::read(&manual.disk.state().machine.store, &manual.order.terms.target).unwrap();
    let older = Signed { id: "stable@0", sequence: 8, ..Signed::default() };
    manual.order = order(&manual.host, &older.sign(&target, SystemClock.wall()));
    let refused = manual.start().await;
    assert!(matches!(refused, Err(SystemError::Held(HostHold::Untrusted(_)))), "{refused:?}");
}

#[tokio::test]
async fn the_commit_needs_a_target_that_trusts_its_own_release() {
    let manual = Manual::with(|new| new.trust = foreign_trust(), &Signed::impatient());
    manual.soaking().await;
    let refused = manual.host.commit(manual.id(), manual.order.attempt).await;
    assert!(refused.is_err(), "{refused:?}");
    manual.disk.record("rollback", |record| record.state == RootState::Reverted);
}

#[tokio::test]
async fn a_machine_that_is_not_fit_holds_itself_back() {
    let check = async |faults: Faults, hold: fn(&HostHold) -> bool| {
        let manual = Manual::with(
            |new| new.behaviour.boot_components = "other".to_owned(),
            &Signed { reboot: "trial", ..Signed::default() },
        );
        manual.host.stage(&manual.order.terms.target).await.unwrap();
        power::set_faults(&manual.disk.host, &faults).unwrap();
        let refused = manual.start().await;
        let Err(SystemError::Held(held)) = &refused else { panic!("{refused:?}") };
        assert!(hold(held), "{held:?}");
    };
    check(Faults { disk_full: true, ..Faults::default() }, |hold| matches!(hold, HostHold::Disk(_))).await;
    check(Faults { no_oneshot: true, ..Faults::default() }, |hold| matches!(hold, HostHold::NoTrialBoot(_))).await;
}

#[tokio::test]
async fn another_attempt_waits_until_the_open_one_has_ended() {
    let mut manual = Manual::new(slow_switch);
    manual.start().await.unwrap();
    let first = manual.order.clone();
    let target = closure::read(&manual.disk.state().machine.store, &first.terms.target).unwrap();
    let next = Signed { id: "stable@2", sequence: 2, ..Signed::default() };
    manual.order = order(&manual.host, &next.sign(&target, SystemClock.wall()));
    assert_eq!(manual.start().await, Err(SystemError::Held(HostHold::Busy(first.rollout.clone()))));
}

#[tokio::test]
async fn a_deferred_attempt_is_left_for_the_next_release() {
    let signed = Signed { reboot: "trial", ..Signed::default() };
    let mut manual = Manual::with(|new| new.behaviour.boot_components = "other".to_owned(), &signed);
    manual.start().await.unwrap();
    let waits = manual.disk.record("deferral", |record| record.result.is_some());
    assert!(matches!(waits.result, Some((SwitchResult::Deferred(_), _))));
    let target = closure::read(&manual.disk.state().machine.store, &manual.order.terms.target).unwrap();
    let next = Signed { id: "stable@2", sequence: 2, ..Signed::default() };
    manual.order = order(&manual.host, &next.sign(&target, SystemClock.wall()));
    manual.soaking().await;
    let records = manual.host.status().await.unwrap();
    assert_eq!((records[0].rollout.clone(), records[1].state), (manual.order.rollout.clone(), RootState::Reverted));
}

#[tokio::test]
async fn wall_time_may_jump_without_moving_a_deadline() {
    let manual = Manual::new(|_| ());
    manual.soaking().await;
    for hours in [3, -3] {
        manual.disk.host.set_wall_offset(hours * 3_600_000).unwrap();
        let before = SystemClock.wall();
        let shown = manual.host.now().wall;
        assert!((shown.0 - before.0 - hours * 3_600_000).abs() < 60_000);
        manual.host.pat(manual.id(), manual.order.attempt).await.unwrap();
        manual.host.status().await.unwrap();
        assert_eq!(manual.disk.state().records[0].state, RootState::Soaking);
    }
    manual.host.commit(manual.id(), manual.order.attempt).await.unwrap();
    manual.disk.record("commit", |record| record.state == RootState::Committed);
}

#[tokio::test]
async fn a_machine_ends_with_whoever_started_it() {
    let plane = healthy_plane();
    let mut disk = Disk::new(quick_machine(), &[good("old", &plane), good("new", &plane)], Some(Signed::default()));
    let mut parent = Process::start("sleep", &["1000"]);
    let args = ["simulate", "boot", &disk.home(), "--parent-pid", &parent.pid().to_string()];
    disk.machine = Some(Process::start(CONVOY_AGENT, &args));
    disk.act("agent", |act| matches!(act, Act::AgentStarted));
    parent.kill();
    until("end of every process", PATIENCE, || disk.processes().is_empty().then_some(()));
    assert!(!disk.state().power && disk.state().shutdown_mark);
}

#[tokio::test]
async fn a_machine_that_is_killed_takes_its_agent_with_it_and_counts_as_a_power_cut() {
    let plane = healthy_plane();
    let mut disk = Disk::new(quick_machine(), &[good("old", &plane), good("new", &plane)], None);
    disk.boot();
    until("agent", PATIENCE, || disk.state().agent);
    let second = run(CONVOY_AGENT, &["simulate", "boot", &disk.home()]);
    assert!(second.code() == 1 && second.stderr.contains("on already"), "{second:?}");
    let agent = disk.state().agent.unwrap();
    disk.machine.as_mut().unwrap().kill();
    disk.boot();
    assert!(!process::is_alive(agent) && !disk.state().clean_shutdown);
    assert!(disk.acts().iter().any(|entry| entry.act == Act::PowerCut));
}

#[tokio::test]
async fn an_agent_that_dies_is_started_again_and_a_switch_restarts_it() {
    let plane = healthy_plane();
    let policy = json!({ "soakMs": 60_000, "commitLimitMs": 3000, "agentTimeoutMs": 10_000 });
    let signed = Signed { policy, ..Signed::default() };
    let newer = good("new", &plane).with(|new| new.agent.version = "2".to_owned());
    let mut disk = Disk::new(quick_machine(), &[good("old", &plane), newer], Some(signed));
    disk.boot();
    let starts = || disk.acts().iter().filter(|entry| entry.act == Act::AgentStarted).count();
    disk.record("soak", |record| record.state == RootState::Soaking);
    until("agent of the target", PATIENCE, || (starts() == 2).then_some(()));
    process::signal(disk.state().agent.unwrap(), Signal::SIGKILL);
    until("agent started again", PATIENCE, || (starts() == 3).then_some(()));
    assert_eq!(disk.state().records[0].agent_starts.len(), 1, "only what happens in the soak counts");
}

#[tokio::test]
async fn an_earlier_copy_of_the_files_boots_under_a_boot_id_of_its_own() {
    let mut manual = Manual::new(|_| ());
    manual.disk.verb("stop", &[]);
    let state = manual.disk.host.dir().join("state.json");
    let copy = std::fs::read(&state).unwrap();
    manual.boot_again();
    let seen = manual.disk.state().boot;
    manual.disk.verb("power-cut", &[]);
    std::fs::write(&state, copy).unwrap();
    let before = manual.disk.acts().len();
    manual.boot_again();
    assert_ne!(manual.disk.state().boot, seen);
    // The log is outside the machine: it goes on.
    let numbers: Vec<u64> = manual.disk.acts().iter().map(|entry| entry.n).collect();
    assert!(numbers.len() > before && numbers == (1..=numbers.len() as u64).collect::<Vec<u64>>(), "{numbers:?}");
}

#[tokio::test]
async fn only_the_last_records_and_their_releases_are_kept() {
    let mut manual = Manual::new(|new| new.behaviour.switch = SwitchOutcome::Refused);
    let target = closure::read(&manual.disk.state().machine.store, &manual.order.terms.target).unwrap();
    let ids = ["a@1", "a@2", "a@3", "a@4", "a@5", "a@6", "a@7", "a@8", "a@9", "a@10"];
    for (n, id) in ids.into_iter().enumerate() {
        let signed = Signed { id, sequence: n as u64 + 1, ..Signed::default() };
        manual.order = order(&manual.host, &signed.sign(&target, SystemClock.wall()));
        manual.soaking().await;
        let why = Verdict::Ordered("test".to_owned());
        manual.host.revert(manual.id(), manual.order.attempt, &why, false).await.unwrap();
        manual.disk.record("rollback", |record| record.state == RootState::Reverted);
    }
    let kept: Vec<String> =
        manual.host.status().await.unwrap().iter().map(|record| record.rollout.to_string()).collect();
    assert_eq!(kept, ["a@10", "a@9", "a@8", "a@7", "a@6", "a@5", "a@4", "a@3"]);
    let releases = std::fs::read_dir(manual.disk.host.dir().join("releases")).unwrap().count();
    assert_eq!(releases, kept.len());
}
