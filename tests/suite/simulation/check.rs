//! The promises, checked against what truly happened: the hosts' own act logs and the store.

use crate::simulation::fleet::{BUDGET, Quality, SOAK};
use crate::simulation::world::World;
use convoy::model::host_rollout::Event;
use convoy::model::id::{Author, Closure, HostName};
use convoy::model::limit::self_rollback;
use convoy::model::root_record::RootState;
use convoy::store::rows::{EventFilter, EventRow, JournalRow};
use convoy::store::{self, StoreError};
use convoy::system::sim::backing::Backing;
use convoy::system::sim::log::{Act, By, Entry};
use convoy::system::sim::tally::duplicate_activations;
use convoy::trust::verify;
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
    /// Hosts that do not run the newest release at the end of the day.
    pub(crate) unsettled: u64,
}

impl Report {
    pub(crate) fn add(&mut self, other: &Self) {
        self.unsettled += other.unsettled;
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

/// Looks at the fleet as it stands: the blast radius at this instant.
pub(crate) fn look(world: &World) {
    let unproven = world.hosts.iter().filter(|host| {
        let Ok(state) = host.machine.look() else { return false };
        let open = state.open_record().filter(|record| record.target == state.running);
        state.power
            && open.is_some_and(|record| match record.state {
                RootState::Launched | RootState::Soaking | RootState::Reverting => true,
                RootState::Committing
                | RootState::Committed
                | RootState::Reverted
                | RootState::Overtaken
                | RootState::Kept => false,
            })
    });
    let unproven = unproven.count();
    assert!(unproven <= BUDGET, "{unproven} hosts run an unproven release, {BUDGET} may");
}

/// A time in which a host ran, or could run, an unproven closure. A machine without power runs nothing.
struct Span {
    target: Closure,
    from: u64,
    until: Option<u64>,
}

fn spans(acts: &[Entry]) -> Vec<Span> {
    let mut found: Vec<Span> = Vec::new();
    for entry in acts {
        let open = found.last_mut().filter(|span| span.until.is_none());
        match (&entry.act, open) {
            (Act::SwitchStarted { by: By::Forward, to, .. }, None) => {
                found.push(Span { target: to.clone(), from: entry.uptime_ms, until: None });
            }
            (Act::PowerCut | Act::Rebooted { .. } | Act::Committed { .. } | Act::Reverted { .. }, Some(open)) => {
                open.until = Some(entry.uptime_ms);
            }
            (_, _) => {}
        }
    }
    found
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
        broken: Vec::new(),
        unsettled: unsettled(world),
    };
    let broken = &mut report.broken;
    brings_itself_back(world, &acts, broken);
    nothing_is_lost(&acts, broken);
    holes(history, broken);
    blast_radius(world, &acts, broken);
    report
}

/// Promise 1: what is bad is never kept, and gone within the printed limit.
fn brings_itself_back(world: &World, acts: &[Vec<Entry>], broken: &mut Vec<String>) {
    let Some(any) = world.releases.last() else { return };
    let policy = verify(&any.signed, world.trust()).unwrap().release.policy;
    let limit = u64::try_from(self_rollback(&policy).back_by.as_millis()).unwrap();
    for (n, acts) in acts.iter().enumerate() {
        for span in spans(acts) {
            let until = span.until.unwrap_or_else(|| acts.last().map_or(0, |entry| entry.uptime_ms));
            if until.saturating_sub(span.from) > limit {
                broken.push(format!("host {n} ran {} unproven from {} to {until}", span.target, span.from));
            }
        }
        for release in world.releases.iter().filter(|release| release.quality != Quality::Good) {
            let bad = &release.targets[n];
            if acts.iter().any(|entry| matches!(&entry.act, Act::Committed { closure } if closure == bad)) {
                broken.push(format!("host {n} committed {bad}, which is bad: {:?}", release.quality));
            }
        }
    }
}

/// Promise 2: nothing is committed before a whole soak, and nothing is done twice.
fn nothing_is_lost(acts: &[Vec<Entry>], broken: &mut Vec<String>) {
    let soak = u64::try_from(SOAK.as_millis()).unwrap();
    for (n, acts) in acts.iter().enumerate() {
        let twice = duplicate_activations(acts);
        if twice > 0 {
            broken.push(format!("host {n} activated what it ran already {twice} times"));
        }
        let mut ended = None;
        for entry in acts {
            if let Act::SwitchEnded { by: By::Forward, .. } = &entry.act {
                ended = Some(entry.uptime_ms);
            }
            let early = ended.is_none_or(|ended| entry.uptime_ms < ended + soak);
            if let (Act::Committed { closure }, true) = (&entry.act, early) {
                broken.push(format!("host {n} committed {closure} before its soak was over"));
            }
        }
    }
}

/// Counts the hosts that the newest release has not reached.
fn unsettled(world: &World) -> u64 {
    let Some(newest) = world.releases.last() else { return 0 };
    let differs = |(n, host): &(usize, &crate::simulation::world::Host)| {
        host.machine.look().is_ok_and(|state| state.running != newest.targets[*n] || !state.default_is_running())
    };
    world.hosts.iter().enumerate().filter(differs).count() as u64
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

/// Promise 3: never more hosts at once than the budget, and no wave before the one before it proved the release.
fn blast_radius(world: &World, acts: &[Vec<Entry>], broken: &mut Vec<String>) {
    let mut edges: Vec<(u64, i64)> = Vec::new();
    for span in acts.iter().flat_map(|acts| spans(acts)) {
        edges.push((span.from, 1));
        edges.extend(span.until.map(|until| (until, -1)));
    }
    edges.sort_unstable();
    let mut now = 0;
    for (at, change) in edges {
        now += change;
        if now > i64::try_from(BUDGET).unwrap() {
            broken.push(format!("{now} hosts were in flight at {at}, {BUDGET} may"));
        }
    }
    for release in &world.releases {
        waves_in_order(release, world, acts, broken);
    }
}

fn waves_in_order(
    release: &crate::simulation::world::Published,
    world: &World,
    acts: &[Vec<Entry>],
    broken: &mut Vec<String>,
) {
    let waves = verify(&release.signed, world.trust()).unwrap().release.waves;
    let at = |n: usize, wanted: &dyn Fn(&Act) -> bool| {
        acts[n].iter().find(|entry| wanted(&entry.act)).map(|entry| entry.uptime_ms)
    };
    let members = |wave: usize| {
        let name = |n: &usize| waves[wave].hosts.contains(&crate::simulation::fleet::host_name(*n));
        (0..acts.len()).filter(name).collect::<Vec<_>>()
    };
    for wave in 1..waves.len() {
        let target = |n: usize| &release.targets[n];
        let committed = |n: usize| at(n, &|act| matches!(act, Act::Committed { closure } if closure == target(n)));
        let started =
            |n: usize| at(n, &|act| matches!(act, Act::SwitchStarted { by: By::Forward, to, .. } if to == target(n)));
        let proven = members(wave - 1).into_iter().filter_map(committed).min();
        let first = members(wave).into_iter().filter_map(started).min();
        if first.is_some_and(|first| proven.is_none_or(|proven| first < proven)) {
            broken.push(format!("{}: wave {} began at {first:?}, proven at {proven:?}", release.id, wave + 1));
        }
    }
}
