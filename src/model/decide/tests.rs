use super::*;
use crate::model::facts::{Closures, HostHold};
use crate::model::fleet::{InFlight, OnDrift, OnFailure, Policy, RebootPolicy, Target, Wave};
use crate::model::gate::ClearedBy;
use crate::model::gate::clearing::sort_first_to_clear;
use crate::model::host_rollout::{Cancelled, Deferred, HostRolloutState, Phase, Terms};
use crate::model::id::{Attempt, BootId};
use crate::model::rollout::{Halt, Place, RESTORED, RolloutState};
use crate::model::time::Stamp;
use crate::model::window::Window;
use proptest::prelude::*;
use std::time::Duration;

/// 2026-05-04T12:00:00Z, a Monday.
const NOON: Timestamp = Timestamp(1_777_896_000_000);
const MINUTE: Duration = Duration::from_secs(60);

fn host(name: &str) -> HostName {
    HostName::new(name).unwrap()
}

fn tag(name: &str) -> Tag {
    Tag::new(name).unwrap()
}

fn id(text: &str) -> RolloutId {
    text.parse().unwrap()
}

fn channel(name: &str) -> Channel {
    Channel::new(name).unwrap()
}

fn closure(letter: char) -> Closure {
    Closure::new(format!("/nix/store/{}-nixos-system-web1", letter.to_string().repeat(32))).unwrap()
}

fn stamp() -> Stamp {
    Stamp { wall: NOON, boot: BootId::new("boot1").unwrap(), uptime: Duration::ZERO }
}

/// Everything that a view borrows. As it is, `web1` in wave 2 of 3 may start.
#[derive(Clone)]
struct Scene {
    now: Timestamp,
    plane: PlaneFacts,
    host: HostFacts,
    release: Release,
    rollout: Rollout,
    record: HostRollout,
    tally: Tally,
    newest: RolloutId,
    in_flight_elsewhere: Option<RolloutId>,
    claimed_by: Option<RolloutId>,
    channel_quarantine: BTreeSet<Closure>,
    channels_done: BTreeMap<Channel, bool>,
    retry: bool,
    hosts_missing: Vec<HostName>,
    budgets: BTreeMap<Tag, u32>,
}

fn wave(name: &str, hosts: &[&str]) -> Wave {
    Wave {
        name: tag(name),
        hosts: hosts.iter().map(|name| host(name)).collect(),
        max_in_flight: Some(2),
        min_success: 1,
        max_failures: 0,
        wait: Duration::ZERO,
        not_before: Some(NOON),
        windows: vec![Window { days: [true; 7], from: 12 * 60, minutes: 60 }],
        approval: false,
        reboot: RebootPolicy::Live,
    }
}

fn policy() -> Policy {
    Policy {
        soak: MINUTE,
        failure_after: MINUTE,
        switch_limit: MINUTE,
        commit_limit: MINUTE,
        rollback_limit: MINUTE,
        reboot_limit: MINUTE,
        agent_timeout: MINUTE,
        isolation_limit: MINUTE,
        offline_grace: 10 * MINUTE,
        stage_limit: MINUTE,
        on_failure: OnFailure::Revert,
        on_supersede: InFlight::Finish,
        on_halt: InFlight::Finish,
        on_drift: OnDrift::Hold,
        budgets: BTreeMap::from([(tag("db"), 1), (tag("unrelated"), 0)]),
        host_order: BTreeMap::new(),
        after_channels: BTreeSet::from([channel("base")]),
    }
}

fn scene() -> Scene {
    let target = |letter| Target { closure: closure(letter), tags: BTreeSet::from([tag("db")]) };
    let release = Release {
        id: id("stable@2"),
        digest: crate::model::id::Digest::new("0".repeat(64)).unwrap(),
        hosts: [("web0", 'a'), ("web1", 'b'), ("web2", 'c')].map(|(name, l)| (host(name), target(l))).into(),
        waves: vec![wave("canary", &["web0"]), wave("half", &["web1"]), wave("rest", &["web2"])],
        policy: policy(),
        again: false,
    };
    let rollout = Rollout { state: RolloutState::Advancing { wave: 1 }, ..Rollout::open(&release) };
    let facts = HostFacts {
        name: host("web1"),
        heard: Some(NOON.minus(10 * MINUTE)),
        heard_since_start: true,
        closures: Closures { running: Some(closure('z')), booted: None, default: None },
        holds: Vec::new(),
        operator_hold: None,
        cloned: false,
        revoked: None,
        quarantined: vec![closure('z')],
        journal: None,
        boot: None,
    };
    let terms = Terms::of(&release, &facts.name).unwrap();
    Scene {
        now: NOON,
        plane: PlaneFacts { up_for: MINUTE, grace: MINUTE },
        host: facts,
        record: HostRollout::open(Attempt::FIRST, terms, &stamp()),
        rollout,
        tally: Tally { in_flight: 1, ..Tally::default() },
        newest: release.id.clone(),
        release,
        in_flight_elsewhere: None,
        claimed_by: None,
        channel_quarantine: BTreeSet::from([closure('z')]),
        channels_done: BTreeMap::from([(channel("base"), true)]),
        retry: false,
        hosts_missing: Vec::new(),
        budgets: BTreeMap::from([(tag("db"), 0)]),
    }
}

impl Scene {
    fn decide(&self) -> Vec<(Gate, Hold)> {
        decide(&View {
            now: self.now,
            plane: self.plane,
            host: &self.host,
            release: &self.release,
            rollout: &self.rollout,
            record: &self.record,
            tally: self.tally,
            newest: &self.newest,
            in_flight_elsewhere: self.in_flight_elsewhere.clone(),
            claimed_by: self.claimed_by.clone(),
            channel_quarantine: &self.channel_quarantine,
            channels_done: self.channels_done.clone(),
            retry: self.retry,
            hosts_missing: self.hosts_missing.clone(),
            budgets: self.budgets.clone(),
        })
    }

    fn own_wave(&mut self) -> &mut Wave {
        &mut self.release.waves[1]
    }
}

/// Something that is wrong, and the hold that it alone gives.
type Flaw = (fn(&mut Scene), Hold);

fn flaws() -> Vec<Flaw> {
    vec![
        (|s| s.host.quarantined.push(closure('b')), Hold::QuarantinedHere(closure('b'))),
        (
            |s| {
                s.channel_quarantine.insert(closure('b'));
            },
            Hold::QuarantinedInChannel(closure('b')),
        ),
        (|s| s.host.operator_hold = Some("disk swap".into()), Hold::HeldByOperator("disk swap".into())),
        (|s| s.record.phase = left(), Hold::NotWaiting(HostRolloutState::Cancelled)),
        (|s| s.newest = id("stable@3"), Hold::SupersededBy(id("stable@3"))),
        (|s| s.in_flight_elsewhere = Some(id("edge@1")), Hold::InFlightElsewhere(id("edge@1"))),
        (
            |s| {
                s.channels_done.insert(channel("base"), false);
            },
            Hold::AfterChannel(channel("base")),
        ),
        (|s| s.tally.in_flight = 2, Hold::WaveFull { in_flight: 2, limit: 2 }),
        (|s| s.hosts_missing = vec![host("db1")], Hold::AfterHosts(vec![host("db1")])),
        (
            |s| {
                s.budgets.insert(tag("db"), 1);
            },
            Hold::BudgetSpent { budget: tag("db"), in_flight: 1, limit: 1 },
        ),
        (|s| s.own_wave().windows[0].minutes = 0, Hold::WindowClosed(None)),
        (|s| s.own_wave().not_before = Some(NOON.plus(MINUTE)), Hold::NotBefore(NOON.plus(MINUTE))),
        (|s| s.own_wave().approval = true, Hold::ApprovalNeeded(1)),
        (|s| s.host.heard = None, Hold::NeverHeard),
        (|s| s.host.closures.running = None, Hold::FactMissing("the closure that the host runs")),
        (|s| s.claimed_by = Some(id("edge@1")), Hold::ClaimedBy(id("edge@1"))),
        (|s| s.host.cloned = true, Hold::Cloned),
        (|s| s.host.revoked = Some(NOON), Hold::Revoked(NOON)),
        (|s| s.plane.up_for = Duration::from_secs(59), Hold::JustStarted(Duration::from_secs(1))),
        (|s| s.host.holds.push(HostHold::Lock), Hold::OnHost(HostHold::Lock)),
        (|s| s.host.holds.push(HostHold::ClockBehind), Hold::OnHost(HostHold::ClockBehind)),
    ]
}

/// What a rollout's own state adds: only one of them can be at a time.
fn states() -> Vec<(RolloutState, Vec<Hold>)> {
    let not_open = |open| Hold::WaveNotOpen { wave: 1, open };
    let paused = |by: &str, at| RolloutState::Paused { by: by.into(), at };
    let why = Halt::TooManyFailures { failed: 3, allowed: 1 };
    vec![
        (RolloutState::Opened, vec![not_open(None)]),
        (RolloutState::Advancing { wave: 0 }, vec![not_open(Some(0))]),
        (RolloutState::Advancing { wave: 2 }, vec![]),
        (RolloutState::Completed, vec![]),
        (RolloutState::Halted { why, wave: 1 }, vec![Hold::RolloutHalted("in wave 2: 3 failed, 1 allowed".into())]),
        (paused("ada", Place::Wave(1)), vec![Hold::RolloutPaused("ada".into())]),
        (paused("ada", Place::Completed), vec![Hold::RolloutPaused("ada".into())]),
        (paused("ada", Place::Opened), vec![Hold::RolloutPaused("ada".into()), not_open(None)]),
        (paused(RESTORED, Place::Wave(0)), vec![not_open(Some(0)), Hold::RestoredStore]),
        (RolloutState::Superseded { by: id("stable@3") }, vec![Hold::SupersededBy(id("stable@3"))]),
        (RolloutState::Cancelled { by: "ada".into() }, vec![Hold::RolloutCancelled("ada".into())]),
    ]
}

fn left() -> Phase {
    Phase::Cancelled(Cancelled { why: "ordered".into(), at: stamp() })
}

fn deferred() -> Phase {
    let (prior, since) = (closure('z'), stamp());
    Phase::Deferred(Deferred { prior, why: "kernel".into(), since, acked: None, trial: None })
}

fn only(change: impl FnOnce(&mut Scene)) -> Vec<Hold> {
    let mut scene = scene();
    change(&mut scene);
    scene.decide().into_iter().map(|(_, hold)| hold).collect()
}

#[test]
fn nothing_wrong_is_the_permit() {
    assert_eq!(scene().decide(), []);
}

#[test]
fn a_host_that_waits_for_its_reboot_may_get_its_second_permit() {
    assert_eq!(only(|s| s.record.phase = deferred()), []);
}

#[test]
fn each_flaw_alone_gives_exactly_its_hold_at_its_gate() {
    for (flaw, hold) in flaws() {
        let mut scene = scene();
        flaw(&mut scene);
        assert_eq!(scene.decide(), [(hold.gate(), hold)]);
    }
}

#[test]
fn each_rollout_state_gives_exactly_its_holds() {
    for (state, holds) in states() {
        assert_eq!(only(|s| s.rollout.state = state.clone()), holds, "{state:?}");
    }
}

#[test]
fn every_gate_has_one_rule_in_the_order_of_evaluation() {
    assert_eq!(RULES.map(|(gate, _)| gate), Gate::ALL);
    let mut sorted = Gate::ALL;
    sorted.sort_unstable();
    assert_eq!(sorted, Gate::ALL, "Ord follows the order of evaluation");
    let known: BTreeSet<Gate> = flaws().iter().map(|(_, hold)| hold.gate()).collect();
    assert_eq!(known.len(), Gate::ALL.len(), "each gate holds for some flaw above");
}

#[test]
fn a_host_that_the_release_does_not_name_is_held_and_never_passed() {
    let holds = only(|s| s.host.name = host("stranger"));
    assert!(holds.contains(&Hold::NotInRelease));
    let no_wave = only(|s| {
        s.own_wave().hosts.remove(&host("web1"));
    });
    assert!(no_wave.contains(&Hold::NotInRelease));
    let no_closure = only(|s| drop(s.release.hosts.remove(&host("web1"))));
    assert!(no_closure.contains(&Hold::NotInRelease));
}

#[test]
fn counts_and_channels_that_are_not_known_hold() {
    assert_eq!(only(|s| s.channels_done.clear()), [Hold::AfterChannel(channel("base"))]);
    assert!(matches!(only(|s| s.budgets.clear())[..], [Hold::FactMissing(_)]));
}

#[test]
fn a_budget_counts_only_where_the_host_has_its_tag() {
    assert_eq!(
        only(|s| {
            s.budgets.insert(tag("unrelated"), 9);
        }),
        []
    );
}

#[test]
fn quarantine_is_lifted_by_a_retry_and_by_a_release_that_says_again() {
    let quarantine = |s: &mut Scene| {
        s.host.quarantined.push(closure('b'));
        s.channel_quarantine.insert(closure('b'));
        s.host.holds.push(HostHold::Quarantined(closure('b')));
    };
    assert_eq!(only(quarantine).len(), 3);
    for lift in [|s: &mut Scene| s.retry = true, |s: &mut Scene| s.release.again = true] {
        assert_eq!(only(|s| (quarantine(s), lift(s)).0), []);
    }
    let other = HostHold::Quarantined(closure('c'));
    assert_eq!(only(|s| (s.retry = true, s.host.holds.push(other.clone())).0), [Hold::OnHost(other)]);
}

#[test]
fn an_approval_holds_its_wave_only_and_expires() {
    let approved = |until| {
        move |s: &mut Scene| {
            s.own_wave().approval = true;
            s.rollout.approved.insert(1, until);
        }
    };
    assert_eq!(only(approved(None)), []);
    assert_eq!(only(approved(Some(NOON.plus(MINUTE)))), []);
    assert_eq!(only(approved(Some(NOON))), [Hold::ApprovalNeeded(1)]);
    let another = |s: &mut Scene| {
        s.own_wave().approval = true;
        s.rollout.approved.insert(0, None);
    };
    assert_eq!(only(another), [Hold::ApprovalNeeded(1)]);
}

#[test]
fn silence_longer_than_the_grace_holds() {
    let silent = 10 * MINUTE + Duration::from_millis(1);
    assert_eq!(only(|s| s.host.heard = Some(NOON.minus(silent))), [Hold::Silent(silent)]);
    assert_eq!(only(|s| s.host.heard_since_start = false), [Hold::NotHeardSinceStart]);
}

#[test]
fn a_closed_window_says_when_it_opens() {
    let opens = NOON.plus(24 * 60 * MINUTE);
    assert_eq!(only(|s| s.now = NOON.plus(60 * MINUTE))[0], Hold::WindowClosed(Some(opens)));
}

#[test]
fn a_limit_of_zero_holds_for_good() {
    let holds = only(|s| (s.tally.in_flight = 0, s.own_wave().max_in_flight = Some(0)).0);
    assert_eq!(holds, [Hold::WaveFull { in_flight: 0, limit: 0 }]);
    assert_eq!(holds[0].cleared_by(), ClearedBy::Release);
    assert_eq!(only(|s| (s.tally.in_flight = 99, s.own_wave().max_in_flight = None).0), []);
}

#[test]
fn drift_holds_only_where_policy_says_so() {
    let drift = HostHold::Drift(closure('d'));
    for (policy, holds) in [(OnDrift::Hold, 1), (OnDrift::Report, 0), (OnDrift::Reconcile, 0)] {
        let found = only(|s| {
            s.release.policy.on_drift = policy;
            s.host.holds.push(drift.clone());
        });
        assert_eq!(found.len(), holds, "{policy:?}");
    }
}

#[test]
fn a_root_helper_busy_with_this_deferred_attempt_does_not_hold_it() {
    let busy = |rollout: &str, phase: Option<Phase>| {
        only(|s| {
            s.host.holds.push(HostHold::Busy(id(rollout)));
            s.record.phase = phase.unwrap_or(s.record.phase.clone());
        })
    };
    assert_eq!(busy("stable@2", Some(deferred())), []);
    assert_eq!(busy("stable@1", Some(deferred())).len(), 1);
    assert_eq!(busy("stable@2", None).len(), 1);
}

#[test]
fn the_first_to_clear_comes_first() {
    let mut holds = only(|s| {
        s.own_wave().approval = true;
        s.own_wave().not_before = Some(NOON.plus(MINUTE));
        s.own_wave().windows[0].minutes = 0;
        s.tally.in_flight = 2;
        s.plane.up_for = Duration::ZERO;
        s.plane.grace = Duration::from_secs(5);
        s.host.heard = None;
    })
    .into_iter()
    .map(|hold| (hold.gate(), hold))
    .collect::<Vec<_>>();
    sort_first_to_clear(&mut holds, NOON);
    let gates: Vec<_> = holds.iter().map(|(gate, _)| *gate).collect();
    let first = [Gate::RestoredStore, Gate::NotBefore, Gate::Wave, Gate::Freshness, Gate::Approval, Gate::Window];
    assert_eq!(gates, first);
}

proptest! {
    #[test]
    fn one_more_flaw_never_removes_a_hold(
        chosen in prop::collection::vec(any::<bool>(), flaws().len()),
        more in 0..flaws().len(),
        state in 0..states().len(),
    ) {
        let flaws = flaws();
        let mut scene = scene();
        scene.rollout.state = states()[state].0.clone();
        for ((flaw, _), chosen) in flaws.iter().zip(chosen) {
            if chosen { flaw(&mut scene) }
        }
        let before = scene.decide();
        (flaws[more].0)(&mut scene);
        let after = scene.decide();
        prop_assert!(after.iter().any(|(_, hold)| *hold == flaws[more].1));
        for hold in &before {
            prop_assert!(after.contains(hold), "{hold:?} went away");
            prop_assert_eq!(hold.0, hold.1.gate());
        }
        prop_assert!(after.is_sorted_by_key(|(gate, _)| *gate));
    }
}
