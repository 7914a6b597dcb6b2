//! What a heartbeat says of its host: kept when it is new, and what follows from a host that drifted.

use crate::model::facts::{Activation, Closures, HostHold};
use crate::model::fleet::OnDrift;
use crate::model::host_rollout::{Phase, Rollback};
use crate::model::id::{Closure, HostName};
use crate::plane::attempt::Opening;
use crate::plane::desk::Desk;
use crate::plane::error::Done;
use crate::plane::history::{Note, happening};
use crate::plane::ledger::Kept;
use crate::wire::stored::HostBody;
use crate::wire::v1::agent::{HeartbeatRequest, MAX_QUARANTINED};
use serde_json::json;

/// How many quarantined closures of a host are kept: more than one heartbeat names, so that none goes and comes again.
const KEPT_QUARANTINES: usize = 2 * MAX_QUARANTINED;
/// The action of an activation by the machine's own start.
const BOOT: &str = "boot";
/// What a hold for drift begins with, so that `resolve` knows it.
pub const DRIFT: &str = "drift: ";

impl Desk<'_> {
    /// Tells whether a heartbeat says anything that is not in the rows.
    ///
    /// # Errors
    /// The store's.
    pub fn has_news(&self, beat: &HeartbeatRequest) -> Done<bool> {
        let Some(row) = self.tx.host(&beat.hostname)? else { return Ok(true) };
        let (_, body) = self.host(&row.name)?;
        let Some(journal) = self.tx.journal(&beat.hostname, &beat.journal_id)? else { return Ok(true) };
        let rewound = journal.fenced.is_none() && beat.last_seq < journal.last_seq;
        let booted = body.boots.last().map(|(boot, _)| boot) != Some(&beat.now.boot);
        let next = self.with_facts(&body, beat)?;
        Ok(rewound || booted || next != body || self.drift(&row.name, &next)?.is_some())
    }

    fn with_facts(&self, body: &HostBody, beat: &HeartbeatRequest) -> Done<HostBody> {
        let mut next = body.clone();
        next.closures = Some(Closures {
            running: beat.running_closure.clone(),
            booted: beat.booted_closure.clone(),
            default: beat.default_closure.clone(),
        });
        // A hold of a kind that this version does not know still holds: the agent keeps to it by itself.
        next.holds = beat.holds.iter().filter_map(|hold| HostHold::try_from(hold.clone()).ok()).collect();
        if next.drifted.is_some() && next.drifted != beat.running_closure {
            next.drifted = None;
        }
        next.agent_version = beat.agent_version.chars().take(64).collect();
        let lifted = self.lifted(&beat.hostname)?;
        for closure in &beat.quarantined {
            if !next.quarantined.contains(closure) && !lifted.contains(closure) {
                next.quarantined.push(closure.clone());
            }
        }
        let excess = next.quarantined.len().saturating_sub(KEPT_QUARANTINES);
        next.quarantined.drain(..excess);
        Ok(next)
    }

    /// Lists closures that operator or release lifted the quarantine of; the agent may not have heard it yet.
    fn lifted(&self, host: &HostName) -> Done<Vec<Closure>> {
        let mut lifted = Vec::new();
        for kept in self.open_records(host)? {
            let again = self.release(&kept.row.rollout)?.is_some_and(|loaded| loaded.release.again);
            if (kept.body.retry || again) && kept.waits() {
                lifted.push(kept.target().clone());
            }
        }
        Ok(lifted)
    }

    /// Keeps what a heartbeat says of its host.
    ///
    /// # Errors
    /// The store's.
    pub fn take_facts(&mut self, beat: &HeartbeatRequest) -> Done<()> {
        let (row, before) = self.host(&beat.hostname)?;
        let mut body = self.with_facts(&before, beat)?;
        if let Some((kept, running)) = self.drift(&row.name, &body)? {
            self.deal_with_drift(kept, running, &mut body)?;
        }
        if body != before {
            self.follow.wake.insert(row.name.clone());
            self.put_host(row, &body)?;
        }
        Ok(())
    }

    /// Keeps who activated what, for the operator. A boot into what somebody had activated before says nothing new of
    /// who that was.
    ///
    /// # Errors
    /// The store's.
    pub fn keep_activation(&mut self, host: &HostName, done: Activation) -> Done<()> {
        let (row, mut body) = self.host(host)?;
        let known = body.activated.as_ref();
        if done.action == BOOT && known.is_some_and(|known| known.closure == done.closure) {
            return Ok(());
        }
        body.activated = Some(done);
        self.put_host(row, &body)
    }

    /// A host has drifted when it is in no attempt and runs something else than what its newest one left there:
    /// the target it converged to, or whatever somebody else put there in the middle of one. Told once.
    fn drift(&self, host: &HostName, body: &HostBody) -> Done<Option<(Kept, Closure)>> {
        let Some(running) = body.closures.as_ref().and_then(|known| known.running.clone()) else { return Ok(None) };
        if body.drifted.as_ref() == Some(&running) {
            return Ok(None);
        }
        let Some(kept) = self.newest_record(host)?.filter(|kept| was_left_by(&kept.body.progress.phase)) else {
            return Ok(None);
        };
        let elsewhere = *kept.target() != running && self.tx.open_records(host)?.is_empty();
        Ok(elsewhere.then_some((kept, running)))
    }

    fn deal_with_drift(&mut self, mut kept: Kept, running: Closure, body: &mut HostBody) -> Done<()> {
        let Some(loaded) = self.release(&kept.row.rollout)? else { return Ok(()) };
        let host = kept.row.host.clone();
        let seen = format!("it runs {} and {} wants {}", running.base(), kept.row.rollout, kept.target().base());
        tracing::warn!(host.name = %host, rollout.id = %kept.row.rollout, "host {host} drifted: {seen}");
        let event = happening(json!({ "kind": "drifted", "running": running.as_str(), "text": seen }))?;
        let rollout = Some((&kept.row.rollout, kept.row.attempt));
        self.note(Note { host: Some(&host), rollout, event, refused: None })?;
        body.drifted = Some(running);
        match loaded.release.policy.on_drift {
            OnDrift::Report => {}
            OnDrift::Hold => {
                body.operator_hold.get_or_insert_with(|| format!("{DRIFT}{seen}"));
            }
            OnDrift::Reconcile => {
                let opening = Opening { by: "convoy", reason: &seen, lifts: false };
                if self.check_attempts(&kept.row.rollout).is_ok() {
                    self.open_attempt(&mut kept, opening)?;
                }
            }
        }
        Ok(())
    }
}

/// Tells whether an attempt ended with something running that should stay until the next one.
fn was_left_by(phase: &Phase) -> bool {
    match phase {
        Phase::Converged(_) => true,
        Phase::Failed(failed) => failed.rollback == Rollback::Overtaken,
        Phase::Pending(_)
        | Phase::Activating(_)
        | Phase::Deferred(_)
        | Phase::Soaking(_)
        | Phase::Reverted(_)
        | Phase::Cancelled(_) => false,
    }
}
