//! The only work that no request starts: what decisions left to do, deadlines, silence, and keeping house. Everything
//! is acted on when it happens; the timer is for deadlines.

use crate::model::rollout::{self, RolloutState};
use crate::model::time::Timestamp;
use crate::model::window;
use crate::plane::Plane;
use crate::plane::desk::Desk;
use crate::plane::error::Done;
use crate::runtime::signals::Shutdown;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::time::sleep;

/// How often silence is looked for, at most and at least; in between a quarter of the heartbeat interval.
const SWEEP: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(15));
/// How long a failed round waits before the next: the store may need room or time.
const RETRY: Duration = Duration::from_secs(1);
/// How often old events are looked for.
const PRUNE: Duration = Duration::from_secs(60 * 60);
/// How often one call looks for work that the last look made: a decision's consequences are done after two or three.
const PASSES: usize = 8;
/// How many open rollouts are looked at: one for each channel.
const MAX_OPEN: usize = 64;

/// When what was done last, on the process's own clock.
#[derive(Debug, Default)]
struct Last {
    round: Duration,
    sweep: Duration,
    flush: Duration,
    prune: Duration,
    grace_over: bool,
    /// The next moment at which something opens by itself, for each rollout.
    opens: BTreeMap<crate::model::id::RolloutId, Timestamp>,
}

impl Plane {
    /// Does what is left to do, until the end is asked for; then writes the last contacts.
    pub async fn run(self: &Arc<Self>, shutdown: Shutdown) {
        let up = self.up();
        let mut last = Last { round: up, sweep: up, flush: up, prune: up, ..Last::default() };
        loop {
            let pause = match self.round(&mut last).await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::error!(%error, "a round of work failed; it is tried again in a moment");
                    RETRY
                }
            };
            tokio::select! {
                () = self.busy.notified() => {}
                () = sleep(pause) => {}
                () = shutdown.asked() => break,
            }
        }
        self.draining.send_replace(true);
        if let Err(error) = self.flush().await {
            tracing::warn!(%error, "the last contacts could not be written; hosts will be heard again");
        }
    }

    async fn round(self: &Arc<Self>, last: &mut Last) -> Done<Duration> {
        let up = self.up();
        let period = (self.config().heartbeat / 4).clamp(SWEEP.0, SWEEP.1);
        self.offers.ran_out(last.round, up).into_iter().for_each(|id| self.nudge(id));
        last.round = up;
        let owed = self.owes_judgement() && self.may_judge();
        if owed || up.saturating_sub(last.sweep) >= period {
            self.sweep().await?;
            last.sweep = up;
        }
        self.go_on_publishing().await;
        let next = self.due(last).await?;
        self.settle().await?;
        if up.saturating_sub(last.flush) >= self.config().flush {
            self.flush().await?;
            last.flush = up;
        }
        if up.saturating_sub(last.prune) >= PRUNE {
            self.prune().await?;
            last.prune = up;
        }
        Ok(next.map_or(period, |at| at.since(self.now()).min(period)))
    }

    /// Does everything that decisions left to do; where new work comes up all the while, the timer goes on with that.
    ///
    /// # Errors
    /// The store's; what is left is done later.
    pub async fn settle(self: &Arc<Self>) -> Done<()> {
        for _ in 0..PASSES {
            let recounts = std::mem::take(&mut *self.recounts.lock().unwrap_or_else(PoisonError::into_inner));
            let chores = self.chores_left.swap(false, Ordering::AcqRel);
            if chores && let Err(error) = self.do_chores().await {
                self.chores_left.store(true, Ordering::Release);
                return Err(error);
            }
            for id in &recounts {
                let id = id.clone();
                self.transact(move |desk| desk.judge(&id)).await?;
            }
            self.call_hosts().await?;
            let idle = self.nudges.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
            if recounts.is_empty() && !chores && idle {
                return Ok(());
            }
        }
        self.busy.notify_one();
        Ok(())
    }

    /// Acts on deadlines that have passed; returns the next one.
    async fn due(self: &Arc<Self>, last: &mut Last) -> Done<Option<Timestamp>> {
        let now = self.now();
        let facts = self.facts();
        let deadlines = self.look(|desk| desk.deadlines()).await?;
        // Once, when it ends: a nudge is work, and work left to do starts the next round at once.
        let grace_ends = !last.grace_over && facts.up_for >= facts.grace;
        let mut next = None;
        let mut soonest = |at: Timestamp| next = Some(next.map_or(at, |known: Timestamp| known.min(at)));
        let mut opens = BTreeMap::new();
        for deadline in deadlines {
            match deadline.ends {
                Some(at) if at <= now => self.recount(deadline.rollout.clone()),
                Some(at) => soonest(at),
                None => {}
            }
            if last.opens.get(&deadline.rollout).is_some_and(|at| *at <= now) {
                self.nudge(deadline.rollout.clone());
            }
            if let Some(at) = deadline.opens {
                soonest(at);
                opens.insert(deadline.rollout.clone(), at);
            }
            if grace_ends {
                self.nudge(deadline.rollout);
            }
        }
        last.opens = opens;
        last.grace_over |= grace_ends;
        if !last.grace_over {
            soonest(now.plus(facts.grace.saturating_sub(facts.up_for)));
        }
        Ok(next)
    }
}

/// When something is due in one rollout.
struct Due {
    rollout: crate::model::id::RolloutId,
    /// The wait between waves.
    ends: Option<Timestamp>,
    /// A window or a signed date.
    opens: Option<Timestamp>,
}

impl Desk<'_> {
    fn deadlines(&mut self) -> Done<Vec<Due>> {
        let mut deadlines = Vec::new();
        for row in self.tx.rollouts(true, MAX_OPEN)? {
            let Some((_, body)) = self.rollout(&row.id)? else { continue };
            let ends = rollout::deadline(&body.rollout, self.now);
            let opens = match &body.rollout.state {
                RolloutState::Advancing { wave } => self.opens(&row.id, *wave)?,
                RolloutState::Opened
                | RolloutState::Completed
                | RolloutState::Halted { .. }
                | RolloutState::Paused { .. }
                | RolloutState::Superseded { .. }
                | RolloutState::Cancelled { .. } => None,
            };
            deadlines.push(Due { rollout: row.id, ends, opens });
        }
        Ok(deadlines)
    }

    fn opens(&self, id: &crate::model::id::RolloutId, upto: usize) -> Done<Option<Timestamp>> {
        let Some(loaded) = self.release(id)? else { return Ok(None) };
        let waves = loaded.release.waves.iter().take(upto + 1);
        let moments = waves.flat_map(|wave| {
            let not_before = wave.not_before.filter(|at| *at > self.now);
            [not_before, window::opens_at(&wave.windows, self.now)].into_iter().flatten()
        });
        Ok(moments.min())
    }
}
