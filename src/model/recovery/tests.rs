//! Each way the memories of an attempt can disagree.

use crate::model::facts::{ProbeMode, ProbeOutcome, Verdict};
use crate::model::fleet::{OnFailure, RebootPolicy};
use crate::model::host_rollout::step::step;
use crate::model::host_rollout::{Event, HostRollout, HostRolloutState, Phase, Step, Terms};
use crate::model::id::{Attempt, BootId, Closure, ProbeName};
use crate::model::recovery::{Memories, Recovered, follow, from_root, recover};
use crate::model::root_record::{self, Launch, RootEvent, RootRecord, RootState, RootStep, SwitchResult};
use crate::model::time::{Stamp, Timestamp};
use std::time::Duration;

fn closure(letter: char) -> Closure {
    Closure::new(format!("/nix/store/{}-nixos-system", letter.to_string().repeat(32))).unwrap()
}

fn prior() -> Closure {
    closure('a')
}

fn target() -> Closure {
    closure('b')
}

fn at(boot: &str, secs: u64) -> Stamp {
    let wall = Timestamp(1_700_000_000_000 + i64::try_from(secs).unwrap() * 1000);
    Stamp { wall, boot: BootId::new(boot).unwrap(), uptime: Duration::from_secs(secs) }
}

fn terms() -> Terms {
    let secs = Duration::from_secs;
    Terms {
        target: target(),
        soak: secs(300),
        failure_after: secs(60),
        switch_limit: secs(600),
        commit_limit: secs(60),
        rollback_limit: secs(600),
        reboot_limit: secs(600),
        stage_limit: secs(600),
        isolation_limit: secs(1800),
        on_failure: OnFailure::Revert,
        reboot: RebootPolicy::Live,
    }
}

fn play(mut state: HostRollout, events: &[(Event, Stamp)]) -> HostRollout {
    for (event, now) in events {
        match step(&state, event, now) {
            Step::Moved(next, _) => state = *next,
            Step::Ignored(why) => panic!("{event:?} was ignored: {why}"),
        }
    }
    state
}

fn opened() -> HostRollout {
    play(HostRollout::open(Attempt::FIRST, terms(), &at("one", 0)), &[(Event::Staged, at("one", 1))])
}

fn activating() -> HostRollout {
    let started = Event::ActivationStarted { prior: prior() };
    play(opened(), &[(Event::DispatchAcked, at("one", 10)), (started, at("one", 11))])
}

fn soaking() -> HostRollout {
    let done = Event::ActivationCompleted { at: at("one", 20), notes: vec![] };
    play(activating(), &[(done, at("one", 21))])
}

fn probe() -> ProbeName {
    ProbeName::new("web").unwrap()
}

fn failing(from: u64) -> HostRollout {
    let declared = Event::ProbeTopologyDeclared([(probe(), ProbeMode::Enforce)].into());
    let failed = Event::ProbeResult { probe: probe(), outcome: ProbeOutcome::Fail("503".into()) };
    play(soaking(), &[(declared, at("one", 22)), (failed, at("one", from))])
}

fn root(events: &[(RootEvent, Stamp)]) -> RootRecord {
    let launch = Launch {
        rollout: "stable@1".parse().unwrap(),
        attempt: Attempt::FIRST,
        prior: prior(),
        terms: terms(),
        agent_timeout: Duration::from_secs(120),
        end_after: Duration::from_secs(3000),
    };
    let mut record = RootRecord::launch(launch, &at("one", 12));
    for (event, now) in events {
        match root_record::step(&record, event, now) {
            RootStep::Moved(next, _) => record = *next,
            RootStep::Ignored(why) => panic!("{event:?} was ignored: {why}"),
        }
    }
    record
}

fn good() -> (RootEvent, Stamp) {
    (RootEvent::Ended(SwitchResult::Good(vec![])), at("one", 20))
}

/// What the memories say; the rest is nothing.
struct Case<'a> {
    journal: Option<&'a HostRollout>,
    root: Option<&'a RootRecord>,
    snapshot: Option<&'a HostRollout>,
    running: Closure,
    now: Stamp,
}

fn check(case: &Case<'_>, state: HostRolloutState, events: usize) -> Recovered {
    let memories = Memories {
        journal: case.journal,
        root: case.root,
        snapshot: case.snapshot,
        running: &case.running,
        clean_shutdown: false,
    };
    let recovered = recover(&memories, &case.now).expect("a memory knows of the attempt");
    assert_eq!(recovered.state.state(), state, "{:?}", recovered.events);
    assert_eq!(recovered.events.len(), events, "{:?}", recovered.events);
    let replayed = recovered.events.iter().fold(case.journal.cloned(), |state, event| {
        let from = state.unwrap_or_else(opened);
        match step(&from, event, &case.now) {
            Step::Moved(next, _) => Some(*next),
            Step::Ignored(why) => panic!("{event:?} was ignored on replay: {why}"),
        }
    });
    assert_eq!(replayed.as_ref(), Some(&recovered.state), "the events lead to the state");
    let again = Memories { journal: Some(&recovered.state), ..memories };
    let twice = recover(&again, &case.now).expect("it is known now");
    assert_eq!(twice.events, vec![], "recovering twice changes nothing");
    recovered
}

#[test]
fn nothing_known_is_nothing_recovered() {
    let memories = Memories { journal: None, root: None, snapshot: None, running: &prior(), clean_shutdown: true };
    assert_eq!(recover(&memories, &at("one", 1)), None);
}

#[test]
fn a_fresh_intent_without_a_launch_is_launched() {
    let journal = activating();
    let case = Case { journal: Some(&journal), root: None, snapshot: None, running: prior(), now: at("one", 30) };
    check(&case, HostRolloutState::Activating, 0);
}

#[test]
fn an_old_intent_without_a_launch_lapses() {
    let journal = activating();
    let case = Case { journal: Some(&journal), root: None, snapshot: None, running: prior(), now: at("one", 71) };
    check(&case, HostRolloutState::Pending, 1);
}

#[test]
fn a_switch_that_ended_meanwhile_soaks_from_its_result() {
    let (journal, root) = (activating(), root(&[good()]));
    let case =
        Case { journal: Some(&journal), root: Some(&root), snapshot: None, running: target(), now: at("one", 200) };
    let recovered = check(&case, HostRolloutState::Soaking, 1);
    let Phase::Soaking(soaking) = recovered.state.phase else { panic!("soaking") };
    assert_eq!(soaking.since, at("one", 20));
}

#[test]
fn the_root_record_alone_is_enough() {
    let root = root(&[good()]);
    let case = Case { journal: None, root: Some(&root), snapshot: None, running: target(), now: at("one", 200) };
    let recovered = check(&case, HostRolloutState::Soaking, 2);
    let Phase::Soaking(soaking) = recovered.state.phase else { panic!("soaking") };
    assert_eq!(soaking.since, at("one", 20));
    assert_eq!(recovered.state.terms, terms());
}

#[test]
fn a_snapshot_restores_the_failure_clock() {
    let (root, snapshot) = (root(&[good()]), failing(50));
    let case =
        Case { journal: None, root: Some(&root), snapshot: Some(&snapshot), running: target(), now: at("one", 90) };
    let recovered = check(&case, HostRolloutState::Soaking, 1);
    let Phase::Soaking(soaking) = recovered.state.phase else { panic!("soaking") };
    assert_eq!(soaking.failing_since, Some(at("one", 50)));
}

#[test]
fn a_stale_snapshot_changes_nothing() {
    let (journal, root, snapshot) = (failing(50), root(&[good()]), activating());
    let case = Case {
        journal: Some(&journal),
        root: Some(&root),
        snapshot: Some(&snapshot),
        running: target(),
        now: at("one", 90),
    };
    check(&case, HostRolloutState::Soaking, 0);
}

#[test]
fn a_power_cut_in_a_soak_is_counted_and_waits_again() {
    let (journal, root) = (soaking(), root(&[good()]));
    let case = Case { journal: Some(&journal), root: Some(&root), snapshot: None, running: prior(), now: at("two", 5) };
    let recovered = check(&case, HostRolloutState::Pending, 1);
    assert_eq!(recovered.state.reboots.unclean, 1);
}

#[test]
fn a_power_cut_with_a_lost_journal_waits_again() {
    let root = root(&[good()]);
    let case = Case { journal: None, root: Some(&root), snapshot: None, running: prior(), now: at("two", 5) };
    check(&case, HostRolloutState::Pending, 2);
}

#[test]
fn a_verdict_after_the_commit_had_begun_gives_way_to_the_root_record() {
    let verdict = Event::SustainedFailure(Verdict::ProbesFailed(vec![probe()]));
    let failed = play(failing(300), &[(verdict, at("one", 360))]);
    let committed = root(&[good(), (RootEvent::CommitAsked, at("one", 350)), (RootEvent::CommitDone, at("one", 361))]);
    let events = follow(&failed, &committed, &target(), &at("one", 362));
    let state = play(failed.clone(), &events.into_iter().map(|event| (event, at("one", 362))).collect::<Vec<_>>());
    assert_eq!(state.state(), HostRolloutState::Converged);
    // Until it is committed, and where something else runs, the verdict stands.
    let committing = root(&[good(), (RootEvent::CommitAsked, at("one", 350))]);
    assert!(follow(&failed, &committed, &prior(), &at("one", 362)).is_empty());
    assert!(follow(&failed, &committing, &target(), &at("one", 362)).is_empty());
}

#[test]
fn a_commit_cut_by_power_is_finished_where_the_target_boots() {
    let (journal, root) = (soaking(), root(&[good(), (RootEvent::CommitAsked, at("one", 400))]));
    assert_eq!(root.state, RootState::Committing);
    let case =
        Case { journal: Some(&journal), root: Some(&root), snapshot: None, running: target(), now: at("two", 5) };
    check(&case, HostRolloutState::Soaking, 0);
    let RootStep::Moved(done, _) = root_record::step(&root, &RootEvent::CommitDone, &at("two", 6)) else {
        panic!("a commit ends")
    };
    check(&Case { root: Some(&done), ..case }, HostRolloutState::Converged, 2);
}

#[test]
fn a_commit_cut_by_power_is_undone_where_the_prior_boots() {
    let (journal, root) = (soaking(), root(&[good(), (RootEvent::CommitAsked, at("one", 400))]));
    let case = Case { journal: Some(&journal), root: Some(&root), snapshot: None, running: prior(), now: at("two", 5) };
    check(&case, HostRolloutState::Pending, 1);
}

#[test]
fn a_dead_man_that_acted_alone_is_believed() {
    let acted = [good(), (RootEvent::RevertAsked(Verdict::DeadMan), at("one", 150))];
    let (journal, reverting) = (soaking(), root(&acted));
    let case =
        Case { journal: Some(&journal), root: Some(&reverting), snapshot: None, running: prior(), now: at("one", 151) };
    check(&case, HostRolloutState::Failed, 1);
    let done = root(&[acted[0].clone(), acted[1].clone(), (RootEvent::RevertDone, at("one", 155))]);
    let recovered = check(&Case { root: Some(&done), ..case }, HostRolloutState::Reverted, 2);
    let Phase::Reverted(reverted) = recovered.state.phase else { panic!("reverted") };
    assert_eq!(reverted.verdict, Verdict::DeadMan);
}

#[test]
fn a_rewound_journal_catches_up_with_the_root_record() {
    let journal = opened();
    let committed = root(&[good(), (RootEvent::CommitAsked, at("one", 400)), (RootEvent::CommitDone, at("one", 401))]);
    let case = Case {
        journal: Some(&journal),
        root: Some(&committed),
        snapshot: None,
        running: target(),
        now: at("one", 500),
    };
    check(&case, HostRolloutState::Converged, 4);
}

#[test]
fn a_trial_boot_is_found_again_from_the_root_record_alone() {
    let deferred = RootEvent::Ended(SwitchResult::Deferred("kernel".into()));
    let booted = RootEvent::Booted(target());
    let mut events = vec![(deferred, at("one", 20)), (RootEvent::TrialOrdered, at("one", 30)), (booted, at("two", 9))];
    let up = root(&events);
    let case = Case { journal: None, root: Some(&up), snapshot: None, running: target(), now: at("two", 12) };
    check(&case, HostRolloutState::Activating, 1);
    events.push((RootEvent::Ended(SwitchResult::Good(vec![])), at("two", 15)));
    let judged = root(&events);
    let case = Case { journal: None, root: Some(&judged), snapshot: None, running: target(), now: at("two", 16) };
    let recovered = check(&case, HostRolloutState::Soaking, 2);
    let Phase::Soaking(soaking) = recovered.state.phase else { panic!("soaking") };
    assert_eq!(soaking.since, at("two", 15));
}

#[test]
fn a_trial_boot_soaks_from_its_result_and_fails_with_a_bad_one() {
    let deferred = SwitchResult::Deferred("kernel".into());
    let waits = play(activating(), &[(Event::ActivationDeferred("kernel".into()), at("one", 21))]);
    let ordered = play(waits, &[(Event::DispatchAcked, at("one", 25)), (Event::TrialBootStarted, at("one", 26))]);
    let booted = [
        (RootEvent::Ended(deferred), at("one", 20)),
        (RootEvent::TrialOrdered, at("one", 30)),
        (RootEvent::Booted(target()), at("two", 9)),
    ];
    let ended = |result| {
        let mut events = booted.to_vec();
        events.push((RootEvent::Ended(result), at("two", 15)));
        root(&events)
    };
    let verdict = Verdict::UnitsFailed(vec!["nginx.service".into()]);
    let bad = SwitchResult::Bad { verdict, log: String::new(), units: vec![] };
    let cases = [
        (root(&booted), HostRolloutState::Deferred, 0),
        (ended(SwitchResult::Good(vec![])), HostRolloutState::Soaking, 1),
        (ended(bad), HostRolloutState::Failed, 1),
    ];
    for (root, state, events) in cases {
        let case =
            Case { journal: Some(&ordered), root: Some(&root), snapshot: None, running: target(), now: at("two", 16) };
        check(&case, state, events);
    }
}

#[test]
fn a_reboot_before_the_trial_boot_was_ordered_blames_nobody() {
    let waits = play(activating(), &[(Event::ActivationDeferred("kernel".into()), at("one", 21))]);
    let journal = play(waits, &[(Event::DispatchAcked, at("one", 25)), (Event::TrialBootStarted, at("one", 26))]);
    let root = root(&[(RootEvent::Ended(SwitchResult::Deferred("kernel".into())), at("one", 20))]);
    let case =
        Case { journal: Some(&journal), root: Some(&root), snapshot: None, running: prior(), now: at("two", 16) };
    let recovered = check(&case, HostRolloutState::Deferred, 2);
    let Phase::Deferred(deferred) = recovered.state.phase else { panic!("deferred") };
    assert_eq!((deferred.acked, deferred.trial), (None, None));
}

#[test]
fn a_bad_switch_is_not_forgotten_over_a_reboot() {
    let verdict = Verdict::UnitsFailed(vec!["nginx.service".into()]);
    let bad = RootEvent::Ended(SwitchResult::Bad { verdict: verdict.clone(), log: String::new(), units: vec![] });
    let root = root(&[
        (bad, at("one", 20)),
        (RootEvent::Booted(prior()), at("two", 9)),
        (RootEvent::RevertDone, at("two", 9)),
    ]);
    for journal in [activating(), soaking()] {
        let memories = Memories {
            journal: Some(&journal),
            root: Some(&root),
            snapshot: None,
            running: &prior(),
            clean_shutdown: true,
        };
        let recovered = recover(&memories, &at("two", 12)).unwrap();
        let Phase::Reverted(reverted) = recovered.state.phase else { panic!("{:?}", recovered.state.phase) };
        assert_eq!(reverted.verdict, verdict);
    }
}

#[test]
fn somebody_elses_closure_is_left_alone() {
    let journal = soaking();
    let over = root(&[good(), (RootEvent::OvertakenBy(closure('c')), at("one", 100))]);
    let case =
        Case { journal: Some(&journal), root: Some(&over), snapshot: None, running: closure('c'), now: at("one", 101) };
    let recovered = check(&case, HostRolloutState::Failed, 1);
    assert!(recovered.state.is_final());
}

#[test]
fn a_machine_set_back_to_before_the_launch_waits_again() {
    let snapshot = soaking();
    let case = Case { journal: None, root: None, snapshot: Some(&snapshot), running: prior(), now: at("one", 30) };
    check(&case, HostRolloutState::Pending, 2);
}

#[test]
fn a_record_rebuilt_from_root_keeps_prior_and_start() {
    let state = from_root(&root(&[]));
    let Phase::Activating(activating) = state.phase else { panic!("activating") };
    assert_eq!((activating.prior, activating.started), (prior(), at("one", 12)));
}
