//! Metrics, computed from a view when they are asked for; only counts of what passed are kept.

mod identity;

use crate::model::gate::Gate;
use crate::model::id::RolloutId;
use crate::plane::Plane;
use crate::plane::desk::{Desk, keep};
use crate::plane::error::Done;
use crate::plane::heartbeat::online_span;
use crate::plane::listen::outcome::Outcome;
use crate::store::rows::{Bucket, RecordFilter};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many waiting hosts are asked what holds them at one scrape: enough to see what holds a fleet, few enough that
/// a scrape stays cheap at any size.
const SAMPLE: usize = 512;
/// How many records are read at once.
const PAGE: usize = 128;

type Labels = Vec<(&'static str, String)>;
type Gauges = Family<Labels, Gauge>;

/// Counts of what passed since the start.
#[derive(Debug, Default)]
pub struct Counters {
    events: AtomicU64,
    heartbeats: AtomicU64,
    granted: AtomicU64,
    refused: AtomicU64,
    handshakes: [AtomicU64; Outcome::ALL.len()],
}

impl Counters {
    /// Counts events that were taken.
    pub fn took(&self, events: usize) {
        self.events.fetch_add(events as u64, Ordering::Relaxed);
    }

    /// Counts a heartbeat.
    pub fn beat(&self) {
        self.heartbeats.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a handshake.
    pub fn shook_hands(&self, outcome: Outcome) {
        self.handshakes[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the answer to a question for a permit.
    pub fn answered(&self, granted: bool) {
        let counter = if granted { &self.granted } else { &self.refused };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

fn whole(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl Plane {
    /// Writes the metrics in Prometheus' text format.
    ///
    /// # Errors
    /// The store's.
    pub async fn metrics(self: &Arc<Self>) -> Done<String> {
        let mut registry = Registry::with_prefix("convoy");
        self.host_metrics(&mut registry);
        self.rollout_metrics(&mut registry).await?;
        self.identity_metrics(&mut registry).await?;
        self.process_metrics(&mut registry);
        let mut text = String::new();
        // Writing to a string can't fail.
        let _ = encode(&mut text, &registry);
        Ok(text)
    }

    fn host_metrics(&self, registry: &mut Registry) {
        let (hosts, longest) = (Gauges::default(), Gauges::default());
        for (state, found) in self.hosts_by_state() {
            let labels = vec![("state", state)];
            hosts.get_or_create(&labels).set(whole(found.hosts));
            longest.get_or_create(&labels).set(whole(found.longest.as_secs()));
        }
        registry.register("hosts", "Hosts by the state of their newest attempt", hosts);
        let help = "Seconds that the host which is longest in the state has been in it";
        registry.register("longest_in_state_seconds", help, longest);
        let online = Gauge::<i64>::default();
        online.set(whole(self.live.online(self.up(), online_span(self.config().heartbeat))));
        registry.register("hosts_online", "Hosts heard from within three heartbeat intervals", online);
        let polls = Gauge::<i64>::default();
        polls.set(whole(self.wakes.count() as u64));
        registry.register("hosts_polling", "Hosts that wait in a long poll", polls);
        let restored = Gauge::<i64>::default();
        restored.set(i64::from(self.restored.load(Ordering::Acquire)));
        let help = "1 while the store was found to have lost something and no operator has resumed";
        registry.register("store_restored", help, restored);
    }

    async fn rollout_metrics(self: &Arc<Self>, registry: &mut Registry) -> Done<()> {
        let (rollouts, sampled) = self.look(|desk| Ok((desk.rollout_states()?, desk.sample_holds()?))).await?;
        let (states, holds) = (Gauges::default(), Gauges::default());
        for (id, state) in rollouts {
            let labels = vec![("channel", id.channel.to_string()), ("rollout", id.to_string()), ("state", state)];
            states.get_or_create(&labels).set(1);
        }
        registry.register("rollouts", "Rollouts that are open or newest in their channel, by state", states);
        for (gate, count) in sampled {
            holds.get_or_create(&vec![("gate", gate.to_string())]).set(whole(count));
        }
        let help = "Holds by gate, among the first 512 waiting hosts of open rollouts";
        registry.register("holds", help, holds);
        Ok(())
    }

    fn process_metrics(&self, registry: &mut Registry) {
        let mut count = |name: &str, help: &str, value: u64| {
            let counter = Counter::<u64>::default();
            counter.inc_by(value);
            registry.register(name, help, counter);
        };
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        count("events", "Events taken from agents since the start", read(&self.metrics.events));
        count("heartbeats", "Heartbeats answered since the start", read(&self.metrics.heartbeats));
        count("permits_granted", "Permits granted since the start", read(&self.metrics.granted));
        count("permits_refused", "Permits refused since the start", read(&self.metrics.refused));
        let (commits, jobs, micros) = self.store.commit_cost();
        count("store_commits", "Commits of the store since the start", commits);
        count("store_jobs", "Jobs in those commits", jobs);
        count("store_commit_microseconds", "Time that those commits took", micros);
    }
}

impl Desk<'_> {
    fn rollout_states(&self) -> Done<Vec<(RolloutId, String)>> {
        let mut states = Vec::new();
        for id in self.shown_rollouts()? {
            let (_, body) = self.known_rollout(&id)?;
            states.push((id, body.rollout.state.to_string()));
        }
        Ok(states)
    }

    fn sample_holds(&self) -> Done<BTreeMap<Gate, u64>> {
        let mut counts: BTreeMap<Gate, u64> = Gate::ALL.into_iter().map(|gate| (gate, 0)).collect();
        let mut left = SAMPLE;
        for rollout in self.shown_rollouts()? {
            let buckets = vec![Bucket::Waiting];
            let filter = RecordFilter { rollout: Some(rollout), buckets, open_only: true, ..RecordFilter::default() };
            let mut after = None;
            while left > 0 {
                let page = self.tx.records(&filter, after.as_ref(), PAGE.min(left))?;
                let Some(last) = page.last() else { break };
                after = Some(last.host.clone());
                left = left.saturating_sub(page.len());
                for row in page {
                    let kept = keep(row)?;
                    let Some(case) = self.case(&kept)? else { continue };
                    for (gate, _) in self.holds(&case, &kept) {
                        *counts.entry(gate).or_default() += 1;
                    }
                }
            }
        }
        Ok(counts)
    }
}
