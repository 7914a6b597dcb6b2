//! A host played by hand: it says what a test wants, with its own journal and clocks.

use crate::model::facts::{ProbeMode, Verdict};
use crate::model::host_rollout::{Event, HostRollout};
use crate::model::id::{BootId, Closure, ProbeName, RolloutId};
use crate::model::time::Stamp;
use crate::plane::tests::trial::{Trial, closure, name, rollout};
use crate::runtime::clock::Clock;
use crate::wire::v1::agent::{
    Act, BaseBody, BaseRollout, Dispatch, EventEnvelope, EventsRequest, EventsResponse, HeartbeatRequest,
    HeartbeatResponse, RolloutReport, StoreMarkBody,
};
use crate::wire::v1::event::{EventBody, ProgressBody, StampBody};
use std::collections::BTreeMap;

pub struct Host {
    pub name: String,
    pub journal: char,
    pub seq: u64,
    pub boot: String,
    pub running: String,
    pub attempt: u32,
    pub reports: Vec<RolloutReport>,
    pub seen: Option<StoreMarkBody>,
}

impl Host {
    /// Makes one that runs release 0 and has said nothing yet.
    pub fn new(host: &str) -> Self {
        Self {
            name: host.to_owned(),
            journal: 'a',
            seq: 0,
            boot: format!("boot-{host}"),
            running: closure("0", host),
            attempt: 1,
            reports: Vec::new(),
            seen: None,
        }
    }

    /// Makes one that was heard.
    pub async fn up(host: &str, trial: &Trial) -> Self {
        let mut made = Self::new(host);
        made.beat(trial).await;
        made
    }

    pub fn stamp(&self, trial: &Trial) -> Stamp {
        trial.clock.stamp(&BootId::new(self.boot.clone()).unwrap())
    }

    pub fn beat_body(&self, trial: &Trial) -> HeartbeatRequest {
        let running = Some(Closure::new(self.running.clone()).unwrap());
        HeartbeatRequest {
            hostname: name(&self.name),
            agent_version: "0.1.0".to_owned(),
            journal_id: self.journal.to_string().repeat(32).parse().unwrap(),
            last_seq: self.seq,
            now: StampBody::from(&self.stamp(trial)),
            running_closure: running.clone(),
            booted_closure: running.clone(),
            default_closure: running,
            holds: Vec::new(),
            rollouts: self.reports.clone(),
            store_seen: self.seen.clone(),
            quarantined: Vec::new(),
        }
    }

    pub async fn beat(&mut self, trial: &Trial) -> HeartbeatResponse {
        let body = serde_json::to_value(self.beat_body(trial)).unwrap();
        let (status, answer) = trial.as_host(&self.name, "/v1/agent/heartbeat", Some(&body)).await;
        assert_eq!(status, 200, "{answer}");
        let answer: HeartbeatResponse = serde_json::from_value(answer).unwrap();
        self.seen = Some(answer.store.clone());
        answer
    }

    /// Sends a heartbeat of a host that starts these closures no more.
    pub async fn beat_quarantined(&self, trial: &Trial, closures: Vec<Closure>) {
        let body = HeartbeatRequest { quarantined: closures, ..self.beat_body(trial) };
        let body = serde_json::to_value(body).unwrap();
        let (status, answer) = trial.as_host(&self.name, "/v1/agent/heartbeat", Some(&body)).await;
        assert_eq!(status, 200, "{answer}");
    }

    /// Makes the next event of the journal.
    pub fn next(&mut self, trial: &Trial, id: &str, event: &Event) -> EventEnvelope {
        self.seq += 1;
        EventEnvelope {
            seq: self.seq,
            rollout_id: rollout(id),
            attempt: self.attempt,
            at: StampBody::from(&self.stamp(trial)),
            event: EventBody::from(event),
        }
    }

    pub fn batch(&self, events: Vec<EventEnvelope>) -> EventsRequest {
        let journal_id = self.journal.to_string().repeat(32).parse().unwrap();
        EventsRequest { hostname: name(&self.name), journal_id, base: None, events }
    }

    pub async fn post(&self, trial: &Trial, batch: &EventsRequest) -> EventsResponse {
        let body = serde_json::to_value(batch).unwrap();
        let (status, answer) = trial.as_host(&self.name, "/v1/agent/events", Some(&body)).await;
        assert_eq!(status, 200, "{answer}");
        serde_json::from_value(answer).unwrap()
    }

    pub async fn say(&mut self, trial: &Trial, id: &str, events: &[Event]) -> EventsResponse {
        let events = events.iter().map(|event| self.next(trial, id, event)).collect();
        self.post(trial, &self.batch(events)).await
    }

    /// Stages and asks for the permit; tells whether it was granted.
    pub async fn ask(&mut self, trial: &Trial, id: &str) -> bool {
        let answer = self.say(trial, id, &[Event::Staged, Event::DispatchAcked]).await;
        answer.permits.last().unwrap().granted
    }

    pub fn target(&self, id: &str) -> Closure {
        Closure::new(closure(id.split('@').next_back().unwrap(), &self.name)).unwrap()
    }

    /// Asks and switches: soaks then.
    pub async fn start(&mut self, trial: &Trial, id: &str) {
        assert!(self.ask(trial, id).await, "{} got no permit: {}", self.name, trial.why(&self.name).await);
        self.switch(trial, id).await;
    }

    pub async fn switch(&mut self, trial: &Trial, id: &str) {
        let started = Event::ActivationStarted { prior: Closure::new(self.running.clone()).unwrap() };
        let completed = Event::ActivationCompleted { at: self.stamp(trial), notes: Vec::new() };
        let probes = BTreeMap::from([(ProbeName::new("http").unwrap(), ProbeMode::Enforce)]);
        let answer = self.say(trial, id, &[started, completed, Event::ProbeTopologyDeclared(probes)]).await;
        assert_eq!(answer.refused, []);
        self.running = self.target(id).to_string();
    }

    /// Goes the whole way.
    pub async fn converge(&mut self, trial: &Trial, id: &str) {
        self.start(trial, id).await;
        self.finish(trial, id).await;
    }

    pub async fn finish(&mut self, trial: &Trial, id: &str) {
        let answer = self.say(trial, id, &[Event::Committed, Event::Converged]).await;
        assert_eq!(answer.refused, []);
    }

    /// Fails its probes, not yet back.
    pub async fn fail(&mut self, trial: &Trial, id: &str) -> EventsResponse {
        let verdict = Verdict::ProbesFailed(vec![ProbeName::new("http").unwrap()]);
        self.say(trial, id, &[Event::SustainedFailure(verdict)]).await
    }

    pub async fn go_back(&mut self, trial: &Trial, id: &str) {
        let verdict = Verdict::ProbesFailed(vec![ProbeName::new("http").unwrap()]);
        let answer = self.say(trial, id, &[Event::RollbackStarted(verdict), Event::RollbackCompleted]).await;
        assert!(answer.refused.is_empty(), "{:?}", answer.refused);
        self.running = closure("0", &self.name);
    }

    pub async fn orders(&self, trial: &Trial) -> Dispatch {
        trial.plane.dispatch(&name(&self.name), None, std::time::Duration::ZERO).await.unwrap().unwrap()
    }

    /// Returns what the host is told, as words.
    pub async fn told(&self, trial: &Trial) -> Vec<String> {
        let word = |act: &Act| match act {
            Act::Stage => "stage",
            Act::Start => "start",
            Act::Cancel { .. } => "cancel",
            Act::Revert { .. } => "revert",
            Act::Retry => "retry",
            Act::Unknown => "unknown",
        };
        let orders = self.orders(trial).await.orders;
        orders.iter().map(|order| format!("{} {}", word(&order.act), order.rollout_id)).collect()
    }

    /// Loses the journal: the next contact is under a new one.
    pub fn lose_state(&mut self) {
        self.journal = char::from(self.journal as u8 + 1);
        self.seq = 0;
        self.reports.clear();
    }

    pub fn base(&self, seq: u64, known: &[(RolloutId, HostRollout)]) -> BaseBody {
        let based = |(rollout_id, progress): &(RolloutId, HostRollout)| BaseRollout {
            rollout_id: rollout_id.clone(),
            progress: ProgressBody::from(progress),
        };
        BaseBody { seq, rollouts: known.iter().map(based).collect() }
    }
}
