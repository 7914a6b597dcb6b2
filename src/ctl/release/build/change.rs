//! What a release changes on each host: seen from the closures alone, before anything is published.

use crate::ctl::release::build::nix::{self, Failed};
use crate::ctl::release::build::sizes::{self, Size};
use crate::ctl::release::build::units::{Fates, Units};
use crate::model::fleet::Release;
use crate::model::id::Closure;
use crate::system::boot::components::{inhibitors, reboot_needed};
use crate::system::nix::requisites;
use crate::system::place::Place;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::rc::Rc;

/// What changes on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The host.
    pub host: String,
    /// What it gets.
    pub closure: String,
    /// The bytes of that and all that it needs.
    pub closure_bytes: u64,
    /// What it got from the release before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prior: Option<String>,
    /// The bytes of store paths that the closure before does not have; not known without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download_bytes: Option<u64>,
    /// What differs; `None` for a host that gets the same, is new, or whose closure before is not here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub differs: Option<Differs>,
}

/// What a switch between two closures does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Differs {
    /// What becomes of units.
    pub units: Fates,
    /// The boot components that differ: a reboot brings them.
    pub reboot: Vec<String>,
    /// Why it can't be switched live.
    pub inhibitors: Vec<String>,
    /// Whether systemd itself is another one, and is started anew in place.
    pub systemd: bool,
}

/// What the store says of closures, each asked once.
#[derive(Default)]
struct Seen {
    sizes: BTreeMap<String, Size>,
    closures: BTreeMap<String, Size>,
    needs: BTreeMap<Closure, Rc<BTreeSet<String>>>,
}

impl Seen {
    async fn ask(&mut self, paths: &[String]) -> Result<(), Failed> {
        const WHAT: &str = "asking for the sizes of closures";
        let wrong = |error: serde_json::Error| Failed { what: format!("{WHAT}: {error}"), hint: None };
        for some in paths.chunks(nix::AT_ONCE) {
            self.sizes.extend(sizes::parse(&nix::nix(WHAT, nix::sizes(some, true)).await?).map_err(wrong)?);
            self.closures.extend(sizes::parse(&nix::nix(WHAT, nix::sizes(some, false)).await?).map_err(wrong)?);
        }
        Ok(())
    }

    async fn needs(&mut self, closure: &Closure) -> Result<Rc<BTreeSet<String>>, Failed> {
        if let Some(known) = self.needs.get(closure) {
            return Ok(Rc::clone(known));
        }
        let asked = requisites(closure);
        let listed = nix::printed("listing a closure", (asked.program, asked.args)).await?;
        let needs = Rc::new(listed.lines().map(str::to_owned).collect::<BTreeSet<_>>());
        self.needs.insert(closure.clone(), Rc::clone(&needs));
        Ok(needs)
    }

    fn bytes<'a>(&self, paths: impl IntoIterator<Item = &'a String>) -> u64 {
        paths.into_iter().filter_map(|path| self.sizes.get(path)).map(|size| size.own).sum()
    }
}

/// Compares the closures of a release with those of the one before. Closures of that which are not in the store are
/// fetched where a cache has them.
///
/// # Errors
/// [`Failed`] when Nix can't say something of a closure that was just built, and when it can't be read.
pub async fn changes(release: &Release, before: Option<&Release>) -> Result<Vec<Change>, Failed> {
    let prior = |host| before.and_then(|before| before.hosts.get(host)).map(|target| &target.closure);
    let differing = release.hosts.iter().filter_map(|(host, target)| prior(host).filter(|old| **old != target.closure));
    let here = fetched(&differing.collect()).await;
    let mut paths: BTreeSet<String> = release.hosts.values().map(|target| target.closure.to_string()).collect();
    paths.extend(here.iter().map(ToString::to_string));
    let mut seen = Seen::default();
    seen.ask(&paths.into_iter().collect::<Vec<_>>()).await?;
    let mut changes = Vec::new();
    for (host, target) in &release.hosts {
        let old = prior(host);
        let comparable = old.filter(|old| here.contains(*old));
        let needs = seen.needs(&target.closure).await?;
        let download = match (old, comparable) {
            (None, _) => Some(seen.bytes(needs.iter())),
            (Some(old), _) if *old == target.closure => Some(0),
            (Some(_), Some(old)) => {
                let had = seen.needs(old).await?;
                Some(seen.bytes(needs.difference(&had)))
            }
            (Some(_), None) => None,
        };
        let differs = comparable.map(|old| differs(old, &target.closure)).transpose()?;
        changes.push(Change {
            host: host.to_string(),
            closure: target.closure.to_string(),
            closure_bytes: seen.closures.get(target.closure.as_str()).map_or(0, |size| size.closure),
            prior: old.map(ToString::to_string),
            download_bytes: download,
            differs,
        });
    }
    Ok(changes)
}

/// Returns which closures are in the store, after trying to bring the others there.
async fn fetched<'a>(closures: &BTreeSet<&'a Closure>) -> BTreeSet<&'a Closure> {
    let mut here = BTreeSet::new();
    for closure in closures {
        let args = vec!["--realise".into(), closure.as_str().into()];
        // Without it the comparison is left out, and the report says so.
        if nix::printed("fetching", ("nix-store".into(), args)).await.is_ok() {
            here.insert(*closure);
        }
    }
    here
}

fn differs(old: &Closure, new: &Closure) -> Result<Differs, Failed> {
    let place = Place::real();
    let (old_path, new_path) = (place.closure(old), place.closure(new));
    let read = |path: &Path| {
        let wrong = |error| Failed { what: format!("reading the units of {}: {error}", path.display()), hint: None };
        Units::read(path).map_err(wrong)
    };
    let systemd = |path: &Path| fs::read_link(path.join("systemd")).ok();
    Ok(Differs {
        units: read(&old_path)?.switched_to(&read(&new_path)?),
        reboot: reboot_needed(&place, old, new),
        inhibitors: inhibitors(&place, old, new),
        systemd: systemd(&old_path) != systemd(&new_path),
    })
}
