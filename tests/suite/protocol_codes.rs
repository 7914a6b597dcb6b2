//! The error codes of docs/protocol.md and docs/security.md are those of the control plane, all of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What stands before an error's code in the control plane's source.
const OPENERS: [&str; 7] =
    ["PlaneError::bad(", "PlaneError::refused(", "forbidden(", "unavailable(", "code: ", "StatusCode::", "status(), "];
/// Codes of what is not JSON, which are chosen among by status; each is looked for in the source as well.
const OF_JSON: [&str; 3] = ["too_large", "not_json", "invalid_json"];

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Reads all source files of the control plane but its tests.
fn sources(dir: &Path, into: &mut String) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("tests") {
            sources(&path, into);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            into.push_str(text.split("#[cfg(test)]").next().unwrap());
        }
    }
}

fn is_code(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_lowercase()) && word.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

/// Takes a code from the text right after an opener: the next literal, with a status and a comma before it at most.
fn code_after(rest: &str) -> Option<&str> {
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_uppercase() || c == '_');
    let rest = rest.trim_start().trim_start_matches(',').trim_start();
    rest.strip_prefix('"')?.split('"').next().filter(|word| is_code(word))
}

fn real() -> BTreeSet<String> {
    let mut text = String::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/plane"), &mut text);
    let mut codes = BTreeSet::new();
    for opener in OPENERS {
        codes.extend(text.split(opener).skip(1).filter_map(code_after).map(str::to_owned));
    }
    for code in OF_JSON {
        assert!(text.contains(&format!("=> \"{code}\"")), "{code} is not in the source any more");
        codes.insert(code.to_owned());
    }
    codes
}

/// The words in backticks of a piece of a page.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2).filter(|word| is_code(word))
}

/// All codes in the tables of the protocol whose head has a column `code`.
fn documented() -> BTreeSet<String> {
    let page = read("docs/protocol.md");
    let mut column = None;
    let mut codes = BTreeSet::new();
    for line in page.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if !line.starts_with('|') {
            column = None;
        } else if column.is_none() {
            column = Some(cells.iter().position(|cell| *cell == "code"));
        } else if let Some(Some(at)) = column {
            codes.extend(quoted(cells.get(at).copied().unwrap_or_default()).map(str::to_owned));
        }
    }
    codes
}

#[test]
fn the_protocol_names_every_error_code_and_no_other() {
    let (real, documented) = (real(), documented());
    assert!(
        real.len() > 40 && real.contains("replaced") && real.contains("wrong_role"),
        "the scan is broken: {real:?}"
    );
    let missing: Vec<_> = real.difference(&documented).collect();
    let invented: Vec<_> = documented.difference(&real).collect();
    assert!(missing.is_empty(), "not in docs/protocol.md: {missing:?}");
    assert!(invented.is_empty(), "in docs/protocol.md, and no such code: {invented:?}");
}

#[test]
fn the_page_on_security_names_real_error_codes_only() {
    let (page, real) = (read("docs/security.md"), real());
    let words: Vec<&str> = quoted(&page).filter(|word| word.contains('_')).collect();
    let invented: Vec<_> = words.into_iter().filter(|word| !real.contains(*word)).collect();
    assert!(invented.is_empty(), "in docs/security.md, and no such code: {invented:?}");
}
