//! A record for each host of a release, in bounded chunks.

use crate::model::facts::Closures;
use crate::model::fleet::{Release, Target};
use crate::model::host_rollout::{HostRollout, HostRolloutState, Terms};
use crate::model::id::{Attempt, Closure, HostName, RolloutId};
use crate::plane::desk::Desk;
use crate::plane::error::Done;
use crate::plane::ledger::Kept;
use crate::store::rows::{Bucket, RecordRow};
use crate::wire::stored::RecordBody;
use std::ops::Bound;

/// How many records one transaction makes: short enough that permits do not wait behind it.
const CHUNK: usize = 256;

impl Desk<'_> {
    /// Makes the next records of a rollout; returns the last host, or `None` when all are there.
    ///
    /// # Errors
    /// The store's.
    pub fn make_records(&mut self, id: &RolloutId, after: Option<&HostName>) -> Done<Option<HostName>> {
        let Some(loaded) = self.release(id)? else { return Ok(None) };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let hosts = loaded.release.hosts.range::<HostName, _>((from, Bound::Unbounded)).take(CHUNK);
        let mut last = None;
        for (host, target) in hosts {
            last = Some(host.clone());
            if self.tx.record(host, id)?.is_none() {
                self.make_record(&loaded.release, (host, target))?;
            }
        }
        self.counted.clear();
        Ok(last)
    }

    fn make_record(&mut self, release: &Release, (host, target): (&HostName, &Target)) -> Done<()> {
        let Some(terms) = Terms::of(release, host) else { return Ok(()) };
        let wave = u32::try_from(release.wave_of(host).unwrap_or(0)).unwrap_or(u32::MAX);
        let (row, mut body) = self.host(host)?;
        if release.again && body.quarantined.contains(&target.closure) {
            body.quarantined.retain(|closure| *closure != target.closure);
            self.put_host(row, &body)?;
        }
        let record = RecordBody {
            progress: HostRollout::open(Attempt::FIRST, terms, &self.stamp),
            opened: self.now,
            permitted: None,
            invitation: 0,
            revert: None,
            retry: false,
            state_since: self.now,
        };
        let row = RecordRow {
            host: host.clone(),
            rollout: release.id.clone(),
            attempt: Attempt::FIRST,
            wave,
            state: HostRolloutState::Pending,
            is_final: false,
            changed: changes(body.closures.as_ref(), &target.closure),
            bucket: Bucket::Waiting,
            budgets: target.tags.iter().cloned().collect(),
            updated: self.now,
            body: String::new(),
        };
        self.put_new_record(&mut Kept { row, body: record })
    }
}

/// Tells whether a host has to be switched for a target; one of which nothing is known has to.
#[must_use]
pub fn changes(closures: Option<&Closures>, target: &Closure) -> bool {
    closures.is_none_or(|known| known.running.as_ref() != Some(target) || known.default.as_ref() != Some(target))
}
