//! What the demo will do: waves, and which process is killed when. Pure; the seed fixes all of it.

use crate::model::id::{HostName, InvalidId};
use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha20Rng;
use std::time::Duration;

/// The fewest hosts: three waves, of which the first has two hosts.
pub const FEWEST_HOSTS: usize = 4;
/// The most hosts: each is three processes on this machine.
pub const MOST_HOSTS: usize = 100;
/// How long a host soaks, in milliseconds.
pub const SOAK_MS: u64 = 3_000;
/// How long a probe may fail before the verdict, in milliseconds.
pub const FAILURE_AFTER_MS: u64 = 1_500;
/// The shortest and the longest switch, in milliseconds.
pub const SWITCH_MS: (u64, u64) = (500, 1_200);

/// Which story is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Scenario {
    /// A good release reaches every host; nothing goes wrong.
    Good,
    /// A bad release stops in its first wave and is undone; nothing else goes wrong.
    Bad,
    /// A good release reaches every host although processes are killed and one host's memory is lost.
    Restart,
    /// `restart`, and then `bad` with more kills.
    All,
}

impl Scenario {
    /// Tells whether release 1, the good one, is rolled out.
    #[must_use]
    pub fn has_good(self) -> bool {
        match self {
            Self::Good | Self::Restart | Self::All => true,
            Self::Bad => false,
        }
    }

    /// Tells whether the bad release is rolled out.
    #[must_use]
    pub fn has_bad(self) -> bool {
        match self {
            Self::Bad | Self::All => true,
            Self::Good | Self::Restart => false,
        }
    }

    fn has_faults(self) -> bool {
        match self {
            Self::Restart | Self::All => true,
            Self::Good | Self::Bad => false,
        }
    }
}

/// How far a host is when a fault strikes, as its own log of acts says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Its switch has begun.
    Switching,
    /// Its switch has ended well: it soaks.
    Soaking,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// The host's agent gets SIGKILL.
    KillAgent,
    /// The control plane gets SIGKILL and is started again after this long.
    KillControlPlane(Duration),
    /// With the control plane away, so that events pile up on the host, the agent gets SIGKILL and its state
    /// directory is deleted; then the control plane is started again, and then the agent.
    WipeState,
}

/// One thing that goes wrong, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The first of these hosts that comes to `stage` is meant (for the control plane: sets the time).
    pub hosts: Vec<HostName>,
    /// How far the host is.
    pub stage: Stage,
    /// How much later it happens.
    pub after: Duration,
    /// What happens.
    pub blow: Blow,
}

/// Everything that is fixed beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// All hosts, in order.
    pub hosts: Vec<HostName>,
    /// Three waves.
    pub waves: Vec<Vec<HostName>>,
    /// The most hosts of a wave that may be under way at once.
    pub wave_limit: u32,
    /// How long each host's switch takes, in the order of `hosts`.
    pub switch: Vec<Duration>,
    /// What goes wrong during the good release.
    pub good_faults: Vec<Fault>,
    /// What goes wrong during the bad one.
    pub bad_faults: Vec<Fault>,
}

impl Plan {
    /// Makes the plan for a fleet of `hosts` (at least [`FEWEST_HOSTS`]).
    ///
    /// # Errors
    /// [`InvalidId`] never, in truth: the hosts' names are made here.
    pub fn new(hosts: usize, scenario: Scenario, mut random: ChaCha20Rng) -> Result<Self, InvalidId> {
        let hosts: Vec<HostName> =
            (1..=hosts).map(|n| HostName::new(format!("host-{n:02}"))).collect::<Result<_, _>>()?;
        let (first, second) = wave_ends(hosts.len());
        let waves = vec![hosts[..first].to_vec(), hosts[first..second].to_vec(), hosts[second..].to_vec()];
        let wave_limit = u32::try_from(hosts.len().div_ceil(5).clamp(2, 12)).unwrap_or(2);
        let switch = hosts.iter().map(|_| millis(&mut random, SWITCH_MS)).collect();
        let faults = scenario.has_faults();
        let good_faults = if faults { good_faults(&hosts, &mut random) } else { Vec::new() };
        let bad_faults = if faults && scenario.has_bad() { bad_faults(&waves[0], &mut random) } else { Vec::new() };
        Ok(Self { hosts, waves, wave_limit, switch, good_faults, bad_faults })
    }

    /// Counts the planned faults of a kind: agents killed (those that lose their state included), control planes
    /// killed, states deleted.
    #[must_use]
    pub fn planned(&self) -> (u64, u64, u64) {
        let (mut agents, mut planes, mut wipes) = (0, 0, 0);
        for fault in self.good_faults.iter().chain(&self.bad_faults) {
            match fault.blow {
                Blow::KillAgent => agents += 1,
                Blow::KillControlPlane(_) => planes += 1,
                Blow::WipeState => (agents, planes, wipes) = (agents + 1, planes + 1, wipes + 1),
            }
        }
        (agents, planes, wipes)
    }
}

/// Where the first two waves end: canaries are a sixth and at least two, the second wave brings it to half.
fn wave_ends(hosts: usize) -> (usize, usize) {
    let first = (hosts / 6).max(2);
    (first, (hosts / 2).clamp(first + 1, hosts - 1))
}

fn millis(random: &mut ChaCha20Rng, (least, most): (u64, u64)) -> Duration {
    Duration::from_millis(random.random_range(least..=most))
}

/// No host is struck twice: three starts of an agent within one soak are a verdict on the release, by design.
fn good_faults(hosts: &[HostName], random: &mut ChaCha20Rng) -> Vec<Fault> {
    let mut shuffled = hosts.to_vec();
    shuffled.shuffle(random);
    let kills = (hosts.len() / 5).clamp(2, 8);
    let rest = shuffled.split_off(kills);
    let mut faults: Vec<Fault> = Vec::new();
    for (n, host) in shuffled.into_iter().enumerate() {
        // In the middle of the soak a clock that started anew would show; in the switch the agent has to find
        // out what became of it.
        let (stage, after) = if n % 2 == 0 {
            (Stage::Soaking, millis(random, (SOAK_MS * 2 / 5, SOAK_MS * 3 / 5)))
        } else {
            (Stage::Switching, millis(random, (50, 250)))
        };
        faults.push(Fault { hosts: vec![host], stage, after, blow: Blow::KillAgent });
    }
    let sets_the_time = hosts.choose(random).cloned().into_iter().collect();
    let down = millis(random, (600, 1_500));
    let after = millis(random, (100, SOAK_MS / 2));
    faults.push(Fault { hosts: sets_the_time, stage: Stage::Soaking, after, blow: Blow::KillControlPlane(down) });
    faults.push(Fault { hosts: rest, stage: Stage::Switching, after: Duration::ZERO, blow: Blow::WipeState });
    faults
}

/// Only hosts of the first wave are expected to start, and not all of them: the first that does is struck.
fn bad_faults(canaries: &[HostName], random: &mut ChaCha20Rng) -> Vec<Fault> {
    let mut hosts = canaries.to_vec();
    hosts.shuffle(random);
    let after = millis(random, (FAILURE_AFTER_MS / 5, FAILURE_AFTER_MS / 2));
    let agent = Fault { hosts: hosts.clone(), stage: Stage::Soaking, after, blow: Blow::KillAgent };
    let down = millis(random, (600, 1_500));
    let after = millis(random, (50, FAILURE_AFTER_MS / 2));
    let plane = Fault { hosts, stage: Stage::Soaking, after, blow: Blow::KillControlPlane(down) };
    vec![agent, plane]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::entropy::seeded;
    use std::collections::BTreeSet;

    fn plan(hosts: usize, scenario: Scenario, seed: u64) -> Plan {
        Plan::new(hosts, scenario, seeded(seed)).unwrap()
    }

    #[test]
    fn the_seed_fixes_the_plan() {
        assert_eq!(plan(12, Scenario::All, 7), plan(12, Scenario::All, 7));
        assert_ne!(plan(12, Scenario::All, 7).good_faults, plan(12, Scenario::All, 8).good_faults);
    }

    #[test]
    fn every_fleet_has_three_waves_that_hold_each_host_once() {
        for hosts in FEWEST_HOSTS..=MOST_HOSTS {
            let plan = plan(hosts, Scenario::All, 1);
            assert_eq!(plan.waves.concat(), plan.hosts);
            assert!(plan.waves.len() == 3 && plan.waves.iter().all(|wave| !wave.is_empty()), "{hosts}");
            assert!(plan.wave_limit >= 2 && plan.waves.iter().any(|wave| wave.len() >= 2), "{hosts}");
        }
    }

    #[test]
    fn no_agent_is_killed_twice_in_one_release() {
        for seed in 0..200 {
            let plan = plan(4 + usize::try_from(seed).unwrap() % 30, Scenario::All, seed);
            let kills = plan.good_faults.iter().filter(|fault| fault.blow == Blow::KillAgent);
            let killed: Vec<_> = kills.flat_map(|fault| fault.hosts.clone()).collect();
            let wiped: Vec<_> =
                plan.good_faults.iter().filter(|f| f.blow == Blow::WipeState).flat_map(|f| f.hosts.clone()).collect();
            let all: BTreeSet<_> = killed.iter().chain(&wiped).collect();
            assert_eq!(all.len(), killed.len() + wiped.len(), "seed {seed}");
            assert!(killed.len() >= 2 && !wiped.is_empty(), "seed {seed}");
            assert_eq!(plan.bad_faults.iter().filter(|fault| fault.blow == Blow::KillAgent).count(), 1);
        }
    }

    #[test]
    fn quiet_scenarios_have_no_faults() {
        assert_eq!(plan(12, Scenario::Good, 3).planned(), (0, 0, 0));
        assert_eq!(plan(12, Scenario::Bad, 3).planned(), (0, 0, 0));
        let (agents, planes, wipes) = plan(12, Scenario::Restart, 3).planned();
        assert!(agents >= 3 && planes == 2 && wipes == 1);
    }

    #[test]
    fn an_agent_is_killed_in_its_soak_late_enough_for_a_new_start_of_the_clock_to_show() {
        let plan = plan(30, Scenario::All, 5);
        let in_soak = plan.good_faults.iter().filter(|f| f.stage == Stage::Soaking && f.blow == Blow::KillAgent);
        assert!(in_soak.clone().count() > 0);
        assert!(in_soak.into_iter().all(|fault| fault.after >= Duration::from_millis(SOAK_MS / 3)));
    }
}
