//! A channel of a fleet: evaluated in one call, then built.

use crate::ctl::exit::Mistake;
use crate::ctl::release::build::in_the_flake;
use crate::ctl::release::build::nix::{self, Failed};
use crate::model::fleet::Release;
use crate::model::id::Channel;
use crate::trust::draft;
use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What is asked of the fleet: its channels, one channel's manifest, and whose systems are built from the flake.
const QUESTION: &str = "fleet: let names = builtins.attrNames fleet.manifests; \
    chosen = if CHOSEN == null && builtins.length names == 1 then builtins.head names else CHOSEN; in { \
    channels = names; \
    manifest = if chosen == null then null else fleet.manifests.${chosen} or null; \
    systems = builtins.attrNames (fleet.nixosConfigurations or { }); }";

/// A channel's release and where its closures come from.
#[derive(Debug)]
pub struct Fleet {
    /// The release, not yet signed.
    pub release: Release,
    /// The hosts whose systems the flake builds; the others' store paths were given.
    systems: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    channels: Vec<String>,
    manifest: Option<Value>,
    systems: BTreeSet<String>,
}

/// One system that was built.
#[derive(Debug, Deserialize)]
struct Made {
    outputs: BTreeMap<String, String>,
}

impl Fleet {
    /// Lists the closures, each once.
    #[must_use]
    pub fn closures(&self) -> Vec<String> {
        let all: BTreeSet<String> = self.release.hosts.values().map(|target| target.closure.to_string()).collect();
        all.into_iter().collect()
    }
}

/// Evaluates a channel; the only one where none is named.
///
/// # Errors
/// A [`Mistake`]: what Nix said, an unknown channel with those there are, or what is wrong with the manifest.
pub async fn evaluate(flake: &str, channel: Option<&Channel>) -> anyhow::Result<Fleet> {
    let asked = nix::apply(&format!("{flake}#convoyFleet"), &question(channel));
    let json = nix::nix("evaluating the fleet", asked).await.map_err(|failed| match failed.hint {
        // Nix itself is missing, or the disk is full.
        Some(_) => failed.into(),
        None => in_the_flake(failed),
    })?;
    let answer: Answer = serde_json::from_str(&json).context("nix printed no fleet")?;
    let manifest = chosen(&answer, channel)?;
    let release = draft(&manifest.to_string()).context("the manifest of the flake is not valid")?;
    Ok(Fleet { release, systems: answer.systems })
}

/// A channel's name has no character that means something to Nix within quotes.
fn question(channel: Option<&Channel>) -> String {
    QUESTION.replace("CHOSEN", &channel.map_or("null".to_owned(), |channel| format!("\"{channel}\"")))
}

fn chosen<'a>(answer: &'a Answer, channel: Option<&Channel>) -> Result<&'a Value, Mistake> {
    let known = answer.channels.join(", ");
    answer.manifest.as_ref().ok_or_else(|| match channel {
        _ if answer.channels.is_empty() => Mistake::new("the fleet has no channel", "declare one in `channels`"),
        Some(channel) => Mistake::new(format!("the fleet has no channel {channel}"), format!("it has {known}")),
        None => Mistake::new("the fleet has more than one channel", format!("name one with --channel: {known}")),
    })
}

/// Builds the systems that the flake describes, and fetches the closures that were given as store paths.
///
/// # Errors
/// [`Failed`] with what Nix said.
pub async fn build(flake: &str, fleet: &Fleet) -> anyhow::Result<()> {
    let (mut built, mut given) = (Vec::new(), BTreeSet::new());
    for (host, target) in &fleet.release.hosts {
        if fleet.systems.contains(host.as_str()) {
            built.push((host, &target.closure));
        } else {
            given.insert(target.closure.to_string());
        }
    }
    for some in built.chunks(nix::AT_ONCE) {
        let wanted: Vec<String> = some.iter().map(|(host, _)| nix::toplevel(flake, host.as_str())).collect();
        let printed = nix::nix("building the hosts' systems", nix::build(&wanted)).await?;
        let made: Vec<Made> = serde_json::from_str(&printed).context("nix does not say what it built")?;
        let is_made = |closure: &str| made.iter().any(|made| made.outputs.values().any(|path| path == closure));
        if let Some((host, closure)) = some.iter().find(|(_, closure)| !is_made(closure.as_str())) {
            let what = format!("the manifest names {closure} for {host}, and Nix built another system for it");
            return Err(Failed::new(what, "did the flake change meanwhile? run it again").into());
        }
    }
    for some in given.into_iter().collect::<Vec<_>>().chunks(nix::AT_ONCE) {
        let args = std::iter::once("--realise".into()).chain(some.iter().map(Into::into)).collect();
        nix::printed("fetching closures that are given as store paths", ("nix-store".into(), args)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(channels: &[&str]) -> Answer {
        let channels = channels.iter().map(ToString::to_string).collect();
        Answer { channels, manifest: None, systems: BTreeSet::new() }
    }

    #[test]
    fn a_channel_that_is_not_there_is_told_with_those_that_are() {
        let named: Channel = "stabel".parse().unwrap();
        let mistake = chosen(&answer(&["edge", "stable"]), Some(&named)).unwrap_err();
        assert_eq!(
            (mistake.what.as_str(), mistake.hint.as_deref()),
            ("the fleet has no channel stabel", Some("it has edge, stable"))
        );
        let mistake = chosen(&answer(&["edge", "stable"]), None).unwrap_err();
        assert!(mistake.hint.unwrap().contains("--channel: edge, stable"));
        assert!(chosen(&answer(&[]), None).unwrap_err().what.contains("no channel"));
    }

    #[test]
    fn a_channel_is_asked_for_by_name_or_as_the_only_one() {
        assert!(question(Some(&"stable".parse().unwrap())).contains("if \"stable\" == null"));
        assert!(question(None).contains("if null == null"));
    }
}
