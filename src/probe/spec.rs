//! `health-checks.json`: the probes that a closure declares. Must not run anything.
//!
//! ```json
//! { "version": 1, "probes": [
//!   { "name": "web", "kind": "http", "mode": "enforce", "intervalMs": 10000, "timeoutMs": 5000,
//!     "url": "http://127.0.0.1:8080/healthz", "expectStatus": [200], "bodyContains": "ok" },
//!   { "name": "ssh", "kind": "tcp", "address": "127.0.0.1:22" },
//!   { "name": "db", "kind": "unit", "unit": "postgresql.service" },
//!   { "name": "queue", "kind": "exec", "program": "/run/current-system/sw/bin/check-queue", "args": ["--max", "10"] },
//!   { "name": "upstream", "kind": "reach", "mode": "observe", "addresses": ["10.0.0.1:443", "10.0.0.2:443"] }
//! ] }
//! ```
//! `mode` is `enforce` unless said (`observe`, `disabled`), `intervalMs` 10 000, `timeoutMs` 5 000. `http` passes on
//! any 2xx unless `expectStatus` lists others, and on `bodyContains` where it is there; redirects are answers, not
//! followed. `reach` passes when one of its addresses takes a connection. An empty text declares no probe.

use crate::model::facts::ProbeMode;
use crate::model::id::ProbeName;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The most probes of one closure: each is a task and a line in every view.
pub const MAX_PROBES: usize = 64;
/// The largest `health-checks.json` that is read, in bytes.
pub const MAX_TEXT: usize = 256 * 1024;
/// The name of the failing probe that stands for a file that can't be read.
pub const UNREADABLE: &str = "health-checks";
const VERSION: u64 = 1;
/// The shortest interval and time limit, in milliseconds: below it the probe itself is the load.
const SHORTEST_MS: u64 = 20;
/// The longest interval, in milliseconds (a day): a probe that never reports holds the soak.
const LONGEST_INTERVAL_MS: u64 = 24 * 60 * 60 * 1000;
/// The longest time limit of one check, in milliseconds (ten minutes).
const LONGEST_TIMEOUT_MS: u64 = 10 * 60 * 1000;
/// The longest text in one field, in bytes.
const LONGEST_FIELD: usize = 4096;
/// The most arguments, addresses or statuses of one probe.
const LONGEST_LIST: usize = 64;
/// The fields that every kind has.
const COMMON: [&str; 4] = ["name", "mode", "intervalMs", "timeoutMs"];

/// One declared probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Its name, once per file.
    pub name: ProbeName,
    /// What it is for.
    pub mode: ProbeMode,
    /// From the end of one check to the start of the next.
    pub interval: Duration,
    /// After this long a check has failed.
    pub timeout: Duration,
    /// What it looks at.
    pub kind: Kind,
}

/// What a probe looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// An HTTP address.
    Http(Http),
    /// A TCP port that takes connections.
    Tcp(String),
    /// A systemd unit that is active.
    Unit(String),
    /// A program that exits with 0.
    Exec(Exec),
    /// Addresses of which one takes a connection.
    Reach(Vec<String>),
    /// Not a check: the file can't be read, for this reason; always fails.
    Unreadable(String),
}

/// An HTTP check.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Http {
    /// Where to ask, `http://` or `https://`.
    pub url: String,
    /// The statuses that pass; empty is any 2xx.
    #[serde(default)]
    pub expect_status: BTreeSet<u16>,
    /// A text that the first 64 KiB of the body must contain.
    #[serde(default)]
    pub body_contains: Option<String>,
}

/// A program to run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Exec {
    /// Its absolute path.
    pub program: String,
    /// Its arguments.
    #[serde(default)]
    pub args: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawCommon {
    name: String,
    #[serde(default)]
    mode: RawMode,
    #[serde(default = "default_interval")]
    interval_ms: u64,
    #[serde(default = "default_timeout")]
    timeout_ms: u64,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum RawMode {
    #[default]
    Enforce,
    Observe,
    Disabled,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind", deny_unknown_fields)]
enum RawKind {
    Http(Http),
    Tcp { address: String },
    Unit { unit: String },
    Exec(Exec),
    Reach { addresses: Vec<String> },
}

fn default_interval() -> u64 {
    10_000
}

fn default_timeout() -> u64 {
    5_000
}

/// Reads the text of `health-checks.json`.
///
/// # Errors
/// Every mistake at once, one a line, each with its place.
pub fn parse(text: &str) -> Result<Vec<Spec>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    if text.len() > MAX_TEXT {
        return Err(format!("it is {} bytes long; at most {MAX_TEXT} are read", text.len()));
    }
    let probes = probes_of(text)?;
    let mut mistakes = Vec::new();
    let mut specs: BTreeMap<ProbeName, Spec> = BTreeMap::new();
    for (at, value) in probes.into_iter().enumerate() {
        match read_probe(value) {
            Err(found) => mistakes.extend(found.into_iter().map(|mistake| format!("probes[{at}]: {mistake}"))),
            Ok(spec) => {
                if let Some(twin) = specs.insert(spec.name.clone(), spec) {
                    mistakes.push(format!("probes[{at}]: the name {} is used twice", twin.name));
                }
            }
        }
    }
    if mistakes.is_empty() { Ok(specs.into_values().collect()) } else { Err(mistakes.join("\n")) }
}

/// Reads the text, and makes one failing `enforce` probe of a text that can't be read: a closure whose checks are
/// unknown is not healthy.
#[must_use]
pub fn parse_or_failing(text: &str) -> Vec<Spec> {
    parse(text).unwrap_or_else(|mistakes| {
        let name = ProbeName::new(UNREADABLE).expect("the name is a valid probe name");
        let (interval, timeout) = (Duration::from_secs(10), Duration::from_secs(5));
        vec![Spec { name, mode: ProbeMode::Enforce, interval, timeout, kind: Kind::Unreadable(mistakes) }]
    })
}

fn probes_of(text: &str) -> Result<Vec<Value>, String> {
    let mut file: Map<String, Value> = serde_json::from_str(text).map_err(|why| why.to_string())?;
    match file.remove("version").as_ref().and_then(Value::as_u64) {
        Some(VERSION) => {}
        Some(other) => return Err(format!("version {other} is not known; this agent reads version {VERSION}")),
        None => return Err(format!("version is missing; it must be {VERSION}")),
    }
    let Some(Value::Array(probes)) = file.remove("probes") else {
        return Err("probes is missing or not a list".to_owned());
    };
    if let Some(unknown) = file.keys().next() {
        return Err(format!("{unknown} is not a known field"));
    }
    if probes.len() > MAX_PROBES {
        return Err(format!("it declares {} probes; at most {MAX_PROBES} are run", probes.len()));
    }
    Ok(probes)
}

fn read_probe(value: Value) -> Result<Spec, Vec<String>> {
    let Value::Object(mut rest) = value else { return Err(vec!["it is not an object".to_owned()]) };
    let common: Map<String, Value> = COMMON.iter().filter_map(|key| rest.remove_entry(*key)).collect();
    let common = serde_json::from_value::<RawCommon>(Value::Object(common)).map_err(|why| why.to_string());
    let kind = serde_json::from_value::<RawKind>(Value::Object(rest)).map_err(|why| why.to_string());
    let mut mistakes = Vec::new();
    let kind = kind.and_then(check_kind).map_err(|why| mistakes.push(why));
    let common = common.map_err(|why| mistakes.push(why));
    let name = common.as_ref().ok().and_then(|common| {
        check_times(common, &mut mistakes);
        ProbeName::new(common.name.clone()).map_err(|why| mistakes.push(why.to_string())).ok()
    });
    let (Ok(common), Ok(kind), Some(name), true) = (common, kind, name, mistakes.is_empty()) else {
        return Err(mistakes);
    };
    let mode = match common.mode {
        RawMode::Enforce => ProbeMode::Enforce,
        RawMode::Observe => ProbeMode::Observe,
        RawMode::Disabled => ProbeMode::Disabled,
    };
    let interval = Duration::from_millis(common.interval_ms);
    Ok(Spec { name, mode, interval, timeout: Duration::from_millis(common.timeout_ms), kind })
}

fn check_times(common: &RawCommon, mistakes: &mut Vec<String>) {
    if !(SHORTEST_MS..=LONGEST_INTERVAL_MS).contains(&common.interval_ms) {
        let got = common.interval_ms;
        mistakes.push(format!("intervalMs is {got}; it must be from {SHORTEST_MS} to {LONGEST_INTERVAL_MS}"));
    }
    if !(SHORTEST_MS..=LONGEST_TIMEOUT_MS).contains(&common.timeout_ms) {
        let got = common.timeout_ms;
        mistakes.push(format!("timeoutMs is {got}; it must be from {SHORTEST_MS} to {LONGEST_TIMEOUT_MS}"));
    }
}

fn check_kind(raw: RawKind) -> Result<Kind, String> {
    match raw {
        RawKind::Http(http) => check_http(http),
        RawKind::Tcp { address } => Ok(Kind::Tcp(check_address(address)?)),
        RawKind::Unit { unit } => {
            let valid = !unit.is_empty() && unit.len() < 256 && unit.contains('.') && !unit.starts_with('-');
            if valid { Ok(Kind::Unit(unit)) } else { Err(format!("unit {unit:?} is not a unit's full name")) }
        }
        RawKind::Exec(exec) => check_exec(exec),
        RawKind::Reach { addresses } if addresses.is_empty() || addresses.len() > LONGEST_LIST => {
            Err(format!("addresses must name 1 to {LONGEST_LIST}"))
        }
        RawKind::Reach { addresses } => {
            Ok(Kind::Reach(addresses.into_iter().map(check_address).collect::<Result<_, _>>()?))
        }
    }
}

fn check_http(http: Http) -> Result<Kind, String> {
    let rest = http.url.strip_prefix("http://").or_else(|| http.url.strip_prefix("https://"));
    let text = http.body_contains.as_deref().unwrap_or_default();
    if rest.is_none_or(str::is_empty) || http.url.len() > LONGEST_FIELD || http.url.contains(char::is_whitespace) {
        Err(format!("url {:?} is not an http:// or https:// address", http.url))
    } else if text.len() > LONGEST_FIELD || http.expect_status.len() > LONGEST_LIST {
        Err(format!("bodyContains has at most {LONGEST_FIELD} bytes, expectStatus {LONGEST_LIST} entries"))
    } else if let Some(odd) = http.expect_status.iter().find(|status| !(100..600).contains(*status)) {
        Err(format!("expectStatus {odd} is not an HTTP status"))
    } else {
        Ok(Kind::Http(http))
    }
}

fn check_exec(exec: Exec) -> Result<Kind, String> {
    let long = exec.args.iter().any(|arg| arg.len() > LONGEST_FIELD || arg.contains('\0'));
    if !exec.program.starts_with('/') || exec.program.len() > LONGEST_FIELD || exec.program.contains('\0') {
        Err(format!("program {:?} is not an absolute path", exec.program))
    } else if long || exec.args.len() > LONGEST_LIST {
        Err(format!("args are at most {LONGEST_LIST} of at most {LONGEST_FIELD} bytes"))
    } else {
        Ok(Kind::Exec(exec))
    }
}

fn check_address(address: String) -> Result<String, String> {
    let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).and_then(|(_, port)| port.parse().ok());
    match port {
        Some(1_u16..) if address.len() <= 300 => Ok(address),
        Some(_) | None => Err(format!("address {address:?} is not HOST:PORT")),
    }
}

#[cfg(test)]
mod tests;
