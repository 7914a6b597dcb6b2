//! The help of every program is committed as docs/cli.md, and so are the exit codes.

use crate::process::{CONVOY, CONVOY_ACTIVATOR, CONVOY_AGENT, CONVOY_CP, run};
use std::fs;
use std::path::Path;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cli.md");

/// Returns the help of a command and of all commands below it.
fn pages(program: &str, path: &[&str]) -> String {
    let mut args = path.to_vec();
    args.push("--help");
    let help = run(program, &args);
    assert_eq!(help.code(), 0, "{help:?}");
    let name = Path::new(program).file_name().unwrap().to_str().unwrap();
    let title = [&[name], path].concat().join(" ");
    let text: Vec<&str> = help.stdout.lines().map(str::trim_end).collect();
    let mut page = format!("## {title}\n\n```text\n{}\n```\n\n", text.join("\n"));
    for verb in verbs(&help.stdout) {
        page.push_str(&pages(program, &[path, &[verb.as_str()]].concat()));
    }
    page
}

/// Lists the commands that a help text names.
fn verbs(help: &str) -> Vec<String> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let named = listed.filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next().map(|name| (line, name)));
    let named = named.filter(|(line, name)| !line.starts_with("   ") && *name != "help");
    named.map(|(_, name)| name.to_owned()).collect()
}

#[test]
fn the_help_page_is_what_the_programs_say() {
    let mut page = "# The commands\n\nWritten by the programs themselves; `CONVOY_BLESS=1 cargo test --test suite \
                    ctl_help` writes it again.\n\n"
        .to_owned();
    for program in [CONVOY, CONVOY_CP, CONVOY_AGENT, CONVOY_ACTIVATOR] {
        page.push_str(&pages(program, &[]));
    }
    page.push_str(&format!("## Exit codes\n\n```text\n{}```\n", run(CONVOY, &["exit-codes"]).stdout));
    if std::env::var_os("CONVOY_BLESS").is_some() {
        fs::write(PAGE, &page).unwrap();
    }
    let kept = fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        kept == page,
        "docs/cli.md is not what the programs say: run CONVOY_BLESS=1 cargo test --test suite ctl_help"
    );
}

#[test]
fn every_verb_says_what_it_is_for() {
    let page = fs::read_to_string(PAGE).unwrap();
    for block in page.split("```text\n").skip(1) {
        let first = block.lines().next().unwrap();
        assert!(!first.starts_with("Usage:") && first.len() > 6, "no first line: {block:.200}");
    }
}

#[test]
fn help_about_exit_codes_lists_them() {
    let help = run(CONVOY, &["help", "exit-codes"]);
    assert_eq!(help.code(), 0);
    assert!(help.stdout.contains("  7  the watched rollout halted"), "{}", help.stdout);
}
