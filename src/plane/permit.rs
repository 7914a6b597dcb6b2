//! The permit: decided by the gates in the transaction that stores the question, repeated when asked again.

use crate::model::decide::{View, decide};
use crate::model::facts::{Closures, HostFacts};
use crate::model::gate::{Gate, Hold};
use crate::model::id::{Channel, Closure, HostName, JournalId, RolloutId, Tag};
use crate::model::identity::Identity;
use crate::model::rollout::{Rollout, RolloutState, Tally};
use crate::plane::advance::is_preparing;
use crate::plane::desk::Desk;
use crate::plane::error::{Done, PlaneError};
use crate::plane::identity::shut_out;
use crate::plane::ledger::Kept;
use crate::plane::releases::Loaded;
use crate::plane::silence::Judged;
use crate::store::rows::{Bucket, PermitRow, RecordRow};
use crate::wire::stored::{RolloutBody, read_rollout};
use crate::wire::v1::agent::PermitAnswer;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How many open rollouts are looked at for claims on one host: one for each channel.
const MAX_OPEN: usize = 64;

/// Everything about one host's attempt that a decision needs, owned.
pub struct Case {
    /// The release.
    pub loaded: Arc<Loaded>,
    /// Its rollout.
    pub rollout: Rollout,
    /// What is known of the host.
    pub host: HostFacts,
    /// How its wave stands without it.
    pub tally: Tally,
    /// Hosts in flight for each of its budgets, without it.
    pub budgets: BTreeMap<Tag, u32>,
    newest: RolloutId,
    elsewhere: Option<RolloutId>,
    claimed_by: Option<RolloutId>,
    quarantine: BTreeSet<Closure>,
    channels_done: BTreeMap<Channel, bool>,
    hosts_missing: Vec<HostName>,
}

/// A question for a permit.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The journal that asks.
    pub journal: JournalId,
    /// The number of its `DispatchAcked`.
    pub seq: u64,
}

impl Desk<'_> {
    /// Gathers what is needed to decide; `None` when the rollout is not there, or not ready.
    ///
    /// # Errors
    /// The store's.
    pub fn case(&self, kept: &Kept) -> Done<Option<Case>> {
        let id = &kept.row.rollout;
        let Some((row, RolloutBody { rollout, .. })) = self.rollout(id)? else { return Ok(None) };
        let Some(loaded) = self.release(id)? else { return Ok(None) };
        if is_preparing(&row, &rollout) {
            return Ok(None);
        }
        let newest = self.newest_rollout(&id.channel)?.map_or_else(|| id.clone(), |row| row.id);
        let quarantined = self.tx.quarantines(&id.channel)?;
        let case = Case {
            host: self.facts(kept.host())?,
            tally: without(self.tally(&rollout, kept.row.wave)?, &kept.row),
            budgets: self.budgets(kept, &loaded)?,
            newest,
            elsewhere: self.elsewhere(kept)?,
            claimed_by: self.claimed_by(kept)?,
            quarantine: quarantined.into_iter().map(|row| row.closure).collect(),
            channels_done: self.channels_done(&loaded)?,
            hosts_missing: self.hosts_missing(kept, &loaded)?,
            loaded,
            rollout,
        };
        Ok(Some(case))
    }

    /// Gathers what is known of a host.
    ///
    /// # Errors
    /// The store's.
    pub fn facts(&self, name: &HostName) -> Done<HostFacts> {
        let (row, body) = self.host(name)?;
        let mut facts = HostFacts {
            name: name.clone(),
            heard: row.heard,
            heard_since_start: false,
            closures: body.closures.unwrap_or(Closures { running: None, booted: None, default: None }),
            holds: body.holds,
            operator_hold: body.operator_hold,
            cloned: body.cloned.is_some(),
            revoked: self.tx.identity(&Identity::Agent(name.clone()))?.as_ref().and_then(shut_out),
            quarantined: body.quarantined,
            journal: body.journal,
            boot: body.boot,
        };
        self.plane.live.fill(&mut facts);
        Ok(facts)
    }

    fn budgets(&self, kept: &Kept, loaded: &Loaded) -> Done<BTreeMap<Tag, u32>> {
        let own = u32::from(in_flight(kept.row.bucket));
        let assumed = self.plane.silence.of(kept.host(), &kept.row.rollout) == Some(Judged::AssumedInFlight);
        let counted = loaded.release.policy.budgets.keys().filter(|tag| kept.row.budgets.contains(*tag));
        let count = |tag: &Tag| -> Done<(Tag, u32)> {
            let rows = self.tx.budget_in_flight(tag)?;
            let lost = self.plane.silence.lost_in_budget(tag);
            let others = self.plane.silence.assumed_in_budget(tag).saturating_sub(u32::from(assumed));
            Ok((tag.clone(), rows.saturating_sub(own).saturating_sub(lost).saturating_add(others)))
        };
        counted.map(count).collect()
    }

    fn elsewhere(&self, kept: &Kept) -> Done<Option<RolloutId>> {
        let open = self.tx.open_records(kept.host())?;
        let other = open.into_iter().find(|row| row.rollout != kept.row.rollout && in_flight(row.bucket));
        Ok(other.map(|row| row.rollout))
    }

    fn claimed_by(&self, kept: &Kept) -> Done<Option<RolloutId>> {
        for row in self.tx.rollouts(true, MAX_OPEN)? {
            let other = row.id.channel != kept.row.rollout.channel;
            if other && self.tx.record(kept.host(), &row.id)?.is_some() {
                return Ok(Some(row.id));
            }
        }
        Ok(None)
    }

    fn channels_done(&self, loaded: &Loaded) -> Done<BTreeMap<Channel, bool>> {
        let done = |channel: &Channel| -> Done<(Channel, bool)> {
            let Some(row) = self.newest_rollout(channel)? else { return Ok((channel.clone(), false)) };
            let body = read_rollout(&row.body).map_err(PlaneError::Stored)?;
            Ok((channel.clone(), body.rollout.state == RolloutState::Completed))
        };
        loaded.release.policy.after_channels.iter().map(done).collect()
    }

    fn hosts_missing(&self, kept: &Kept, loaded: &Loaded) -> Done<Vec<HostName>> {
        let Some(first) = loaded.release.policy.host_order.get(kept.host()) else { return Ok(Vec::new()) };
        let mut missing = Vec::new();
        for host in first {
            let row = self.tx.record(host, &kept.row.rollout)?;
            if !row.is_some_and(|row| matches!(row.bucket, Bucket::Succeeded | Bucket::Unchanged)) {
                missing.push(host.clone());
            }
        }
        Ok(missing)
    }

    /// Returns every hold of the attempt; empty is the permit.
    #[must_use]
    pub fn holds(&self, case: &Case, kept: &Kept) -> Vec<(Gate, Hold)> {
        decide(&View {
            now: self.now,
            plane: self.plane.facts(),
            host: &case.host,
            release: &case.loaded.release,
            rollout: &case.rollout,
            record: &kept.body.progress,
            tally: case.tally,
            newest: &case.newest,
            in_flight_elsewhere: case.elsewhere.clone(),
            claimed_by: case.claimed_by.clone(),
            channel_quarantine: &case.quarantine,
            channels_done: case.channels_done.clone(),
            retry: kept.body.retry,
            hosts_missing: case.hosts_missing.clone(),
            budgets: case.budgets.clone(),
        })
    }

    /// Answers a `DispatchAcked` that was applied just now, and writes answer and record.
    ///
    /// # Errors
    /// The store's.
    pub fn answer(&mut self, kept: &mut Kept, asked: &Asked) -> Done<PermitAnswer> {
        let holds = self.refusal(kept)?;
        let granted = holds.is_empty();
        if granted {
            kept.body.permitted = Some(self.now);
        } else {
            kept.body.permitted = None;
            kept.body.invitation += 1;
            self.follow.wake.insert(kept.row.host.clone());
        }
        self.put_record(kept)?;
        self.plane.offers.settled(kept.host(), &kept.row.rollout);
        let row = PermitRow {
            host: kept.row.host.clone(),
            rollout: kept.row.rollout.clone(),
            attempt: kept.row.attempt,
            journal: asked.journal.clone(),
            seq: asked.seq,
            granted,
            holds: serde_json::to_string(&holds).expect("texts are always JSON"),
            at: self.now,
        };
        self.tx.put_permit(&row)?;
        self.plane.metrics.answered(granted);
        Ok(answer_of(row, holds))
    }

    fn refusal(&self, kept: &Kept) -> Done<Vec<String>> {
        if let Some(why) = &kept.body.revert {
            return Ok(vec![format!("the host was told to go back: {why}")]);
        }
        let Some(case) = self.case(kept)? else { return Ok(vec!["the rollout is not ready yet".to_owned()]) };
        Ok(self.holds(&case, kept).iter().map(|(_, hold)| hold.to_string()).collect())
    }

    /// Repeats the answer to a `DispatchAcked` that is held already; a refusal when a later question replaced it.
    ///
    /// # Errors
    /// The store's.
    pub fn repeat_answer(&self, row: &crate::store::rows::EventRow, asked: &Asked) -> Done<Option<PermitAnswer>> {
        let (Some(host), Some(rollout)) = (&row.host, &row.rollout) else { return Ok(None) };
        let known = self.tx.permit(host, rollout)?;
        let same = known.filter(|known| known.journal == asked.journal && known.seq == asked.seq);
        let (rollout_id, attempt, seq) = (rollout.clone(), row.attempt.0, asked.seq);
        Ok(Some(match same {
            Some(known) => {
                let holds = serde_json::from_str(&known.holds).unwrap_or_default();
                answer_of(known, holds)
            }
            None => {
                let why = row.refused.clone().unwrap_or_else(|| "a later question replaced this one".to_owned());
                PermitAnswer { rollout_id, attempt, seq, granted: false, holds: vec![why] }
            }
        }))
    }
}

fn answer_of(row: PermitRow, holds: Vec<String>) -> PermitAnswer {
    PermitAnswer { rollout_id: row.rollout, attempt: row.attempt.0, seq: row.seq, granted: row.granted, holds }
}

/// Tells whether a record in the bucket may run an unproven release.
#[must_use]
pub fn in_flight(bucket: Bucket) -> bool {
    match bucket {
        Bucket::InFlight | Bucket::Failing => true,
        Bucket::Waiting | Bucket::Succeeded | Bucket::Unchanged | Bucket::Failed | Bucket::Neutral => false,
    }
}

/// Takes one record out of its wave's counts.
fn without(mut tally: Tally, row: &RecordRow) -> Tally {
    let side = if row.changed { &mut tally.changed } else { &mut tally.unchanged };
    *side = side.saturating_sub(1);
    let counts: &mut [&mut u32] = match row.bucket {
        Bucket::Waiting => &mut [&mut tally.waiting],
        Bucket::InFlight => &mut [&mut tally.in_flight],
        Bucket::Succeeded => &mut [&mut tally.succeeded],
        Bucket::Failing => &mut [&mut tally.in_flight, &mut tally.failed],
        Bucket::Failed => &mut [&mut tally.failed],
        Bucket::Neutral => &mut [&mut tally.neutral],
        Bucket::Unchanged => &mut [],
    };
    counts.iter_mut().for_each(|count| **count = count.saturating_sub(1));
    tally
}
