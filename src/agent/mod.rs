//! The agent on each host: journal first, act second. It takes everything it touches as an argument, so that a whole
//! fleet runs in one process on a paused clock; must never reach for clock, randomness, network or disk itself.
//!
//! ```text
//! journal ─▶ recovery ─▶ driver ─┬─ orders    long poll: what the control plane wants
//!              ▲                 ├─ start     stage, ask for the permit, switch
//!     root record, snapshot      ├─ look      what the machine says; root record → events
//!                                ├─ soak      probes, verdicts, commit; absence: of the control plane
//!                                ├─ outbox    events out, permits in
//!                                └─ beat      heartbeat: the repair channel
//! ```
//! Every input becomes an event, `model` steps, the journal takes it durably, and only then the effects are acted on.

pub mod config;
pub mod identity;
pub mod journal;
pub mod offer;
pub mod snapshot;
pub mod driver;
pub mod recovery;
pub mod hook;

use crate::agent::driver::{Driver, Exit, within};
use crate::agent::journal::file::JournalFile;
use crate::agent::journal::{Journal, JournalError};
use crate::client::Transport;
use crate::model::id::HostName;
use crate::probe::net::{ProbeNet, RealNet};
use crate::runtime::alive::Alive;
use crate::runtime::clock::Clock;
use crate::runtime::signals::Shutdown;
use crate::system::System;
use crate::system::place::Place;
use rand::RngCore;
use std::sync::Arc;
use std::time::Duration;

/// How long to wait before a state directory that refused is tried again: a full disk is emptied by people.
const STATE_RETRY: Duration = Duration::from_secs(5);

/// A loop that does not turn for this long is stuck: it sleeps a minute at most, and a turn makes a few calls to the
/// machine of half a minute at most.
pub const STALL: Duration = Duration::from_secs(300);

/// Makes a transport to the address that the running closure names, or says why it can't be used.
pub type Connect = Arc<dyn Fn(&str) -> Result<Arc<dyn Transport>, String> + Send + Sync>;
/// Says in one line what the agent does now.
pub type Say = Box<dyn FnMut(&str) + Send>;

/// Gives the real world to probes.
#[must_use]
pub fn real_net() -> Arc<dyn ProbeNet> {
    Arc::new(RealNet)
}

/// Everything an agent touches.
pub struct Parts {
    /// This host's name.
    pub host: HostName,
    /// The machine.
    pub system: Arc<dyn System>,
    /// Its clocks.
    pub clock: Arc<dyn Clock>,
    /// Randomness: ids and jitter.
    pub rng: Box<dyn RngCore + Send>,
    /// Makes transports.
    pub connect: Connect,
    /// Where the journal lives.
    pub journal: Box<dyn JournalFile>,
    /// What probes touch.
    pub net: Arc<dyn ProbeNet>,
    /// Told on every change of state.
    pub say: Say,
    /// Heartbeats come no more often than this.
    pub heartbeat_floor: Duration,
    /// Where the hook of activation scripts leaves its notes; `None` on a simulated machine.
    pub hook: Option<Place>,
    /// Stamped at each turn of the loop: without one for [`STALL`] the agent is stuck.
    pub alive: Alive,
    /// Asked for the end.
    pub stop: Shutdown,
}

/// Why an agent can't run at all; it never ends for a reason that may pass.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The journal is not for this agent.
    #[error(transparent)]
    Journal(JournalError),
}

/// Runs an agent until it is asked to end. Dropping the future is a kill: whatever it had begun goes on in the root
/// helper, and the next agent finds it.
///
/// # Errors
/// [`AgentError`] when the journal is of a newer format or of another host.
pub async fn run(parts: Parts) -> Result<(), AgentError> {
    let stop = parts.stop.clone();
    tokio::select! {
        biased;
        () = stop.asked() => Ok(()),
        ended = live(parts) => ended,
    }
}

async fn live(mut parts: Parts) -> Result<(), AgentError> {
    let content = loop {
        parts.alive.turn();
        match Journal::load(parts.journal.as_mut(), &parts.host, parts.rng.as_mut()) {
            Ok((content, damage)) => {
                if let Some(damage) = damage {
                    tracing::error!(host.name = %parts.host, "{damage}");
                }
                break content;
            }
            Err(why @ (JournalError::Read(_) | JournalError::Write(_))) => {
                (parts.say)(&format!("{why}; trying again"));
                tracing::error!(host.name = %parts.host, "{why}; trying again");
                tokio::time::sleep(STATE_RETRY).await;
            }
            Err(why @ (JournalError::Newer(_) | JournalError::OtherHost { .. } | JournalError::Refused(_))) => {
                return Err(AgentError::Journal(why));
            }
        }
    };
    if let Err(why) = within("count a start of the agent", parts.system.agent_started()).await {
        tracing::warn!(host.name = %parts.host, "the root helper can't count this start: {why}");
    }
    let mut driver = Driver::new(parts, content).await;
    loop {
        driver.recover().await;
        match driver.drive().await {
            Exit::Rebooted => driver.reboot_seen().await,
        }
    }
}
