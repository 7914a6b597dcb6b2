//! The simulated machine itself, from power on to power off: it starts the agent that the running closure ships,
//! restarts it when it dies or when a switch changed its settings, and reboots when asked.

use crate::model::root_record::RootEvent;
use crate::runtime::signals::Shutdown;
use crate::system::sim::backing::{Agent, Backing};
use crate::system::sim::closure::{AgentFile, AgentKind};
use crate::system::sim::error::SimError;
use crate::system::sim::host::SimHost;
use crate::system::sim::log::Act;
use crate::system::sim::power::{PowerOn, boot_time, power_on, shut_down};
use crate::system::sim::state::{HostState, Job, JobState, Mark};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// Runs the machine until it is told to stop, and shuts it down cleanly then.
///
/// # Errors
/// [`SimError`] when the host's files are gone or the power was cut.
pub async fn run<B: Backing>(backing: B, mark: Mark, stop: Shutdown) -> Result<(), SimError> {
    loop {
        let machine = backing.look()?.machine;
        boot_time(machine.boot_ms).await;
        let host = match power_on(&backing, Some(mark))? {
            PowerOn::Up(host) => host,
            PowerOn::Hung => {
                boot_time(machine.watchdog_ms).await;
                continue;
            }
        };
        let mut agent = AgentUnit::Off;
        let stopped = tokio::select! {
            () = stop.asked() => true,
            ended = attend(&host, &mut agent) => { ended?; false }
        };
        agent.stop(&host).await;
        shut_down(&host)?;
        if stopped {
            return Ok(());
        }
    }
}

/// Looks after agent and long acts until a reboot is asked for.
async fn attend<B: Backing>(host: &SimHost<B>, agent: &mut AgentUnit<B::Agent>) -> Result<(), SimError> {
    loop {
        let state = host.look()?;
        if state.reboot && !state.faults.never_reboots {
            return Ok(());
        }
        let wanted = host.backing().closure(&state.running)?.agent;
        let delay = Duration::from_millis(state.machine.restart_delay_ms);
        agent.follow(host, &wanted, delay).await?;
        tokio::select! {
            () = host.backing().changed(state.revision) => {}
            () = agent.next(host, delay) => {}
            () = timer(&state) => look_after_dead_man(host)?,
        }
    }
}

/// Waits for the dead-man's timer, where it is armed.
async fn timer(state: &HostState) {
    if state.jobs.contains_key(&Job::DeadMan) {
        sleep(Duration::from_millis(state.machine.dead_man_ms)).await;
    } else {
        std::future::pending().await
    }
}

/// Starts the dead-man again where it died: a real one is a timer, which fires whatever became of its last run.
fn look_after_dead_man<B: Backing>(host: &SimHost<B>) -> Result<(), SimError> {
    let died = match host.look()?.jobs.get(&Job::DeadMan) {
        Some(JobState::Runs(mark)) => !host.backing().is_alive(*mark),
        Some(JobState::Wanted) => true,
        None => false,
    };
    if !died {
        return Ok(());
    }
    host.change(|draft| {
        if draft.state.jobs.contains_key(&Job::DeadMan) {
            draft.want(Job::DeadMan);
        }
        Ok(())
    })
}

/// The agent's unit.
#[derive(Debug)]
enum AgentUnit<A> {
    /// The running closure has no agent, or the machine has just booted.
    Off,
    /// It runs with these settings.
    Runs(A, AgentFile),
    /// It died, or dies at each start; started again at that time.
    Restarts(AgentFile, Instant),
}

impl<A: Agent> AgentUnit<A> {
    /// Starts and stops the agent as the running closure wants it.
    async fn follow<B>(&mut self, host: &SimHost<B>, wanted: &AgentFile, delay: Duration) -> Result<(), SimError>
    where
        B: Backing<Agent = A>,
    {
        let due = match self {
            Self::Off => true,
            Self::Runs(_, settings) => settings != wanted,
            Self::Restarts(settings, at) => settings != wanted || Instant::now() >= *at,
        };
        if !due {
            return Ok(());
        }
        self.stop(host).await;
        match wanted.agent {
            AgentKind::Missing => {}
            AgentKind::Ok => {
                let agent = host.backing().start_agent(host.boot())?;
                let mark = agent.mark();
                host.change(|draft| {
                    draft.state.agent = Some(mark);
                    draft.state.agent_ready = None;
                    Ok(())
                })?;
                *self = Self::Runs(agent, wanted.clone());
            }
            AgentKind::CrashLoop => {
                // The helper counts a start, and the process is gone before it can do anything.
                host.change(|draft| {
                    draft.log(Act::AgentStarted);
                    draft.log(Act::AgentEnded);
                    match draft.step(&RootEvent::AgentStarted) {
                        Ok(()) | Err(SimError::Refused(_) | SimError::NotMine) => Ok(()),
                        Err(error) => Err(error),
                    }
                })?;
                *self = Self::Restarts(wanted.clone(), Instant::now() + delay);
            }
        }
        Ok(())
    }

    /// Waits until there is something to do about the agent.
    async fn next<B>(&mut self, host: &SimHost<B>, delay: Duration)
    where
        B: Backing<Agent = A>,
    {
        match self {
            Self::Off => std::future::pending().await,
            Self::Restarts(_, at) => sleep_until(*at).await,
            Self::Runs(agent, settings) => {
                agent.ended().await;
                let settings = settings.clone();
                *self = Self::Restarts(settings, Instant::now() + delay);
                note_end(host);
            }
        }
    }

    async fn stop<B>(&mut self, host: &SimHost<B>)
    where
        B: Backing<Agent = A>,
    {
        if let Self::Runs(mut agent, _) = std::mem::replace(self, Self::Off) {
            agent.stop().await;
            note_end(host);
        }
    }
}

/// Notes that the agent has ended; when the machine is going down nobody needs to know.
fn note_end<B: Backing>(host: &SimHost<B>) {
    let noted = host.change(|draft| {
        draft.state.agent = None;
        draft.state.agent_ready = None;
        draft.log(Act::AgentEnded);
        Ok(())
    });
    drop(noted);
}
