//! The protocol's JSON, word for word: what is written equals the files under `tests/fixtures/wire`, and those
//! files are read as the same values. With `CONVOY_BLESS=1` the files are written anew; look at the difference.

use chrono::{DateTime, Utc};
use convoy::model::facts::{Activation, Closures, HostHold, ProbeMode, ProbeOutcome, UnitFailure, Verdict};
use convoy::model::fleet::{OnFailure, RebootPolicy};
use convoy::model::host_rollout::{
    Adoption, Event, HostRollout, HostRolloutState, Memory, Observed, Phase, Probe, Reboots, Soaking, Terms,
};
use convoy::model::id::{Attempt, BootId, Closure};
use convoy::model::time::{Stamp, Timestamp};
use convoy::trust::{Lease, SigningKey, draft, sign_release};
use convoy::wire::v1::agent::{
    Act, BaseBody, BaseRollout, Dispatch, EventEnvelope, EventsRequest, EventsResponse, HeartbeatRequest,
    HeartbeatResponse, HostRolloutSnapshot, Order, PermitAnswer, RefusedEvent, RolloutReport, StoreMarkBody,
};
use convoy::wire::v1::error::ErrorBody;
use convoy::wire::v1::event::{EventBody, HostHoldBody, ProgressBody, StampBody, VerdictBody};
use convoy::wire::v1::release::{LeaseBody, ManifestBody, SignedRelease};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wire").join(format!("{name}.json"))
}

/// Compares what is written with the file, and what the file is read as with the value.
fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, value: &T) {
    let written = serde_json::to_string_pretty(value).unwrap() + "\n";
    if std::env::var_os("CONVOY_BLESS").is_some_and(|bless| bless == "1") {
        std::fs::write(fixture(name), &written).unwrap();
    }
    let golden = std::fs::read_to_string(fixture(name)).expect("the golden file is there; CONVOY_BLESS=1 writes it");
    assert_eq!(written, golden, "the JSON of {name} changed: other programs will not understand it");
    assert_eq!(&serde_json::from_str::<T>(&golden).unwrap(), value, "{name} is read as another value");
}

/// Checks that a reader passes over fields that a later version added, on every level where a message has an object.
fn check_ignores_unknown<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let mut json = serde_json::to_value(value).unwrap();
    json["addedLater"] = json!({"deep": [1, 2, 3]});
    assert_eq!(&serde_json::from_value::<T>(json).unwrap(), value);
}

fn at(seconds: u32, millis: u32) -> DateTime<Utc> {
    let text = format!("2026-05-01T12:00:{seconds:02}.{millis:03}Z");
    text.parse().unwrap()
}

fn stamp(seconds: u32) -> Stamp {
    Stamp {
        wall: Timestamp(at(seconds, 250).timestamp_millis()),
        boot: BootId::new("0b1f7d1e-4a5c-4c5e-9f53-0d8a6d4b7a10").unwrap(),
        uptime: Duration::from_millis(86_400_000 + u64::from(seconds) * 1000),
    }
}

fn closure(version: &str) -> Closure {
    Closure::new(format!("/nix/store/0123456789abcdfghijklmnpqrsvwxyz-nixos-system-web1-{version}")).unwrap()
}

fn store() -> StoreMarkBody {
    StoreMarkBody { store_id: "fedcba9876543210fedcba9876543210".parse().unwrap(), commit_count: 1234 }
}

fn terms() -> Terms {
    Terms {
        target: closure("26.05"),
        soak: Duration::from_secs(300),
        failure_after: Duration::from_secs(60),
        switch_limit: Duration::from_secs(600),
        commit_limit: Duration::from_secs(180),
        rollback_limit: Duration::from_secs(600),
        reboot_limit: Duration::from_secs(600),
        stage_limit: Duration::from_secs(3600),
        isolation_limit: Duration::from_secs(1800),
        on_failure: OnFailure::Revert,
        reboot: RebootPolicy::Live,
    }
}

fn soaking() -> HostRollout {
    let probe = Probe { mode: ProbeMode::Enforce, last: Some(ProbeOutcome::Fail("connection refused".to_owned())) };
    HostRollout {
        attempt: Attempt(2),
        terms: terms(),
        phase: Phase::Soaking(Soaking {
            prior: closure("25.11"),
            started: stamp(1),
            since: stamp(9),
            probes: Some(BTreeMap::from([("http".parse().unwrap(), probe)])),
            failing_since: Some(stamp(12)),
            committed: None,
        }),
        reboots: Reboots { clean: 1, unclean: 0 },
        observed: Some(Closures { running: Some(closure("26.05")), booted: Some(closure("25.11")), default: None }),
    }
}

fn heartbeat() -> HeartbeatRequest {
    HeartbeatRequest {
        hostname: "web1".parse().unwrap(),
        agent_version: "0.1.0".to_owned(),
        journal_id: "0123456789abcdef0123456789abcdef".parse().unwrap(),
        last_seq: 41,
        now: StampBody::from(&stamp(30)),
        running_closure: Some(closure("26.05")),
        booted_closure: Some(closure("25.11")),
        default_closure: None,
        holds: vec![
            HostHoldBody::from(&HostHold::Disk("/nix/store has 12 MB free, 800 MB are needed".to_owned())),
            HostHoldBody::from(&HostHold::ClockBehind),
        ],
        rollouts: vec![RolloutReport {
            rollout_id: "stable@2026-05.42".parse().unwrap(),
            attempt: 2,
            state: HostRolloutState::Soaking,
            last_event_seq: 41,
        }],
        store_seen: Some(store()),
        quarantined: vec![closure("26.04")],
    }
}

/// A heartbeat of an agent that has nothing to tell: every field that may be empty is.
fn bare_heartbeat() -> HeartbeatRequest {
    HeartbeatRequest {
        last_seq: 0,
        running_closure: None,
        booted_closure: None,
        holds: Vec::new(),
        rollouts: Vec::new(),
        store_seen: None,
        quarantined: Vec::new(),
        ..heartbeat()
    }
}

fn snapshot() -> HostRolloutSnapshot {
    HostRolloutSnapshot {
        rollout_id: "stable@2026-05.42".parse().unwrap(),
        hostname: "web1".to_owned(),
        channel: "stable".to_owned(),
        state: HostRolloutState::Soaking,
        target_closure: closure("26.05").to_string(),
        current_closure_at_dispatch: Some(closure("25.11").to_string()),
        current_closure: Some(closure("26.05").to_string()),
        dispatched_at: at(0, 0),
        dispatch_acked_at: Some(at(1, 0)),
        activation_started_at: Some(at(2, 0)),
        activation_completed_at: Some(at(9, 125)),
        soak_due_at: Some(at(59, 125)),
        last_event_seq: 41,
        probe_failure_first_at: None,
        failed_at: None,
        failure: None,
        attempt: None,
    }
}

fn failed_snapshot() -> HostRolloutSnapshot {
    HostRolloutSnapshot {
        state: HostRolloutState::Failed,
        soak_due_at: None,
        probe_failure_first_at: Some(at(12, 0)),
        failed_at: Some(at(42, 0)),
        failure: Some(VerdictBody::from(&Verdict::ProbesFailed(vec!["http".parse().unwrap()]))),
        attempt: Some(2),
        ..snapshot()
    }
}

fn envelope(seq: u64, event: &Event) -> EventEnvelope {
    EventEnvelope {
        seq,
        rollout_id: "stable@2026-05.42".parse().unwrap(),
        attempt: 2,
        at: StampBody::from(&stamp(10)),
        event: EventBody::from(event),
    }
}

fn events_request() -> EventsRequest {
    let base = BaseRollout { rollout_id: "stable@2026-05.42".parse().unwrap(), progress: (&soaking()).into() };
    EventsRequest {
        hostname: "web1".parse().unwrap(),
        journal_id: "0123456789abcdef0123456789abcdef".parse().unwrap(),
        base: Some(BaseBody { seq: 39, rollouts: vec![base] }),
        events: vec![envelope(40, &Event::Staged), envelope(41, &Event::DispatchAcked)],
    }
}

fn events_response() -> EventsResponse {
    EventsResponse {
        last_seq: 41,
        send_from: Some(38),
        fenced: Some("the same number came with another body".to_owned()),
        permits: vec![PermitAnswer {
            rollout_id: "stable@2026-05.42".parse().unwrap(),
            attempt: 2,
            seq: 41,
            granted: false,
            holds: vec!["the wave has 4 of 4 hosts in flight".to_owned()],
        }],
        refused: vec![RefusedEvent { seq: 40, reason: "it is final".to_owned() }],
        store: store(),
    }
}

fn heartbeat_response() -> HeartbeatResponse {
    HeartbeatResponse {
        server_time: at(31, 0),
        next_delay_ms: 15_000,
        acknowledged_seq: 41,
        send_from: Some(38),
        fenced: Some("the same number came with another body".to_owned()),
        store: store(),
        bootstrap_rollouts: vec![snapshot(), failed_snapshot()],
    }
}

fn dispatch() -> Dispatch {
    let order = |act: Act| Order {
        rollout_id: "stable@2026-05.42".parse().unwrap(),
        attempt: 2,
        digest: "ab".repeat(32).parse().unwrap(),
        dispatched_at: at(0, 0),
        act,
    };
    let why = || "a newer release took over".to_owned();
    let acts = [Act::Stage, Act::Start, Act::Cancel { why: why() }, Act::Revert { why: why() }, Act::Retry];
    Dispatch { tag: "7f3a".to_owned(), orders: acts.into_iter().map(order).collect() }
}

fn activation() -> Activation {
    let (boot, at) = ("6f9619ff-8b86-4d11-b42d-00cf4fc964ff".to_owned(), Timestamp(1_778_000_000_000));
    Activation { closure: closure("26.05"), action: "switch".to_owned(), boot, who: "ada".to_owned(), at }
}

/// One of each kind of event, with everything in it that may be there.
fn events() -> Vec<Event> {
    let closures = Closures { running: Some(closure("26.05")), booted: None, default: Some(closure("25.11")) };
    let probes = [("http", ProbeMode::Enforce), ("disk", ProbeMode::Observe), ("old", ProbeMode::Disabled)];
    let unit = |unit: &str| UnitFailure { unit: unit.to_owned(), log: "exited with 1".to_owned() };
    vec![
        Event::Staged,
        Event::StageFailed("the cache has no such path".to_owned()),
        Event::DispatchAcked,
        Event::PermitLapsed("not used within 60 s".to_owned()),
        Event::ActivationStarted { prior: closure("25.11") },
        Event::ActivationCompleted { at: stamp(9), notes: vec!["nscd.service failed before too".to_owned()] },
        Event::ActivationDeferred("switch-inhibitors".to_owned()),
        Event::ActivationFailed {
            verdict: Verdict::UnitsFailed(vec!["nginx.service".to_owned()]),
            log: "starting nginx.service".to_owned(),
            units: vec![unit("nginx.service")],
        },
        Event::TrialBootStarted,
        Event::ProbeTopologyDeclared(probes.into_iter().map(|(name, mode)| (name.parse().unwrap(), mode)).collect()),
        Event::ProbeResult { probe: "http".parse().unwrap(), outcome: ProbeOutcome::Fail("timed out".to_owned()) },
        Event::ProbeResult { probe: "http".parse().unwrap(), outcome: ProbeOutcome::Pass },
        Event::SustainedFailure(Verdict::ProbesFailed(vec!["http".parse().unwrap()])),
        Event::Rebooted { into: closure("25.11"), clean: true },
        Event::Overtaken(closure("26.06")),
        Event::RollbackStarted(Verdict::DeadMan),
        Event::RollbackCompleted,
        Event::RollbackFailed("exit status 1".to_owned()),
        Event::Committed,
        Event::Converged,
        Event::Cancelled("superseded by stable@2026-05.43".to_owned()),
        Event::Adopted(Box::new(Adoption { source: Memory::Snapshot, state: soaking() })),
        Event::HistoryLost { journal: "0123456789abcdef0123456789abcdef".parse().unwrap(), from: 7, to: Some(39) },
        Event::ClosureObserved(Observed { closures: closures.clone(), by: None }),
        Event::ClosureObserved(Observed { closures, by: Some(activation()) }),
    ]
}

fn verdicts() -> Vec<Verdict> {
    vec![
        Verdict::SwitchFailed("exit status 4".to_owned()),
        Verdict::SwitchTimedOut,
        Verdict::UnitsFailed(vec!["nginx.service".to_owned()]),
        Verdict::ProbesFailed(vec!["http".parse().unwrap()]),
        Verdict::DeadMan,
        Verdict::AgentCrashLoop,
        Verdict::ControlPlaneLost,
        Verdict::Isolated,
        Verdict::BootedElsewhere,
        Verdict::UncleanReboots,
        Verdict::TooManyReboots,
        Verdict::Overtaken,
        Verdict::Ordered("the rollout halted".to_owned()),
        Verdict::CommitFailed("the default reads back as another".to_owned()),
        Verdict::Refused("no space".to_owned()),
    ]
}

fn holds() -> Vec<HostHold> {
    let why = || "why".to_owned();
    vec![
        HostHold::Lease(why()),
        HostHold::Disk(why()),
        HostHold::Lock,
        HostHold::Cache(why()),
        HostHold::ClockBehind,
        HostHold::BootDefaultDiffers,
        HostHold::StateNotPersistent,
        HostHold::NoTrialBoot(why()),
        HostHold::Drift(closure("26.06")),
        HostHold::Window(why()),
        HostHold::Untrusted(why()),
        HostHold::Quarantined(closure("26.05")),
        HostHold::Busy("edge@7".parse().unwrap()),
        HostHold::Commit(why()),
    ]
}

/// A manifest in which every field is there.
fn manifest_text() -> String {
    json!({
        "schema": "convoy.release/1",
        "release": "stable@2026-05.42",
        "again": true,
        "hosts": {
            "web1": {"closure": closure("26.05"). to_string(), "tags": ["web"]},
            "web2": {"closure": closure("26.05").to_string(), "tags": ["web"]},
        },
        "waves": [
            {"name": "canary", "hosts": ["web1"]},
            {
                "name": "rest", "hosts": ["web2"], "maxInFlight": 1, "minSuccess": 1, "maxFailures": 1,
                "waitMs": 60000, "notBefore": "2026-05-01T12:00:00Z", "approval": true, "reboot": "live",
                "windows": [{"days": ["mon", "fri"], "from": "22:00", "minutes": 240}],
            },
        ],
        "policy": {
            "budgets": {"web": 1}, "hostOrder": {"web2": ["web1"]}, "afterChannels": ["base"],
            "onFailure": "keep", "onSupersede": "revert", "onHalt": "revert", "onDrift": "hold",
        },
    })
    .to_string()
}

fn signed_release() -> SignedRelease {
    let key = SigningKey::generate("ci", &mut ChaCha20Rng::seed_from_u64(1)).unwrap();
    let issued = Timestamp(at(0, 0).timestamp_millis());
    let lease = Lease { sequence: 42, issued, expires: issued.plus(Duration::from_secs(7 * 86_400)) };
    sign_release(&draft(&manifest_text()).unwrap(), &[key], &lease).unwrap()
}

#[test]
fn heartbeats_keep_their_json() {
    check("heartbeat-request", &heartbeat());
    check("heartbeat-request-bare", &bare_heartbeat());
    check("heartbeat-response", &heartbeat_response());
}

#[test]
fn snapshots_keep_their_json() {
    check("host-rollout-snapshot", &snapshot());
    check("host-rollout-snapshot-failed", &failed_snapshot());
}

#[test]
fn a_snapshot_has_the_documented_names_and_no_others() {
    let names = |snapshot: &HostRolloutSnapshot| -> Vec<String> {
        let Value::Object(fields) = serde_json::to_value(snapshot).unwrap() else { panic!("not an object") };
        fields.keys().cloned().collect()
    };
    let mut always = vec![
        "rolloutId",
        "hostname",
        "channel",
        "state",
        "targetClosure",
        "currentClosureAtDispatch",
        "currentClosure",
        "dispatchedAt",
        "dispatchAckedAt",
        "activationStartedAt",
        "activationCompletedAt",
        "soakDueAt",
        "lastEventSeq",
    ];
    always.sort_unstable();
    let mut found = names(&snapshot());
    found.sort_unstable();
    assert_eq!(found, always);
    always.extend(["probeFailureFirstAt", "failedAt", "failure", "attempt"]);
    always.sort_unstable();
    let mut found = names(&failed_snapshot());
    found.sort_unstable();
    assert_eq!(found, always);
}

#[test]
fn event_batches_keep_their_json() {
    check("events-request", &events_request());
    check("events-response", &events_response());
}

#[test]
fn dispatches_keep_their_json() {
    check("dispatch", &dispatch());
}

#[test]
fn every_kind_of_event_keeps_its_json() {
    let bodies: Vec<EventBody> = events().iter().map(EventBody::from).collect();
    check("events", &bodies);
    let back: Result<Vec<Event>, _> = bodies.into_iter().map(Event::try_from).collect();
    assert_eq!(back.unwrap(), events());
}

#[test]
fn every_kind_of_event_is_among_the_golden_ones() {
    // The list of kinds that a reader of this version knows, from its own complaint about one that it does not.
    let unknown: EventBody = serde_json::from_str(r#"{"kind":"?"}"#).unwrap();
    let complaint = Event::try_from(unknown).unwrap_err().to_string();
    let known: Vec<&str> = complaint.split('`').skip(3).step_by(2).collect();
    assert!(known.len() >= 23, "{complaint}");
    let golden: Vec<String> = events().iter().map(|event| EventBody::from(event).kind().to_owned()).collect();
    for kind in known {
        assert!(golden.iter().any(|has| has == kind), "{kind} has no golden JSON");
    }
}

#[test]
fn verdicts_and_holds_keep_their_json() {
    check("verdicts", &verdicts().iter().map(VerdictBody::from).collect::<Vec<_>>());
    check("host-holds", &holds().iter().map(HostHoldBody::from).collect::<Vec<_>>());
    check("progress", &ProgressBody::from(&soaking()));
}

#[test]
fn manifests_and_signed_releases_keep_their_json() {
    check("manifest", &ManifestBody::from(&draft(&manifest_text()).unwrap()));
    check("signed-release", &signed_release());
    check("lease", &serde_json::from_str::<LeaseBody>(&signed_release().lease.statement).unwrap());
}

#[test]
fn errors_keep_their_json() {
    let body = ErrorBody {
        code: "release_untrusted".to_owned(),
        message: "the manifest has 0 good signatures".to_owned(),
        request_id: "7f3a".to_owned(),
    };
    check("error", &body);
    check_ignores_unknown(&body);
}

#[test]
fn fields_of_a_later_version_are_ignored_in_messages() {
    check_ignores_unknown(&heartbeat());
    check_ignores_unknown(&heartbeat_response());
    check_ignores_unknown(&snapshot());
    check_ignores_unknown(&events_request());
    check_ignores_unknown(&events_response());
    check_ignores_unknown(&dispatch());
    check_ignores_unknown(&signed_release());
    check_ignores_unknown(&StampBody::from(&stamp(1)));
}

#[test]
fn one_part_of_a_later_version_does_not_spoil_the_message_around_it() {
    let mut json = serde_json::to_value(heartbeat()).unwrap();
    json["holds"][0] = json!({"kind": "moonPhase", "phase": "full"});
    let read: HeartbeatRequest = serde_json::from_value(json).unwrap();
    assert!(HostHold::try_from(read.holds[0].clone()).is_err());
    assert_eq!(HostHold::try_from(read.holds[1].clone()).unwrap(), HostHold::ClockBehind);

    let mut json = serde_json::to_value(dispatch()).unwrap();
    json["orders"][0]["act"] = json!({"kind": "defrost", "degrees": 4});
    let read: Dispatch = serde_json::from_value(json).unwrap();
    assert_eq!((&read.orders[0].act, &read.orders[1].act), (&Act::Unknown, &Act::Start));
}

#[test]
fn an_envelope_that_breaks_a_rule_is_refused() {
    for (name, wrong) in [
        ("rolloutId", json!("stable")),
        ("seq", json!(-1)),
        ("attempt", json!(4_294_967_296_u64)),
        ("at", json!({"wall": "yesterday", "boot": "b", "uptimeMs": 0})),
        ("event", json!("staged")),
    ] {
        let mut json = serde_json::to_value(envelope(1, &Event::Staged)).unwrap();
        json[name] = wrong;
        assert!(serde_json::from_value::<EventEnvelope>(json).is_err(), "{name}");
    }
}
