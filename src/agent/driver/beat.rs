//! The heartbeat: what the host runs and holds, which attempts it knows, and what the answer repairs.

use crate::agent::driver::work::{Outcome, Work};
use crate::agent::driver::{Driver, within};
use crate::agent::hook::Spool;
use crate::client::{ClientError, agent};
use crate::model::facts::HostHold;
use crate::model::host_rollout::{Event, Observed};
use crate::wire::v1::agent::{HeartbeatRequest, HeartbeatResponse, RolloutReport};
use crate::wire::v1::event::{HostHoldBody, StampBody};
use rand::Rng;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The control plane's word for a host that was shut out.
const REVOKED: &str = "revoked";
/// The longest delay that is taken from the control plane: the protocol's upper end.
const LONGEST_DELAY: Duration = Duration::from_secs(900);

impl Driver {
    /// Looks at the machine, and starts a heartbeat that says what it found.
    pub(crate) async fn send_beat(&mut self) {
        self.link.beat.at = Instant::now() + LONGEST_DELAY;
        match within("look at the machine", self.system.observe()).await {
            Ok(seen) if seen.boot == self.seen.boot => self.saw(seen).await,
            // Another boot: the next look takes it up, with everything that follows from it.
            Ok(_) => self.look_soon(),
            Err(why) => tracing::warn!(host.name = %self.host, "{why}"),
        }
        let beat = self.beat();
        let over = Arc::clone(&self.link.transport);
        self.begin(
            Work::Beat,
            async move { Outcome::Beat(agent::heartbeat(over.as_ref(), &beat).await.map(Box::new)) },
        );
    }

    /// Makes a heartbeat, and notes the holds that it tells of.
    pub(crate) fn beat(&mut self) -> HeartbeatRequest {
        let holds = self.all_holds();
        let book = self.journal.book();
        let open = book.rollouts.iter().filter(|(_, own)| !(own.progress.is_final() && book.is_acked(own.last_seq)));
        let rollouts = open.map(|(id, own)| RolloutReport {
            rollout_id: id.clone(),
            attempt: own.progress.attempt.0,
            state: own.progress.state(),
            last_event_seq: own.last_seq,
        });
        let closures = self.seen.closures.clone();
        let beat = HeartbeatRequest {
            hostname: self.host.clone(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            journal_id: book.journal.clone(),
            last_seq: book.last_seq,
            now: StampBody::from(&self.now()),
            running_closure: closures.running,
            booted_closure: closures.booted,
            default_closure: closures.default,
            holds: holds.iter().map(HostHoldBody::from).collect(),
            rollouts: rollouts.collect(),
            store_seen: book.store.clone(),
            quarantined: book.quarantined.clone(),
        };
        self.link.reporting = holds;
        beat
    }

    /// Every reason of this host to hold back, once.
    fn all_holds(&self) -> Vec<HostHold> {
        let soaks = self.open_rollouts().iter().any(|id| self.progress(id).is_some_and(|own| own.is_started()));
        let own = self.seen.holds.iter().filter(|hold| {
            // In mid-attempt the target runs and the prior is the default: that is the plan.
            !(soaks && **hold == HostHold::BootDefaultDiffers)
        });
        let mut all: BTreeSet<HostHold> = own.cloned().collect();
        all.extend(self.holds.values().flatten().cloned());
        all.extend(self.refusals.values().cloned());
        all.extend(self.helper_holds.keys().filter_map(|rollout| self.helper_hold(rollout)));
        all.extend(self.commit_troubles().into_values());
        all.extend(self.disk_hold());
        all.into_iter().collect()
    }

    pub(crate) async fn take_beat(&mut self, answer: Result<HeartbeatResponse, ClientError>) {
        match answer {
            Ok(answer) => self.beat_answered(answer),
            Err(why) => {
                tracing::debug!(host.name = %self.host, "heartbeat: {why}");
                self.unheard(|link| &mut link.beat);
                // A host that was shut out is so under every closure's settings: no closure is to blame.
                if !matches!(&why, ClientError::Refused { code, .. } if code == REVOKED) {
                    self.convict().await;
                }
            }
        }
    }

    pub(crate) fn beat_answered(&mut self, answer: HeartbeatResponse) {
        self.heard();
        self.link.reported = Some(self.link.reporting.clone());
        let delay = Duration::from_millis(answer.next_delay_ms).clamp(self.heartbeat_floor, LONGEST_DELAY);
        let delay = delay.min(self.patience()).mul_f64(0.9 + 0.2 * self.rng.random::<f64>());
        self.link.beat.again(Instant::now() + delay);
        if let Some(why) = self.fence(answer.fenced.as_deref(), answer.acknowledged_seq) {
            self.renew(&why);
        } else {
            self.take_held(&answer);
        }
        self.snapshots = answer.bootstrap_rollouts;
        self.adopt_snapshots();
        self.report_activations();
        self.observe_closures();
    }

    /// Takes what the control plane holds. It was counted before the answer travelled, so that it never takes back
    /// what a batch was told since, unless events are asked for again.
    fn take_held(&mut self, answer: &HeartbeatResponse) {
        let known = self.journal.book().acked;
        let held = match answer.send_from {
            Some(from) => from.saturating_sub(1),
            None => known.unwrap_or(0).max(answer.acknowledged_seq),
        };
        // A journal that the control plane has not seen yet still owes it its base.
        if known.is_none() && held == 0 {
            return;
        }
        let held = held.min(self.journal.book().last_seq);
        if let Err(why) = self.journal.acked(held, &answer.store) {
            self.write_failed(&why);
        }
        self.link.send.soon();
    }

    /// Records, where nothing of ours is under way, that the host runs something else than it did.
    fn observe_closures(&mut self) {
        let Some(rollout) = self.journal.book().newest(1).pop() else { return };
        let Some(progress) = self.progress(&rollout) else { return };
        let seen = self.seen.closures.clone();
        let told = progress.observed.as_ref();
        let target = Some(&progress.terms.target);
        let expected = told.is_none() && seen.running.as_ref() == target && seen.default.as_ref() == target;
        if progress.is_final() && !expected && told != Some(&seen) {
            self.record(&rollout, &Event::ClosureObserved(Observed { closures: seen, by: None }));
        }
    }

    /// Records what the hook noted, each with the attempt that is the newest: in the journal first, then out of the
    /// spool. Without any attempt the notes wait; the spool holds so many and no more.
    fn report_activations(&mut self) {
        let Some(rollout) = self.journal.book().newest(1).pop() else { return };
        let waiting = self.hook.as_mut().map(Spool::waiting).unwrap_or_default();
        for note in waiting {
            let seen = Observed { closures: self.seen.closures.clone(), by: Some(note.done.clone()) };
            self.record(&rollout, &Event::ClosureObserved(seen));
            if self.disk.is_some() {
                return;
            }
            if let Some(spool) = &mut self.hook {
                spool.taken(&note);
            }
        }
    }
}
