//! What happens to the fleet in a day, drawn from the seed; and an operator who does what operators do.

use crate::simulation::fleet::Quality;
use crate::simulation::rest;
use crate::simulation::watch::look;
use crate::simulation::world::World;
use convoy::client::operator::{self, HostAct, RolloutAct};
use convoy::store::memory::MemoryStore;
use convoy::system::sim::state::HostState;
use convoy::wire::v1::operator::ActRequest;
use rand::Rng;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How often the promises are looked at, besides after every fault, repair and release.
const LOOK: Duration = Duration::from_secs(5);
/// How often the operator looks.
const OPERATOR: Duration = Duration::from_secs(600);
/// The last part of the day is without faults: whatever happened, the fleet has to come to rest.
const CALM: Duration = Duration::from_secs(4 * 3600);
/// The mean time between two faults.
const BETWEEN_FAULTS: u64 = 240;
/// The mean time between two releases.
const BETWEEN_RELEASES: u64 = 7200;

#[derive(Default)]
struct Kept {
    store: Option<MemoryStore>,
    machine: Option<(usize, HostState)>,
    journal: Option<(usize, Vec<u8>)>,
}

/// What is to be put right, and when.
enum Mend {
    Boot(usize),
    Plane,
    Loss,
    Cable(usize),
}

/// Plays a day.
pub(crate) async fn play(world: &mut World, span: Duration) {
    let began = Instant::now();
    let calm = began + span.saturating_sub(CALM);
    let (mut release, mut fault) = (began + Duration::from_secs(60), began + Duration::from_secs(300));
    let mut operator = began + OPERATOR;
    let mut mends: Vec<(Instant, Mend)> = Vec::new();
    let mut kept = Kept::default();
    let (mut calmed, mut last) = (false, false);
    while began.elapsed() < span {
        let now = Instant::now();
        if now >= operator {
            operate(world).await;
            operator = now + OPERATOR;
        }
        let (due, later): (Vec<_>, Vec<_>) = mends.into_iter().partition(|(at, _)| *at <= now);
        mends = later;
        for (_, what) in due {
            mend(world, what).await;
        }
        if now >= calm && !calmed {
            calmed = true;
            calm_down(world).await;
        }
        if now >= release && now < calm {
            let quality = draw_quality(world);
            world.publish(quality).await;
            release = now + between(world, BETWEEN_RELEASES);
        }
        if now >= fault && now < calm {
            let broken = play_fault(world, &mut kept).await;
            mends.extend(broken.map(|(after, what)| (now + after, what)));
            fault = now + between(world, BETWEEN_FAULTS);
        }
        if now >= calm + Duration::from_secs(900) && !last {
            last = true;
            world.publish(Quality::Good).await;
        }
        look(world);
        let next = mends.iter().map(|(at, _)| *at).chain([now + LOOK, operator]);
        let next = next.chain([release, fault].into_iter().filter(|at| *at > now)).min();
        sleep_until(next.unwrap_or(operator).min(began + span)).await;
    }
    look(world);
    world.watch.broken.extend(rest::unrest(world).await);
}

/// Puts everything right that a person would have to: a clock three hours behind holds its host, by design.
async fn calm_down(world: &mut World) {
    world.net.set_loss(0);
    world.start_plane().await;
    for n in 0..world.hosts.len() {
        world.hosts[n].machine.set_wall_offset(0);
        world.set_cable(n, true);
    }
}

fn between(world: &mut World, mean: u64) -> Duration {
    Duration::from_secs(world.rng.random_range(mean / 4..mean * 7 / 4))
}

fn draw_quality(world: &mut World) -> Quality {
    if world.rng.random_range(0..100) < 60 {
        return Quality::Good;
    }
    Quality::BAD[world.rng.random_range(0..Quality::BAD.len())]
}

async fn mend(world: &mut World, what: Mend) {
    match what {
        Mend::Boot(n) => world.hosts[n].machine.boot(),
        Mend::Plane => world.start_plane().await,
        Mend::Loss => world.net.set_loss(0),
        Mend::Cable(n) => world.set_cable(n, true),
    }
}

async fn play_fault(world: &mut World, kept: &mut Kept) -> Option<(Duration, Mend)> {
    let n = world.rng.random_range(0..world.hosts.len());
    let soon = Duration::from_secs(world.rng.random_range(1..120));
    let later = Duration::from_secs(world.rng.random_range(60..1500));
    match world.rng.random_range(0..100) {
        0..22 => {
            world.faults.agent_kills += u64::from(world.hosts[n].machine.kill_agent());
            None
        }
        22..34 => {
            let running = world.hosts[n].machine.power_cut().is_ok();
            world.faults.power_cuts += u64::from(running);
            Some((soon, Mend::Boot(n)))
        }
        34..40 => {
            let _ = world.hosts[n].machine.reboot();
            None
        }
        40..52 => {
            world.kill_plane();
            Some((later, Mend::Plane))
        }
        52..64 => {
            world.faults.wipes += 1;
            world.hosts[n].journal.set(&[]);
            let _ = world.hosts[n].machine.kill_agent();
            None
        }
        64..78 => {
            let loss = world.rng.random_range(20..400);
            world.net.set_loss(loss);
            Some((later, Mend::Loss))
        }
        78..84 => {
            let offset = world.rng.random_range(-3 * 3_600_000..3 * 3_600_000);
            world.hosts[n].machine.set_wall_offset(offset);
            None
        }
        84..90 => {
            world.set_cable(n, false);
            Some((later, Mend::Cable(n)))
        }
        _ => rare(world, kept, n).await,
    }
}

/// Copies are taken now and put back at a later turn: of a machine, a journal, or the store.
async fn rare(world: &mut World, kept: &mut Kept, n: usize) -> Option<(Duration, Mend)> {
    match world.rng.random_range(0..4) {
        0 => match kept.store.take() {
            None => kept.store = Some(world.store.copy()),
            Some(copy) => world.restore_store(Some(copy)).await,
        },
        1 => match kept.journal.take() {
            None => kept.journal = Some((n, world.hosts[n].journal.bytes())),
            Some((n, bytes)) => {
                world.faults.rewinds += 1;
                world.hosts[n].journal.set(&bytes);
                let _ = world.hosts[n].machine.kill_agent();
            }
        },
        2 => match kept.machine.take() {
            None => {
                kept.machine = Some((n, world.hosts[n].machine.snapshot()));
                kept.journal = Some((n, world.hosts[n].journal.bytes()));
            }
            Some((n, state)) => {
                world.faults.rewinds += 1;
                let _ = world.hosts[n].machine.power_cut();
                let _ = world.hosts[n].machine.restore(state);
                return Some((Duration::from_secs(5), Mend::Boot(n)));
            }
        },
        _ => {
            if world.rng.random_range(0..4) == 0 {
                world.restore_store(None).await;
                kept.store = None;
            }
        }
    }
    None
}

/// Looks at what only a person can clear, and clears it: a restored store, a halt, a cloned host, a failed host.
async fn operate(world: &mut World) {
    world.publish_again().await;
    rest::reasons(world).await;
    let line = world.operator();
    let act = ActRequest { by: "operator".into(), ..ActRequest::default() };
    let Some(newest) = world.releases.last().map(|release| (release.id.clone(), release.quality)) else { return };
    let (id, quality) = newest;
    let Ok(rollout) = operator::rollout(&line, &id).await else { return };
    for host in operator::hosts(&line).await.unwrap_or_default().iter().filter(|host| host.cloned.is_some()) {
        let name = host.name.parse().unwrap();
        let _ = operator::act_on_host(&line, &name, HostAct::Resolve, &act).await;
    }
    if quality == Quality::Good {
        let _ = operator::act_on_rollout(&line, &id, RolloutAct::Retry, &act).await;
    }
    let restored = rollout.why.as_deref().is_some_and(|why| why.contains("restored"));
    let stopped = matches!(rollout.state.as_str(), "Paused" | "Halted");
    if stopped && (quality == Quality::Good || restored) {
        let _ = operator::act_on_rollout(&line, &id, RolloutAct::Resume, &act).await;
    }
}
