//! The link to the control plane that the running closure names: when to speak next, and when an exchange last
//! succeeded.

use crate::agent::driver::work::Work;
use crate::agent::driver::{Driver, within};
use crate::client::{Answer, ClientError, Request, Transport};
use crate::model::facts::HostHold;
use crate::model::host_rollout::Phase;
use crate::model::id::RolloutId;
use crate::model::retry::Backoff;
use crate::model::time::Stamp;
use crate::system::System;
use async_trait::async_trait;
use rand::RngCore;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Waits between exchanges that fail.
const AGAIN: Backoff = Backoff { base: Duration::from_millis(500), cap: Duration::from_secs(30) };

/// One thing that is said over and over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    /// When it is due.
    pub(crate) at: Instant,
    /// How many tries failed in a row.
    pub(crate) failures: u32,
}

impl Turn {
    fn now() -> Self {
        Self { at: Instant::now(), failures: 0 }
    }

    /// Comes again at this time.
    pub(crate) fn again(&mut self, at: Instant) {
        *self = Self { at, failures: 0 };
    }

    /// Comes again after a pause that grows with the failures, up to `longest`.
    fn failed(&mut self, longest: Duration, rng: &mut dyn RngCore) {
        self.at = Instant::now() + AGAIN.wait(self.failures, rng.next_u32()).min(longest);
        self.failures = self.failures.saturating_add(1);
    }

    /// Comes within this span, also after a failure.
    pub(crate) fn within(&mut self, span: Duration) {
        self.at = self.at.min(Instant::now() + span);
    }

    /// Comes at once, unless it waits after a failure.
    pub(crate) fn soon(&mut self) {
        if self.failures == 0 {
            self.at = self.at.min(Instant::now());
        }
    }
}

/// See the module.
pub struct Link {
    pub(crate) transport: Arc<dyn Transport>,
    /// The tag of the orders that are known.
    pub(crate) tag: Option<String>,
    pub(crate) poll: Turn,
    pub(crate) beat: Turn,
    pub(crate) send: Turn,
    /// Send events from here on, whatever is acknowledged.
    pub(crate) send_from: Option<u64>,
    /// When an exchange last succeeded.
    pub(crate) heard: Option<Stamp>,
    /// The holds in the heartbeat that was sent last.
    pub(crate) reporting: Vec<HostHold>,
    /// The holds that the control plane was told of last; `None` before it took a heartbeat.
    pub(crate) reported: Option<Vec<HostHold>>,
    /// The attempt whose prior reaches a control plane, while this agent's own next try is under way.
    pub(crate) suspect: Option<RolloutId>,
    /// How often in a row the prior's settings worked and these did not.
    pub(crate) convictions: u32,
    /// When the prior closure's settings may be tried again.
    pub(crate) prior_asked: BTreeMap<RolloutId, Instant>,
    /// When the soak began that this link was made in; `None` for a link that may be older than the target.
    pub(crate) soak: Option<Stamp>,
    /// Whether an exchange has succeeded on this link.
    pub(crate) answered: bool,
}

impl Link {
    pub(crate) fn new() -> Self {
        let turn = Turn::now();
        let transport = Arc::new(Nowhere("the agent has just started".to_owned()));
        Self {
            transport,
            tag: None,
            poll: turn,
            beat: turn,
            send: turn,
            send_from: None,
            heard: None,
            reporting: Vec::new(),
            reported: None,
            suspect: None,
            convictions: 0,
            prior_asked: BTreeMap::new(),
            soak: None,
            answered: false,
        }
    }
}

/// Stands for an address that can't be used.
struct Nowhere(String);

#[async_trait]
impl Transport for Nowhere {
    async fn send(&self, _: Request) -> Result<Answer, ClientError> {
        Err(ClientError::Unreachable { at: self.address(), detail: self.0.clone() })
    }
    fn address(&self) -> String {
        "the address in the agent's settings".to_owned()
    }
}

/// Goes through the machine's network: where that is down nothing passes, also not an answer to what was asked
/// before it broke.
struct Through {
    system: Arc<dyn System>,
    inner: Arc<dyn Transport>,
}

impl Through {
    async fn check(&self) -> Result<(), ClientError> {
        // A machine that does not say is as good as a network that is down.
        if within("look at the network", async { Ok(self.system.network_up().await) }).await == Ok(true) {
            return Ok(());
        }
        Err(ClientError::Unreachable { at: self.inner.address(), detail: "this host's network is down".to_owned() })
    }
}

#[async_trait]
impl Transport for Through {
    async fn send(&self, request: Request) -> Result<Answer, ClientError> {
        self.check().await?;
        let answer = self.inner.send(request).await?;
        self.check().await?;
        Ok(answer)
    }
    fn address(&self) -> String {
        self.inner.address()
    }
}

impl Driver {
    /// Connects to the control plane that the settings name, and leaves the one before.
    pub(crate) fn relink(&mut self) {
        let stale: Vec<_> = self.busy.keys().filter(|work| is_exchange(work)).cloned().collect();
        for work in stale {
            self.abort(&work);
        }
        let inner = (self.connect)(&self.settings.control_plane).unwrap_or_else(|why| {
            tracing::error!(host.name = %self.host, "{why}");
            Arc::new(Nowhere(why))
        });
        let transport = Arc::new(Through { system: Arc::clone(&self.system), inner });
        let heard = self.link.heard.take();
        self.link = Link { transport, heard, ..Link::new() };
    }

    /// Notes that an exchange failed.
    pub(crate) fn unheard(&mut self, which: fn(&mut Link) -> &mut Turn) {
        let longest = self.patience();
        which(&mut self.link).failed(longest, self.rng.as_mut());
    }

    /// Notes that the control plane answered: whatever waits after a failure comes at once.
    pub(crate) fn heard(&mut self) {
        let now = Instant::now();
        self.link.heard = Some(self.now());
        self.link.answered = true;
        (self.link.suspect, self.link.convictions) = (None, 0);
        let mut back = false;
        for turn in [&mut self.link.poll, &mut self.link.beat, &mut self.link.send] {
            if turn.failures > 0 {
                turn.again(now);
                back = true;
            }
        }
        if back {
            // Whatever naps may have waited for this.
            self.naps.clear();
        }
    }

    /// Speaks at once, and polls anew with a shorter wait: from now on silence has to be noticed soon. A connection
    /// of before the switch may outlive what the target breaks: the soak begins with a new one.
    pub(crate) fn stay_in_touch(&mut self, rollout: &RolloutId) {
        if let Some(Phase::Soaking(soaking)) = self.progress(rollout).map(|own| &own.phase)
            && self.link.soak.as_ref() != Some(&soaking.since)
        {
            let since = soaking.since.clone();
            self.relink();
            self.link.soak = Some(since);
        }
        self.abort(&Work::Poll);
        self.link.poll.soon();
        self.link.beat.soon();
    }

    /// Starts every exchange that is due.
    pub(crate) async fn exchange(&mut self) {
        let now = Instant::now();
        if self.link.beat.at <= now && !self.works(&Work::Beat) {
            self.send_beat().await;
        }
        if self.link.send.at <= now && !self.works(&Work::Send) && self.has_unsent() {
            self.send_batch();
        }
        if self.link.poll.at <= now && !self.works(&Work::Poll) {
            self.send_poll();
        }
    }
}

fn is_exchange(work: &Work) -> bool {
    match work {
        Work::Poll | Work::Beat | Work::Send | Work::Fetch(_) => true,
        Work::Stage(_) | Work::PriorReach(_) => false,
    }
}
