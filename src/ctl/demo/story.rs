//! Follows a rollout at the control plane until it has come to rest, and tells what moves.

use crate::client::operator;
use crate::ctl::demo::server::Server;
use crate::ctl::demo::telling::Telling;
use crate::ctl::human;
use crate::model::id::RolloutId;
use crate::wire::v1::operator::{AttemptView, RolloutView};
use anyhow::bail;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

/// How often the control plane is asked.
const LOOK: Duration = Duration::from_millis(200);
/// With more hosts than this, only waves are told, to keep the story short.
const HOSTS_TOLD: usize = 15;
/// How many hosts of a wave are named.
const NAMED: usize = 6;

/// Follows one rollout.
#[derive(Debug)]
pub struct Story {
    server: Arc<Mutex<Server>>,
    telling: Arc<Telling>,
    rollout: RolloutId,
    states: BTreeMap<String, String>,
    wave: Option<u32>,
    told: Option<String>,
    committed: usize,
}

impl Story {
    /// Starts with nothing told.
    #[must_use]
    pub fn new(server: Arc<Mutex<Server>>, telling: Arc<Telling>, rollout: RolloutId) -> Self {
        Self { server, telling, rollout, states: BTreeMap::new(), wave: None, told: None, committed: 0 }
    }

    /// Follows the rollout until it is at rest: completed, or stopped with nobody under way. Returns its view.
    ///
    /// # Errors
    /// When it has not come to rest within the limit.
    pub async fn follow(&mut self, limit: Duration) -> anyhow::Result<RolloutView> {
        let begun = Instant::now();
        while begun.elapsed() < limit {
            // Nothing to be told while the control plane is away; the lock is free when it is there.
            if let Ok(Some((view, attempts))) = tokio::time::timeout(limit, self.look()).await {
                self.tell(&view, &attempts);
                if at_rest(&view, &attempts) {
                    return Ok(view);
                }
            }
            sleep(LOOK).await;
        }
        bail!("{} has not come to an end within {}", self.rollout, human::span(limit))
    }

    async fn look(&self) -> Option<(RolloutView, Vec<AttemptView>)> {
        let server = self.server.lock().await;
        let transport = server.transport().ok()?;
        let view = operator::rollout(&transport, &self.rollout).await.ok()?;
        let attempts = operator::attempts(&transport, &self.rollout, false).await.ok()?;
        Some((view, attempts))
    }

    fn tell(&mut self, view: &RolloutView, attempts: &[AttemptView]) {
        if view.wave.is_some() && view.wave != self.wave {
            self.wave = view.wave;
            self.tell_wave(view, attempts);
        }
        for attempt in attempts {
            let before = self.states.insert(attempt.host.clone(), attempt.state.clone());
            if before.as_ref() != Some(&attempt.state) {
                self.tell_host(attempt, attempts);
            }
        }
        let ended = format!("{} {}", view.state, view.why.as_deref().unwrap_or_default());
        if view.state != "Opened" && view.state != "Advancing" && self.told.as_ref() != Some(&ended) {
            let why = view.why.as_ref().map(|why| format!(": {}", human::clean(why))).unwrap_or_default();
            self.telling.say(&format!("  rollout {} is {}{why}", view.id, view.state.to_lowercase()));
            self.told = Some(ended);
        }
        let done = attempts.iter().filter(|attempt| attempt.is_final).count();
        let under_way = attempts.iter().filter(|attempt| attempt.in_flight).count();
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        self.telling.progress(count(done), count(attempts.len()), &format!("{} · {under_way} under way", view.id));
    }

    fn tell_wave(&self, view: &RolloutView, attempts: &[AttemptView]) {
        let Some(number) = view.wave else { return };
        let of_wave: Vec<&str> =
            attempts.iter().filter(|attempt| attempt.wave == number).map(|attempt| attempt.host.as_str()).collect();
        let named = of_wave.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
        let more = of_wave.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        self.telling.say(&format!("  wave {number} of {} may start: {named}{more}", view.waves.len()));
    }

    fn tell_host(&mut self, attempt: &AttemptView, attempts: &[AttemptView]) {
        let host = &attempt.host;
        let verdict = attempt.verdict.as_deref().map(human::clean);
        match attempt.state.as_str() {
            "Failed" => {
                let verdict = verdict.unwrap_or_else(|| "no reason given".to_owned());
                self.telling.say(&format!("  {host} is unhealthy: {verdict}; it goes back by itself"));
            }
            "Reverted" => self.telling.say(&format!("  {host} runs what it ran before again, verified")),
            "Converged" => {
                self.committed += 1;
                let (done, all) = (self.committed, attempts.len());
                if all <= HOSTS_TOLD {
                    self.telling.say(&format!("  {host} soaked healthy and is committed ({done} of {all})"));
                } else if done % all.div_ceil(6) == 0 || done == all {
                    self.telling.say(&format!("  {done} of {all} hosts soaked healthy and are committed"));
                }
            }
            "Soaking" if attempts.len() <= HOSTS_TOLD => {
                self.telling.say(&format!("  {host} runs the new system, uncommitted; its soak begins"));
            }
            _ => {}
        }
    }
}

/// Nothing more will happen by itself.
fn at_rest(view: &RolloutView, attempts: &[AttemptView]) -> bool {
    let quiet = !attempts.iter().any(|attempt| attempt.in_flight);
    match view.state.as_str() {
        "Completed" => attempts.iter().all(|attempt| attempt.is_final),
        "Halted" | "Superseded" | "Cancelled" => quiet,
        _ => false,
    }
}
