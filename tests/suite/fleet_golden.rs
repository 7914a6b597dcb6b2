//! What the fleet language evaluates to is what the programs read: each golden file under `tests/fixtures/fleet`
//! holds the manifests and probes of one fleet, compared with its Nix source by `tests/nix/run`.

use convoy::model::id::Digest;
use convoy::probe::spec;
use convoy::wire::v1::release::ManifestBody;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Reads every golden fleet, with its name.
fn fleets() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fleet");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let golden = entries.filter(|path| path.extension().is_some_and(|end| end == "json"));
    let read = |path: &Path| serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    golden.map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), read(&path))).collect()
}

fn entries<'a>(fleet: &'a Value, field: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    fleet[field].as_object().unwrap().iter()
}

#[test]
fn every_manifest_of_a_golden_fleet_is_read_without_a_mistake() {
    let all = fleets();
    assert!(all.len() >= 12, "only {} golden fleets", all.len());
    let digest = Digest::new("0".repeat(64)).unwrap();
    for (name, fleet) in all {
        for (channel, json) in entries(&fleet, "manifests") {
            let body = ManifestBody::parse(&json.to_string()).unwrap();
            let release = body.clone().into_model(digest.clone());
            let release = release.unwrap_or_else(|why| panic!("{name}, channel {channel}: {why}"));
            assert_eq!(release.id.channel.as_str(), channel, "{name}");
            assert_eq!(&serde_json::to_value(&body).unwrap(), json, "{name} leaves a default to the reader");
        }
    }
}

#[test]
fn every_probe_of_a_golden_fleet_is_read_without_a_mistake() {
    let mut hosts = 0;
    for (name, fleet) in fleets() {
        for (host, json) in entries(&fleet, "healthChecks") {
            let specs = spec::parse(&json.to_string());
            let specs = specs.unwrap_or_else(|why| panic!("{name}, host {host}: {why}"));
            assert_eq!(specs.len(), json["probes"].as_array().unwrap().len(), "{name}, host {host}");
            hosts += 1;
        }
    }
    assert!(hosts > 0, "no golden fleet has a probe");
}
