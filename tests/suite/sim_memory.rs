//! The simulated host in memory, on a paused clock: what a simulator does to it, and that it does the same twice.

use crate::sim_world::{Signed, good, memory, quick_machine, short};
use convoy::model::facts::Verdict;
use convoy::model::id::Attempt;
use convoy::model::root_record::{RootRecord, RootState};
use convoy::system::sim::backing::Backing;
use convoy::system::sim::closure::{AgentKind, SimClosure};
use convoy::system::sim::error::SimError;
use convoy::system::sim::host::SimHost;
use convoy::system::sim::log::Act;
use convoy::system::sim::machine::Faults;
use convoy::system::sim::memory::MemoryHost;
use convoy::system::sim::{power, tally};
use convoy::system::{System, SystemError};
use serde_json::json;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// The most simulated time that anything expected may take.
const PATIENCE: Duration = Duration::from_secs(3600);

fn closures(target: fn(&mut SimClosure)) -> [SimClosure; 2] {
    let versioned = |closure: &mut SimClosure| closure.agent.version = "2".to_owned();
    [good("old", "http://plane"), good("new", "http://plane").with(versioned).with(target)]
}

fn booted(target: fn(&mut SimClosure), signed: Signed) -> MemoryHost {
    let host = memory(quick_machine(), &closures(target), Some(signed));
    host.boot();
    host
}

fn long_soak() -> Signed {
    let mut signed = Signed::default();
    signed.policy["soakMs"] = json!(60_000);
    signed
}

async fn record(host: &MemoryHost, is: impl Fn(&RootRecord) -> bool) -> RootRecord {
    let found = async {
        loop {
            match host.look().unwrap().records.first().filter(|record| is(record)) {
                Some(record) => return record.clone(),
                None => sleep(Duration::from_millis(5)).await,
            }
        }
    };
    match timeout(PATIENCE, found).await {
        Ok(record) => record,
        Err(_) => panic!("{:#?}\n{:#?}", host.look().unwrap().records, host.acts()),
    }
}

fn in_state(state: RootState) -> impl Fn(&RootRecord) -> bool {
    move |record| record.state == state
}

#[test]
fn the_same_history_twice() {
    let play = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let host = booted(|_| (), long_soak());
            record(&host, in_state(RootState::Soaking)).await;
            sleep(Duration::from_millis(777)).await;
            host.power_cut().unwrap();
            host.boot();
            record(&host, in_state(RootState::Soaking)).await;
            assert!(host.kill_agent());
            record(&host, in_state(RootState::Committed)).await;
            host.acts()
        })
    };
    let first = play();
    assert!(first.len() > 10);
    assert_eq!(first, play());
}

#[tokio::test(start_paused = true)]
async fn a_power_cut_ends_every_task_and_the_prior_boots() {
    let host = booted(|new| new.behaviour.switch_ms = 5_000, long_soak());
    record(&host, |record| record.state == RootState::Launched).await;
    sleep(Duration::from_secs(1)).await;
    let old = SimHost::attach(host.clone()).unwrap();
    host.power_cut().unwrap();
    let before = host.acts();
    sleep(Duration::from_secs(600)).await;
    assert_eq!(host.acts(), before, "something went on without power");
    assert!(matches!(SimHost::attach(host.clone()), Err(SimError::Off)));
    assert!(matches!(old.agent_started().await, Err(SystemError::Failed { .. })));
    host.boot();
    record(&host, in_state(RootState::Committed)).await;
    let acts: Vec<String> = host.acts().iter().filter_map(short).collect();
    assert!(acts.iter().any(|act| act == "booted clean=false closure=old"), "{acts:#?}");
    assert_eq!(tally::duplicate_activations(&host.acts()), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_of_an_earlier_attempt_moves_no_later_one() {
    let host = booted(|_| (), long_soak());
    let open = record(&host, in_state(RootState::Soaking)).await;
    let earlier = Attempt(open.attempt.0 + 6);
    host.change(|draft| {
        draft.state.records.push(RootRecord { attempt: earlier, ..open.clone() });
        Ok(())
    })
    .unwrap();
    let hands = SimHost::attach(host.clone()).unwrap();
    let refused = |said: Result<(), SystemError>| assert!(matches!(said, Err(SystemError::Refused(_))), "{said:?}");
    refused(hands.revert(&open.rollout, earlier, &Verdict::DeadMan, false).await);
    refused(hands.revert(&open.rollout, earlier, &Verdict::DeadMan, true).await);
    refused(hands.commit(&open.rollout, earlier).await);
    assert_eq!(host.look().unwrap().records[0].state, RootState::Soaking);
    record(&host, in_state(RootState::Committed)).await;
}

#[tokio::test(start_paused = true)]
async fn a_reboot_in_the_soak_brings_the_prior_and_the_attempt_goes_on() {
    let host = booted(|_| (), long_soak());
    record(&host, in_state(RootState::Soaking)).await;
    host.reboot().unwrap();
    record(&host, in_state(RootState::Committed)).await;
    let acts: Vec<String> = host.acts().iter().filter_map(short).collect();
    let seen: Vec<usize> = ["rebooted clean=true", "booted clean=true closure=old", "reverted closure=old verdict="]
        .map(|act| acts.iter().rposition(|line| line == act).unwrap_or_else(|| panic!("no {act}: {acts:#?}")))
        .to_vec();
    assert!(seen.is_sorted() && host.look().unwrap().clean_shutdown);
}

#[tokio::test(start_paused = true)]
async fn two_kills_of_the_agent_are_survived_and_three_are_a_crash_loop() {
    for (kills, ends) in [(2, RootState::Committed), (3, RootState::Reverted)] {
        let host = booted(|_| (), long_soak());
        record(&host, in_state(RootState::Soaking)).await;
        for _ in 0..kills {
            sleep(Duration::from_secs(5)).await;
            assert!(host.kill_agent());
        }
        let ended = record(&host, in_state(ends)).await;
        let verdict = (ends == RootState::Reverted).then_some(Verdict::AgentCrashLoop);
        assert_eq!(ended.verdict, verdict);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_wall_clock_moves_no_deadline() {
    let host = booted(|_| (), long_soak());
    let soaking = record(&host, in_state(RootState::Soaking)).await;
    for hours in [3, -3] {
        host.set_wall_offset(hours * 3_600_000);
        sleep(Duration::from_secs(10)).await;
    }
    record(&host, in_state(RootState::Committed)).await;
    let begun = soaking.result.unwrap().1;
    let committed = host.acts().into_iter().find(|entry| matches!(entry.act, Act::Committed { .. })).unwrap();
    let soaked = Duration::from_millis(committed.uptime_ms) - begun.uptime;
    assert!((60..62).contains(&soaked.as_secs()), "{soaked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_boots_under_a_new_boot_id_and_the_log_goes_on() {
    let host = booted(|_| (), long_soak());
    let snapshot = host.snapshot();
    record(&host, in_state(RootState::Committed)).await;
    assert!(matches!(host.restore(snapshot.clone()), Err(SimError::Refused(_))));
    host.power_cut().unwrap();
    let (boot, acts) = (host.look().unwrap().boot, host.acts().len());
    host.restore(snapshot).unwrap();
    assert!(host.look().unwrap().records.is_empty());
    host.boot();
    record(&host, in_state(RootState::Committed)).await;
    assert_ne!(host.look().unwrap().boot, boot);
    let numbers: Vec<u64> = host.acts().iter().map(|entry| entry.n).collect();
    assert!(numbers.len() > acts && numbers == (1..=numbers.len() as u64).collect::<Vec<u64>>());
}

#[tokio::test(start_paused = true)]
async fn a_person_at_the_machine_overtakes() {
    let host = booted(|_| (), long_soak());
    record(&host, in_state(RootState::Soaking)).await;
    let own = good("own", "http://plane");
    host.add_closure(own.clone());
    power::manual_switch(&SimHost::attach(host.clone()).unwrap(), &own.path).await.unwrap();
    record(&host, in_state(RootState::Overtaken)).await;
    sleep(Duration::from_secs(600)).await;
    let state = host.look().unwrap();
    assert_eq!((state.running, state.loader, state.jobs.len()), (own.path.clone(), own.path, 0));
}

#[tokio::test(start_paused = true)]
async fn without_a_cable_nothing_is_reached() {
    let nobody = |new: &mut SimClosure| new.agent.agent = AgentKind::Missing;
    let host = booted(nobody, Signed::default());
    let on = record(&host, in_state(RootState::Soaking)).await;
    let system = SimHost::attach(host.clone()).unwrap();
    assert!(
        system.network_up().await && system.prior_reaches_control_plane(&on.rollout, Attempt::FIRST).await.unwrap()
    );
    power::set_faults(&host, &Faults { cable_out: true, ..Faults::default() }).unwrap();
    assert!(!system.network_up().await);
    assert!(!system.prior_reaches_control_plane(&on.rollout, Attempt::FIRST).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_day_of_nothing_costs_nothing() {
    let host = booted(|_| (), Signed::default());
    record(&host, in_state(RootState::Committed)).await;
    let (acts, revision) = (host.acts().len(), host.look().unwrap().revision);
    sleep(Duration::from_secs(24 * 3600)).await;
    assert_eq!((host.acts().len(), host.look().unwrap().revision), (acts, revision));
}
