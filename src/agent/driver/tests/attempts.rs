use super::world::{FAILURE, Grant, SOAK, WRONG, World, closure, manifest, rollout, sign};
use crate::model::facts::Verdict;
use crate::model::host_rollout::{HostRolloutState as State, Phase};
use crate::model::id::Attempt;
use crate::model::root_record::RootState;
use crate::system::sim::backing::Backing;
use crate::system::sim::closure::{AgentKind, Network, SwitchOutcome, UnitState};
use crate::wire::v1::agent::Act;

fn verdict(world: &World) -> Verdict {
    let phase = world.phase();
    if let Phase::Reverted(reverted) = phase {
        return reverted.verdict;
    }
    let Phase::Failed(failed) = phase else { panic!("not failed: {phase:?}") };
    failed.verdict
}

#[tokio::test(start_paused = true)]
async fn a_good_release_is_switched_to_once_and_committed_after_its_soak() {
    let world = World::ordered(closure("1"));
    world.until(State::Soaking).await;
    let soaking = world.secs();
    world.until(State::Converged).await;
    let took = world.secs() - soaking;
    assert!((SOAK - 1..SOAK + 8).contains(&took), "soaked for {took} s");
    let kinds = world.plane.kinds();
    assert_eq!(
        kinds,
        [
            "staged",
            "dispatchAcked",
            "activationStarted",
            "activationCompleted",
            "probeTopologyDeclared",
            "probeResult",
            "committed",
            "converged"
        ]
    );
    assert_eq!(world.switches(), 1);
    let state = world.host.snapshot();
    assert_eq!((&state.running, &state.loader), (&world.target, &world.target));
    world.assert_gapless();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_switched_without_a_permit_and_a_refusal_waits_for_new_orders() {
    let world = World::start(closure("1"));
    world.plane.lock().grant = Grant::No;
    world.plane.order(1, Act::Start);
    world.until_it("a refusal", |world| world.plane.kinds().contains(&"permitLapsed".to_owned())).await;
    world.pass(600).await;
    assert_eq!(world.switches(), 0);
    assert_eq!(world.plane.kinds().iter().filter(|kind| *kind == "dispatchAcked").count(), 1);
    world.plane.lock().grant = Grant::Yes;
    world.plane.order(1, Act::Start);
    world.until(State::Converged).await;
    assert_eq!(world.switches(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_only_to_stage_does_not_ask() {
    let world = World::start(closure("1"));
    world.plane.order(1, Act::Stage);
    world.until(State::Pending).await;
    world.pass(120).await;
    assert_eq!(world.plane.kinds(), ["staged"]);
    world.plane.order(1, Act::Start);
    world.until(State::Activating).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_after_a_minute_is_not_used() {
    let world = World::start(closure("1"));
    world.plane.lock().grant = Grant::Lost(1000);
    world.plane.order(1, Act::Start);
    world.until_it("a lapse", |world| world.plane.kinds().contains(&"permitLapsed".to_owned())).await;
    world.plane.lock().grant = Grant::Yes;
    world.pass(300).await;
    assert_eq!(world.switches(), 0);
    world.assert_gapless();
}

#[tokio::test(start_paused = true)]
async fn the_same_question_is_asked_again_until_it_is_answered() {
    let world = World::start(closure("1"));
    world.plane.lock().grant = Grant::Lost(3);
    world.plane.order(1, Act::Start);
    world.until(State::Converged).await;
    assert_eq!(world.plane.kinds().iter().filter(|kind| *kind == "dispatchAcked").count(), 1);
    assert_eq!(world.switches(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failing_switch_is_undone_and_its_closure_quarantined() {
    for (outcome, units) in [(SwitchOutcome::Fails, UnitState::Ok), (SwitchOutcome::Ok, UnitState::Fails)] {
        let world = World::ordered(closure("1").with(|it| {
            it.behaviour.switch = outcome;
            it.behaviour.units.insert("db.service".to_owned(), units);
        }));
        world.until(State::Reverted).await;
        assert_eq!(world.running(), world.prior);
        assert!(verdict(&world).blames_closure());
        // Ordered again under a new number, the host holds itself back until an operator says retry.
        world.plane.order(2, Act::Start);
        world.pass(120).await;
        assert_eq!(world.switches(), 1);
        let held = world.plane.lock().beats.last().unwrap().clone();
        assert_eq!(held.quarantined, std::slice::from_ref(&world.target));
        assert_eq!(held.holds.len(), 1);
        world.plane.order(2, Act::Retry);
        world.until_it("a second switch", |world| world.switches() == 2).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_for_the_failure_time_is_a_verdict_also_without_a_control_plane() {
    let world = World::ordered(closure("1").with(|it| {
        it.behaviour.units.insert("web.service".to_owned(), UnitState::FailsAfterMs(20_000));
    }));
    world.until(State::Soaking).await;
    world.plane.lock().up = false;
    world.pass(20 + FAILURE + 15).await;
    assert_eq!(world.running(), world.prior);
    world.plane.lock().up = true;
    world.until(State::Reverted).await;
    let Verdict::ProbesFailed(names) = verdict(&world) else { panic!("{:?}", verdict(&world)) };
    assert_eq!(names.iter().map(ToString::to_string).collect::<Vec<_>>(), ["web"]);
    world.assert_gapless();
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_has_not_spoken_yet_is_not_blamed_for_one_that_failed_for_a_moment() {
    let good = closure("1").with(|it| {
        it.health_checks = serde_json::json!({"version": 1, "probes": [
            {"name": "web", "kind": "unit", "unit": "web.service", "intervalMs": 2000, "timeoutMs": 1000},
            {"name": "slow", "kind": "unit", "unit": "db.service", "intervalMs": 1_800_000, "timeoutMs": 5000},
        ]})
        .to_string();
        it.behaviour.units.insert("db.service".to_owned(), UnitState::Ok);
    });
    let mut broken = good.clone();
    broken.behaviour.units.insert("web.service".to_owned(), UnitState::Fails);
    let world = World::start(good.clone());
    let mut long = manifest(&world.target);
    long["policy"]["soakMs"] = 1_200_000.into();
    world.plane.set_release(sign(&long, 5));
    world.plane.order(1, Act::Start);
    world.until(State::Soaking).await;
    world.host.add_closure(broken);
    world
        .until_it("a failure", |world| matches!(world.phase(), Phase::Soaking(it) if it.failing_since.is_some()))
        .await;
    world.host.add_closure(good);
    world.until(State::Converged).await;
}

#[tokio::test(start_paused = true)]
async fn a_release_that_breaks_the_network_is_undone() {
    let world = World::ordered(closure("1").with(|it| it.behaviour.network = Network::Broken));
    world.until_it("the switch", |world| world.running() == world.target).await;
    let switched = world.secs();
    world.until_it("the way back", |world| world.running() == world.prior).await;
    assert!(world.secs() - switched < 800, "{} s", world.secs() - switched);
    world.until(State::Reverted).await;
}

#[tokio::test(start_paused = true)]
async fn a_release_with_the_wrong_control_plane_is_undone_as_such() {
    let world = World::ordered(closure("1").with(|it| it.agent.control_plane = WRONG.to_owned()));
    world.until_it("the switch", |world| world.running() == world.target).await;
    let switched = world.secs();
    world.until(State::Reverted).await;
    assert_eq!(verdict(&world), Verdict::ControlPlaneLost);
    assert!(world.secs() - switched < FAILURE + 60, "{} s", world.secs() - switched);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_does_not_come_up_is_undone_by_the_dead_man() {
    for kind in [AgentKind::CrashLoop, AgentKind::Missing] {
        let world = World::ordered(closure("1").with(|it| it.agent.agent = kind));
        world.until_it("the switch", |world| world.running() == world.target).await;
        world.until(State::Reverted).await;
        assert!(matches!(verdict(&world), Verdict::AgentCrashLoop | Verdict::DeadMan), "{:?}", verdict(&world));
        assert_eq!(world.running(), world.prior);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_of_before_the_switch_proves_nothing() {
    let world = World::ordered(closure("1"));
    world.until(State::Activating).await;
    world.plane.lock().closed = true;
    world.until_it("the switch", |world| world.running() == world.target).await;
    world.until_it("the way back", |world| world.running() == world.prior).await;
    assert_eq!(world.host.snapshot().loader, world.prior, "committed over an old connection");
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_hangs_is_undone() {
    let world = World::ordered(closure("1").with(|it| it.behaviour.switch = SwitchOutcome::Hangs));
    world.until(State::Reverted).await;
    assert_eq!((verdict(&world), world.running()), (Verdict::SwitchTimedOut, world.prior.clone()));
}

#[tokio::test(start_paused = true)]
async fn a_control_plane_outage_longer_than_the_failure_time_reverts_nothing() {
    let world = World::ordered(closure("1"));
    world.until(State::Soaking).await;
    world.plane.lock().up = false;
    world.pass(SOAK + 5 * FAILURE).await;
    assert_eq!((world.running(), world.switches()), (world.target.clone(), 1));
    assert_ne!(world.host.snapshot().loader, world.target, "the commit waits");
    world.plane.lock().up = true;
    world.until(State::Converged).await;
    world.assert_gapless();
}

#[tokio::test(start_paused = true)]
async fn a_host_without_a_control_plane_reverts_at_the_isolation_limit_and_blames_nobody() {
    let world = World::ordered(closure("1"));
    world.until(State::Soaking).await;
    world.plane.lock().up = false;
    world.pass(SOAK + 300 + 60).await;
    assert_eq!(world.running(), world.prior);
    world.plane.lock().up = true;
    world.until(State::Reverted).await;
    assert_eq!(verdict(&world), Verdict::Isolated);
    let beat = world.plane.lock().beats.last().unwrap().clone();
    assert!(beat.quarantined.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_order_to_go_back_is_followed_without_quarantine() {
    let world = World::ordered(closure("1"));
    world.until(State::Soaking).await;
    world.plane.order(1, Act::Revert { why: "the rollout halted".to_owned() });
    world.until(State::Reverted).await;
    assert_eq!(verdict(&world), Verdict::Ordered("the rollout halted".to_owned()));
    world.pass(60).await;
    assert!(world.plane.lock().beats.last().unwrap().quarantined.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_has_begun_is_not_contradicted_by_a_verdict() {
    // The helper begins a commit that the agent never hears of; the probes fail while it runs.
    let world = World::ordered(closure("1").with(|it| {
        it.behaviour.units.insert("web.service".to_owned(), UnitState::FailsAfterMs(10_000));
        it.behaviour.commit_ms = 6_000;
    }));
    world.until(State::Soaking).await;
    world.pass(10 + FAILURE - 4).await;
    let host = crate::system::sim::host::SimHost::attach(world.host.clone()).unwrap();
    crate::system::System::commit(&host, &rollout(), Attempt::FIRST).await.unwrap();
    world.until(State::Converged).await;
    assert!(!world.plane.kinds().contains(&"sustainedFailure".to_owned()), "{:?}", world.plane.kinds());
    assert_eq!(world.host.snapshot().loader, world.target);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_policy_keeps_says_so_until_the_root_helper_has_heard_it() {
    let world = World::start(closure("1").with(|it| {
        it.behaviour.units.insert("web.service".to_owned(), UnitState::FailsAfterMs(10_000));
    }));
    let mut kept = manifest(&world.target);
    kept["policy"]["onFailure"] = "keep".into();
    world.plane.set_release(sign(&kept, 5));
    world.plane.order(1, Act::Start);
    world.until(State::Failed).await;
    world.pass(30).await;
    let record = |world: &World| world.host.snapshot().records[0].state;
    assert_eq!(record(&world), RootState::Kept);
    // As if the order had been lost on its way.
    world
        .host
        .change(|draft| {
            draft.state.records[0].state = RootState::Soaking;
            Ok(())
        })
        .unwrap();
    assert!(world.host.kill_agent());
    world.pass(30).await;
    assert_eq!((record(&world), world.running()), (RootState::Kept, world.target.clone()));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_attempt_does_nothing_and_a_started_one_finishes() {
    let world = World::start(closure("1"));
    world.plane.order(1, Act::Stage);
    world.until(State::Pending).await;
    world.plane.order(1, Act::Cancel { why: "a newer release".to_owned() });
    world.until(State::Cancelled).await;
    let started = World::ordered(closure("1"));
    started.until(State::Soaking).await;
    started.plane.order(1, Act::Cancel { why: "a newer release".to_owned() });
    started.until(State::Converged).await;
}

#[tokio::test(start_paused = true)]
async fn a_target_that_runs_already_converges_without_a_switch() {
    let world = World::start_with(closure("1"), closure("1"));
    world.plane.order(1, Act::Stage);
    world.until(State::Converged).await;
    assert_eq!(world.switches(), 0);
    let Phase::Converged(converged) = world.phase() else { panic!() };
    assert!(!converged.activated);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_after_the_commit_is_told_and_changes_nothing() {
    let world = World::ordered(closure("1").with(|it| {
        it.behaviour.units.insert("web.service".to_owned(), UnitState::FailsAfterMs(300_000));
    }));
    world.until(State::Converged).await;
    world.pass(600).await;
    let Phase::Converged(converged) = world.phase() else { panic!() };
    assert!(converged.failing.is_some());
    assert_eq!(world.running(), world.target);
}

#[tokio::test(start_paused = true)]
async fn an_operator_who_switches_in_mid_soak_is_left_alone() {
    let world = World::ordered(closure("1"));
    let other = closure("manual");
    world.host.add_closure(other.clone());
    world.until(State::Soaking).await;
    let host = crate::system::sim::host::SimHost::attach(world.host.clone()).unwrap();
    crate::system::sim::power::manual_switch(&host, &other.path).await.unwrap();
    world.until(State::Failed).await;
    world.pass(900).await;
    assert_eq!((verdict(&world), world.running()), (Verdict::Overtaken, other.path));
}

#[tokio::test(start_paused = true)]
async fn an_idle_agent_is_quiet() {
    let world = World::ordered(closure("1"));
    world.until(State::Converged).await;
    world.pass(120).await;
    let before = world.plane.lock().requests;
    world.pass(3600).await;
    let asked = world.plane.lock().requests - before;
    // A heartbeat every 30 s and a poll every 55 s.
    assert!(asked < 200, "{asked} requests in an hour");
}
