//! Each mistake of a manifest is found, with its path; together they are given all at once.

use crate::model::fleet::{OnDrift, RebootPolicy, Release};
use crate::model::id::Digest;
use crate::wire::v1::manifest::ManifestBody;
use serde_json::{Value, json};
use std::time::Duration;

fn digest() -> Digest {
    Digest::new("0".repeat(64)).unwrap()
}

fn closure(name: &str) -> String {
    format!("/nix/store/{}-{name}", "a".repeat(32))
}

/// Three hosts in two waves, everything else by default.
fn small() -> Value {
    json!({
        "schema": "convoy.release/1",
        "release": "stable@1",
        "hosts": {
            "a": {"closure": closure("a"), "tags": ["web"]},
            "b": {"closure": closure("b")},
            "c": {"closure": closure("c")},
        },
        "waves": [{"name": "canary", "hosts": ["a"]}, {"name": "rest", "hosts": ["b", "c"]}],
    })
}

fn read(manifest: &Value) -> Result<Release, String> {
    let body = ManifestBody::parse(&manifest.to_string()).map_err(|error| error.to_string())?;
    body.into_model(digest()).map_err(|error| error.to_string())
}

/// Puts a value at a path such as `/waves/0/minSuccess` and gives what is said about it.
fn mistakes(changes: &[(&str, Value)]) -> String {
    let mut manifest = small();
    for (pointer, value) in changes {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = manifest.pointer_mut(parent).unwrap();
        if let Value::Array(list) = parent {
            list[name.parse::<usize>().unwrap()] = value.clone();
        } else {
            parent[name] = value.clone();
        }
    }
    read(&manifest).expect_err("the manifest is wrong")
}

fn check(changes: &[(&str, Value)], expected: &[&str]) {
    let found = mistakes(changes);
    for part in expected {
        assert!(found.contains(part), "{part:?} is not in:\n{found}");
    }
    let lines = found.strip_prefix("manifest: ").unwrap_or(&found).lines().count();
    assert_eq!(lines, expected.len(), "another number of mistakes:\n{found}");
}

#[test]
fn a_small_manifest_takes_the_defaults() {
    let release = read(&small()).unwrap();
    let policy = &release.policy;
    let minute = Duration::from_secs(60);
    assert_eq!((policy.soak, policy.failure_after), (5 * minute, minute));
    assert_eq!((policy.switch_limit, policy.commit_limit), (10 * minute, 3 * minute));
    assert_eq!((policy.rollback_limit, policy.reboot_limit), (10 * minute, 10 * minute));
    assert_eq!((policy.agent_timeout, policy.isolation_limit), (2 * minute, 30 * minute));
    assert_eq!((policy.offline_grace, policy.stage_limit), (15 * minute, 60 * minute));
    assert_eq!(policy.on_drift, OnDrift::Report);
    assert_eq!((release.waves[0].min_success, release.waves[0].max_failures), (1, 0));
    assert!(!release.again && !release.waves[0].approval);
}

#[test]
fn the_first_wave_proves_its_boot_unless_told_otherwise() {
    let release = read(&small()).unwrap();
    assert_eq!(release.waves[0].reboot, RebootPolicy::Trial);
    assert_eq!(release.waves[1].reboot, RebootPolicy::Live);
    let mut told = small();
    told["waves"][0]["reboot"] = json!("live");
    assert_eq!(read(&told).unwrap().waves[0].reboot, RebootPolicy::Live);
}

#[test]
fn what_is_written_from_a_release_reads_as_the_same_release() {
    let mut full = small();
    full["again"] = json!(true);
    full["waves"][1]["windows"] = json!([{"days": ["mon", "sun"], "from": "22:05", "minutes": 240}]);
    full["waves"][1]["notBefore"] = json!("2026-05-01T12:00:00.250+02:00");
    full["waves"][1]["maxInFlight"] = json!(1);
    full["waves"][1]["waitMs"] = json!(1500);
    full["waves"][1]["approval"] = json!(true);
    full["policy"] = json!({
        "onFailure": "keep", "onSupersede": "revert", "onHalt": "revert", "onDrift": "reconcile",
        "budgets": {"web": 2}, "hostOrder": {"c": ["a", "b"]}, "afterChannels": ["base"],
    });
    let release = read(&full).unwrap();
    assert_eq!(ManifestBody::from(&release).into_model(digest()).unwrap(), release);
    assert_eq!(release.waves[1].windows[0].from, 22 * 60 + 5);
    assert_eq!(release.waves[1].windows[0].days, [true, false, false, false, false, false, true]);
    assert_eq!(
        crate::wire::v1::release::date(release.waves[1].not_before.unwrap()).to_rfc3339(),
        "2026-05-01T10:00:00.250+00:00"
    );
}

#[test]
fn every_host_stands_in_exactly_one_wave() {
    check(&[("/waves/1/hosts", json!(["b"]))], &["hosts.c: is in no wave"]);
    check(&[("/waves/1/hosts", json!(["b", "c", "a"]))], &["waves[1].hosts[2]: a is in waves[0] too"]);
    check(&[("/waves/1/hosts", json!(["b", "c", "c"]))], &["waves[1].hosts[2]: c is named twice"]);
    check(&[("/waves/1/hosts", json!(["b", "c", "d"]))], &["waves[1].hosts[2]: d is not under hosts"]);
}

#[test]
fn waves_have_hosts_and_names_of_their_own() {
    check(&[("/waves", json!([]))], &["waves: there is none", "hosts.a:", "hosts.b:", "hosts.c:"]);
    check(&[("/waves/1/hosts", json!([]))], &["waves[1].hosts: is empty", "hosts.b:", "hosts.c:"]);
    check(&[("/waves/1/name", json!("canary"))], &["waves[1].name: canary is another wave's name too"]);
    check(&[("/hosts", json!({})), ("/waves", json!([]))], &["hosts: a release without hosts", "waves: there is none"]);
}

#[test]
fn thresholds_can_be_reached() {
    check(&[("/waves/1/minSuccess", json!(0))], &["waves[1].minSuccess: 0 would prove nothing"]);
    check(&[("/waves/1/minSuccess", json!(3))], &["waves[1].minSuccess: 3 can't be reached by 2 hosts"]);
    check(&[("/waves/1/maxFailures", json!(3))], &["waves[1].maxFailures: 3 is more than its 2 hosts"]);
    check(&[("/waves/1/maxInFlight", json!(0))], &["waves[1].maxInFlight: 0 lets nobody start"]);
    check(&[("/policy", json!({"budgets": {"web": 0}}))], &["policy.budgets.web: 0 lets nobody start"]);
    check(&[("/policy", json!({"budgets": {"db": 1}}))], &["policy.budgets.db: no host has this tag"]);
}

#[test]
fn orders_let_every_host_start() {
    let order = |order: Value| [("/policy", json!({"hostOrder": order}))];
    check(&order(json!({"b": ["c"], "c": ["b"]})), &["hosts wait for each other: b after c after b"]);
    check(&order(json!({"b": ["b"]})), &["hosts wait for each other: b after b"]);
    check(&order(json!({"a": ["b"]})), &["policy.hostOrder.a: b is in a later wave"]);
    check(&order(json!({"x": ["a"]})), &["policy.hostOrder.x: is not a host of this release"]);
    check(&order(json!({"b": ["x"]})), &["policy.hostOrder.b: x is not a host of this release"]);
    check(&order(json!({"b": []})), &["policy.hostOrder.b: waits for nobody"]);
    check(&order(json!({"b": ["a", "a"]})), &["policy.hostOrder.b[1]: a is named twice"]);
    let mut right = small();
    right["policy"] = json!({"hostOrder": {"c": ["b", "a"], "b": ["a"]}});
    assert_eq!(read(&right).unwrap().policy.host_order.len(), 2);
}

#[test]
fn a_ring_behind_a_long_line_is_found() {
    let hosts: Vec<String> = (0..3000).map(|n| format!("h{n}")).collect();
    let mut order: serde_json::Map<String, Value> =
        (1..3000).map(|n| (format!("h{n}"), json!([format!("h{}", n - 1)]))).collect();
    order.insert("h0".to_owned(), json!(["h1"]));
    let all: serde_json::Map<String, Value> =
        hosts.iter().map(|host| (host.clone(), json!({"closure": closure("x")}))).collect();
    let found = mistakes(&[
        ("/hosts", Value::Object(all)),
        ("/waves", json!([{"name": "all", "hosts": hosts}])),
        ("/policy", json!({"hostOrder": order})),
    ]);
    assert!(found.ends_with("hosts wait for each other: h0 after h1 after h0"), "{found}");
}

#[test]
fn windows_open_at_some_time() {
    let window = |window: Value| [("/waves/0/windows", json!([window]))];
    check(&window(json!({"days": [], "from": "22:00", "minutes": 60})), &["days: is empty: this window never opens"]);
    check(&window(json!({"days": ["mon"], "from": "22:00", "minutes": 0})), &["minutes: 0 is not within 1 to 1440"]);
    check(&window(json!({"days": ["mon"], "from": "22:00", "minutes": 1441})), &["1441 is not within"]);
    check(&window(json!({"days": ["mon", "mon"], "from": "22:00", "minutes": 1})), &["days[1]: mon is twice"]);
    check(&window(json!({"days": ["Monday"], "from": "22:00", "minutes": 1})), &["\"Monday\" is not one of"]);
    for hour in ["24:00", "22:60", "2:00", "22", "+2:00", "22:00:00", "２２:00"] {
        check(&window(json!({"days": ["mon"], "from": hour, "minutes": 1})), &["is not an hour such as 22:00"]);
    }
    let berlin = json!({"days": ["mon"], "from": "22:00", "minutes": 1, "timezone": "Europe/Berlin"});
    check(&window(berlin), &["waves[0].windows[0].timezone: \"Europe/Berlin\" is not possible: windows are in UTC"]);
}

#[test]
fn every_span_has_bounds() {
    for name in [
        "soakMs",
        "failureAfterMs",
        "switchLimitMs",
        "rollbackLimitMs",
        "rebootLimitMs",
        "agentTimeoutMs",
        "offlineGraceMs",
        "stageLimitMs",
        "commitLimitMs",
    ] {
        check(&[("/policy", json!({name: 0}))], &[&format!("policy.{name}: 0 is not within 100 to")]);
    }
    check(&[("/policy", json!({"isolationLimitMs": 0, "commitLimitMs": 0}))], &["isolationLimitMs", "commitLimitMs"]);
    let most = json!({"soakMs": u64::MAX, "stageLimitMs": u64::MAX});
    check(&[("/policy", most)], &["policy.soakMs", "policy.stageLimitMs"]);
    check(&[("/waves/0/waitMs", json!(u64::MAX))], &["waves[0].waitMs"]);
    let late = json!({"commitLimitMs": 200, "isolationLimitMs": 100});
    check(&[("/policy", late)], &["policy.commitLimitMs: is more than isolationLimitMs"]);
}

#[test]
fn names_and_dates_are_checked() {
    check(&[("/schema", json!("convoy.release/2"))], &["schema: \"convoy.release/2\" is not known here"]);
    check(&[("/release", json!("stable"))], &["release: rollout id \"stable\" is not valid"]);
    check(&[("/hosts/a/closure", json!("/etc/passwd"))], &["hosts.a.closure: closure"]);
    check(&[("/hosts/a/tags", json!(["web", "web"]))], &["hosts.a.tags[1]: web is named twice"]);
    check(&[("/hosts/a/tags", json!(["wéb"]))], &["hosts.a.tags[0]: tag"]);
    check(&[("/waves/0/notBefore", json!("tomorrow"))], &["waves[0].notBefore: \"tomorrow\" is not a date"]);
    check(&[("/policy", json!({"afterChannels": ["stable"]}))], &["stable is this release's own channel"]);
}

#[test]
fn hosts_that_only_look_alike_are_refused() {
    // A Cyrillic а, a zero-width space, a right-to-left mark.
    for name in ["\u{430}", "a\u{200b}", "a\u{202e}"] {
        let hosts = json!({"a": {"closure": closure("a")}, name: {"closure": closure("x")}});
        let waves = json!([{"name": "all", "hosts": ["a", name]}]);
        check(&[("/hosts", hosts), ("/waves", waves)], &["host name"]);
    }
}

#[test]
fn all_mistakes_are_given_at_once() {
    let found = mistakes(&[
        ("/release", json!("x")),
        ("/hosts/a/closure", json!("x")),
        ("/waves/0/minSuccess", json!(0)),
        ("/policy", json!({"soakMs": 0, "budgets": {"db": 0}})),
    ]);
    for part in
        ["release:", "hosts.a.closure:", "waves[0].minSuccess:", "policy.soakMs:", "policy.budgets.db: 0", "db: no"]
    {
        assert!(found.contains(part), "{part} is not in:\n{found}");
    }
}

#[test]
fn a_flood_of_mistakes_is_cut_and_counted() {
    let hosts: serde_json::Map<String, Value> =
        (0..500).map(|n| (format!("h{n}"), json!({"closure": closure("x")}))).collect();
    let waves = json!([{"name": "one", "hosts": ["h0"]}]);
    let found = mistakes(&[("/hosts", Value::Object(hosts)), ("/waves", waves)]);
    assert_eq!(found.lines().count(), 101);
    assert!(found.ends_with("and 399 more"), "{found}");
}

#[test]
fn more_hosts_than_the_limit_are_refused() {
    let names: Vec<String> = (0..100_001).map(|n| format!("h{n}")).collect();
    let all: serde_json::Map<String, Value> =
        names.iter().map(|name| (name.clone(), json!({"closure": closure("x")}))).collect();
    check(
        &[("/hosts", Value::Object(all)), ("/waves", json!([{"name": "all", "hosts": names}]))],
        &["hosts: 100001 entries are more than the 100000 that are allowed"],
    );
}

#[test]
fn unknown_fields_and_double_keys_are_refused() {
    check(&[("/policy", json!({"soakSeconds": 5}))], &["unknown field `soakSeconds`"]);
    check(&[("/waves/0/hostz", json!([]))], &["unknown field `hostz`"]);
    let twice = small().to_string().replacen("\"b\":{", "\"a\":{", 1);
    let refused = ManifestBody::parse(&twice).unwrap_err().to_string();
    assert!(refused.contains("the key \"a\" is there twice"), "{refused}");
}

#[test]
fn numbers_of_the_wrong_kind_are_refused_and_not_rounded() {
    for wrong in [json!(-1), json!(1.5), json!("1"), json!(1e30), json!(null)] {
        assert!(
            read(&json!({"schema": "convoy.release/1", "release": "s@1", "hosts": {}, "waves": [],
            "policy": {"soakMs": wrong}}))
            .is_err()
        );
    }
}
