//! `convoy-activator` as a process: settings, and that no guard can be turned off in a normal build.

use crate::process::{CONVOY_ACTIVATOR, run, shown};

fn check(text: &str) -> (i32, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("activator.json");
    std::fs::write(&path, text).unwrap();
    let ended = run(CONVOY_ACTIVATOR, &["check-config", "--config", &shown(&path)]);
    (ended.code(), format!("{}{}", ended.stdout, ended.stderr))
}

#[test]
fn settings_are_checked() {
    assert_eq!(check(r#"{"host":"web1"}"#), (0, "the settings are valid\n".to_owned()));
    for (text, word) in [("{}", "host"), (r#"{"host":"web1","bootMount":"boot"}"#, "bootMount"), ("[", "not valid")] {
        let (code, said) = check(text);
        assert!(code == 2 && said.contains(word), "{code} {said}");
    }
    let missing = run(CONVOY_ACTIVATOR, &["check-config", "--config", "/nowhere/activator.json"]);
    assert!(missing.code() == 2 && missing.stderr.contains("/nowhere/activator.json"), "{}", missing.stderr);
}

#[test]
fn a_command_it_does_not_know_is_refused() {
    assert_eq!(run(CONVOY_ACTIVATOR, &["shell"]).code(), 2);
    assert_eq!(run(CONVOY_ACTIVATOR, &["run-switch"]).code(), 2);
}

#[test]
#[cfg(not(feature = "leave-out-guards"))]
fn a_normal_build_can_leave_no_guard_out() {
    use crate::process::{CONVOY, CONVOY_AGENT, CONVOY_CP};
    let name = b"CONVOY_LEAVE_OUT";
    for program in [CONVOY, CONVOY_CP, CONVOY_AGENT, CONVOY_ACTIVATOR] {
        let bytes = std::fs::read(program).unwrap();
        assert!(!bytes.windows(name.len()).any(|window| window == name), "{program} knows {name:?}");
    }
}
