//! docs/states.md is what the machines say: for every state and every event the new state with its orders, or why
//! nothing changes. `CONVOY_BLESS=1 cargo test --test suite states` writes it anew.

mod host;
mod root;
mod rollout;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// What a machine says to one event.
pub(crate) enum Outcome {
    Moved { to: String, orders: Vec<String> },
    Ignored(&'static str),
}

/// A state that stands for others like it.
pub(crate) struct Row {
    pub(crate) state: String,
    pub(crate) due: String,
    pub(crate) outcomes: Vec<(&'static str, Outcome)>,
}

/// One machine with all its states.
pub(crate) struct Machine {
    title: &'static str,
    source: &'static str,
    note: &'static str,
    rows: Vec<Row>,
}

const INTRO: &str = "# States

<!-- Generated from the machines in src/model by tests/suite/states. Do not edit: run
     CONVOY_BLESS=1 cargo test --test suite states -->

Three machines decide everything. Each is a total function: a state and an event give a new state with orders to carry
out, or the event is ignored, with a reason. A late, repeated or unknown event is normal. The tables below are what the
code says, state by state; *stays* means that the state keeps its name and only notes something.
";

fn document() -> String {
    let machines = [host::machine(), root::machine(), rollout::machine()];
    let mut text = INTRO.to_owned();
    for machine in machines {
        render(&mut text, &machine);
    }
    text
}

fn render(text: &mut String, machine: &Machine) {
    write!(text, "\n## {}\n\n```text\n{}```\n\n{}\n", machine.title, diagram(machine.source), machine.note).unwrap();
    text.push_str("\n| state | due by itself |\n|---|---|\n");
    for row in &machine.rows {
        writeln!(text, "| {} | {} |", row.state, row.due).unwrap();
    }
    for row in &machine.rows {
        render_row(text, row);
    }
}

fn render_row(text: &mut String, row: &Row) {
    write!(text, "\n### {}\n\n", row.state).unwrap();
    let mut ignored: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut table = String::new();
    for (event, outcome) in &row.outcomes {
        match outcome {
            Outcome::Ignored(why) => ignored.entry(why).or_default().push(event),
            Outcome::Moved { to, orders } => {
                let to = if *to == row.state { "*stays*" } else { to };
                writeln!(table, "| {event} | {to} | {} |", orders.join(", ")).unwrap();
            }
        }
    }
    if !table.is_empty() {
        write!(text, "| event | becomes | orders |\n|---|---|---|\n{table}\n").unwrap();
    }
    for (why, events) in ignored {
        writeln!(text, "- ignored, {why}: {}", events.join("; ")).unwrap();
    }
}

/// Takes the diagram out of a machine's own documentation, so that there is one only.
fn diagram(source: &str) -> String {
    let lines = source.lines().skip_while(|line| *line != "//! ```text").skip(1);
    let inside = lines.take_while(|line| *line != "//! ```");
    inside.map(|line| line.strip_prefix("//! ").unwrap_or_default()).fold(String::new(), |all, line| all + line + "\n")
}

/// Names an order or a verdict without what it carries.
pub(crate) fn name(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    text.split(['(', ' ', '{']).next().unwrap_or_default().to_owned()
}

#[test]
fn the_states_page_says_what_the_machines_do() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/states.md");
    let generated = document();
    if std::env::var_os("CONVOY_BLESS").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = committed.lines().zip(generated.lines()).find(|(old, new)| old != new);
    assert!(
        committed == generated,
        "docs/states.md is not what the machines say (first difference: {differs:?}); look at the change, then \
         CONVOY_BLESS=1 cargo test --test suite states"
    );
}

#[test]
fn every_machine_has_a_diagram() {
    for machine in [host::machine(), root::machine(), rollout::machine()] {
        assert!(diagram(machine.source).lines().count() >= 4, "{}", machine.title);
    }
}
