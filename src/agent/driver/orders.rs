//! Orders of the control plane: the long poll, opening attempts, cancelling and going back.

use crate::agent::driver::Driver;
use crate::agent::driver::work::{Outcome, Work};
use crate::agent::journal::book::Tracked;
use crate::agent::offer::Offer;
use crate::client::ClientError;
use crate::client::agent::{self, FetchedRelease};
use crate::model::facts::{HostHold, Verdict};
use crate::model::host_rollout::{Event, HostRollout, Phase};
use crate::model::id::{Attempt, Closure, RolloutId};
use crate::wire::v1::agent::{Act, Dispatch, Order};
use crate::wire::v1::release::timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long one long poll waits, unless a soak needs to know sooner that the control plane is gone.
const POLL_WAIT: Duration = Duration::from_secs(55);
/// The shortest pause between two polls: a server that answers at once must not make a loop.
const POLL_PAUSE: Duration = Duration::from_millis(500);
/// How long to wait before a release that could not be fetched or used is tried again.
const RELEASE_RETRY: Duration = Duration::from_secs(30);

impl Driver {
    pub(crate) fn send_poll(&mut self) {
        let (over, host) = (Arc::clone(&self.link.transport), self.host.clone());
        let (wait, tag) = (POLL_WAIT.min(self.patience()).max(Duration::from_secs(1)), self.link.tag.clone());
        self.link.poll.at = Instant::now() + POLL_PAUSE;
        self.begin(Work::Poll, async move {
            Outcome::Poll(agent::dispatch(over.as_ref(), &host, wait, tag.as_deref()).await)
        });
    }

    pub(crate) fn take_poll(&mut self, answer: Result<Option<Dispatch>, ClientError>) {
        match answer {
            Ok(dispatch) => {
                let next = self.link.poll.at;
                self.heard();
                self.link.poll.again(next);
                if let Some(dispatch) = dispatch {
                    self.take_orders(dispatch);
                }
            }
            Err(why) => {
                tracing::debug!(host.name = %self.host, "asking for orders: {why}");
                self.unheard(|link| &mut link.poll);
            }
        }
    }

    fn take_orders(&mut self, dispatch: Dispatch) {
        self.link.tag = Some(dispatch.tag);
        self.asks.new_orders();
        let told = |order: Order| (order.rollout_id.clone(), order);
        let orders = dispatch.orders.into_iter().map(told).collect();
        if self.orders == orders {
            // Asked again and told the same: what naps goes on napping, or the asking would never end.
            return;
        }
        self.link.poll.at = Instant::now();
        let before = std::mem::replace(&mut self.orders, orders);
        for (rollout, order) in self.orders.clone() {
            if before.get(&rollout) != Some(&order) {
                self.naps.remove(&rollout);
            }
            self.take_order(&order);
        }
    }

    fn take_order(&mut self, order: &Order) {
        let own = self.progress(&order.rollout_id).map(|progress| progress.attempt);
        if own.is_some_and(|own| own.0 > order.attempt) {
            return;
        }
        let known = own.is_some_and(|own| own.0 == order.attempt);
        match &order.act {
            Act::Stage | Act::Start | Act::Retry if !known => self.open_ordered(order),
            Act::Cancel { why } if known => {
                self.record(&order.rollout_id, &Event::Cancelled(why.clone()));
            }
            Act::Revert { why } if known => self.go_back(&order.rollout_id, why),
            Act::Stage | Act::Start | Act::Retry | Act::Cancel { .. } | Act::Revert { .. } | Act::Unknown => {}
        }
    }

    /// Ends the quarantine of a closure.
    fn lift(&mut self, target: &Closure) {
        if let Err(why) = self.journal.quarantine(target, true) {
            self.write_failed(&why);
        }
    }

    fn go_back(&mut self, rollout: &RolloutId, why: &str) {
        let Some(progress) = self.progress(rollout) else { return };
        // A commit that was asked for is finished, never reverted.
        if self.committing.contains(rollout) {
            return;
        }
        let waiting = match &progress.phase {
            Phase::Pending(_) => true,
            Phase::Deferred(deferred) => deferred.trial.is_none(),
            Phase::Activating(_)
            | Phase::Soaking(_)
            | Phase::Converged(_)
            | Phase::Failed(_)
            | Phase::Reverted(_)
            | Phase::Cancelled(_) => false,
        };
        let event = if waiting {
            Event::Cancelled(why.to_owned())
        } else {
            Event::SustainedFailure(Verdict::Ordered(why.to_owned()))
        };
        self.record(rollout, &event);
    }

    /// Opens what was ordered as soon as its release is here and verified.
    pub(crate) fn open_ordered(&mut self, order: &Order) {
        let busy = self.progress(&order.rollout_id).is_some_and(|own| own.is_started() && !own.is_final());
        if busy {
            return;
        }
        let Some(offer) = self.offers.get(&order.rollout_id) else {
            self.fetch(&order.rollout_id);
            return;
        };
        if *offer.digest() != order.digest {
            let why = format!("{} was offered with digest {}", order.rollout_id, order.digest);
            self.refuse(&order.rollout_id, HostHold::Untrusted(why));
            return;
        }
        let progress = HostRollout::open(Attempt(order.attempt), offer.terms.clone(), &self.now());
        let (digest, again) = (Some(offer.digest().clone()), offer.verified.release.again);
        let target = progress.terms.target.clone();
        let dispatched = Some(timestamp(order.dispatched_at));
        let tracked = Tracked { progress, digest, dispatched, last_seq: 0 };
        if !self.open_attempt(&order.rollout_id, &tracked) {
            return;
        }
        if again || order.act == Act::Retry {
            self.lift(&target);
        }
        self.resume(&order.rollout_id);
    }

    /// Fetches a release, unless that runs or failed just now.
    pub(crate) fn fetch(&mut self, rollout: &RolloutId) {
        if self.naps.get(rollout).is_some_and(|until| *until > Instant::now()) {
            return;
        }
        let (over, host, id) = (Arc::clone(&self.link.transport), self.host.clone(), rollout.clone());
        self.begin(Work::Fetch(rollout.clone()), async move {
            Outcome::Fetch(agent::fetch_release(over.as_ref(), &host, &id).await)
        });
    }

    pub(crate) fn take_release(&mut self, rollout: &RolloutId, answer: Result<FetchedRelease, ClientError>) {
        let fetched = match answer {
            Ok(fetched) => fetched,
            Err(why) => {
                tracing::warn!(host.name = %self.host, rollout.id = %rollout, "fetching the release: {why}");
                self.nap(rollout, RELEASE_RETRY.min(self.patience()));
                self.start_with_release(rollout);
                return;
            }
        };
        self.heard();
        self.verify(rollout, fetched);
        self.start_with_release(rollout);
        self.adopt_snapshots();
        if let Some(order) = self.orders.get(rollout).cloned() {
            self.take_order(&order);
        }
    }

    /// Takes a release for what it is, if the running closure's trust file says so.
    pub(crate) fn verify(&mut self, rollout: &RolloutId, fetched: FetchedRelease) {
        match Offer::read(fetched, &self.settings.trust, &self.host) {
            Ok(offer) if offer.verified.release.id == *rollout => {
                self.refusals.remove(rollout);
                self.offers.insert(rollout.clone(), offer);
            }
            Ok(offer) => {
                let why = format!("asked for {rollout}, the control plane gave {}", offer.verified.release.id);
                self.refuse(rollout, HostHold::Untrusted(why));
            }
            Err(hold) => self.refuse(rollout, hold),
        }
    }

    fn refuse(&mut self, rollout: &RolloutId, hold: HostHold) {
        tracing::error!(host.name = %self.host, rollout.id = %rollout, "the release is not taken: {hold:?}");
        self.refusals.insert(rollout.clone(), hold);
        self.offers.remove(rollout);
        self.nap(rollout, RELEASE_RETRY);
        self.link.beat.soon();
    }

    /// Leaves a rollout alone for a while.
    pub(crate) fn nap(&mut self, rollout: &RolloutId, span: Duration) {
        self.naps.insert(rollout.clone(), Instant::now() + span);
    }

    /// How long the agent may go without an exchange before it has to know whether the control plane is there: a
    /// third of the failure time while something soaks.
    pub(crate) fn patience(&self) -> Duration {
        let soaking = self.journal.book().rollouts.values().map(|tracked| &tracked.progress);
        let soaking = soaking.filter(|progress| matches!(progress.phase, Phase::Soaking(_)));
        let shortest = soaking.map(|progress| progress.terms.failure_after / 3).min();
        shortest.map_or(Duration::from_secs(900), |span| span.max(Duration::from_millis(200)))
    }
}
