//! Names with `*` for anything.

/// Tells whether a name fits a pattern, in which `*` stands for anything.
#[must_use]
pub fn fits(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(after) = name.strip_prefix(first) else { return false };
    let Some((last, middle)) = rest.rsplit_once('*').map(|(middle, last)| (last, Some(middle))).or(Some((rest, None)))
    else {
        return false;
    };
    let Some(inner) = after.strip_suffix(last) else { return false };
    let Some(middle) = middle else { return true };
    let mut left = inner;
    for part in middle.split('*') {
        let Some(at) = left.find(part) else { return false };
        left = &left[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, name, right) in [
            ("a.service", "a.service", true),
            ("a.service", "b.service", false),
            ("user@*.service", "user@1000.service", true),
            ("*", "x", true),
            ("*-check.*", "disk-check.timer", true),
            ("*-check.*", "disk.timer", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "ac", false),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(fits(pattern, name), right, "{pattern} {name}");
        }
    }
}
