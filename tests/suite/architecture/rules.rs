//! The rules, each a function from one file to what it breaks.

use crate::architecture::scan::{Source, functions, named_after, read};

/// A file of the repository.
pub(crate) struct File {
    /// From the top of the repository.
    pub(crate) path: String,
    /// As it is.
    pub(crate) text: String,
    /// Taken apart, without its tests.
    pub(crate) source: Source,
}

/// Says what a file breaks.
pub(crate) type Rule = fn(&File) -> Vec<String>;

/// Which layers a layer may import; the longest matching path counts.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("src/model", &[]),
    ("src/wire", &["model"]),
    ("src/store", &["model"]),
    ("src/system", &["model"]),
    // This machine speaks the root helper's protocol.
    ("src/system/nixos", &["model", "wire"]),
    // The simulated host stands in for the root helper, and may import what that may.
    ("src/system/sim", &["model", "wire", "trust", "runtime"]),
    ("src/runtime", &["model"]),
    ("src/trust", &["model", "wire"]),
    ("src/probe", &["model", "system"]),
    ("src/client", &["wire", "model"]),
    ("src/plane", &["model", "wire", "trust", "store", "runtime"]),
    ("src/agent", &["model", "wire", "trust", "client", "system", "probe", "runtime"]),
    ("src/activator", &["model", "wire", "trust", "system", "runtime"]),
    ("src/ctl", &["model", "wire", "trust", "client", "runtime"]),
    // A signer that is not here is a process, and those start in system::exec.
    ("src/ctl/release/signer", &["model", "wire", "trust", "runtime", "system"]),
    // So is Nix, which builds what a release names; a closure's boot components are compared as on a host.
    ("src/ctl/release/build", &["model", "wire", "trust", "client", "runtime", "system"]),
    ("src/ctl/demo", &["model", "wire", "trust", "store", "client", "system", "plane", "agent", "runtime"]),
    (
        // Whole programs: what `bin` may, so that the demo's processes can be started from one file.
        "src/program",
        &["plane", "agent", "activator", "ctl", "client", "store", "system", "trust", "model", "wire", "runtime"],
    ),
    (
        "src/bin",
        &[
            "program",
            "plane",
            "agent",
            "activator",
            "ctl",
            "client",
            "store",
            "system",
            "trust",
            "model",
            "wire",
            "runtime",
        ],
    ),
    ("src/lib.rs", &[]),
];
/// The most lines of a file, without its tests.
const MOST_LINES: usize = 300;
/// The most lines of a function.
const MOST_FUNCTION_LINES: usize = 70;
/// Names under which things of every kind pile up.
const DRAWERS: [&str; 6] = ["utils", "util", "common", "types", "helpers", "misc"];

impl File {
    /// Takes a file apart.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), source: read(text) }
    }

    fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    fn broken(&self, what: &str) -> String {
        format!("{}: {what}", self.path)
    }

    fn is_in(&self, folder: &str) -> bool {
        let rest = self.path.strip_prefix(folder);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || rest == ".rs")
    }
}

/// Imports follow the table.
pub(crate) fn imports(file: &File) -> Vec<String> {
    if file.is_test() {
        return Vec::new();
    }
    let rows = MAY_IMPORT.iter().filter(|(folder, _)| file.is_in(folder));
    let Some((folder, allowed)) = rows.max_by_key(|(folder, _)| folder.len()) else {
        return vec![file.broken("belongs to no layer")];
    };
    let own = folder.split('/').nth(1).unwrap_or_default();
    let mut named = named_after(&file.source.code, "crate");
    named.extend(named_after(&file.source.code, "convoy"));
    let wrong = named.into_iter().filter(|layer| layer != own && !allowed.contains(&layer.as_str()));
    wrong.map(|layer| file.broken(&format!("{folder} may not import {layer}"))).collect()
}

/// No `super::` outside tests.
pub(crate) fn no_super(file: &File) -> Vec<String> {
    let wrong = !file.is_test() && !named_after(&file.source.code, "super").is_empty();
    if wrong { vec![file.broken("write crate::… and not super::…")] } else { Vec::new() }
}

/// Files and functions stay below their limits.
pub(crate) fn sizes(file: &File) -> Vec<String> {
    if file.is_test() {
        return Vec::new();
    }
    let mut broken = Vec::new();
    if file.source.lines > MOST_LINES {
        broken.push(file.broken(&format!("{} lines, at most {MOST_LINES} without tests", file.source.lines)));
    }
    let long = functions(&file.source.code).into_iter().filter(|(_, lines)| *lines > MOST_FUNCTION_LINES);
    broken.extend(long.map(|(name, lines)| file.broken(&format!("fn {name} has {lines} lines"))));
    broken
}

/// Every file begins with what it is for.
pub(crate) fn first_line(file: &File) -> Vec<String> {
    let exempt = file.is_test();
    let says = file.text.lines().next().is_some_and(|line| line.starts_with("//! ") && line.len() > 12);
    if exempt || says { Vec::new() } else { vec![file.broken("the first line must be `//! ` and what it is for")] }
}

/// No names that mean nothing.
pub(crate) fn names(file: &File) -> Vec<String> {
    let mut parts = file.path.trim_end_matches(".rs").split('/');
    let drawer = parts.find(|part| DRAWERS.contains(part)).map(str::to_owned);
    let everywhere = matches!(file.path.as_str(), "src/error.rs" | "src/errors.rs" | "src/config.rs");
    let drawer = drawer.or_else(|| everywhere.then(|| file.path.clone()));
    drawer.into_iter().map(|name| file.broken(&format!("{name} is a drawer for everything"))).collect()
}

/// The model does no IO, reads no clock, logs nothing and has no serde.
pub(crate) fn pure_model(file: &File) -> Vec<String> {
    if !file.is_in("src/model") || file.is_test() {
        return Vec::new();
    }
    let mut named: Vec<String> = named_after(&file.source.code, "std")
        .into_iter()
        .filter(|part| ["fs", "io", "net", "process", "env", "thread", "sync", "os"].contains(&part.as_str()))
        .map(|part| format!("std::{part}"))
        .collect();
    for other in ["serde", "serde_json", "tokio", "tracing", "rand", "chrono", "rusqlite", "async_trait", "nix"] {
        if !named_after(&file.source.code, other).is_empty() {
            named.push(other.to_owned());
        }
    }
    if file.source.code.contains("async fn") {
        named.push("async".to_owned());
    }
    named.into_iter().map(|what| file.broken(&format!("the model may not use {what}"))).collect()
}

/// One clock, one spawner. Tokio's clock follows the paused one and is allowed.
pub(crate) fn one_place(file: &File) -> Vec<String> {
    let code = &file.source.code;
    let mut broken = Vec::new();
    if file.is_test() {
        return broken;
    }
    let tokio_instant = code.contains("tokio::time") && !code.contains("std::time::Instant");
    let own_clock = ["Utc::now", "Local::now", "SystemTime::now"].iter().any(|now| code.contains(now))
        || (code.contains("Instant::now") && !tokio_instant);
    if own_clock && file.path != "src/runtime/clock.rs" {
        broken.push(file.broken("reads a clock by itself: take a Clock"));
    }
    if code.contains("Command::new(") && !code.contains("clap::Command") && file.path != "src/system/exec.rs" {
        broken.push(file.broken("starts a process by itself: use system::exec"));
    }
    broken
}

/// SQL and its engine are named in the store only.
pub(crate) fn sql(file: &File) -> Vec<String> {
    if file.is_in("src/store") || file.is_test() {
        return Vec::new();
    }
    let verbs = ["SELECT ", "INSERT INTO", "INSERT OR", "UPDATE ", "DELETE FROM", "CREATE TABLE", "PRAGMA "];
    let texts = file.source.texts.iter().filter(|text| verbs.iter().any(|verb| text.contains(verb)));
    let mut broken: Vec<String> = texts.map(|text| file.broken(&format!("SQL outside the store: {text}"))).collect();
    if !named_after(&file.source.code, "rusqlite").is_empty() {
        broken.push(file.broken("rusqlite outside the store"));
    }
    broken
}

#[cfg(test)]
fn breaks(rule: Rule, path: &str, text: &str) -> bool {
    !rule(&File::new(path, text)).is_empty()
}

#[test]
fn the_import_rule_sees_every_way_up() {
    assert!(breaks(imports, "src/model/id.rs", "use crate::wire::text;"));
    assert!(breaks(imports, "src/wire/mod.rs", "fn a() { crate::plane::x() }"));
    assert!(breaks(imports, "src/client.rs", "use crate::{wire::v1, agent};"));
    assert!(breaks(imports, "src/ctl/status.rs", "use crate::plane::Plane;"));
    assert!(breaks(imports, "src/surprise.rs", ""));
    assert!(!breaks(imports, "src/ctl/demo/mod.rs", "use crate::plane::Plane;"));
    assert!(!breaks(imports, "src/client/http.rs", "use crate::client::Request; // crate::plane"));
    assert!(!breaks(imports, "src/wire/mod.rs", "#[cfg(test)]\nmod tests { use crate::plane; }"));
}

#[test]
fn the_other_rules_can_fail_too() {
    assert!(breaks(no_super, "src/a.rs", "use super::b;"));
    assert!(breaks(sizes, "src/a.rs", &"//\n".repeat(301)));
    assert!(breaks(sizes, "src/a.rs", &format!("fn f() {{\n{}}}", "x();\n".repeat(70))));
    assert!(!breaks(sizes, "src/a.rs", &format!("fn f() {{\n{}}}", "x();\n".repeat(68))));
    assert!(breaks(first_line, "src/a.rs", "use a;"));
    assert!(breaks(names, "src/plane/utils.rs", "") && breaks(names, "src/error.rs", ""));
    assert!(!breaks(names, "src/wire/v1/error.rs", "") && !breaks(names, "src/plane/config.rs", ""));
    assert!(breaks(pure_model, "src/model/a.rs", "use std::fs;"));
    assert!(breaks(pure_model, "src/model/a.rs", "use serde::Serialize;"));
    assert!(breaks(one_place, "src/a.rs", "use std::time::Instant; let a = Instant::now();"));
    assert!(!breaks(one_place, "src/a.rs", "use tokio::time::Instant; let a = Instant::now();"));
    assert!(breaks(one_place, "src/a.rs", "std::process::Command::new(\"sh\")"));
    assert!(breaks(sql, "src/plane/a.rs", "let q = \"SELECT 1 FROM hosts\";"));
    assert!(!breaks(sql, "src/store/sqlite/a.rs", "let q = \"SELECT 1 FROM hosts\";"));
}
