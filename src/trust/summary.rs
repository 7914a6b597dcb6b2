//! What a release would do, in short: what `release show` prints.

use crate::model::fleet::Release;
use crate::model::id::{Digest, RolloutId};
use crate::model::limit::{SelfRollback, self_rollback};
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// A release in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Which.
    pub id: RolloutId,
    /// The manifest's digest.
    pub digest: Digest,
    /// How many hosts it names.
    pub hosts: usize,
    /// How many different closures they get.
    pub closures: usize,
    /// Each wave's name and number of hosts, in order.
    pub waves: Vec<(String, usize)>,
    /// How long a host may take to bring itself back.
    pub limits: SelfRollback,
}

impl Summary {
    /// Sums a release up.
    #[must_use]
    pub fn of(release: &Release) -> Self {
        let closures: BTreeSet<_> = release.hosts.values().map(|target| &target.closure).collect();
        Self {
            id: release.id.clone(),
            digest: release.digest.clone(),
            hosts: release.hosts.len(),
            closures: closures.len(),
            waves: release.waves.iter().map(|wave| (wave.name.to_string(), wave.hosts.len())).collect(),
            limits: self_rollback(&release.policy),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "release       {}", self.id)?;
        writeln!(f, "digest        {}", self.digest)?;
        writeln!(f, "hosts         {} with {} different closures", self.hosts, self.closures)?;
        for (index, (name, hosts)) in self.waves.iter().enumerate() {
            writeln!(f, "wave {:<9}{name}, {hosts} hosts", index + 1)?;
        }
        writeln!(f, "self-rollback after a failing probe within {}", span(self.limits.after_failure))?;
        writeln!(f, "              whatever happens within {} of the switch", span(self.limits.back_by))
    }
}

/// Writes a span with its two greatest units, such as `1 h 3 min`; less than a second in milliseconds.
fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes, seconds) {
        (0, 0, 0) => format!("{} ms", span.as_millis()),
        (0, 0, _) => format!("{seconds} s"),
        (0, _, _) => format!("{minutes} min {seconds} s"),
        (_, _, _) => format!("{hours} h {minutes} min"),
    }
}
