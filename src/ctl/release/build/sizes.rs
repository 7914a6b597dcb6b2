//! What `nix path-info --json` says: a list of objects from older versions, an object by path from newer ones.

use serde::Deserialize;
use std::collections::BTreeMap;

/// What is known of a store path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// Its own bytes.
    pub own: u64,
    /// The bytes of it and all that it needs; 0 where that was not asked.
    pub closure: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    path: Option<String>,
    #[serde(default)]
    nar_size: u64,
    #[serde(default)]
    closure_size: u64,
    /// Older versions say so of a path that is not there.
    #[serde(default = "yes")]
    valid: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    List(Vec<Info>),
    /// Newer versions say `null` of a path that is not there.
    ByPath(BTreeMap<String, Option<Info>>),
}

/// Reads an answer; paths that the store does not have are left out.
///
/// # Errors
/// What is wrong with it.
pub fn parse(json: &str) -> Result<BTreeMap<String, Size>, serde_json::Error> {
    let size = |info: Info| info.valid.then_some(Size { own: info.nar_size, closure: info.closure_size });
    Ok(match serde_json::from_str(json)? {
        Answer::List(list) => list.into_iter().filter_map(|info| Some((info.path.clone()?, size(info)?))).collect(),
        Answer::ByPath(all) => all.into_iter().filter_map(|(path, info)| Some((path, size(info?)?))).collect(),
    })
}

/// Writes bytes as people read them, such as `12.3 MiB`.
#[must_use]
pub fn shown(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut tenths, mut unit) = (bytes.saturating_mul(10) / 1024, 0);
    while tenths >= 10240 && unit + 1 < units.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_say_the_same() {
        let list = r#"[{"path":"/nix/store/a","narSize":5,"closureSize":9,"valid":true,"references":[]},
            {"path":"/nix/store/b","valid":false}]"#;
        let object = r#"{"/nix/store/a":{"narSize":5,"closureSize":9,"ca":null,"references":[]},"/nix/store/b":null}"#;
        let expected = BTreeMap::from([("/nix/store/a".to_owned(), Size { own: 5, closure: 9 })]);
        assert_eq!((parse(list).unwrap(), parse(object).unwrap()), (expected.clone(), expected));
        assert!(parse("[]").unwrap().is_empty() && parse("{}").unwrap().is_empty());
        assert!(parse("7").is_err() && parse("").is_err());
    }

    #[test]
    fn bytes_are_shown_with_one_digit_behind_the_point() {
        for (bytes, text) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 20, "5.0 MiB"), (3 << 30, "3.0 GiB")]
        {
            assert_eq!(shown(bytes), text);
        }
        assert!(shown(u64::MAX).ends_with("TiB"));
    }
}
