//! The house keeps its shape: imports point down, files and functions stay small, and what may be done in one
//! place only is done there.

mod scan;
mod rules;

use crate::architecture::rules::{File, Rule};
use std::fs;
use std::path::{Path, PathBuf};

/// What may lie at the top of the repository.
const TOP: [&str; 22] = [
    ".ci",
    ".clippy.toml",
    ".gitattributes",
    ".github",
    ".gitignore",
    ".rustfmt.toml",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "CONTRIBUTING.md",
    "benches",
    "docs",
    "flake.lock",
    "flake.nix",
    "fuzz",
    "modules",
    "nix",
    "src",
    "tests",
];
/// What tools leave there and git ignores.
const IGNORED: [&str; 4] = [".git", ".cache", "target", "result"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Lists the Rust files below a folder of the repository.
fn files(folder: &str) -> Vec<File> {
    let mut found = Vec::new();
    let mut todo = vec![root().join(folder)];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                todo.push(entry);
            } else if entry.extension().is_some_and(|end| end == "rs") {
                let path = entry.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                found.push(File::new(&path, &fs::read_to_string(&entry).unwrap()));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "nothing below {folder}");
    found
}

fn check(rule: Rule, folder: &str) {
    let broken: Vec<String> = files(folder).iter().flat_map(rule).collect();
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn imports_point_down() {
    check(rules::imports, "src");
}

#[test]
fn paths_are_written_from_the_crate() {
    check(rules::no_super, "src");
}

#[test]
fn files_and_functions_stay_small() {
    check(rules::sizes, "src");
}

#[test]
fn every_file_says_what_it_is_for() {
    check(rules::first_line, "src");
    check(rules::first_line, "tests/suite");
}

#[test]
fn no_drawer_for_everything() {
    check(rules::names, "src");
}

#[test]
fn model_is_pure() {
    check(rules::pure_model, "src");
}

#[test]
fn clock_and_processes_have_one_place_each() {
    check(rules::one_place, "src");
}

#[test]
fn sql_lives_in_the_store() {
    check(rules::sql, "src");
}

#[test]
fn the_library_re_exports_nothing() {
    let map = files("src").into_iter().find(|file| file.path == "src/lib.rs").unwrap();
    assert!(!map.source.code.contains("use "), "src/lib.rs re-exports something");
}

#[test]
fn the_top_of_the_repository_holds_what_it_should() {
    let found = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let strange: Vec<String> =
        found.filter(|name| !TOP.contains(&name.as_str()) && !IGNORED.contains(&name.as_str())).collect();
    assert!(strange.is_empty(), "not part of the layout: {strange:?}");
}

#[test]
fn every_page_is_named_by_the_readme_or_the_architecture() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap_or_default();
    let pages = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let guide = read("README.md") + &read("docs/architecture.md");
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let lost: Vec<String> = pages.map(|path| name(&path)).filter(|name| !guide.contains(name.as_str())).collect();
    assert!(lost.is_empty(), "no way leads to docs/{lost:?}: name them in README.md or docs/architecture.md");
}
