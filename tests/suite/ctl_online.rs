//! The operator's command against a control plane: what it sends, shows and returns.

use crate::ctl_fake::{Asked, Fake};
use crate::process::{CONVOY, PATIENCE, Process, convoy, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn rollout(state: &str, waiting: u32, in_flight: u32, succeeded: u32) -> Value {
    json!({
        "id": "stable@1", "state": state, "wave": 1, "digest": "ab".repeat(32), "sequence": 7,
        "openedAt": "2026-05-01T00:00:00Z", "updatedAt": "2026-05-01T00:00:00Z", "leaseExpiresAt": "2026-05-15T00:00:00Z",
        "waves": [{ "name": "canary", "hosts": 3, "changed": 3, "waiting": waiting, "inFlight": in_flight,
                    "succeeded": succeeded, "failed": 0, "neutral": 0, "setAside": 0 }],
    })
}

fn event(place: u64, kind: &str) -> String {
    let event = json!({ "place": place, "receivedAt": "2026-05-01T00:00:00Z", "host": "web1", "rollout": "stable@1",
        "attempt": 1, "author": "cp", "seq": place, "kind": kind, "body": { "kind": kind } });
    format!("data: {event}\n\n")
}

fn refusal(status: u16, code: &str, message: &str) -> (u16, String) {
    (status, json!({ "code": code, "message": message, "requestId": "req-7" }).to_string())
}

/// Answers the n-th look at a rollout with the n-th picture, then with the last for ever.
fn pictures(pictures: Vec<Value>) -> impl Fn(&Asked) -> (u16, String) + Send + Sync {
    let looks = AtomicUsize::new(0);
    move |_| {
        let look = looks.fetch_add(1, Ordering::SeqCst).min(pictures.len() - 1);
        (200, pictures[look].to_string())
    }
}

#[test]
fn watch_tells_each_change_once_and_ends_with_the_rollout() {
    let first = rollout("Advancing", 2, 1, 0);
    let fake =
        Fake::start(pictures(vec![first.clone(), first, rollout("Advancing", 0, 1, 2), rollout("Completed", 0, 0, 3)]));
    let ended = convoy(&fake.url, &["watch", "stable@1"]);
    assert_eq!(ended.code(), 0, "{ended:?}");
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(
        lines,
        [
            "stable@1 Advancing wave 1 of 1, 3 hosts",
            "stable@1: wave 1 canary: 0/3 1 in flight",
            "stable@1: wave 1 canary: 2/3 2 converged, 1 in flight",
            "stable@1 Completed wave 1 of 1, 3 hosts",
            "stable@1: wave 1 canary: 3/3 3 converged",
        ]
    );
}

#[test]
fn watch_says_with_its_exit_code_that_a_rollout_stopped() {
    let mut halted = rollout("Halted", 2, 0, 0);
    halted["why"] = json!("2 of 3 hosts failed, 1 allowed");
    let fake = Fake::start(pictures(vec![rollout("Halted", 1, 2, 0), halted]));
    let ended = convoy(&fake.url, &["watch", "stable@1"]);
    assert_eq!(ended.code(), 7, "{ended:?}");
    assert!(ended.stdout.contains("2 of 3 hosts failed, 1 allowed"), "{ended:?}");
}

#[test]
fn watch_as_json_is_one_object_a_line() {
    let fake = Fake::start(pictures(vec![rollout("Advancing", 2, 1, 0), rollout("Completed", 0, 0, 3)]));
    let ended = convoy(&fake.url, &["watch", "stable@1", "--json"]);
    let states: Vec<Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        states.iter().map(|view| view["state"].as_str().unwrap()).collect::<Vec<_>>(),
        ["Advancing", "Completed"]
    );
}

#[test]
fn watch_goes_on_over_a_restart_of_the_control_plane() {
    let fake = Fake::start(pictures(vec![rollout("Advancing", 2, 1, 0)]));
    let address = fake.address;
    let watch = Process::start(CONVOY, &["watch", "stable@1", "--control-plane", &fake.url]);
    until("first line", PATIENCE, || watch.stdout().contains("1 in flight").then_some(()));
    drop(fake);
    until("note", PATIENCE, || watch.stderr().contains("trying again").then_some(()));
    let _again = Fake::start_on(address, pictures(vec![rollout("Completed", 0, 0, 3)]));
    let ended = watch.ended_within(PATIENCE);
    assert_eq!(ended.code(), 0, "{ended:?}");
    assert!(ended.stderr.contains("answers again"), "{ended:?}");
}

#[test]
fn watch_can_be_given_a_time_and_can_be_left() {
    let fake = Fake::start(pictures(vec![rollout("Advancing", 2, 1, 0)]));
    let ended = convoy(&fake.url, &["watch", "stable@1", "--timeout", "1s"]);
    assert_eq!(ended.code(), 8, "{ended:?}");
    let watch = Process::start(CONVOY, &["watch", "stable@1", "--control-plane", &fake.url]);
    until("first line", PATIENCE, || watch.stdout().contains("1 in flight").then_some(()));
    watch.signal(Signal::SIGINT);
    assert_eq!(watch.ended_within(Duration::from_secs(10)).code(), 130);
}

#[test]
fn following_events_survives_a_break_without_losing_or_repeating() {
    let fake = Fake::start(|_| (200, event(4, "staged") + &event(5, "dispatchAcked")));
    let address = fake.address;
    let follow = Process::start(CONVOY, &["events", "--follow", "--after", "3", "--control-plane", &fake.url]);
    until("two events", PATIENCE, || follow.stdout().contains("dispatchAcked").then_some(()));
    assert_eq!(fake.asked()[0].path, "/v1/events?after=3");
    drop(fake);
    until("note", PATIENCE, || follow.stderr().contains("trying again").then_some(()));
    // The feed repeats an event that was seen, as one that begins a little early does.
    let again = Fake::start_on(address, |_| (200, event(5, "dispatchAcked") + &event(6, "converged")));
    until("the third event", PATIENCE, || follow.stdout().contains("converged").then_some(()));
    assert_eq!(again.asked()[0].path, "/v1/events?after=5");
    follow.signal(Signal::SIGINT);
    let ended = follow.ended_within(Duration::from_secs(10));
    assert_eq!(ended.code(), 0, "{ended:?}");
    assert_eq!(ended.stdout.lines().count(), 3, "{ended:?}");
}

#[test]
fn events_go_through_all_pages_and_stop_at_their_limit() {
    let page = |places: &[u64], next: Option<u64>| {
        let items: Vec<Value> = places
            .iter()
            .map(|place| serde_json::from_str(event(*place, "staged").trim().strip_prefix("data: ").unwrap()).unwrap())
            .collect();
        (200, json!({ "items": items, "next": next.map(|next| next.to_string()) }).to_string())
    };
    let fake = Fake::start(move |asked| match asked.path.contains("after=2") {
        true => page(&[3], None),
        false => page(&[1, 2], Some(2)),
    });
    assert_eq!(convoy(&fake.url, &["events"]).stdout.lines().count(), 3);
    let limited = convoy(&fake.url, &["events", "--limit", "2", "--json"]);
    let places: Vec<Value> = limited.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(places.iter().map(|event| event["place"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn an_act_carries_who_why_and_whether_it_is_only_asked() {
    let fake = Fake::start(|_| (200, json!({ "done": ["stop permits of stable@1"], "dryRun": true }).to_string()));
    let ended =
        convoy(&fake.url, &["rollout", "pause", "stable@1", "--by", "ann", "--reason", "disk alarm", "--dry-run"]);
    assert_eq!((ended.code(), ended.stdout.as_str()), (0, "would: stop permits of stable@1\n"));
    let asked = fake.asked().remove(0);
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/v1/rollouts/stable@1/pause"));
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!(body, json!({ "by": "ann", "reason": "disk alarm", "revert": false, "dryRun": true }));
}

#[test]
fn promote_names_the_digest_that_was_looked_at() {
    let fake = Fake::start(|asked| match asked.method.as_str() {
        "GET" => (200, rollout("Advancing", 3, 0, 0).to_string()),
        _ => (200, json!({ "done": [], "dryRun": false }).to_string()),
    });
    let ended =
        convoy(&fake.url, &["rollout", "promote", "stable@1", "--wave", "1", "--expires-in", "2h", "--by", "ann"]);
    assert_eq!(ended.code(), 0, "{ended:?}");
    let body: Value = serde_json::from_str(&fake.asked()[1].body).unwrap();
    assert_eq!(
        (&body["digest"], &body["wave"], &body["expiresInSecs"]),
        (&json!("ab".repeat(32)), &json!(1), &json!(7200))
    );
    let ended = convoy(&fake.url, &["rollout", "promote", "stable@1", "--wave", "2"]);
    assert_eq!(ended.code(), 2, "{ended:?}");
}

#[test]
fn refusals_keep_their_words_and_have_codes_of_their_own() {
    let fake = Fake::start(|_| refusal(404, "unknown_host", "there is no host web9"));
    let ended = convoy(&fake.url, &["why", "web9"]);
    assert_eq!(ended.code(), 5, "{ended:?}");
    assert!(ended.stderr.contains("error: there is no host web9 (unknown_host, request req-7)\nhint: "), "{ended:?}");
    let fake = Fake::start(|_| refusal(409, "wrong_state", "stable@1 is Completed"));
    assert_eq!(convoy(&fake.url, &["rollout", "cancel", "stable@1"]).code(), 4);
}

#[test]
fn json_of_every_view_parses() {
    let fake = Fake::start(|asked| {
        let host = json!({ "name": "web1", "heardAt": null, "running": null, "booted": null, "default": null,
            "agentVersion": "", "quarantined": [], "attempts": [] });
        let page = |item: Value| json!({ "items": [item] });
        let body = match asked.path.split('?').next().unwrap() {
            "/v1/fleet" => json!({ "hosts": 1, "online": 1, "byState": {}, "rollouts": [], "version": "0.1.0" }),
            "/v1/rollouts" => page(rollout("Advancing", 3, 0, 0)),
            "/v1/rollouts/stable@1" => rollout("Advancing", 3, 0, 0),
            "/v1/rollouts/stable@1/hosts" => json!({ "items": [] }),
            "/v1/hosts" => page(host),
            "/v1/hosts/web1" => host,
            "/v1/hosts/web1/why" => json!({ "host": "web1", "summary": "Pending", "holds": [] }),
            other => panic!("not expected: {other}"),
        };
        (200, body.to_string())
    });
    let verbs: [&[&str]; 6] = [
        &["status"],
        &["rollout", "list"],
        &["rollout", "show", "stable@1"],
        &["host", "list"],
        &["host", "show", "web1"],
        &["why", "web1"],
    ];
    for verb in verbs {
        let ended = convoy(&fake.url, &[verb, &["--json"]].concat());
        assert!(ended.code() == 0 && !ended.json().is_null(), "{ended:?}");
        let ended = convoy(&fake.url, verb);
        assert!(ended.code() == 0 && !ended.stdout.is_empty() && !ended.stdout.contains('{'), "{ended:?}");
    }
}

#[test]
fn an_answer_without_end_is_given_up_at_its_cap_and_not_kept_in_memory() {
    let fake = Fake::start(|_| (200, format!("[{}", "0,".repeat(20 * 1024 * 1024))));
    let ended = convoy(&fake.url, &["status"]);
    assert_eq!(ended.code(), 1, "{:.200}", ended.stderr);
    assert!(ended.stderr.contains("larger than"), "{:.200}", ended.stderr);
}
