//! From the manifest's JSON to the model: the order of hosts, which must let every host start at some time.

use crate::model::id::HostName;
use crate::wire::v1::manifest::check::WaveOf;
use crate::wire::v1::manifest::mistakes::Mistakes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

type Order = BTreeMap<String, Vec<String>>;

/// Checks the order and builds it.
pub(super) fn host_order(
    found: &mut Mistakes,
    order: &Order,
    wave_of: &WaveOf<'_>,
) -> BTreeMap<HostName, BTreeSet<HostName>> {
    let mut all = BTreeMap::new();
    for (host, before) in order {
        let path = format!("policy.hostOrder.{host}");
        edges(found, (host, before), wave_of);
        let names = found.parse_set(&path, before);
        if let Ok(host) = host.parse() {
            all.insert(host, names);
        }
    }
    if let Some(cycle) = cycle(order) {
        found.at("policy.hostOrder", format_args!("hosts wait for each other: {}", cycle.join(" after ")));
    }
    all
}

fn edges(found: &mut Mistakes, (host, before): (&String, &Vec<String>), wave_of: &WaveOf<'_>) {
    let path = format!("policy.hostOrder.{host}");
    let own = wave_of.get(host.as_str());
    if own.is_none() {
        found.at(&path, "is not a host of this release");
    }
    if before.is_empty() {
        found.at(&path, "waits for nobody: remove it");
    }
    for name in before {
        let theirs = wave_of.get(name.as_str());
        if theirs.is_none() {
            found.at(&path, format_args!("{name} is not a host of this release"));
        }
        if own.zip(theirs).is_some_and(|(own, theirs)| theirs > own) {
            found.at(&path, format_args!("{name} is in a later wave, which opens only after this one"));
        }
    }
}

/// Finds hosts that wait for each other in a ring, the first one repeated at the end.
fn cycle(order: &Order) -> Option<Vec<&str>> {
    let stuck = stuck(order);
    // Every stuck host waits for a stuck host, so going on must come to one that was seen before.
    let mut seen: Vec<&str> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut at = *stuck.first()?;
    loop {
        if let Some(place) = places.insert(at, seen.len()) {
            let mut ring = seen.split_off(place);
            ring.push(at);
            return Some(ring);
        }
        seen.push(at);
        at = order.get(at)?.iter().map(String::as_str).find(|name| stuck.contains(name))?;
    }
}

/// Takes away hosts that wait for nobody, again and again; what is left can never start.
fn stuck(order: &Order) -> BTreeSet<&str> {
    let mut waits: BTreeMap<&str, usize> = BTreeMap::new();
    let mut followers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (host, before) in order {
        waits.entry(host).or_default();
        for name in before {
            *waits.entry(host).or_default() += 1;
            waits.entry(name).or_default();
            followers.entry(name).or_default().push(host);
        }
    }
    let mut free: VecDeque<&str> = waits.iter().filter(|(_, count)| **count == 0).map(|(name, _)| *name).collect();
    while let Some(name) = free.pop_front() {
        waits.remove(name);
        for follower in followers.get(name).into_iter().flatten() {
            let Some(count) = waits.get_mut(follower) else { continue };
            *count -= 1;
            if *count == 0 {
                free.push_back(follower);
            }
        }
    }
    waits.into_keys().collect()
}
