//! Work that takes long: what runs beside the loop, at most one of a kind, and what it brings back.

use crate::agent::driver::Driver;
use crate::client::ClientError;
use crate::client::agent::FetchedRelease;
use crate::model::id::{Closure, RolloutId};
use crate::wire::v1::agent::{Dispatch, EventsResponse, HeartbeatResponse};
use std::future::Future;

/// A kind of work; one of each kind runs at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// The long poll.
    Poll,
    /// A heartbeat.
    Beat,
    /// A batch of events.
    Send,
    /// A release's text.
    Fetch(RolloutId),
    /// A closure onto the host.
    Stage(RolloutId),
    /// Whether the prior closure reaches its control plane.
    PriorReach(RolloutId),
}

/// What work brought back.
#[derive(Debug)]
pub struct Done {
    pub(crate) work: Work,
    /// Which piece of work: what was stopped may still bring something back, and that is stale.
    number: u64,
    pub(crate) result: Outcome,
}

/// See [`Done`].
#[derive(Debug)]
pub enum Outcome {
    /// The long poll's answer.
    Poll(Result<Option<Dispatch>, ClientError>),
    /// The heartbeat's answer.
    Beat(Result<Box<HeartbeatResponse>, ClientError>),
    /// The batch's answer.
    Send(Result<EventsResponse, ClientError>),
    /// The release.
    Fetch(Result<FetchedRelease, ClientError>),
    /// Whether the closure is on the host, or why not.
    Stage(Closure, Result<(), String>),
    /// Whether the prior closure reaches its control plane.
    PriorReach(Result<bool, String>),
}

/// Work that runs.
#[derive(Debug)]
pub struct Running {
    number: u64,
    handle: tokio::task::AbortHandle,
}

impl Driver {
    /// Tells whether work of this kind runs.
    pub(crate) fn works(&self, work: &Work) -> bool {
        self.busy.contains_key(work)
    }

    /// Starts work, unless one of its kind runs.
    pub(crate) fn begin(&mut self, work: Work, doing: impl Future<Output = Outcome> + Send + 'static) {
        if self.works(&work) {
            return;
        }
        self.begun += 1;
        let (kind, number) = (work.clone(), self.begun);
        let handle = self.work.spawn(async move { Done { work, number, result: doing.await } });
        self.busy.insert(kind, Running { number, handle });
    }

    /// Stops work of a kind.
    pub(crate) fn abort(&mut self, work: &Work) {
        if let Some(running) = self.busy.remove(work) {
            running.handle.abort();
        }
    }

    /// Forgets work that ended without a word.
    pub(crate) fn forget_finished(&mut self) {
        tracing::error!(host.name = %self.host, "a task of the agent panicked; its work is begun again");
        self.busy.retain(|_, running| !running.handle.is_finished());
    }

    /// Takes what work brought back.
    pub(crate) async fn take(&mut self, done: Done) {
        let Done { work, number, result } = done;
        if self.busy.get(&work).is_none_or(|running| running.number != number) {
            return;
        }
        self.busy.remove(&work);
        match (work, result) {
            (_, Outcome::Poll(answer)) => self.take_poll(answer),
            (_, Outcome::Beat(answer)) => self.take_beat(answer.map(|answer| *answer)).await,
            (_, Outcome::Send(answer)) => self.take_sent(answer),
            (Work::Fetch(rollout), Outcome::Fetch(answer)) => self.take_release(&rollout, answer),
            (Work::Stage(rollout), Outcome::Stage(target, staged)) => self.take_staged(&rollout, &target, staged),
            (Work::PriorReach(rollout), Outcome::PriorReach(answer)) => self.take_prior_reach(&rollout, answer),
            (Work::Poll | Work::Beat | Work::Send | Work::Fetch(_) | Work::Stage(_) | Work::PriorReach(_), _) => {}
        }
        self.carry_out().await;
    }
}
