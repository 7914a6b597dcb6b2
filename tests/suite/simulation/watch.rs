//! The promises at every step: what truly happened since the last one, read from the hosts' own act logs.

use crate::simulation::fleet::{BUDGET, Quality, SOAK};
use crate::simulation::world::World;
use convoy::model::id::Closure;
use convoy::model::root_record::RootState;
use convoy::runtime::clock::Clock;
use convoy::system::sim::backing::Backing;
use convoy::system::sim::log::{Act, By, Entry};
use convoy::system::sim::state::HostState;
use std::collections::BTreeSet;

/// What was seen of the fleet so far.
#[derive(Default)]
pub(crate) struct Watch {
    hosts: Vec<Seen>,
    /// Hosts that run, or may run, something unproven.
    in_flight: usize,
    /// The releases, by their place, with a wave in which a host committed them.
    proven: BTreeSet<(usize, usize)>,
    pub(crate) broken: Vec<String>,
}

/// What was seen of one host so far. A machine without power runs nothing.
#[derive(Default, Clone)]
struct Seen {
    acts: usize,
    /// When its newest forward switch ended.
    ended: Option<u64>,
    /// The unproven closure that it runs or may run, since when, and whether that was too long already.
    open: Option<(Closure, u64, bool)>,
}

/// What an act changes for the fleet. At one instant what ends comes before what begins.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Edge {
    Proven { release: usize, wave: usize },
    Over,
    Started { release: usize, wave: usize, anew: bool },
}

/// Looks at the fleet as it stands, and judges everything that happened since the last look.
pub(crate) fn look(world: &mut World) {
    let now = u64::try_from(world.clock.uptime().as_millis()).unwrap();
    let mut watch = std::mem::take(&mut world.watch);
    watch.hosts.resize(world.hosts.len(), Seen::default());
    let mut edges: Vec<(u64, Edge, usize)> = Vec::new();
    for (n, host) in world.hosts.iter().enumerate() {
        // What happens in this very millisecond may not be over: the next look judges it.
        for entry in host.machine.acts_after(watch.hosts[n].acts).iter().take_while(|entry| entry.uptime_ms < now) {
            watch.hosts[n].acts += 1;
            edges.extend(watch.judge(world, n, entry));
        }
    }
    edges.sort_unstable();
    edges.into_iter().for_each(|edge| watch.count(world, edge));
    watch.too_long(world, now);
    let unproven = world.hosts.iter().filter(|host| host.machine.peek(runs_unproven).unwrap()).count();
    if unproven > BUDGET {
        watch.broken.push(format!("at {now}: {unproven} hosts run an unproven release, {BUDGET} may"));
    }
    world.watch = watch;
}

impl Watch {
    /// Promise 1: what is bad is never kept. Promise 2: nothing is committed before a whole soak.
    fn judge(&mut self, world: &World, n: usize, entry: &Entry) -> Vec<(u64, Edge, usize)> {
        let (at, seen, mut edges) = (entry.uptime_ms, &mut self.hosts[n], Vec::new());
        let find = |closure: &Closure| world.releases.iter().position(|release| release.targets[n] == *closure);
        let wave = |release: usize| world.releases[release].waves[n];
        if let Act::SwitchStarted { by: By::Forward, to, .. } = &entry.act {
            let release = find(to).unwrap();
            edges.push((at, Edge::Started { release, wave: wave(release), anew: seen.open.is_none() }, n));
            seen.open.get_or_insert_with(|| (to.clone(), at, false));
        }
        if let Act::SwitchEnded { by: By::Forward, .. } = &entry.act {
            seen.ended = Some(at);
        }
        if let Act::Committed { closure } = &entry.act {
            let soak = u64::try_from(SOAK.as_millis()).unwrap();
            if seen.ended.is_none_or(|ended| at < ended + soak) {
                self.broken.push(format!("host {n} committed {closure} at {at}, before its soak was over"));
            }
            let release = find(closure).unwrap();
            if world.releases[release].quality != Quality::Good {
                self.broken.push(format!("host {n} committed {closure}: {:?}", world.releases[release].quality));
            }
            edges.push((at, Edge::Proven { release, wave: wave(release) }, n));
        }
        let over =
            matches!(entry.act, Act::PowerCut | Act::Rebooted { .. } | Act::Committed { .. } | Act::Reverted { .. });
        if over && seen.open.take().is_some() {
            edges.push((at, Edge::Over, n));
        }
        edges
    }

    /// Promise 3: never more hosts at once than the budget, and no wave before the one before it proved the release.
    fn count(&mut self, world: &World, (at, edge, n): (u64, Edge, usize)) {
        match edge {
            Edge::Proven { release, wave } => drop(self.proven.insert((release, wave))),
            Edge::Over => self.in_flight -= 1,
            Edge::Started { release, wave, anew } => {
                self.in_flight += usize::from(anew);
                if self.in_flight > BUDGET {
                    self.broken.push(format!("{} hosts were in flight at {at}, {BUDGET} may", self.in_flight));
                }
                if wave > 0 && !self.proven.contains(&(release, wave - 1)) {
                    let id = &world.releases[release].id;
                    self.broken.push(format!(
                        "{id}: host {n} of wave {} began at {at}, before wave {wave} proved it",
                        wave + 1
                    ));
                }
            }
        }
    }

    /// Promise 1: what is not proven is gone within the printed limit.
    fn too_long(&mut self, world: &World, now: u64) {
        for (n, seen) in self.hosts.iter_mut().enumerate() {
            let Some((target, from, told)) = seen.open.as_mut().filter(|(_, _, told)| !told) else { continue };
            let release = world.releases.iter().find(|release| release.targets[n] == *target).unwrap();
            if now.saturating_sub(*from) > release.back_by {
                *told = true;
                self.broken.push(format!("host {n} runs {target} unproven since {from}, it is {now}"));
            }
        }
    }
}

fn runs_unproven(state: &HostState) -> bool {
    let open = state.open_record().filter(|record| record.target == state.running);
    state.power
        && open.is_some_and(|record| match record.state {
            RootState::Launched | RootState::Soaking | RootState::Reverting => true,
            RootState::Committing
            | RootState::Committed
            | RootState::Reverted
            | RootState::Overtaken
            | RootState::Kept => false,
        })
}
