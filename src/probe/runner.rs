//! The schedule: every probe in a task of its own, jittered, one check at a time, results into a bounded queue.

use crate::model::facts::{ProbeMode, ProbeOutcome};
use crate::model::id::ProbeName;
use crate::probe::check::check;
use crate::probe::net::ProbeNet;
use crate::probe::spec::Spec;
use crate::system::System;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// How many results may wait for the receiver; a probe waits with its next check until there is room.
pub const QUEUE: usize = 64;
/// The shortest interval after the commit: facts, not decisions.
const LAZY: Duration = Duration::from_secs(60);

/// How eagerly to probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As declared.
    Declared,
    /// At most once a minute.
    Lazy,
}

/// One result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The round of probes it belongs to; results of an earlier one are stale.
    pub round: u64,
    /// Which probe.
    pub probe: ProbeName,
    /// What it says.
    pub outcome: ProbeOutcome,
}

/// What a schedule needs.
pub struct Schedule {
    /// The probes.
    pub specs: Vec<Spec>,
    /// How eagerly.
    pub pace: Pace,
    /// Stamped on every result.
    pub round: u64,
    /// Spreads the checks.
    pub seed: u64,
}

/// Probes that run until this is dropped.
pub struct Probes {
    _tasks: JoinSet<()>,
}

impl Probes {
    /// Starts every probe that is not disabled; the first checks are spread over a quarter of their interval.
    #[must_use]
    pub fn start(
        schedule: Schedule,
        system: &Arc<dyn System>,
        net: &Arc<dyn ProbeNet>,
        into: &mpsc::Sender<Report>,
    ) -> Self {
        let mut tasks = JoinSet::new();
        let mut rng = ChaCha8Rng::seed_from_u64(schedule.seed);
        for spec in schedule.specs.into_iter().filter(|spec| spec.mode != ProbeMode::Disabled) {
            let (system, net, into) = (Arc::clone(system), Arc::clone(net), into.clone());
            let (pace, round, rng) = (schedule.pace, schedule.round, ChaCha8Rng::seed_from_u64(rng.random()));
            tasks.spawn(async move {
                let mut waits = Waits { spec: &spec, pace, rng };
                tokio::time::sleep(waits.first()).await;
                loop {
                    let outcome = check(&spec, system.as_ref(), net.as_ref()).await;
                    if into.send(Report { round, probe: spec.name.clone(), outcome }).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(waits.next()).await;
                }
            });
        }
        Self { _tasks: tasks }
    }
}

struct Waits<'a> {
    spec: &'a Spec,
    pace: Pace,
    rng: ChaCha8Rng,
}

impl Waits<'_> {
    fn interval(&self) -> Duration {
        match self.pace {
            Pace::Declared => self.spec.interval,
            Pace::Lazy => self.spec.interval.max(LAZY),
        }
    }

    fn first(&mut self) -> Duration {
        (self.interval() / 4).mul_f64(self.rng.random::<f64>())
    }

    fn next(&mut self) -> Duration {
        self.interval().mul_f64(0.9 + 0.2 * self.rng.random::<f64>())
    }
}

#[cfg(test)]
mod tests;
