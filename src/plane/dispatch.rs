//! Orders, derived from rows each time they are asked for; a long poll waits for its own host only.

use crate::model::gate::{Gate, Hold};
use crate::model::host_rollout::{HostRolloutState, Phase};
use crate::model::id::HostName;
use crate::model::rollout::RolloutState;
use crate::plane::Plane;
use crate::plane::desk::{Desk, keep};
use crate::plane::digest::sha256;
use crate::plane::error::{Done, PlaneError};
use crate::plane::ledger::Kept;
use crate::plane::offers::{Offer, Room};
use crate::plane::permit::Case;
use crate::wire::v1::agent::{Act, Dispatch, MAX_WAIT_SECS, Order};
use crate::wire::v1::release::date;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// The most orders in one answer.
const MAX_ORDERS: usize = 8;
/// The tag of an answer without orders.
const NOTHING: &str = "none";
/// How long an invitation counts against the free slots, at most: a host that staged ahead asks within seconds.
const OFFER_LIFE: Duration = Duration::from_secs(15);
/// The same, at least.
const OFFER_LIFE_MIN: Duration = Duration::from_secs(1);

impl Plane {
    /// Gives a host its orders: at once when they are not those tagged `seen`, else when they change; `None` after the
    /// wait.
    ///
    /// # Errors
    /// [`PlaneError::Refused`] when the host has too many polls open, [`PlaneError::Forbidden`] as soon as it is shut
    /// out, else the store's.
    pub async fn dispatch(
        self: &Arc<Self>,
        host: &HostName,
        seen: Option<&str>,
        wait: Duration,
    ) -> Done<Option<Dispatch>> {
        self.heard(host);
        let too_many = || PlaneError::refused("too_many_polls", format!("{host} has too many long polls open"));
        let waiting = self.wakes.enter(host).ok_or_else(too_many)?;
        let until = Instant::now() + wait.min(Duration::from_secs(MAX_WAIT_SECS));
        let mut draining = self.draining.subscribe();
        loop {
            let mut woken = std::pin::pin!(waiting.notify.notified());
            woken.as_mut().enable();
            if let Some(at) = self.identities.shut_out(host) {
                let said = format!("{host} was revoked at {at}: `convoy token create --host {host}` lets it in again");
                return Err(PlaneError::Forbidden { code: "revoked", message: said });
            }
            let orders = self.orders(host).await?;
            if seen != Some(orders.tag.as_str()) {
                return Ok(Some(orders));
            }
            if *draining.borrow_and_update() {
                return Ok(None);
            }
            // Nothing is derived once more at the end of the wait: the next poll, which follows at once, does that.
            tokio::select! {
                biased;
                () = &mut woken => {}
                _ = draining.changed() => return Ok(None),
                () = sleep_until(until) => return Ok(None),
            }
        }
    }

    /// Derives a host's orders from what is committed.
    ///
    /// # Errors
    /// The store's.
    pub async fn orders(self: &Arc<Self>, host: &HostName) -> Done<Dispatch> {
        let host = host.clone();
        self.look(move |desk| desk.orders(&host)).await
    }

    fn offer_life(&self) -> Duration {
        (self.config().heartbeat / 4).clamp(OFFER_LIFE_MIN, OFFER_LIFE)
    }
}

impl Desk<'_> {
    fn orders(&self, host: &HostName) -> Done<Dispatch> {
        let mut orders = Vec::new();
        let mut said = String::new();
        for rollout in self.plane.live.get(host).unsettled {
            let row = self.tx.record(host, &rollout)?.filter(|row| row.state == HostRolloutState::Cancelled);
            let Some(kept) = row.map(keep).transpose()? else { continue };
            if let Phase::Cancelled(cancelled) = &kept.body.progress.phase {
                self.order(&kept, Act::Cancel { why: cancelled.why.clone() }, &mut orders)?;
            }
        }
        for kept in self.open_records(host)? {
            if let Some(act) = self.act(&kept)? {
                said.push_str(&format!("{} ", kept.body.invitation));
                self.order(&kept, act, &mut orders)?;
            }
        }
        orders.truncate(MAX_ORDERS);
        if orders.is_empty() {
            return Ok(Dispatch { tag: NOTHING.to_owned(), orders });
        }
        said.push_str(&serde_json::to_string(&orders).expect("orders are always JSON"));
        let tag = sha256(said.as_bytes()).as_str().chars().take(16).collect();
        Ok(Dispatch { tag, orders })
    }

    fn order(&self, kept: &Kept, act: Act, orders: &mut Vec<Order>) -> Done<()> {
        let Some(loaded) = self.release(&kept.row.rollout)? else { return Ok(()) };
        orders.push(Order {
            rollout_id: kept.row.rollout.clone(),
            attempt: kept.row.attempt.0,
            digest: loaded.release.digest.clone(),
            dispatched_at: date(kept.body.opened),
            act,
        });
        Ok(())
    }

    /// Says what the host should do in one open attempt.
    fn act(&self, kept: &Kept) -> Done<Option<Act>> {
        if let Some(why) = &kept.body.revert {
            return Ok(Some(Act::Revert { why: why.clone() }));
        }
        // An agent holds one order for each rollout: a retry is a start that lifts the quarantine first.
        let start = || if kept.body.retry { Act::Retry } else { Act::Start };
        if !kept.waits() {
            return Ok(is_permitted_to_start(kept).then(start));
        }
        let Some(case) = self.case(kept)? else { return Ok(None) };
        let holds = self.holds(&case, kept);
        if holds.is_empty() && self.invite(&case, kept) {
            return Ok(Some(start()));
        }
        Ok(may_stage(&case, kept, &holds).then_some(Act::Stage))
    }

    /// Takes a free slot for the host, unless others are invited for all of them.
    fn invite(&self, case: &Case, kept: &Kept) -> bool {
        let release = &case.loaded.release;
        let wave = release.waves.get(kept.row.wave as usize).and_then(|wave| wave.max_in_flight);
        let free = |tag: &crate::model::id::Tag, in_flight: u32| {
            release.policy.budgets.get(tag).map_or(u32::MAX, |limit| limit.saturating_sub(in_flight))
        };
        let room = Room {
            wave: wave.map(|limit| limit.saturating_sub(case.tally.in_flight)),
            budgets: case.budgets.iter().map(|(tag, n)| (tag.clone(), free(tag, *n))).collect(),
        };
        let offer =
            Offer { wave: kept.row.wave, budgets: kept.row.budgets.clone(), until: self.up + self.plane.offer_life() };
        self.plane.offers.take((kept.host(), &kept.row.rollout), offer, (&room, self.up))
    }
}

fn is_permitted_to_start(kept: &Kept) -> bool {
    let waits = match kept.body.progress.phase {
        Phase::Pending(_) | Phase::Deferred(_) => true,
        Phase::Activating(_)
        | Phase::Soaking(_)
        | Phase::Converged(_)
        | Phase::Failed(_)
        | Phase::Reverted(_)
        | Phase::Cancelled(_) => false,
    };
    waits && kept.body.permitted.is_some()
}

/// Hosts of the open and the next wave fetch ahead of time, unless they will not start at all as things are.
fn may_stage(case: &Case, kept: &Kept, holds: &[(Gate, Hold)]) -> bool {
    let wave = kept.row.wave as usize;
    let near = match &case.rollout.state {
        RolloutState::Opened => wave == 0,
        RolloutState::Advancing { wave: open } => wave <= open + 1,
        RolloutState::Completed => true,
        RolloutState::Halted { .. }
        | RolloutState::Paused { .. }
        | RolloutState::Superseded { .. }
        | RolloutState::Cancelled { .. } => false,
    };
    near && !holds.iter().any(|(gate, _)| forbids_staging(*gate))
}

fn forbids_staging(gate: Gate) -> bool {
    match gate {
        Gate::Quarantine | Gate::Stopped | Gate::Superseded | Gate::Conflict | Gate::Clone | Gate::Revoked => true,
        Gate::OtherRollout
        | Gate::ChannelOrder
        | Gate::Wave
        | Gate::HostOrder
        | Gate::Budget
        | Gate::Window
        | Gate::NotBefore
        | Gate::Approval
        | Gate::Freshness
        | Gate::RestoredStore
        | Gate::Host => false,
    }
}
