//! What the store and the hosts say when everything has ended; gathered whole, so that counting it is pure.

use crate::agent::journal::read;
use crate::ctl::demo::machines;
use crate::ctl::demo::place::Place;
use crate::model::host_rollout::{Event, HostRolloutState};
use crate::model::id::{Attempt, Author, Closure, HostName, JournalId, RolloutId, StoreId};
use crate::model::rollout::RolloutState;
use crate::model::root_record::RootRecord;
use crate::store::rows::{EventFilter, EventRow, JournalRow, RecordFilter, RecordRow};
use crate::store::sqlite::{Options, SqliteStore};
use crate::store::{StoreError, Tx};
use crate::system::sim::log::Entry;
use crate::wire::stored;
use crate::wire::v1::event::EventBody;
use anyhow::{Context, anyhow};
use serde::Deserialize;
use std::fs;
use std::path::Path;

/// Rows read at once.
const PAGE: usize = 1000;

/// Everything the figures are counted from.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The hosts' own words.
    pub hosts: Vec<HostEvidence>,
    /// The whole history, from the store.
    pub events: Vec<StoredEvent>,
    /// Every journal that the control plane knows.
    pub journals: Vec<JournalRow>,
    /// Every host's attempt of every rollout.
    pub records: Vec<StoredRecord>,
    /// Every rollout.
    pub rollouts: Vec<(RolloutId, RolloutState)>,
    /// When no control plane was there, in milliseconds of the machine's uptime.
    pub outages: Vec<(u64, u64)>,
}

/// What one host says.
#[derive(Debug, Clone)]
pub struct HostEvidence {
    /// The host.
    pub name: HostName,
    /// Its log of acts.
    pub acts: Vec<Entry>,
    /// What it runs.
    pub running: Closure,
    /// What it would boot, where profile and loader agree.
    pub default: Option<Closure>,
    /// Its root records.
    pub records: Vec<RootRecord>,
    /// Every journal that its disk ever held, deleted ones included, with its last number.
    pub journals: Vec<(JournalId, u64)>,
}

/// An event of the store.
#[derive(Debug, Clone)]
pub struct StoredEvent {
    /// The host.
    pub host: Option<HostName>,
    /// The rollout.
    pub rollout: Option<RolloutId>,
    /// Which try.
    pub attempt: Attempt,
    /// Who wrote it.
    pub author: Author,
    /// The author's number.
    pub seq: u64,
    /// What happened, where it is an event of the host's machine.
    pub event: Option<Event>,
}

/// A host's attempt in the store.
#[derive(Debug, Clone)]
pub struct StoredRecord {
    /// The host.
    pub host: HostName,
    /// The closure to reach.
    pub target: Closure,
    /// The state.
    pub state: HostRolloutState,
    /// Whether it holds a permit and is not final.
    pub in_flight: bool,
}

/// Gathers it. The control plane and the hosts must have ended.
///
/// # Errors
/// When the store or a host's files can't be read.
pub async fn gather(place: &Place, hosts: &[HostName], store_id: StoreId) -> anyhow::Result<Evidence> {
    let database = place.database();
    let unreadable = |error: StoreError| anyhow!("can't read what the control plane stored: {error}");
    let store = SqliteStore::open(&database, Options { new_store_id: store_id }).map_err(unreadable)?;
    let mut evidence = crate::store::read(&store, read_store).await.map_err(unreadable)?;
    for host in hosts {
        evidence.hosts.push(read_host(place, host).with_context(|| format!("can't read the files of {host}"))?);
    }
    Ok(evidence)
}

fn read_store(tx: &mut dyn Tx) -> Result<Evidence, StoreError> {
    let mut evidence = Evidence::default();
    let mut after = 0;
    loop {
        let page = tx.events(after, &EventFilter::default(), PAGE)?;
        let Some(last) = page.last() else { break };
        after = last.place;
        evidence.events.extend(page.into_iter().map(stored_event));
    }
    let mut after = None;
    loop {
        let page = tx.hosts(after.as_ref(), PAGE)?;
        let Some(last) = page.last() else { break };
        after = Some(last.name.clone());
        for host in &page {
            evidence.journals.extend(tx.journals(&host.name)?);
        }
    }
    let mut after = None;
    loop {
        let page = tx.records(&RecordFilter::default(), after.as_ref(), PAGE)?;
        let Some(last) = page.last() else { break };
        after = Some(last.host.clone());
        for row in page {
            evidence.records.push(stored_record(row)?);
        }
    }
    for row in tx.rollouts(false, PAGE)? {
        let body = stored::read_rollout(&row.body).map_err(|why| StoreError::Engine(why.to_string()))?;
        evidence.rollouts.push((row.id, body.rollout.state));
    }
    Ok(evidence)
}

/// What all stored events have in common, whoever wrote them.
#[derive(Deserialize)]
struct Said {
    event: EventBody,
}

fn stored_event(row: EventRow) -> StoredEvent {
    let said = serde_json::from_str::<Said>(&row.body).ok();
    let event = said.and_then(|said| Event::try_from(said.event).ok());
    let EventRow { host, rollout, attempt, author, seq, .. } = row;
    StoredEvent { host, rollout, attempt, author, seq, event }
}

fn stored_record(row: RecordRow) -> Result<StoredRecord, StoreError> {
    let body = stored::read_record(&row.body).map_err(|why| StoreError::Engine(why.to_string()))?;
    let in_flight = body.permitted.is_some() && !row.is_final;
    Ok(StoredRecord { host: row.host, target: body.progress.terms.target, state: row.state, in_flight })
}

fn read_host(place: &Place, name: &HostName) -> anyhow::Result<HostEvidence> {
    let state = machines::state(place, name)?;
    let default = (state.profile == state.loader).then(|| state.loader.clone());
    let mut journals = Vec::new();
    for folder in [place.agent_state(name), place.lost_state(name)] {
        journals.extend(journals_in(&folder)?);
    }
    let acts = crate::system::sim::log::read(&place.host(name))?;
    Ok(HostEvidence { name: name.clone(), acts, running: state.running, default, records: state.records, journals })
}

/// Reads the journal of a state directory, and those that were replaced and kept aside.
fn journals_in(folder: &Path) -> anyhow::Result<Vec<(JournalId, u64)>> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return Ok(found) };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name != "journal" && !name.starts_with("journal.fenced") {
            continue;
        }
        let bytes = fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
        if let Some(content) = read::read(&bytes)?.content {
            found.push((content.book.journal, content.book.last_seq));
        }
    }
    Ok(found)
}
