//! From the manifest's JSON to the model: hosts, waves and windows.

use crate::model::fleet::{RebootPolicy, Release, Target, Wave};
use crate::model::id::{Digest, HostName, RolloutId, Tag};
use crate::model::time::Timestamp;
use crate::model::window::{DAY_MINUTES, Window};
use crate::wire::Invalid;
use crate::wire::v1::manifest::mistakes::Mistakes;
use crate::wire::v1::manifest::{
    MAX_HOSTS, MAX_TAGS, MAX_WAVES, MAX_WINDOWS, ManifestBody, SCHEMA, TargetBody, WaveBody, WindowBody, rules,
};
use crate::wire::v1::release::timestamp;
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The longest wait after a wave: 30 days; a longer one is a mistake of units.
const MAX_WAIT_MS: u64 = 30 * 24 * 60 * 60 * 1_000;
/// The names of the days, Monday first, as in the model.
pub(super) const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Where each host stands: its name as written → its wave, from 0.
pub(super) type WaveOf<'a> = BTreeMap<&'a str, usize>;

/// Checks everything and builds the model.
pub(super) fn release(body: ManifestBody, digest: Digest) -> Result<Release, Invalid> {
    let mut mistakes = Mistakes::default();
    let found = &mut mistakes;
    if body.schema != SCHEMA {
        found.at("schema", format_args!("{:?} is not known here, only {SCHEMA:?}", body.schema));
    }
    let id = found.parse::<RolloutId>("release", &body.release);
    let hosts = hosts(found, &body.hosts);
    let wave_of = places(found, &body);
    let waves = waves(found, &body.waves);
    let policy = rules::policy(found, &body, &wave_of);
    mistakes.into_result()?;
    let missing = Invalid { what: "manifest", detail: "release: is missing".to_owned() };
    Ok(Release { id: id.ok_or(missing)?, digest, hosts, waves, policy, again: body.again })
}

fn hosts(found: &mut Mistakes, hosts: &BTreeMap<String, TargetBody>) -> BTreeMap<HostName, Target> {
    if hosts.is_empty() {
        found.at("hosts", "a release without hosts changes nothing: name at least one");
    }
    found.at_most("hosts", hosts.len(), MAX_HOSTS);
    let mut all = BTreeMap::new();
    for (name, target) in hosts {
        let path = format!("hosts.{name}");
        found.at_most(format_args!("{path}.tags"), target.tags.len(), MAX_TAGS);
        let host = found.parse::<HostName>(&path, name);
        let tags = found.parse_set::<Tag>(&format!("{path}.tags"), &target.tags);
        let closure = found.parse(format_args!("{path}.closure"), &target.closure);
        if let (Some(host), Some(closure)) = (host, closure) {
            all.insert(host, Target { closure, tags });
        }
    }
    all
}

/// Notes hosts in no wave, in two, or unknown, and says where each one stands.
fn places<'a>(found: &mut Mistakes, body: &'a ManifestBody) -> WaveOf<'a> {
    let mut wave_of = WaveOf::new();
    for (index, wave) in body.waves.iter().enumerate() {
        for (position, host) in wave.hosts.iter().enumerate() {
            let path = format!("waves[{index}].hosts[{position}]");
            if !body.hosts.contains_key(host) {
                found.at(&path, format_args!("{host} is not under hosts: add it there or remove it here"));
            }
            match wave_of.insert(host, index) {
                None => {}
                Some(other) if other == index => found.at(&path, format_args!("{host} is named twice: remove one")),
                Some(other) => found.at(&path, format_args!("{host} is in waves[{other}] too: one wave for each host")),
            }
        }
    }
    for host in body.hosts.keys().filter(|host| !wave_of.contains_key(host.as_str())) {
        found.at(format_args!("hosts.{host}"), "is in no wave: add it to one");
    }
    wave_of
}

fn waves(found: &mut Mistakes, bodies: &[WaveBody]) -> Vec<Wave> {
    if bodies.is_empty() {
        found.at("waves", "there is none: at least one is needed");
    }
    found.at_most("waves", bodies.len(), MAX_WAVES);
    let mut names = BTreeSet::new();
    let mut all = Vec::new();
    for (index, body) in bodies.iter().enumerate() {
        if !names.insert(&body.name) {
            found.at(format_args!("waves[{index}].name"), format_args!("{} is another wave's name too", body.name));
        }
        all.extend(wave(found, index, body));
    }
    all
}

fn wave(found: &mut Mistakes, index: usize, body: &WaveBody) -> Option<Wave> {
    let path = format!("waves[{index}]");
    counts(found, &path, body);
    found.range(format_args!("{path}.waitMs"), body.wait_ms, (0, MAX_WAIT_MS));
    found.at_most(format_args!("{path}.windows"), body.windows.len(), MAX_WINDOWS);
    let name = found.parse::<Tag>(format_args!("{path}.name"), &body.name);
    let not_before = body.not_before.as_ref().and_then(|text| moment(found, &format!("{path}.notBefore"), text));
    let each = body.windows.iter().enumerate();
    let windows = each.filter_map(|(n, body)| window(found, &format!("{path}.windows[{n}]"), body)).collect();
    // A name that does not parse is noted where the host stands under `hosts`, or as unknown.
    let hosts = body.hosts.iter().filter_map(|host| host.parse().ok()).collect();
    let first = if index == 0 { RebootPolicy::Trial } else { RebootPolicy::Live };
    Some(Wave {
        name: name?,
        hosts,
        max_in_flight: body.max_in_flight,
        min_success: body.min_success,
        max_failures: body.max_failures,
        wait: Duration::from_millis(body.wait_ms),
        not_before,
        windows,
        approval: body.approval,
        reboot: body.reboot.map_or(first, Into::into),
    })
}

fn counts(found: &mut Mistakes, path: &str, body: &WaveBody) {
    let hosts = body.hosts.len();
    if hosts == 0 {
        found.at(format_args!("{path}.hosts"), "is empty: remove the wave or name its hosts");
        return;
    }
    let most = u64::try_from(hosts).unwrap_or(u64::MAX);
    if body.min_success == 0 {
        found.at(format_args!("{path}.minSuccess"), "0 would prove nothing before the next wave: at least 1");
    } else if u64::from(body.min_success) > most {
        let wrong = format_args!("{} can't be reached by {hosts} hosts", body.min_success);
        found.at(format_args!("{path}.minSuccess"), wrong);
    }
    if u64::from(body.max_failures) > most {
        let wrong = format_args!("{} is more than its {hosts} hosts", body.max_failures);
        found.at(format_args!("{path}.maxFailures"), wrong);
    }
    if body.max_in_flight == Some(0) {
        found.at(format_args!("{path}.maxInFlight"), "0 lets nobody start: at least 1, or leave it out");
    }
}

fn moment(found: &mut Mistakes, path: &str, text: &str) -> Option<Timestamp> {
    match DateTime::parse_from_rfc3339(text) {
        Ok(at) => Some(timestamp(at.with_timezone(&Utc))),
        Err(_) => {
            found.at(path, format_args!("{text:?} is not a date such as 2026-05-01T12:00:00Z"));
            None
        }
    }
}

fn window(found: &mut Mistakes, path: &str, body: &WindowBody) -> Option<Window> {
    if body.timezone != "UTC" {
        let wrong = format_args!("{:?} is not possible: windows are in UTC, convert the hours", body.timezone);
        found.at(format_args!("{path}.timezone"), wrong);
    }
    if body.days.is_empty() {
        found.at(format_args!("{path}.days"), "is empty: this window never opens");
    }
    let mut days = [false; 7];
    for (n, day) in body.days.iter().enumerate() {
        match DAYS.iter().position(|known| known == day) {
            None => found.at(format_args!("{path}.days[{n}]"), format_args!("{day:?} is not one of {DAYS:?}")),
            Some(known) if days[known] => found.at(format_args!("{path}.days[{n}]"), format_args!("{day} is twice")),
            Some(known) => days[known] = true,
        }
    }
    let from = hour(&body.from);
    if from.is_none() {
        found.at(format_args!("{path}.from"), format_args!("{:?} is not an hour such as 22:00", body.from));
    }
    let minutes = u16::try_from(body.minutes).ok().filter(|minutes| (1..=DAY_MINUTES).contains(minutes));
    if minutes.is_none() {
        let wrong = format_args!("{} is not within 1 to {DAY_MINUTES}", body.minutes);
        found.at(format_args!("{path}.minutes"), wrong);
    }
    Some(Window { days, from: from?, minutes: minutes? })
}

/// Reads `HH:MM` as the minute of the day; exactly five characters, so that one hour has one spelling.
fn hour(text: &str) -> Option<u16> {
    let digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    let (hours, minutes) = text.split_once(':').filter(|(hours, minutes)| digits(hours) && digits(minutes))?;
    let (hours, minutes) = (hours.parse::<u16>().ok()?, minutes.parse::<u16>().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}
