//! Reads Rust source as text: code without comments and texts, the texts by themselves, functions with their length.

/// A source file, taken apart. Lines stay where they were.
pub(crate) struct Source {
    /// Code up to the tests, with comments and the inside of texts blanked.
    pub(crate) code: String,
    /// The inside of every text up to the tests.
    pub(crate) texts: Vec<String>,
    /// How many lines come before the tests.
    pub(crate) lines: usize,
}

/// Takes a file apart.
pub(crate) fn read(source: &str) -> Source {
    let (code, texts) = blank(source);
    let modules = ["mod ", "pub mod ", "pub(crate) mod "].map(|start| format!("#[cfg(test)]\n{start}"));
    let end = modules.iter().filter_map(|start| code.find(start)).min().unwrap_or(code.len());
    let texts = texts.into_iter().filter(|(at, _)| *at < end).map(|(_, text)| text).collect();
    let code = code[..end].to_owned();
    Source { lines: code.lines().count(), code, texts }
}

/// Blanks comments and texts, byte for byte, so that places stay the same.
fn blank(source: &str) -> (String, Vec<(usize, String)>) {
    let bytes = source.as_bytes();
    let mut code = bytes.to_vec();
    let mut texts = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let end = if rest.starts_with(b"//") {
            at + rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            at + find(rest, b"*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = text_length(bytes, at) {
            texts.push((at, String::from_utf8_lossy(&bytes[at..at + length]).into_owned()));
            at + length
        } else {
            at += 1;
            continue;
        };
        for byte in &mut code[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    (String::from_utf8_lossy(&code).into_owned(), texts)
}

/// Returns the length of the text or character that begins here, quotes included.
fn text_length(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    let after_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    if rest[0] == b'r' && (!after_word || bytes[at - 1] == b'b') {
        let hashes = rest[1..].iter().take_while(|b| **b == b'#').count();
        if rest.get(1 + hashes) == Some(&b'"') {
            let close = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
            return Some(2 + hashes + find(&rest[2 + hashes..], &close)? + close.len());
        }
    }
    if rest[0] == b'"' {
        let mut length = 1;
        while *rest.get(length)? != b'"' {
            length += if rest[length] == b'\\' { 2 } else { 1 };
        }
        return Some(length + 1);
    }
    if rest[0] == b'\'' {
        let length =
            if rest.get(1) == Some(&b'\\') { 2 + find(&rest[2..], b"'").filter(|n| *n <= 10)?.max(1) } else { 2 };
        return (rest.get(length) == Some(&b'\'')).then_some(length + 1);
    }
    None
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// Lists the functions with a body: name, and lines from `fn` to the closing brace.
pub(crate) fn functions(code: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let begins_word = at == 0 || !code.as_bytes()[at - 1].is_ascii_alphanumeric();
        let name: String = code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if !begins_word || name.is_empty() {
            continue;
        }
        if let Some(length) = body_end(&code[at..]) {
            found.push((name, code[at..at + length].lines().count()));
        }
    }
    found
}

fn body_end(code: &str) -> Option<usize> {
    let (mut braces, mut others) = (0_usize, 0_usize);
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' => others += 1,
            ')' | ']' => others = others.checked_sub(1)?,
            ';' if braces == 0 && others == 0 => return None,
            '{' => braces += 1,
            '}' => {
                braces = braces.checked_sub(1)?;
                if braces == 0 && others == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Lists what is named after `root::`, also inside braces: `crate::{model, wire::v1}` gives `model` and `wire`.
pub(crate) fn named_after(code: &str, root: &str) -> Vec<String> {
    let prefix = format!("{root}::");
    let mut found = Vec::new();
    for (at, _) in code.match_indices(&prefix) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '$') {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(first_words(group)),
            None => found.push(word(rest)),
        }
    }
    found
}

fn first_words(group: &str) -> Vec<String> {
    let (mut depth, mut at_start, mut found) = (0_usize, true, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => at_start = true,
            _ if at_start && !c.is_whitespace() => {
                found.push(word(&group[at..]));
                at_start = false;
            }
            _ => {}
        }
    }
    found
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn comments_and_texts_are_not_code() {
    let source = read(
        "let a = \"crate::plane // no\"; // crate::ctl\n/* crate::agent */ let b = 'x'; let c: &'static str = r#\"crate::\"x\"#;",
    );
    assert_eq!(named_after(&source.code, "crate"), Vec::<String>::new());
    assert_eq!(source.texts.len(), 3);
    assert!(source.code.contains("&'static str") && source.code.contains("let b"));
}

#[test]
fn names_are_found_alone_in_groups_and_in_full_paths() {
    let code = "use crate::model::id;\nuse crate::{wire::{v1, text}, trust};\nlet x = crate::store::read(); other::crate_model::x";
    assert_eq!(named_after(code, "crate"), ["model", "wire", "trust", "store"]);
}

#[test]
fn tests_at_the_end_are_left_out() {
    let source = read("fn a() {}\n#[cfg(test)]\nmod tests {\n    use super::a;\n}\n");
    assert_eq!(source.lines, 1);
    assert!(!source.code.contains("super"));
}

#[test]
fn a_function_is_as_long_as_its_lines() {
    let code = "fn short() -> [u8; 2] { [0; 2] }\ntrait T { fn none(&self); }\nfn long(\n    a: u8,\n) {\n    if true {\n    }\n}\n";
    assert_eq!(functions(code), [("short".to_owned(), 1), ("long".to_owned(), 6)]);
}
