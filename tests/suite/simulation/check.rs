//! What is judged at the end of a run: the whole history, and how much happened in it.

use crate::simulation::world::World;
use convoy::model::host_rollout::Event;
use convoy::model::id::{Author, HostName};
use convoy::store::rows::{EventFilter, EventRow, JournalRow};
use convoy::store::{self, StoreError};
use convoy::system::sim::log::{Act, Entry};
use convoy::system::sim::tally::duplicate_activations;
use convoy::wire::v1::agent::EventEnvelope;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

/// Events read from the store at once.
const PAGE: usize = 1000;

/// Everything that happened, as text, to be compared with another run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct History {
    pub(crate) lines: Vec<String>,
    events: Vec<EventRow>,
    journals: Vec<JournalRow>,
}

/// What a run did, and what it broke.
#[derive(Debug, Default, Clone)]
pub(crate) struct Report {
    pub(crate) committed: u64,
    pub(crate) reverted: u64,
    pub(crate) adopted: u64,
    pub(crate) agent_kills: u64,
    pub(crate) plane_kills: u64,
    pub(crate) wipes: u64,
    pub(crate) power_cuts: u64,
    pub(crate) lost_messages: u64,
    pub(crate) repeated_messages: u64,
    pub(crate) broken: Vec<String>,
}

impl Report {
    pub(crate) fn add(&mut self, other: &Self) {
        self.committed += other.committed;
        self.reverted += other.reverted;
        self.adopted += other.adopted;
        self.agent_kills += other.agent_kills;
        self.plane_kills += other.plane_kills;
        self.wipes += other.wipes;
        self.power_cuts += other.power_cuts;
        self.lost_messages += other.lost_messages;
        self.repeated_messages += other.repeated_messages;
    }
}

impl World {
    /// Returns all acts and events.
    pub(crate) async fn history(&self) -> History {
        let (events, journals) = stored(self).await.unwrap();
        let acts = self.hosts.iter().enumerate();
        let mut lines: Vec<String> = acts
            .flat_map(|(n, host)| {
                host.machine.acts().into_iter().map(move |entry| format!("host {n}: {entry:?}")).collect::<Vec<_>>()
            })
            .collect();
        lines.extend(events.iter().map(|event| format!("{event:?}")));
        History { lines, events, journals }
    }
}

async fn stored(world: &World) -> Result<(Vec<EventRow>, Vec<JournalRow>), StoreError> {
    let names: Vec<HostName> = (0..world.hosts.len()).map(crate::simulation::fleet::host_name).collect();
    store::read(&*world.store, move |tx| {
        let (mut events, mut after) = (Vec::new(), 0);
        loop {
            let page = tx.events(after, &EventFilter::default(), PAGE)?;
            let Some(last) = page.last() else { break };
            after = last.place;
            events.extend(page);
        }
        let mut journals = Vec::new();
        for name in &names {
            journals.extend(tx.journals(name)?);
        }
        Ok((events, journals))
    })
    .await
}

/// Judges a whole run.
pub(crate) fn report(world: &World, history: &History) -> Report {
    let acts: Vec<Vec<Entry>> = world.hosts.iter().map(|host| host.machine.acts()).collect();
    let count = |wanted: fn(&Act) -> bool| acts.iter().flatten().filter(|entry| wanted(&entry.act)).count() as u64;
    let adopted = history.events.iter().filter(|event| event.kind == "adopted").count() as u64;
    let mut report = Report {
        committed: count(|act| matches!(act, Act::Committed { .. })),
        reverted: count(|act| matches!(act, Act::Reverted { .. })),
        adopted,
        agent_kills: world.faults.agent_kills,
        plane_kills: world.faults.plane_kills,
        wipes: world.faults.wipes,
        power_cuts: world.faults.power_cuts,
        lost_messages: world.net.lost.load(Ordering::Relaxed),
        repeated_messages: world.net.repeated.load(Ordering::Relaxed),
        broken: world.watch.broken.clone(),
    };
    nothing_is_done_twice(&acts, &mut report.broken);
    holes(history, &mut report.broken);
    report
}

/// Promise 2: nothing is done twice.
fn nothing_is_done_twice(acts: &[Vec<Entry>], broken: &mut Vec<String>) {
    for (n, acts) in acts.iter().enumerate() {
        let twice = duplicate_activations(acts);
        if twice > 0 {
            broken.push(format!("host {n} activated what it ran already {twice} times"));
        }
    }
}

/// Promise 2: no number of a journal is missing at the control plane without a mark that says so.
fn holes(history: &History, broken: &mut Vec<String>) {
    let mut held: BTreeMap<_, BTreeSet<u64>> = BTreeMap::new();
    let mut marked = Vec::new();
    for row in &history.events {
        if let Author::Journal(journal) = &row.author {
            held.entry(journal.clone()).or_default().insert(row.seq);
        }
        let event = serde_json::from_str::<EventEnvelope>(&row.body).ok();
        if let Some(Ok(Event::HistoryLost { journal, from, to })) = event.map(|envelope| envelope.event.try_into()) {
            marked.push((journal, from, to));
        }
    }
    for journal in &history.journals {
        let none = BTreeSet::new();
        let held = held.get(&journal.journal).unwrap_or(&none);
        for seq in (1..=journal.last_seq).filter(|seq| !held.contains(seq)) {
            let covers = |(id, from, to): &(_, u64, Option<u64>)| {
                *id == journal.journal && *from <= seq && to.is_none_or(|to| seq <= to)
            };
            if !marked.iter().any(covers) {
                broken.push(format!("event {seq} of {} in journal {} is missing", journal.host, journal.journal));
            }
        }
    }
}
