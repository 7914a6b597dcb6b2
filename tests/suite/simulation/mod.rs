//! A whole fleet in one process on a paused clock: the real router, store contract, agents and hosts, with messages
//! lost and repeated, processes killed and memories lost, all from one seed.

mod check;
mod clock;
mod fleet;
mod plan;
mod rest;
mod transport;
mod watch;
mod world;

use crate::simulation::check::{History, Report};
use crate::simulation::world::World;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Simulated hosts.
const HOSTS: usize = 20;
/// Simulated time of one run.
const SPAN: Duration = Duration::from_secs(24 * 60 * 60);
/// Seeds that every run of the tests plays; `CONVOY_SEEDS` asks for more, or for fewer.
const SEEDS: u64 = 24;

fn seeds() -> u64 {
    std::env::var("CONVOY_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS)
}

/// Plays one seed on a runtime of its own whose clock jumps from timer to timer.
fn play(seed: u64) -> (History, Report) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(seed, HOSTS).await;
        plan::play(&mut world, SPAN).await;
        let history = world.history().await;
        let report = check::report(&world, &history);
        world.stop().await;
        (history, report)
    })
}

#[test]
fn days_with_every_fault_keep_the_promises() {
    let seeds = seeds();
    let (to, from) = mpsc::channel();
    let workers = thread::available_parallelism().map_or(2, usize::from).min(8);
    thread::scope(|scope| {
        for worker in 0..workers {
            let to = to.clone();
            scope.spawn(move || {
                for seed in (worker as u64..seeds).step_by(workers) {
                    let (_, report) = play(seed);
                    to.send((seed, report)).unwrap();
                }
            });
        }
        drop(to);
    });
    let mut sum = Report::default();
    let mut broken = Vec::new();
    for (seed, report) in from {
        broken.extend(report.broken.iter().map(|what| format!("seed {seed}: {what}")));
        sum.add(&report);
    }
    assert!(broken.is_empty(), "{} promises were broken:\n{}", broken.len(), broken.join("\n"));
    // A plan that does nothing proves nothing.
    assert!(sum.committed > 20 * seeds && sum.reverted > seeds, "{sum:?}");
    assert!(
        sum.agent_kills > seeds && sum.plane_kills > seeds && sum.wipes > seeds && sum.power_cuts > seeds,
        "{sum:?}"
    );
    assert!(sum.lost_messages > 100 * seeds && sum.repeated_messages > 10 * seeds, "{sum:?}");
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let (first, _) = play(7);
    let (second, _) = play(7);
    let (other, _) = play(8);
    assert!(first.lines.len() > 100, "a day leaves traces: {}", first.lines.len());
    for (n, (one, two)) in first.lines.iter().zip(&second.lines).enumerate() {
        assert_eq!(one, two, "the histories part at line {n}");
    }
    assert_eq!(first, second);
    assert_ne!(first, other);
}
