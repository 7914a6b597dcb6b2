//! What a heartbeat says of its host: kept when it is new, and what follows from a host that drifted.

use crate::model::facts::{Closures, HostHold};
use crate::model::fleet::OnDrift;
use crate::model::host_rollout::HostRolloutState;
use crate::model::id::{Closure, HostName};
use crate::plane::attempt::Opening;
use crate::plane::desk::Desk;
use crate::plane::error::Done;
use crate::plane::history::{Note, happening};
use crate::plane::ledger::Kept;
use crate::wire::stored::HostBody;
use crate::wire::v1::agent::HeartbeatRequest;
use serde_json::json;

/// How many rollouts are looked at for the one that put a host where it is.
const RECENT: usize = 64;
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
        Ok(rewound || booted || self.with_facts(&body, beat)? != body)
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
        next.agent_version = beat.agent_version.chars().take(64).collect();
        let lifted = self.lifted(&beat.hostname)?;
        for closure in &beat.quarantined {
            if !next.quarantined.contains(closure) && !lifted.contains(closure) {
                next.quarantined.push(closure.clone());
            }
        }
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
        let was = before.closures.as_ref().and_then(|closures| closures.running.as_ref());
        let is = beat.running_closure.as_ref();
        if let (true, Some(is)) = (was != is, is) {
            self.look_for_drift((&row.name, &mut body), is)?;
        }
        if body != before {
            self.follow.wake.insert(row.name.clone());
            self.put_host(row, &body)?;
        }
        Ok(())
    }

    /// A host that runs something else than what its newest attempt put there, and is in no attempt, has drifted.
    fn look_for_drift(&mut self, (host, body): (&HostName, &mut HostBody), running: &Closure) -> Done<()> {
        let Some(mut kept) = self.newest_record(host)? else { return Ok(()) };
        let settled = kept.row.state == HostRolloutState::Converged;
        if !settled || kept.target() == running || !self.tx.open_records(host)?.is_empty() {
            return Ok(());
        }
        let Some(loaded) = self.release(&kept.row.rollout)? else { return Ok(()) };
        let seen = format!("it runs {} and {} put {} there", running.base(), kept.row.rollout, kept.target().base());
        tracing::warn!(host.name = %host, rollout.id = %kept.row.rollout, "host {host} drifted: {seen}");
        let event = happening(json!({ "kind": "drifted", "running": running.as_str(), "text": seen }))?;
        let rollout = Some((&kept.row.rollout, kept.row.attempt));
        self.note(Note { host: Some(host), rollout, event, refused: None })?;
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

    /// Finds a host's record in the newest rollout that names it.
    ///
    /// # Errors
    /// The store's.
    pub fn newest_record(&self, host: &HostName) -> Done<Option<Kept>> {
        for row in self.tx.rollouts(false, RECENT)? {
            if let Some(kept) = self.record(host, &row.id)? {
                return Ok(Some(kept));
            }
        }
        Ok(None)
    }
}
