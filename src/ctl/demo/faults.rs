//! Carries the plan's faults out: waits for each one's moment, strikes, and tells.

use crate::agent::journal::book::Book;
use crate::agent::journal::read;
use crate::client::operator;
use crate::ctl::demo::figures::Blows;
use crate::ctl::demo::machines::{go_on, hold_still, kill_agent, stage};
use crate::ctl::demo::place::Place;
use crate::ctl::demo::plan::{Blow, Fault, Stage};
use crate::ctl::demo::server::Server;
use crate::ctl::demo::telling::Telling;
use crate::ctl::human;
use crate::model::host_rollout::HostRolloutState;
use crate::model::id::{Closure, HostName, RolloutId};
use anyhow::{Context, bail};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

/// How often a host's log is looked at.
const LOOK: Duration = Duration::from_millis(25);
/// How long a host may take to write down what it knows already, or is being told.
const SETTLE_LIMIT: Duration = Duration::from_secs(5);

/// What the faults of one release need.
#[derive(Debug, Clone)]
pub struct Striker {
    /// Where everything lies.
    pub place: Place,
    /// The control plane. Whoever takes it away holds the lock until it is back.
    pub server: Arc<Mutex<Server>>,
    /// Tells what happens.
    pub telling: Arc<Telling>,
    /// The rollout.
    pub rollout: RolloutId,
    /// What it brings to each host.
    pub targets: BTreeMap<HostName, Closure>,
}

impl Striker {
    /// Carries one fault out, whenever its moment comes, and returns what it did. Dropping it gives up.
    ///
    /// # Errors
    /// When a process can't be killed or started again, or no host was in the state that the fault needs.
    pub async fn strike(self, fault: Fault) -> anyhow::Result<Blows> {
        match fault.blow {
            Blow::KillAgent => {
                let host = self.moment(&fault).await?;
                kill_agent(&self.place, &host).await?;
                self.telling.say(&format!("! the agent of {host} is killed (SIGKILL){}", while_doing(fault.stage)));
                Ok(Blows { agent_kills: 1, ..Blows::default() })
            }
            Blow::KillControlPlane(down) => {
                self.moment(&fault).await?;
                let mut server = self.server.lock().await;
                server.kill().await?;
                self.telling.say("! the control plane is killed (SIGKILL); hosts go on without it");
                sleep(down).await;
                server.restart().await?;
                self.telling.say("  the control plane is back, on the same database");
                Ok(Blows { cp_kills: 1, ..Blows::default() })
            }
            Blow::WipeState => self.wipe(&fault.hosts).await,
        }
    }

    /// Waits until the first of the fault's hosts has come to its stage, and the time after it has passed.
    async fn moment(&self, fault: &Fault) -> anyhow::Result<HostName> {
        loop {
            for host in &fault.hosts {
                let reached = self.stage(host)?;
                if reached == Some(fault.stage) || reached == Some(Stage::Soaking) {
                    sleep(fault.after).await;
                    return Ok(host.clone());
                }
            }
            sleep(LOOK).await;
        }
    }

    fn stage(&self, host: &HostName) -> anyhow::Result<Option<Stage>> {
        let target = self.targets.get(host).context("a fault for a host without a target")?;
        stage(&self.place, host, target)
    }

    /// Deletes the memory of an agent that soaks and has events that nobody else has.
    async fn wipe(&self, hosts: &[HostName]) -> anyhow::Result<Blows> {
        let mut missed = Vec::new();
        let mut done = Blows::default();
        while missed.len() < hosts.len() {
            for host in hosts {
                if missed.contains(host) {
                    continue;
                }
                match self.stage(host)? {
                    None => continue,
                    Some(Stage::Soaking) => missed.push(host.clone()),
                    Some(Stage::Switching) => {
                        missed.push(host.clone());
                        if self.try_wipe(host, &mut done).await? {
                            return Ok(done);
                        }
                    }
                }
            }
            sleep(LOOK).await;
        }
        bail!("no host was seen between its permit and its soak, so no agent's memory was deleted")
    }

    async fn try_wipe(&self, host: &HostName, done: &mut Blows) -> anyhow::Result<bool> {
        let mut server = self.server.lock().await;
        if !self.is_activating(&server, host).await? {
            return Ok(false);
        }
        server.kill().await?;
        done.cp_kills += 1;
        self.telling.say("! the control plane is killed (SIGKILL); hosts go on without it");
        let undelivered = self.undelivered(host).await?;
        if undelivered > 0 {
            let init = hold_still(&self.place, host)?;
            let killed = self.lose_memory(host).await;
            let back = server.restart().await;
            go_on(init);
            killed.and(back)?;
            self.recovered(host).await?;
            done.agent_kills += 1;
            done.state_wipes += 1;
            let unsent = human::count(undelivered, "unsent event");
            let lost = format!("! {host} soaks: its agent is killed and its memory deleted, with {unsent} in it");
            self.telling.say(&lost);
        } else {
            server.restart().await?;
        }
        self.telling.say("  the control plane is back, on the same database");
        Ok(undelivered > 0)
    }

    async fn lose_memory(&self, host: &HostName) -> anyhow::Result<()> {
        kill_agent(&self.place, host).await?;
        let (state, lost) = (self.place.agent_state(host), self.place.lost_state(host));
        fs::rename(&state, &lost).with_context(|| format!("can't take {} away", state.display()))
    }

    /// Waits until the control plane knows that the host's switch has begun; `false` when it has ended before.
    async fn is_activating(&self, server: &Server, host: &HostName) -> anyhow::Result<bool> {
        let transport = server.transport()?;
        let name = self.rollout.to_string();
        while self.stage(host)? == Some(Stage::Switching) {
            let view = operator::host(&transport, host).await?;
            let mut attempts = view.attempts.iter().filter(|attempt| attempt.rollout == name);
            if attempts.any(|attempt| attempt.state == HostRolloutState::Activating.to_string()) {
                return Ok(true);
            }
            sleep(LOOK).await;
        }
        Ok(false)
    }

    /// Waits until the host soaks by its own journal, and counts the events that the control plane does not hold.
    async fn undelivered(&self, host: &HostName) -> anyhow::Result<u64> {
        let undelivered = |book: &Book| {
            let tracked = book.rollouts.get(&self.rollout);
            let soaks = tracked.is_some_and(|tracked| tracked.progress.state() == HostRolloutState::Soaking);
            let count = book.last_seq.saturating_sub(book.acked.unwrap_or(0));
            (soaks && count > 0).then_some(count)
        };
        Ok(self.in_journal(host, undelivered).await?.unwrap_or(0))
    }

    /// Waits until an agent without a memory knows its rollout again, so that no other fault takes the control plane
    /// away before it was asked: without an answer the root record alone would decide, and nothing would show here.
    async fn recovered(&self, host: &HostName) -> anyhow::Result<()> {
        self.in_journal(host, |book| book.rollouts.contains_key(&self.rollout).then_some(())).await?;
        Ok(())
    }

    /// Looks into the journal of a host until there is something; `None` when there is nothing within the limit.
    async fn in_journal<T>(&self, host: &HostName, look: impl Fn(&Book) -> Option<T>) -> anyhow::Result<Option<T>> {
        let path = self.place.agent_state(host).join("journal");
        let begun = Instant::now();
        while begun.elapsed() < SETTLE_LIMIT {
            let bytes = match fs::read(&path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
                Err(error) => return Err(error).with_context(|| format!("can't read {}", path.display())),
            };
            let found = read::read(&bytes)?.content.and_then(|content| look(&content.book));
            if found.is_some() {
                return Ok(found);
            }
            sleep(LOOK).await;
        }
        Ok(None)
    }
}

fn while_doing(stage: Stage) -> &'static str {
    match stage {
        Stage::Switching => " while it switches",
        Stage::Soaking => " while it soaks",
    }
}

impl std::ops::Add for Blows {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            agent_kills: self.agent_kills + other.agent_kills,
            cp_kills: self.cp_kills + other.cp_kills,
            state_wipes: self.state_wipes + other.state_wipes,
        }
    }
}
