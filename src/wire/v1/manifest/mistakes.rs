//! Collects the mistakes of a manifest, so that its author sees all of them at once.

use crate::wire::Invalid;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;

/// The most mistakes that are listed; the rest is counted.
pub(super) const MAX_MISTAKES: usize = 100;

/// What was found wrong so far.
#[derive(Debug, Default)]
pub(super) struct Mistakes {
    found: Vec<String>,
    more: usize,
}

impl Mistakes {
    /// Notes one.
    pub(super) fn at(&mut self, path: impl Display, wrong: impl Display) {
        if self.found.len() < MAX_MISTAKES {
            self.found.push(format!("{path}: {wrong}"));
        } else {
            self.more += 1;
        }
    }

    /// Parses a name, or notes what is wrong with it.
    pub(super) fn parse<T>(&mut self, path: impl Display, text: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        text.parse().map_err(|error| self.at(path, error)).ok()
    }

    /// Parses a list of names of which each may be there once.
    pub(super) fn parse_set<T>(&mut self, path: &str, texts: &[String]) -> BTreeSet<T>
    where
        T: FromStr + Ord,
        T::Err: Display,
    {
        let mut set = BTreeSet::new();
        for (index, text) in texts.iter().enumerate() {
            let Some(value) = self.parse(format_args!("{path}[{index}]"), text) else { continue };
            if !set.insert(value) {
                self.at(format_args!("{path}[{index}]"), format_args!("{text} is named twice: remove one"));
            }
        }
        set
    }

    /// Notes a number outside its range.
    pub(super) fn range(&mut self, path: impl Display, value: u64, (least, most): (u64, u64)) {
        if !(least..=most).contains(&value) {
            self.at(path, format_args!("{value} is not within {least} to {most}"));
        }
    }

    /// Notes a list that is too long.
    pub(super) fn at_most(&mut self, path: impl Display, length: usize, most: usize) {
        if length > most {
            self.at(path, format_args!("{length} entries are more than the {most} that are allowed"));
        }
    }

    /// Gives what was found, if anything.
    pub(super) fn into_result(mut self) -> Result<(), Invalid> {
        if self.found.is_empty() {
            return Ok(());
        }
        if self.more > 0 {
            self.found.push(format!("and {} more", self.more));
        }
        Err(Invalid { what: "manifest", detail: self.found.join("\n") })
    }
}
