//! The settings that the NixOS modules render are what the programs read: the golden files under `tests/fixtures/units`,
//! compared with the evaluated modules by `tests/nix/run`.

use crate::process::{CONVOY_ACTIVATOR, CONVOY_AGENT, CONVOY_CP, run, shown};
use convoy::runtime::entropy::seeded;
use convoy::trust::{SigningKey, TrustFile};
use std::path::{Path, PathBuf};

fn rendered(name: &str) -> String {
    shown(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/units").join(name))
}

/// Checks settings as the build of a system does: none of the files that they name is there.
fn is_good(program: &str, name: &str, more: &[&str]) -> String {
    let checked = run(program, &[&["check-config", "--config", &rendered(name)], more].concat());
    assert_eq!(checked.code(), 0, "{name}: {checked:?}");
    checked.stdout
}

#[test]
fn rendered_settings_are_good_before_any_secret_is_there() {
    let said = is_good(CONVOY_AGENT, "agent.json", &[]);
    assert!(said.contains("ca: ") && said.contains("is not there yet"), "{said}");
    is_good(CONVOY_ACTIVATOR, "activator.json", &[]);
    let dir = tempfile::tempdir().unwrap();
    let trust: PathBuf = dir.path().join("trust.json");
    let key = SigningKey::generate("ci", &mut seeded(1)).unwrap();
    std::fs::write(&trust, TrustFile::new(1, [key.public()]).unwrap().to_json()).unwrap();
    let said = is_good(CONVOY_CP, "control-plane.json", &["--trust", &shown(&trust)]);
    for words in ["0.0.0.0:7600 (https)", "tlsKey: ", "issuerKey: ", "is not there yet"] {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
}
