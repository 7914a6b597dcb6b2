//! Asking for the permit, and what its answer leads to. No permit, no switch.

use crate::agent::driver::{Driver, within};
use crate::agent::offer::Offer;
use crate::model::facts::HostHold;
use crate::model::fleet::OnDrift;
use crate::model::host_rollout::step::PERMIT_LIFE;
use crate::model::host_rollout::{Event, HostRollout, Phase, Rollback, Staging};
use crate::model::id::{Closure, RolloutId};
use crate::model::root_record::{RootRecord, RootState, SwitchResult};
use crate::model::time::Stamp;
use crate::wire::v1::agent::{Act, PermitAnswer};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long to wait before a host that holds itself back is looked at again.
const HOLD_RETRY: Duration = Duration::from_secs(5);

/// How often a release is fetched again whose lease has ended: its text may be large.
const LEASE_RETRY: Duration = Duration::from_secs(60);
/// How often a host that is staged and not invited looks whether it would hold itself back: the control plane does
/// not invite it while it does, and `why` can say so early.
const STAGED_LOOK: Duration = Duration::from_secs(30);

/// The questions for permits.
#[derive(Debug, Default)]
pub struct Asks {
    /// The number of the `DispatchAcked` whose answer counts.
    pub(crate) seqs: BTreeMap<RolloutId, u64>,
    /// Asked since the orders came: not again before they are new.
    spent: BTreeSet<RolloutId>,
    /// Granted and not used yet.
    granted: BTreeSet<RolloutId>,
}

impl Asks {
    /// Lets every rollout ask again.
    pub(crate) fn new_orders(&mut self) {
        self.spent.clear();
    }
}

impl Driver {
    /// Moves on every attempt that waits: opens what is ordered, asks, and uses what was granted.
    pub(crate) async fn advance(&mut self) {
        self.forget_done();
        for order in self.orders.values().cloned().collect::<Vec<_>>() {
            let own = self.progress(&order.rollout_id).map_or(0, |progress| progress.attempt.0);
            let opens = matches!(order.act, Act::Stage | Act::Start | Act::Retry);
            if opens && own < order.attempt {
                self.open_ordered(&order);
            }
        }
        for rollout in self.open_rollouts() {
            if self.asks.granted.remove(&rollout) {
                self.use_permit(&rollout).await;
            } else if !self.is_napping(&rollout) {
                self.advance_one(&rollout).await;
            }
        }
        self.resume_converged();
        self.carry_out().await;
    }

    /// Lets go of what only attempts that wait need: a release's text may be large.
    fn forget_done(&mut self) {
        let open: BTreeSet<_> = self.open_rollouts().into_iter().collect();
        let orders = &self.orders;
        self.offers.retain(|id, _| open.contains(id) || orders.contains_key(id));
        self.refusals.retain(|id, _| open.contains(id) || orders.contains_key(id));
        let held = self.holds.len();
        self.holds.retain(|id, _| open.contains(id));
        if self.holds.len() != held {
            self.link.beat.soon();
        }
    }

    async fn advance_one(&mut self, rollout: &RolloutId) {
        let Some(progress) = self.progress(rollout).cloned() else { return };
        let ordered = self.orders.get(rollout).filter(|order| order.attempt == progress.attempt.0);
        let Some(act) = ordered.map(|order| order.act.clone()) else { return };
        if !waits_for_permit(&progress) || !matches!(act, Act::Stage | Act::Start | Act::Retry) {
            return;
        }
        if self.is_there_already(&progress) {
            self.check_unchanged(rollout, &progress);
            return;
        }
        let Some(offer) = self.offers.get(rollout).cloned() else {
            self.fetch(rollout);
            return;
        };
        if act != Act::Stage && self.asks.spent.contains(rollout) {
            return;
        }
        let holds = self.holds_of(rollout, &offer, act == Act::Retry).await;
        if self.holds.insert(rollout.clone(), holds.clone()).unwrap_or_default() != holds {
            self.link.beat.soon();
        }
        if !holds.is_empty() {
            let lease = holds.iter().any(|hold| matches!(hold, HostHold::Lease(_)));
            if lease {
                // CI renews a lease without changing the release: look whether it has.
                self.offers.remove(rollout);
            }
            self.nap(rollout, if lease { LEASE_RETRY } else { HOLD_RETRY });
        } else if act == Act::Stage {
            self.nap(rollout, STAGED_LOOK);
        } else if self.link.reported.as_ref().is_none_or(|told| !told.is_empty()) {
            // The control plane would refuse for a hold that it was told of and that is gone.
            self.link.beat.soon();
        } else if self.record(rollout, &Event::DispatchAcked) {
            self.asks.spent.insert(rollout.clone());
        }
    }

    /// Tells whether the target runs and is the boot default: nothing has to be switched.
    pub(crate) fn is_there_already(&self, progress: &HostRollout) -> bool {
        let target = Some(&progress.terms.target);
        let closures = &self.seen.closures;
        matches!(progress.phase, Phase::Pending(_))
            && closures.running.as_ref() == target
            && closures.default.as_ref() == target
    }

    /// Returns every reason of this host not to start, from a fresh look at the machine.
    async fn holds_of(&mut self, rollout: &RolloutId, offer: &Offer, retry: bool) -> Vec<HostHold> {
        match within("look at the machine", self.system.observe()).await {
            Ok(seen) if seen.boot == self.seen.boot => self.take_seen(seen).await,
            // Another boot: the next look takes it up.
            Ok(_) => {
                self.look_at = Some(tokio::time::Instant::now());
                return vec![HostHold::Lock];
            }
            Err(why) => return vec![HostHold::Disk(why.to_string())],
        }
        if let Ok(records) = within("read the root records", self.system.status()).await {
            self.records = records;
        }
        let mut holds: BTreeSet<HostHold> = self.seen.holds.iter().cloned().collect();
        let closures = &self.seen.closures;
        if closures.running.is_none() || closures.default != closures.running {
            holds.insert(HostHold::BootDefaultDiffers);
        }
        let book = self.journal.book();
        let target = &offer.terms.target;
        if book.quarantined.contains(target) && !retry && !offer.verified.release.again {
            holds.insert(HostHold::Quarantined(target.clone()));
        }
        holds.extend(offer.hold(&book.floor, self.clock.wall()));
        holds.extend(self.refusals.get(rollout).cloned());
        holds.extend(self.busy_with(rollout).map(HostHold::Busy));
        holds.extend(self.drift(offer).filter(|_| !retry).map(HostHold::Drift));
        holds.extend(self.disk_hold());
        holds.into_iter().collect()
    }

    /// The other rollout that this host is in the middle of.
    fn busy_with(&self, rollout: &RolloutId) -> Option<RolloutId> {
        let mut others = self.journal.book().rollouts.iter().filter(|(id, _)| *id != rollout);
        let own = others.find(|(_, tracked)| is_under_way(&tracked.progress)).map(|(id, _)| id.clone());
        let record = || self.records.iter().find(|record| record.rollout != *rollout && is_acting(record));
        own.or_else(|| record().map(|record| record.rollout.clone()))
    }

    /// What somebody else put on this host, where policy wants a person to look first.
    fn drift(&self, offer: &Offer) -> Option<Closure> {
        if offer.verified.release.policy.on_drift != OnDrift::Hold {
            return None;
        }
        let running = self.running()?;
        let newest = self.journal.book().rollouts.values().max_by_key(|tracked| tracked.last_seq)?;
        let Phase::Failed(failed) = &newest.progress.phase else { return None };
        let known = *running == newest.progress.terms.target || Some(running) == failed.prior.as_ref();
        (failed.rollback == Rollback::Overtaken && !known).then(|| running.clone())
    }

    /// Takes the answers to questions for permits.
    pub(crate) fn take_permits(&mut self, answers: Vec<PermitAnswer>) {
        for answer in answers {
            let rollout = answer.rollout_id;
            let ours =
                self.progress(&rollout).is_some_and(|own| own.attempt.0 == answer.attempt && acked(own).is_some());
            if !ours || self.asks.seqs.get(&rollout) != Some(&answer.seq) {
                continue;
            }
            self.asks.seqs.remove(&rollout);
            if answer.granted {
                // What comes after this permit may need another one under the same orders.
                self.asks.spent.remove(&rollout);
                self.asks.granted.insert(rollout);
            } else {
                self.record(&rollout, &Event::PermitLapsed(answer.holds.join("; ")));
            }
        }
    }

    /// Uses a permit, if it still lives and nothing on this host speaks against it by now.
    async fn use_permit(&mut self, rollout: &RolloutId) {
        let Some(progress) = self.progress(rollout).cloned() else { return };
        let Some(asked) = acked(&progress) else { return };
        if self.now().since(&asked).is_none_or(|age| age > PERMIT_LIFE) {
            self.record(rollout, &Event::PermitLapsed("the permit came too late".to_owned()));
            return;
        }
        let Some(offer) = self.offers.get(rollout).cloned() else {
            self.fetch(rollout);
            self.asks.granted.insert(rollout.clone());
            return;
        };
        let retry = self.orders.get(rollout).is_some_and(|order| order.act == Act::Retry);
        let holds = self.holds_of(rollout, &offer, retry).await;
        if let Some(hold) = holds.first() {
            let why = format!("the host holds itself back: {hold:?}");
            self.holds.insert(rollout.clone(), holds);
            self.record(rollout, &Event::PermitLapsed(why));
            self.link.beat.soon();
            return;
        }
        let floor = offer.raised(&self.journal.book().floor);
        if let Err(why) = self.journal.floor(floor) {
            // Tried again until the permit lapses.
            self.write_failed(&why);
            self.asks.granted.insert(rollout.clone());
            return;
        }
        let Some(prior) = self.running().cloned() else { return };
        let event = match &progress.phase {
            Phase::Deferred(_) => Event::TrialBootStarted,
            Phase::Pending(_)
            | Phase::Activating(_)
            | Phase::Soaking(_)
            | Phase::Converged(_)
            | Phase::Failed(_)
            | Phase::Reverted(_)
            | Phase::Cancelled(_) => Event::ActivationStarted { prior },
        };
        if !self.record(rollout, &event) && self.disk.is_some() {
            self.asks.granted.insert(rollout.clone());
        }
    }
}

/// Tells whether the attempt is at the point where it asks for a permit.
fn waits_for_permit(progress: &HostRollout) -> bool {
    match &progress.phase {
        Phase::Pending(pending) => pending.staging == Staging::Done && pending.acked.is_none(),
        Phase::Deferred(deferred) => deferred.trial.is_none() && deferred.acked.is_none(),
        Phase::Activating(_)
        | Phase::Soaking(_)
        | Phase::Converged(_)
        | Phase::Failed(_)
        | Phase::Reverted(_)
        | Phase::Cancelled(_) => false,
    }
}

/// When the permit was asked for, while its answer is waited for.
pub(crate) fn acked(progress: &HostRollout) -> Option<Stamp> {
    match &progress.phase {
        Phase::Pending(pending) => pending.acked.clone(),
        Phase::Deferred(deferred) if deferred.trial.is_none() => deferred.acked.clone(),
        Phase::Deferred(_)
        | Phase::Activating(_)
        | Phase::Soaking(_)
        | Phase::Converged(_)
        | Phase::Failed(_)
        | Phase::Reverted(_)
        | Phase::Cancelled(_) => None,
    }
}

/// Tells whether an attempt has the machine in its hands.
pub(crate) fn is_under_way(progress: &HostRollout) -> bool {
    match &progress.phase {
        Phase::Activating(_) | Phase::Soaking(_) => true,
        Phase::Deferred(deferred) => deferred.trial.is_some(),
        Phase::Failed(_) => !progress.is_final(),
        Phase::Pending(_) | Phase::Converged(_) | Phase::Reverted(_) | Phase::Cancelled(_) => false,
    }
}

fn is_acting(record: &RootRecord) -> bool {
    match record.state {
        RootState::Launched => {
            !matches!(record.result, Some((SwitchResult::Deferred(_), _))) || record.trial_from.is_some()
        }
        RootState::Soaking | RootState::Committing | RootState::Reverting => true,
        RootState::Committed | RootState::Reverted | RootState::Overtaken | RootState::Kept => false,
    }
}
