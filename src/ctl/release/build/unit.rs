//! A unit's settings, and what a change of them asks for, as NixOS's switch script reads them.

use std::collections::{BTreeMap, BTreeSet};

/// Settings of `[Unit]` whose change touches no running unit.
const IGNORED: [&str; 12] = [
    "AllowIsolate",
    "CollectMode",
    "Description",
    "Documentation",
    "IgnoreOnIsolate",
    "OnFailure",
    "OnFailureJobMode",
    "OnSuccess",
    "RefuseManualStart",
    "RefuseManualStop",
    "SourcePath",
    "StopWhenUnneeded",
];
/// The setting of `[Unit]` whose change asks for a reload only.
const RELOAD: &str = "X-Reload-Triggers";

/// A unit's text, with its drop-ins, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unit {
    settings: BTreeMap<(String, String), Vec<String>>,
}

/// What a switch does with a unit that runs and that both closures have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nothing: nothing changed that counts.
    Same,
    /// It goes on as it was, although it changed.
    Kept,
    /// It is reloaded.
    Reloaded,
    /// It is restarted, or stopped and started.
    Restarted,
}

/// What differs.
#[derive(PartialEq, Eq)]
enum Difference {
    None,
    Triggers,
    Options,
    More,
}

impl Unit {
    /// Reads the texts of a unit and its drop-ins, in their order.
    #[must_use]
    pub fn parse(texts: &[String]) -> Self {
        let mut settings: BTreeMap<_, Vec<String>> = BTreeMap::new();
        for text in texts {
            let mut section = String::new();
            let joined = text.replace("\\\n", " ");
            for line in joined.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';'])) {
                if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                    name.clone_into(&mut section);
                } else if let Some((key, value)) = line.split_once('=') {
                    let at = (section.clone(), key.trim().to_owned());
                    settings.entry(at).or_default().push(value.trim().to_owned());
                }
            }
        }
        Self { settings }
    }

    /// Reads a yes or no, with what counts where it is not said.
    #[must_use]
    pub fn says(&self, (section, key): (&str, &str), unsaid: bool) -> bool {
        let values = self.settings.get(&(section.to_owned(), key.to_owned()));
        let last = values.and_then(|values| values.last()).map(|value| value.to_ascii_lowercase());
        last.map_or(unsaid, |value| ["1", "yes", "true", "on"].contains(&value.as_str()))
    }

    /// Tells whether nobody may start it but a person.
    #[must_use]
    pub fn is_manual(&self) -> bool {
        self.says(("Unit", "X-OnlyManualStart"), false) || self.says(("Unit", "RefuseManualStart"), false)
    }

    /// Says what becomes of this unit when another text takes its place.
    #[must_use]
    pub fn replaced_by(&self, new: &Self, name: &str) -> Fate {
        let kind = name.rsplit('.').next().unwrap_or_default();
        let difference = self.difference(new);
        // Targets are started anew, which starts what they want; paths and slices are left alone.
        if difference == Difference::None || ["target", "path", "slice"].contains(&kind) {
            return Fate::Same;
        }
        match (kind, difference) {
            ("service" | "mount", Difference::Triggers) | ("mount", Difference::Options) => Fate::Reloaded,
            ("service", _) => self.service(new),
            _ => Fate::Restarted,
        }
    }

    fn service(&self, new: &Self) -> Fate {
        let manual = new.says(("Unit", "X-OnlyManualStart"), false) || new.says(("Unit", "RefuseManualStop"), false);
        if new.says(("Service", "X-ReloadIfChanged"), false) {
            Fate::Reloaded
        } else if manual || !new.says(("Service", "X-RestartIfChanged"), true) {
            Fate::Kept
        } else {
            Fate::Restarted
        }
    }

    fn difference(&self, new: &Self) -> Difference {
        let keys: BTreeSet<_> = self.settings.keys().chain(new.settings.keys()).collect();
        let counts = |(section, key): &(String, String)| match section.as_str() {
            "Install" => false,
            "Unit" => !IGNORED.contains(&key.as_str()),
            _ => true,
        };
        let changed = keys.into_iter().filter(|at| counts(at) && self.settings.get(*at) != new.settings.get(*at));
        let changed: Vec<(&str, &str)> = changed.map(|(section, key)| (section.as_str(), key.as_str())).collect();
        let all_are = |one: (&str, &str)| changed.iter().all(|at| *at == one);
        if changed.is_empty() {
            Difference::None
        } else if all_are(("Unit", RELOAD)) {
            Difference::Triggers
        } else if all_are(("Mount", "Options")) {
            Difference::Options
        } else {
            Difference::More
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(text: &str) -> Unit {
        Unit::parse(&[text.to_owned()])
    }

    fn check(name: &str, (old, new): (&str, &str), expected: Fate) {
        assert_eq!(unit(old).replaced_by(&unit(new), name), expected, "{name}: {old:?} → {new:?}");
    }

    #[test]
    fn a_changed_service_is_restarted_unless_it_says_otherwise() {
        let old = "[Service]\nExecStart=/a";
        check("a.service", (old, old), Fate::Same);
        check("a.service", (old, "[Service]\nExecStart=/b"), Fate::Restarted);
        check("a.service", (old, "[Service]\nExecStart=/b\nX-StopIfChanged=false"), Fate::Restarted);
        check("a.service", (old, "[Service]\nExecStart=/b\nX-RestartIfChanged=false"), Fate::Kept);
        check("a.service", (old, "[Service]\nExecStart=/b\nX-ReloadIfChanged=true"), Fate::Reloaded);
        check("a.service", (old, "[Unit]\nX-OnlyManualStart=yes\n[Service]\nExecStart=/b"), Fate::Kept);
        check("a.service", (old, "[Unit]\nRefuseManualStop=1\n[Service]\nExecStart=/b"), Fate::Kept);
    }

    #[test]
    fn changes_that_touch_nothing_are_none() {
        let old = "[Unit]\nDescription=one\n[Service]\nExecStart=/a\n";
        check("a.service", (old, "[Unit]\nDescription=two\n[Service]\nExecStart=/a\n"), Fate::Same);
        check("a.service", (old, "# why\n[Service]\nExecStart = /a\n[Install]\nWantedBy=x.target\n"), Fate::Same);
        check("a.target", ("[Unit]\nAfter=a", "[Unit]\nAfter=b"), Fate::Same);
        check("a.slice", ("[Slice]\nCPUWeight=1", "[Slice]\nCPUWeight=2"), Fate::Same);
    }

    #[test]
    fn other_kinds_follow_their_own_rules() {
        check("a.service", ("[Unit]\nX-Reload-Triggers=1", "[Unit]\nX-Reload-Triggers=2"), Fate::Reloaded);
        check("a.mount", ("[Mount]\nOptions=ro", "[Mount]\nOptions=rw"), Fate::Reloaded);
        check("a.mount", ("[Mount]\nWhat=/a", "[Mount]\nWhat=/b"), Fate::Restarted);
        check("a.socket", ("[Socket]\nListenStream=1", "[Socket]\nListenStream=2"), Fate::Restarted);
    }

    #[test]
    fn drop_ins_and_continued_lines_count() {
        let dropped = Unit::parse(&["[Service]\nExecStart=/a".to_owned(), "[Service]\nNice=5".to_owned()]);
        assert_eq!(unit("[Service]\nExecStart=/a").replaced_by(&dropped, "a.service"), Fate::Restarted);
        assert_eq!(unit("[Service]\nA=1 \\\n2"), unit("[Service]\nA=1  2"));
    }
}
