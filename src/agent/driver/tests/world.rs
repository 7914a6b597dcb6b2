//! One agent on a simulated host in memory, and a control plane that does what a test says.

use crate::agent::journal::file::MemoryFile;
use crate::agent::{Connect, Parts, run};
use crate::client::{Answer, ClientError, Request, Transport};
use crate::model::host_rollout::step::step;
use crate::model::host_rollout::{Event, HostRollout, HostRolloutState, Phase, Step, Terms};
use crate::model::id::{Attempt, Closure, HostName, RolloutId, StoreId};
use crate::model::time::{Stamp, Timestamp};
use crate::probe::net::RealNet;
use crate::runtime::alive::Alive;
use crate::runtime::clock::Clock;
use crate::runtime::signals::Shutdown;
use crate::system::place::Place;
use crate::system::sim::closure::{SimClosure, UnitState};
use crate::system::sim::host::SimHost;
use crate::system::sim::log::Act as Done;
use crate::system::sim::machine::{Machine, Setup};
use crate::system::sim::memory::{MemoryHost, World as Around};
use crate::trust::{Lease, SigningKey, TrustFile, draft, sign_release};
use crate::wire::v1::agent::{
    Act, BaseBody, Dispatch, EventEnvelope, EventsRequest, EventsResponse, HeartbeatRequest, HeartbeatResponse,
    HostRolloutSnapshot, Order, PermitAnswer, StoreMarkBody,
};
use crate::wire::v1::release::date;
use async_trait::async_trait;
use rand::SeedableRng;
use rand_chacha::{ChaCha8Rng, ChaCha20Rng};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::Instant;

pub(crate) const START: i64 = 1_800_000_000_000;
pub(crate) const SOAK: u64 = 60;
pub(crate) const FAILURE: u64 = 20;
/// Another address, at which nobody answers.
pub(crate) const WRONG: &str = "http://127.0.0.1:9";
const RIGHT: &str = "http://127.0.0.1:1";

struct PausedClock(Instant);

impl Clock for PausedClock {
    fn wall(&self) -> Timestamp {
        Timestamp(START).plus(self.0.elapsed())
    }
    fn uptime(&self) -> Duration {
        Duration::from_secs(1000) + self.0.elapsed()
    }
}

pub(crate) fn name() -> HostName {
    HostName::new("web1").unwrap()
}

pub(crate) fn rollout() -> RolloutId {
    "stable@1".parse().unwrap()
}

/// What the control plane does with a question for a permit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Grant {
    Yes,
    No,
    /// Yes, so many times; then no.
    Times(u32),
    /// The answer is lost on its way, so many times.
    Lost(u32),
}

pub(crate) struct PlaneState {
    pub(crate) up: bool,
    /// Takes no new connection; the old ones go on.
    pub(crate) closed: bool,
    /// Takes every request and never answers.
    pub(crate) hangs: bool,
    pub(crate) grant: Grant,
    pub(crate) orders: Vec<Order>,
    tag: u64,
    release: String,
    /// What came of each journal, in order.
    pub(crate) held: BTreeMap<String, Vec<EventEnvelope>>,
    bases: BTreeMap<String, BaseBody>,
    fenced: BTreeSet<String>,
    /// What was answered to which question: the same again.
    answers: BTreeMap<u64, bool>,
    /// The newest attempt as the control plane sees it.
    pub(crate) record: Option<HostRollout>,
    /// Given to agents that do not list the rollout, whatever the record says.
    pub(crate) stale: Option<HostRolloutSnapshot>,
    pub(crate) snapshots_given: u32,
    pub(crate) beats: Vec<HeartbeatRequest>,
    pub(crate) requests: u64,
    /// The n-th request from now on loses its answer, for each n.
    pub(crate) lose: BTreeSet<u64>,
}

#[derive(Clone)]
pub(crate) struct Plane {
    state: Arc<Mutex<PlaneState>>,
    changed: Arc<watch::Sender<u64>>,
}

impl Plane {
    pub(crate) fn lock(&self) -> MutexGuard<'_, PlaneState> {
        self.state.lock().unwrap()
    }

    /// Orders one thing of the host in the rollout of the release that is set.
    pub(crate) fn order(&self, attempt: u32, act: Act) {
        let signed: crate::wire::v1::release::SignedRelease = serde_json::from_str(&self.lock().release).unwrap();
        let release = draft(&signed.manifest).unwrap();
        let dispatched_at = date(Timestamp(START));
        self.set_orders(vec![Order { rollout_id: release.id, attempt, digest: release.digest, dispatched_at, act }]);
    }

    /// Gives these orders and no others from now on.
    pub(crate) fn set_orders(&self, orders: Vec<Order>) {
        let mut state = self.lock();
        state.orders = orders;
        state.tag += 1;
        self.changed.send_replace(state.tag);
    }

    /// Fences every journal known so far.
    pub(crate) fn fence(&self) {
        let mut state = self.lock();
        state.fenced = state.held.keys().cloned().collect();
    }

    pub(crate) fn set_release(&self, text: String) {
        self.lock().release = text;
    }

    /// The kinds of all events of all journals, in order.
    pub(crate) fn kinds(&self) -> Vec<String> {
        let state = self.lock();
        state.held.values().flatten().map(|event| event.event.kind().to_owned()).collect()
    }

    fn answer(&self, request: &Request) -> Result<Answer, ClientError> {
        let mut state = self.lock();
        state.requests += 1;
        let lose = state.lose.contains(&0);
        state.lose = state.lose.iter().filter_map(|n| n.checked_sub(1)).collect();
        if !state.up {
            return Err(away());
        }
        let body = request.body.clone().unwrap_or_default();
        let text = if request.path == "/v1/agent/heartbeat" {
            state.heartbeat(serde_json::from_slice(&body).unwrap())
        } else if request.path == "/v1/agent/events" {
            match state.events(serde_json::from_slice(&body).unwrap()) {
                Some(answer) => answer,
                None => return Err(away()),
            }
        } else {
            serde_json::from_str(&state.release).unwrap()
        };
        if lose { Err(away()) } else { Ok(Answer { status: 200, body: serde_json::to_vec(&text).unwrap() }) }
    }
}

fn away() -> ClientError {
    ClientError::Unreachable { at: RIGHT.to_owned(), detail: "nobody listens".to_owned() }
}

impl PlaneState {
    fn store(&self) -> StoreMarkBody {
        StoreMarkBody { store_id: StoreId::new("c".repeat(32)).unwrap(), commit_count: self.requests }
    }

    fn last(&self, journal: &str) -> u64 {
        let base = self.bases.get(journal).map_or(0, |base| base.seq);
        self.held.get(journal).and_then(|held| held.last()).map_or(base, |event| event.seq)
    }

    fn heartbeat(&mut self, beat: HeartbeatRequest) -> Value {
        let journal = beat.journal_id.to_string();
        let last = self.last(&journal);
        let fenced = (self.fenced.contains(&journal) || beat.last_seq < last).then(|| "it went back".to_owned());
        if fenced.is_some() {
            self.fenced.insert(journal);
        }
        let listed = beat.rollouts.iter().any(|report| report.rollout_id == rollout());
        let own = self.record.as_ref().filter(|record| record.is_started() && !record.is_final()).map(snapshot_of);
        let bootstrap: Vec<_> = self.stale.clone().or(own).filter(|_| !listed).into_iter().collect();
        self.snapshots_given += u32::try_from(bootstrap.len()).unwrap();
        self.beats.push(beat);
        serde_json::to_value(HeartbeatResponse {
            server_time: date(Timestamp(START)),
            next_delay_ms: 30_000,
            acknowledged_seq: if fenced.is_some() { 0 } else { last },
            send_from: None,
            fenced,
            store: self.store(),
            bootstrap_rollouts: bootstrap,
        })
        .unwrap()
    }

    fn events(&mut self, batch: EventsRequest) -> Option<Value> {
        let journal = batch.journal_id.to_string();
        let mut answer = EventsResponse {
            last_seq: 0,
            send_from: None,
            fenced: None,
            permits: Vec::new(),
            refused: Vec::new(),
            store: self.store(),
        };
        if self.fenced.contains(&journal) {
            answer.fenced = Some("it is fenced".to_owned());
            return Some(serde_json::to_value(answer).unwrap());
        }
        if let Some(base) = batch.base.filter(|_| !self.bases.contains_key(&journal)) {
            for attempt in &base.rollouts {
                self.record = Some(HostRollout::try_from(attempt.progress.clone()).unwrap());
            }
            self.bases.insert(journal.clone(), base);
        }
        let mut reply = true;
        for event in batch.events {
            if event.event.kind() == "dispatchAcked" {
                reply = self.permit(&event, &mut answer.permits);
            }
            if event.seq == self.last(&journal) + 1 {
                self.apply(&event);
                self.held.entry(journal.clone()).or_default().push(event);
            } else if event.seq > self.last(&journal) {
                answer.send_from = Some(self.last(&journal) + 1);
            }
        }
        answer.last_seq = self.last(&journal);
        reply.then(|| serde_json::to_value(answer).unwrap())
    }

    fn permit(&mut self, event: &EventEnvelope, permits: &mut Vec<PermitAnswer>) -> bool {
        let (granted, reply) = match &mut self.grant {
            Grant::Yes => (true, true),
            Grant::No => (false, true),
            Grant::Times(0) => (false, true),
            Grant::Times(left) => {
                *left -= 1;
                (true, true)
            }
            Grant::Lost(0) => (true, true),
            Grant::Lost(times) => {
                *times -= 1;
                (true, false)
            }
        };
        let granted = *self.answers.entry(event.seq).or_insert(granted);
        let holds = if granted { vec![] } else { vec!["paused".to_owned()] };
        let (rollout_id, attempt, seq) = (event.rollout_id.clone(), event.attempt, event.seq);
        permits.push(PermitAnswer { rollout_id, attempt, seq, granted, holds });
        reply
    }

    fn apply(&mut self, envelope: &EventEnvelope) {
        let event = Event::try_from(envelope.event.clone()).unwrap();
        let at = Stamp::from(envelope.at.clone());
        if self.record.as_ref().is_none_or(|record| record.attempt.0 < envelope.attempt) {
            let signed: crate::wire::v1::release::SignedRelease = serde_json::from_str(&self.release).unwrap();
            let terms = Terms::of(&draft(&signed.manifest).unwrap(), &name()).unwrap();
            self.record = Some(HostRollout::open(Attempt(envelope.attempt), terms, &at));
        }
        let record = self.record.as_mut().unwrap();
        if let Step::Moved(moved, _) = step(record, &event, &at) {
            *record = *moved;
        }
    }
}

/// What the control plane would give an agent that lost its state.
pub(crate) fn snapshot_of(record: &HostRollout) -> HostRolloutSnapshot {
    let mut snapshot = HostRolloutSnapshot {
        rollout_id: rollout(),
        hostname: name().to_string(),
        channel: "stable".to_owned(),
        state: record.state(),
        target_closure: record.terms.target.to_string(),
        current_closure_at_dispatch: None,
        current_closure: None,
        dispatched_at: date(Timestamp(START)),
        dispatch_acked_at: None,
        activation_started_at: None,
        activation_completed_at: None,
        soak_due_at: None,
        last_event_seq: 0,
        probe_failure_first_at: None,
        failed_at: None,
        failure: None,
        attempt: (record.attempt.0 > 1).then_some(record.attempt.0),
    };
    match &record.phase {
        Phase::Activating(activating) => {
            snapshot.current_closure_at_dispatch = Some(activating.prior.to_string());
            snapshot.activation_started_at = Some(date(activating.started.wall));
        }
        Phase::Soaking(soaking) => {
            snapshot.current_closure_at_dispatch = Some(soaking.prior.to_string());
            snapshot.activation_completed_at = Some(date(soaking.since.wall));
            snapshot.probe_failure_first_at = soaking.failing_since.as_ref().map(|at| date(at.wall));
        }
        Phase::Deferred(deferred) => snapshot.current_closure_at_dispatch = Some(deferred.prior.to_string()),
        Phase::Failed(failed) => {
            snapshot.current_closure_at_dispatch = failed.prior.as_ref().map(ToString::to_string);
            snapshot.failed_at = Some(date(failed.at.wall));
            snapshot.failure = Some((&failed.verdict).into());
        }
        Phase::Pending(_) | Phase::Converged(_) | Phase::Reverted(_) | Phase::Cancelled(_) => {}
    }
    snapshot
}

struct Wire {
    plane: Plane,
    right: bool,
}

#[async_trait]
impl Transport for Wire {
    async fn send(&self, request: Request) -> Result<Answer, ClientError> {
        tokio::time::sleep(Duration::from_millis(5)).await;
        if !self.right {
            return Err(away());
        }
        if self.plane.lock().hangs {
            tokio::time::sleep(request.limit).await;
            return Err(away());
        }
        let Some(query) = request.path.strip_prefix("/v1/agent/dispatch?wait=") else {
            return self.plane.answer(&request);
        };
        let (wait, seen) = query.split_once("&seen=").unwrap_or((query, ""));
        let wait = Duration::from_secs(wait.parse().unwrap());
        let seen = seen.parse::<u64>().unwrap_or(0);
        let mut changed = self.plane.changed.subscribe();
        let _ = tokio::time::timeout(wait, changed.wait_for(|tag| *tag != seen)).await;
        let mut state = self.plane.lock();
        state.requests += 1;
        if !state.up {
            return Err(away());
        }
        if state.tag == seen {
            return Ok(Answer { status: 204, body: Vec::new() });
        }
        let dispatch = Dispatch { tag: state.tag.to_string(), orders: state.orders.clone() };
        Ok(Answer { status: 200, body: serde_json::to_vec(&dispatch).unwrap() })
    }

    fn address(&self) -> String {
        RIGHT.to_owned()
    }
}

pub(crate) struct World {
    pub(crate) host: MemoryHost,
    pub(crate) plane: Plane,
    pub(crate) file: MemoryFile,
    pub(crate) prior: Closure,
    pub(crate) target: Closure,
    pub(crate) began: Instant,
    /// Where the hook leaves its notes.
    pub(crate) spool: Arc<TempDir>,
}

pub(crate) fn key() -> SigningKey {
    SigningKey::generate("ci", &mut ChaCha20Rng::seed_from_u64(1)).unwrap()
}

fn trust_text() -> String {
    TrustFile::new(1, [key().public()]).unwrap().to_json()
}

/// A closure with one enforced unit probe.
pub(crate) fn closure(version: &str) -> SimClosure {
    let closure = SimClosure::new(&format!("web1-{version}"), RIGHT).unwrap();
    closure.with(|it| {
        it.trust = trust_text();
        it.health_checks = json!({"version": 1, "probes": [
            {"name": "web", "kind": "unit", "unit": "web.service", "intervalMs": 2000, "timeoutMs": 1000}
        ]})
        .to_string();
        it.behaviour.units.insert("web.service".to_owned(), UnitState::Ok);
        it.behaviour.switch_ms = 4000;
        it.behaviour.activate_at_ms = 2000;
        it.behaviour.commit_ms = 2000;
    })
}

pub(crate) fn policy() -> Value {
    json!({
        "soakMs": SOAK * 1000, "failureAfterMs": FAILURE * 1000, "switchLimitMs": 30_000, "commitLimitMs": 30_000,
        "rollbackLimitMs": 30_000, "rebootLimitMs": 60_000, "agentTimeoutMs": 30_000,
        "isolationLimitMs": 300_000, "stageLimitMs": 60_000,
    })
}

pub(crate) fn manifest(target: &Closure) -> Value {
    json!({
        "schema": "convoy.release/1",
        "release": "stable@1",
        "hosts": {"web1": {"closure": target.to_string()}},
        "waves": [{"name": "all", "hosts": ["web1"], "reboot": "trial"}],
        "policy": policy(),
    })
}

pub(crate) fn sign(manifest: &Value, sequence: u64) -> String {
    renew(manifest, sequence, Timestamp(START - 60_000))
}

/// Signs a release with a lease of seven days from this date on.
pub(crate) fn renew(manifest: &Value, sequence: u64, issued: Timestamp) -> String {
    let release = draft(&manifest.to_string()).unwrap();
    let lease = Lease { sequence, issued, expires: issued.plus(Duration::from_secs(7 * 86_400)) };
    serde_json::to_string(&sign_release(&release, &[key()], &lease).unwrap()).unwrap()
}

impl World {
    /// Starts a host whose release 1 brings this closure; nothing is ordered yet.
    pub(crate) fn start(target: SimClosure) -> Self {
        Self::start_with(closure("0"), target)
    }

    pub(crate) fn start_with(prior: SimClosure, target: SimClosure) -> Self {
        let state = PlaneState {
            up: true,
            closed: false,
            hangs: false,
            grant: Grant::Yes,
            orders: Vec::new(),
            tag: 0,
            release: sign(&manifest(&target.path), 5),
            held: BTreeMap::new(),
            bases: BTreeMap::new(),
            fenced: BTreeSet::new(),
            answers: BTreeMap::new(),
            record: None,
            stale: None,
            snapshots_given: 0,
            beats: Vec::new(),
            requests: 0,
            lose: BTreeSet::new(),
        };
        let plane = Plane { state: Arc::new(Mutex::new(state)), changed: Arc::new(watch::Sender::new(0)) };
        let file = MemoryFile::default();
        let (for_agent, for_reach, journal) = (plane.clone(), plane.clone(), file.clone());
        let starts = Arc::new(Mutex::new(0_u64));
        let spool = Arc::new(tempfile::tempdir().unwrap());
        let hook = Place::below(spool.path());
        let agent = move |host: SimHost<MemoryHost>| -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
            let mut starts = starts.lock().unwrap();
            *starts += 1;
            let parts = Parts { hook: Some(hook.clone()), ..parts(host, &for_agent, &journal, *starts) };
            Box::pin(async move { run(parts).await.unwrap() })
        };
        let around = Around {
            clock: Arc::new(PausedClock(Instant::now())),
            agent: Arc::new(agent),
            reach: Arc::new(move |address| address == RIGHT && for_reach.lock().up && !for_reach.lock().hangs),
        };
        let setup = Setup { name: name(), machine: Machine::default(), closure: prior.path.clone() };
        let (prior_path, target_path) = (prior.path.clone(), target.path.clone());
        let host = MemoryHost::new(setup, prior, around);
        host.add_closure(target);
        host.boot();
        Self { host, plane, file, prior: prior_path, target: target_path, began: Instant::now(), spool }
    }

    /// Starts one, and orders the start.
    pub(crate) fn ordered(target: SimClosure) -> Self {
        let world = Self::start(target);
        world.plane.order(1, Act::Start);
        world
    }

    pub(crate) fn secs(&self) -> u64 {
        self.began.elapsed().as_secs()
    }

    /// Where the control plane sees the host.
    pub(crate) fn state(&self) -> Option<HostRolloutState> {
        self.plane.lock().record.as_ref().map(HostRollout::state)
    }

    pub(crate) fn phase(&self) -> Phase {
        self.plane.lock().record.as_ref().unwrap().phase.clone()
    }

    /// Waits until the control plane sees a state, at most an hour.
    pub(crate) async fn until(&self, state: HostRolloutState) {
        self.until_it(&format!("{state}"), |world| world.state() == Some(state)).await;
    }

    pub(crate) async fn until_it(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..36_000 {
            if holds(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{what} never came: {:?}\n{:?}\n{:?}", self.state(), self.plane.kinds(), self.acts());
    }

    pub(crate) async fn pass(&self, secs: u64) {
        tokio::time::sleep(Duration::from_secs(secs)).await;
    }

    pub(crate) fn acts(&self) -> Vec<Done> {
        self.host.acts().into_iter().map(|entry| entry.act).collect()
    }

    /// How often a switch to the target began.
    pub(crate) fn switches(&self) -> usize {
        let to_target = |act: &&Done| matches!(act, Done::SwitchStarted { to, .. } if *to == self.target);
        self.acts().iter().filter(to_target).count()
    }

    pub(crate) fn running(&self) -> Closure {
        self.host.snapshot().running
    }

    /// Loses the agent's state directory, and the agent with it.
    pub(crate) fn wipe(&self) {
        self.file.set(b"");
        assert!(self.host.kill_agent());
    }

    /// Checks that no number is missing or there twice in any journal at the control plane.
    pub(crate) fn assert_gapless(&self) {
        let state = self.plane.lock();
        for (journal, held) in &state.held {
            let base = state.bases.get(journal).map_or(0, |base| base.seq);
            let numbers: Vec<_> = held.iter().map(|event| event.seq).collect();
            assert_eq!(numbers, (base + 1..=base + held.len() as u64).collect::<Vec<_>>(), "journal {journal}");
        }
    }
}

fn parts(host: SimHost<MemoryHost>, plane: &Plane, file: &MemoryFile, start: u64) -> Parts {
    let plane = plane.clone();
    let connect: Connect = Arc::new(move |address| {
        let right = address == RIGHT && !plane.lock().closed;
        Ok(Arc::new(Wire { plane: plane.clone(), right }) as Arc<dyn Transport>)
    });
    let (trigger, stop) = Shutdown::manual();
    // Nobody asks: the host kills its agents.
    std::mem::forget(trigger);
    Parts {
        host: name(),
        clock: host.clock(),
        system: Arc::new(host),
        rng: Box::new(ChaCha8Rng::seed_from_u64(start)),
        connect,
        journal: Box::new(file.clone()),
        net: Arc::new(RealNet),
        say: Box::new(|_| ()),
        heartbeat_floor: Duration::from_secs(1),
        hook: None,
        alive: Alive::new(),
        stop,
    }
}
