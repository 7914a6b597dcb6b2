//! One transaction of the control plane: rows with their bodies read, written back together with their event, and
//! what has to follow once they are durable. State changes here and nowhere else.

use crate::model::host_rollout::step::step;
use crate::model::host_rollout::{Event, HostRolloutState, Step};
use crate::model::id::{HostName, RolloutId};
use crate::model::time::{Stamp, Timestamp};
use crate::plane::Plane;
use crate::plane::error::{Done, PlaneError};
use crate::plane::follow::FollowUp;
use crate::plane::identity::Entry;
use crate::plane::ledger::Kept;
use crate::plane::liveness::Newest;
use crate::plane::releases::Loaded;
use crate::store::Tx;
use crate::store::rows::{Bucket, HostRow, IdentityRow, RecordRow, RolloutRow};
use crate::wire::stored::{HostBody, RolloutBody, read_host, read_record, read_rollout, write_host};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// A transaction's workplace.
pub struct Desk<'a> {
    /// The rows.
    pub tx: &'a mut dyn Tx,
    /// The control plane's memory.
    pub plane: &'a Plane,
    /// The wall clock, read once.
    pub now: Timestamp,
    /// The clocks as the author of what is written here.
    pub stamp: Stamp,
    /// The process's own clock.
    pub up: Duration,
    /// What follows the commit.
    pub follow: FollowUp,
    /// Records that came to wait for a permit (again): in a rollout that ended they are cancelled.
    pub returned: Vec<(HostName, RolloutId)>,
    /// Rollouts whose counts changed and that have to be judged before the commit.
    pub counted: BTreeSet<RolloutId>,
    job: u64,
}

/// What became of an event.
pub type Applied = Result<(), &'static str>;

impl<'a> Desk<'a> {
    /// Sets up a transaction.
    pub fn new(tx: &'a mut dyn Tx, plane: &'a Plane) -> Self {
        let (now, up, stamp) = (plane.now(), plane.up(), plane.stamp());
        let job = plane.next_job();
        Self {
            tx,
            plane,
            now,
            stamp,
            up,
            follow: FollowUp::default(),
            counted: BTreeSet::new(),
            returned: Vec::new(),
            job,
        }
    }

    /// Reads a host, or one of which nothing is known.
    ///
    /// # Errors
    /// The store's.
    pub fn host(&self, name: &HostName) -> Done<(HostRow, HostBody)> {
        match self.tx.host(name)? {
            Some(row) => {
                let body = read_host(&row.body).map_err(PlaneError::Stored)?;
                Ok((row, body))
            }
            None => Ok((HostRow { name: name.clone(), heard: None, body: String::new() }, HostBody::default())),
        }
    }

    /// Writes a host.
    ///
    /// # Errors
    /// The store's.
    pub fn put_host(&mut self, mut row: HostRow, body: &HostBody) -> Done<()> {
        row.body = write_host(body);
        row.heard = self.plane.live.get(&row.name).heard.or(row.heard);
        self.tx.put_host(&row)?;
        self.follow.changed.entry(row.name).or_default();
        Ok(())
    }

    /// Writes an identity; memory has it once that is durable.
    ///
    /// # Errors
    /// The store's.
    pub fn put_identity(&mut self, row: &IdentityRow) -> Done<()> {
        self.tx.put_identity(row)?;
        self.follow.identities.push((row.identity.clone(), Entry::of(row, self.job)));
        Ok(())
    }

    /// Reads a record.
    ///
    /// # Errors
    /// The store's.
    pub fn record(&self, host: &HostName, rollout: &RolloutId) -> Done<Option<Kept>> {
        self.tx.record(host, rollout)?.map(keep).transpose()
    }

    /// Reads the records of a host that are not final, oldest rollout first.
    ///
    /// # Errors
    /// The store's.
    pub fn open_records(&self, host: &HostName) -> Done<Vec<Kept>> {
        self.tx.open_records(host)?.into_iter().map(keep).collect()
    }

    /// Brings a record's columns in line with its body and writes it.
    ///
    /// # Errors
    /// The store's.
    pub fn put_record(&mut self, kept: &mut Kept) -> Done<()> {
        let before = kept.row.bucket;
        let forgiven = self.is_forgiven(kept, before)?;
        kept.settle(forgiven, self.now);
        self.tx.put_record(&kept.row)?;
        if kept.row.bucket != before {
            if kept.row.bucket == Bucket::Waiting {
                self.returned.push((kept.row.host.clone(), kept.row.rollout.clone()));
            }
            self.follow.wake.insert(kept.row.host.clone());
            self.counted.insert(kept.row.rollout.clone());
            self.follow.nudge.insert(kept.row.rollout.clone());
        }
        self.changed(kept)
    }

    /// Writes a record that is new, or stands at a new attempt.
    ///
    /// # Errors
    /// The store's.
    pub fn put_new_record(&mut self, kept: &mut Kept) -> Done<()> {
        kept.settle(false, self.now);
        self.tx.put_record(&kept.row)?;
        self.follow.wake.insert(kept.row.host.clone());
        self.counted.insert(kept.row.rollout.clone());
        self.changed(kept)
    }

    fn changed(&mut self, kept: &Kept) -> Done<()> {
        let Some(row) = self.tx.rollout(&kept.row.rollout)? else { return Ok(()) };
        let newest = Newest {
            rollout: row.id,
            opened: row.opened,
            state: kept.row.state,
            since: kept.body.state_since,
            job: self.job,
        };
        let entry = self.follow.changed.entry(kept.row.host.clone()).or_default();
        if entry.as_ref().is_none_or(|known| known.opened <= newest.opened) {
            *entry = Some(newest);
        }
        if !kept.waits() {
            self.plane.offers.settled(&kept.row.host, &kept.row.rollout);
        }
        Ok(())
    }

    /// A failure that was forgiven stays so until the next attempt; one that is counted is forgiven by
    /// [`Self::put_forgiven`] only.
    fn is_forgiven(&self, kept: &Kept, before: Bucket) -> Done<bool> {
        let judged = match before {
            Bucket::Neutral => true,
            Bucket::InFlight => kept.row.state == HostRolloutState::Failed,
            Bucket::Waiting | Bucket::Succeeded | Bucket::Unchanged | Bucket::Failed | Bucket::Failing => false,
        };
        if !judged {
            return Ok(false);
        }
        let rollout = self.rollout(&kept.row.rollout)?;
        Ok(rollout.is_some_and(|(_, body)| body.rollout.forgiven.contains(&kept.row.host)))
    }

    /// Writes a record whose failure does not count any more.
    ///
    /// # Errors
    /// The store's.
    pub fn put_forgiven(&mut self, kept: &mut Kept) -> Done<()> {
        kept.settle(true, self.now);
        self.tx.put_record(&kept.row)?;
        self.counted.insert(kept.row.rollout.clone());
        self.changed(kept)
    }

    /// Reads a rollout.
    ///
    /// # Errors
    /// The store's.
    pub fn rollout(&self, id: &RolloutId) -> Done<Option<(RolloutRow, RolloutBody)>> {
        let Some(row) = self.tx.rollout(id)? else { return Ok(None) };
        let body = read_rollout(&row.body).map_err(PlaneError::Stored)?;
        Ok(Some((row, body)))
    }

    /// Reads a rollout that must be there.
    ///
    /// # Errors
    /// The store's, and [`PlaneError::NotFound`].
    pub fn known_rollout(&self, id: &RolloutId) -> Done<(RolloutRow, RolloutBody)> {
        let hint = "`convoy rollout list` shows those that are";
        self.rollout(id)?.ok_or_else(|| PlaneError::not_found(format!("rollout {id}"), hint))
    }

    /// Reads a release.
    ///
    /// # Errors
    /// The store's.
    pub fn release(&self, id: &RolloutId) -> Done<Option<Arc<Loaded>>> {
        self.plane.releases.get(&*self.tx, id)
    }

    /// Moves a record by one event of an author whose clocks read `at`, and writes it. An ignored event changes
    /// nothing. The event itself is appended by the caller.
    ///
    /// # Errors
    /// The store's.
    pub fn apply(&mut self, kept: &mut Kept, event: &Event, at: &Stamp) -> Done<Applied> {
        let (next, effects) = match step(&kept.body.progress, event, at) {
            Step::Ignored(why) => return Ok(Err(why)),
            Step::Moved(next, effects) => (*next, effects),
        };
        kept.moved(next, event, self.now);
        self.put_record(kept)?;
        for effect in effects {
            self.carry(kept.host(), effect)?;
        }
        Ok(Ok(()))
    }
}

/// Reads a record's body.
///
/// # Errors
/// [`PlaneError::Stored`] when it is damaged.
pub fn keep(row: RecordRow) -> Done<Kept> {
    let body = read_record(&row.body).map_err(PlaneError::Stored)?;
    Ok(Kept { row, body })
}
