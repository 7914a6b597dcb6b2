//! A real control plane process: how it starts, what it says when it can't, how it ends.

use crate::cp_files::put;
use crate::ctl_offline::Workshop;
use crate::process::{CONVOY, CONVOY_CP, ControlPlane, Ended, PATIENCE, Process, convoy, run, shown, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

/// Ending takes no longer than this, whatever is connected: the drain limit, with room for a busy machine.
const END: Duration = Duration::from_secs(20);

fn plane(workshop: &Workshop) -> ControlPlane {
    ControlPlane::start(workshop.dir.path(), Path::new(&workshop.path("trust.json")), &[])
}

/// Tries to start one with `convoy.db` and `trust.json` of the workshop unless `more` says otherwise.
fn try_start(workshop: &Workshop, more: &[&str]) -> Ended {
    let (database, trust) = (workshop.path("convoy.db"), workshop.path("trust.json"));
    let mut args = vec!["run"];
    for (flag, value) in [("--database", database.as_str()), ("--trust", &trust), ("--listen", "127.0.0.1:0")] {
        if !more.contains(&flag) {
            args.extend([flag, value]);
        }
    }
    args.extend(more);
    run(CONVOY_CP, &args)
}

fn fails(ended: &Ended, code: i32, says: &[&str]) {
    assert_eq!(ended.code(), code, "{ended:?}");
    assert!(!ended.stdout.contains("listening"), "{ended:?}");
    for word in says {
        assert!(ended.stderr.contains(word), "{word:?} is not in {}", ended.stderr);
    }
}

#[test]
fn it_says_where_it_listens_and_answers_there() {
    let workshop = Workshop::new();
    let plane = plane(&workshop);
    until("line", PATIENCE, || plane.process.stdout().contains(&format!("listening on {}\n", plane.url)).then_some(()));
    let status = plane.convoy(&["status", "--json"]);
    assert_eq!((status.code(), &status.json()["hosts"]), (0, &json!(0)), "{status:?}");
}

#[test]
fn an_address_off_loopback_is_refused_with_the_reason() {
    let workshop = Workshop::new();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:7600"] {
        fails(&try_start(&workshop, &["--listen", address]), 2, &[address, "loopback", "127.0.0.1"]);
    }
    fails(&try_start(&workshop, &["--listen", "here"]), 2, &["here", "127.0.0.1:7600"]);
    assert!(!Path::new(&workshop.path("convoy.db")).exists());
}

#[test]
fn a_port_in_use_is_told_with_what_to_do() {
    let workshop = Workshop::new();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    fails(&try_start(&workshop, &["--listen", &address]), 4, &[&address, "listens there already", "--listen"]);
}

#[test]
fn a_trust_file_that_can_not_be_read_is_named() {
    let workshop = Workshop::new();
    let trust = workshop.path("trust.json");
    for bad in ["", "{}", "convoy-public-key:v1:x:y", r#"{"version":1,"threshold":2,"keys":{}}"#] {
        fs::write(&trust, bad).unwrap();
        fails(&try_start(&workshop, &[]), 2, &[&trust]);
    }
    fs::remove_file(&trust).unwrap();
    fails(&try_start(&workshop, &[]), 2, &[&trust, "No such file"]);
}

#[test]
fn settings_that_can_not_be_used_are_named() {
    let workshop = Workshop::new();
    let file = workshop.path("cp.json");
    let cases = [
        (r#"{"hartbeat":1}"#, "hartbeat"),
        ("{", "EOF"),
        (r#"{"heartbeatIntervalMs":5}"#, "heartbeatIntervalMs"),
        (r#"{"eventRetentionDays":0}"#, "eventRetentionDays"),
        (r#"{"listen":"0.0.0.0:1"}"#, "loopback"),
    ];
    for (text, says) in cases {
        fs::write(&file, text).unwrap();
        let trust = workshop.path("trust.json");
        fails(&run(CONVOY_CP, &["check-config", "--config", &file, "--trust", &trust]), 2, &[says]);
    }
    fails(&try_start(&workshop, &["--config", &workshop.path("missing.json")]), 2, &["missing.json", "No such file"]);
    fails(&try_start(&workshop, &["--heartbeat-interval", "soon"]), 2, &["soon"]);
    fails(&try_start(&workshop, &["--heartbeat-interval", "1ms"]), 2, &["heartbeatIntervalMs"]);
}

#[test]
fn checking_settings_touches_nothing() {
    let workshop = Workshop::new();
    let (file, database) = (workshop.path("cp.json"), workshop.path("convoy.db"));
    fs::write(&file, json!({ "database": database, "trustFile": workshop.path("trust.json") }).to_string()).unwrap();
    let checked = run(CONVOY_CP, &["check-config", "--config", &file]);
    assert!(checked.code() == 0 && checked.stdout.contains("127.0.0.1:7600"), "{checked:?}");
    assert!(!Path::new(&database).exists());
}

#[test]
fn a_database_that_can_not_be_opened_is_named_and_left_alone() {
    let workshop = Workshop::new();
    let inside_a_file = format!("{}/convoy.db", workshop.path("trust.json"));
    fails(&try_start(&workshop, &["--database", &inside_a_file]), 3, &[&inside_a_file]);
    let nowhere = workshop.path("no/such/folder/convoy.db");
    fails(&try_start(&workshop, &["--database", &nowhere]), 3, &["no/such/folder"]);
    let damaged = workshop.path("damaged.db");
    put(Path::new(&damaged), "x");
    let mut bytes = fs::read(&damaged).unwrap();
    bytes[16..].fill(0xa5);
    fs::write(&damaged, &bytes).unwrap();
    fails(&try_start(&workshop, &["--database", &damaged]), 3, &[&damaged, "restore"]);
    assert_eq!(fs::read(&damaged).unwrap(), bytes);
    let foreign = workshop.path("trust.json");
    fails(&try_start(&workshop, &["--database", &foreign]), 3, &[&foreign]);
}

#[test]
fn two_control_planes_never_share_a_database() {
    let workshop = Workshop::new();
    let first = plane(&workshop);
    fails(&try_start(&workshop, &[]), 3, &["convoy.db"]);
    assert_eq!(first.convoy(&["status"]).code(), 0);
}

#[test]
fn a_signal_ends_it_soon_and_well_also_with_long_polls_and_feeds_open() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let workshop = Workshop::new();
        let plane = ControlPlane::start_plain(workshop.dir.path(), Path::new(&workshop.path("trust.json")));
        let address = plane.url.strip_prefix("http://").unwrap().to_owned();
        let open = |path: &str, accept: &str| {
            let mut socket = TcpStream::connect(&address).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nx-convoy-host: web1\r\naccept: {accept}\r\n\r\n");
            socket.write_all(head.as_bytes()).unwrap();
            socket
        };
        let _idle = TcpStream::connect(&address).unwrap();
        let _poll = open("/v1/agent/dispatch?wait=60", "application/json");
        let mut feed = open("/v1/events?after=0", "text/event-stream");
        let mut byte = [0_u8; 12];
        feed.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"HTTP/1.1 200");
        plane.process.signal(signal);
        let ended = plane.process.ended_within(END);
        assert_eq!(ended.code(), 0, "{signal}: {ended:?}");
        assert!(!ended.stderr.contains("panicked"), "{ended:?}");
    }
}

#[test]
fn systemd_is_told_ready_status_watchdog_and_stopping() {
    let workshop = Workshop::new();
    let socket = workshop.path("notify");
    let told = UnixDatagram::bind(&socket).unwrap();
    told.set_read_timeout(Some(PATIENCE)).unwrap();
    let wait_for = |word: &str| {
        let mut message = [0_u8; 4096];
        loop {
            let length = told.recv(&mut message).unwrap_or_else(|error| panic!("never told {word}: {error}"));
            if String::from_utf8_lossy(&message[..length]).contains(word) {
                return;
            }
        }
    };
    let (database, trust) = (workshop.path("convoy.db"), workshop.path("trust.json"));
    let args = ["run", "--listen", "127.0.0.1:0", "--database", &database, "--trust", &trust];
    let variables = [("NOTIFY_SOCKET", socket.as_str()), ("WATCHDOG_USEC", "400000")];
    let process = Process::start_with(CONVOY_CP, &args, &variables);
    wait_for("READY=1\nSTATUS=");
    wait_for("WATCHDOG=1");
    wait_for("WATCHDOG=1");
    process.signal(Signal::SIGTERM);
    wait_for("STOPPING=1");
    assert_eq!(process.ended_within(END).code(), 0);
}

#[test]
fn the_log_is_json_for_the_journal() {
    let workshop = Workshop::new();
    let (database, trust) = (workshop.path("convoy.db"), workshop.path("trust.json"));
    let args = ["run", "--listen", "127.0.0.1:0", "--database", &database, "--trust", &trust];
    let process = Process::start_with(CONVOY_CP, &args, &[("JOURNAL_STREAM", "8:1")]);
    until("listening", PATIENCE, || process.stdout().contains("listening").then_some(()));
    process.signal(Signal::SIGTERM);
    let ended = process.ended_within(END);
    assert!(!ended.stderr.is_empty());
    for line in ended.stderr.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok_and(|line| line["level"].is_string()), "{line}");
    }
}

#[test]
fn what_was_published_is_there_after_sigkill() {
    let workshop = Workshop::new();
    assert_eq!(workshop.sign(&["--sequence", "7"]).code(), 0);
    let mut first = plane(&workshop);
    let published = first.convoy(&["release", "publish", &workshop.path("release.json")]);
    assert_eq!(published.code(), 0, "{published:?}");
    first.process.kill();
    let second = plane(&workshop);
    let shown = second.convoy(&["rollout", "show", "stable@1", "--all-hosts", "--json"]).json();
    assert_eq!(shown["rollout"]["sequence"], 7);
    assert_eq!(shown["hosts"].as_array().map(Vec::len), Some(3), "{shown}");
}

#[test]
fn keygen_sign_verify_publish_and_show_work_together() {
    let workshop = Workshop::new();
    let plane = plane(&workshop);
    let ask = |args: &[&str]| {
        let ended = plane.convoy(args);
        assert_eq!(ended.code(), 0, "{ended:?}");
        ended
    };
    let release = workshop.path("release.json");
    workshop.sign(&["--sequence", "7"]);
    assert!(ask(&["release", "publish", &release, "--dry-run"]).stdout.contains("would: open the rollout stable@1"));
    assert_eq!(ask(&["rollout", "list", "--json"]).json(), json!([]));
    assert!(ask(&["release", "publish", &release]).stdout.starts_with("published stable@1: 2 waves"));
    assert!(ask(&["release", "publish", &release]).stdout.contains("there already"));
    let (file, served) =
        (ask(&["release", "show", &release, "--json"]), ask(&["release", "show", "stable@1", "--json"]));
    assert_eq!(file.json(), served.json());
    assert!(ask(&["status"]).stdout.contains("stable@1"));
    assert!(ask(&["rollout", "show", "stable@1"]).stdout.contains("canary"));
    assert!(ask(&["why", "web1"]).stdout.starts_with("web1: "));
    assert!(ask(&["rollout", "pause", "stable@1", "--dry-run"]).stdout.starts_with("would: "));
    assert_ne!(ask(&["rollout", "show", "stable@1", "--json"]).json()["rollout"]["state"], "Paused");
    ask(&["rollout", "pause", "stable@1", "--reason", "test"]);
    assert_eq!(ask(&["rollout", "show", "stable@1", "--json"]).json()["rollout"]["state"], "Paused");
    ask(&["rollout", "resume", "stable@1"]);
    ask(&["host", "hold", "web1", "--reason", "disk swap"]);
    assert!(ask(&["why", "web1"]).stdout.contains("disk swap"));
    assert!(ask(&["host", "show", "web1"]).stdout.contains("disk swap"));
    ask(&["host", "release", "web1"]);
    ask(&["rollout", "cancel", "stable@1"]);
    assert_eq!(plane.convoy(&["watch", "stable@1"]).code(), 7);
    let events = ask(&["events", "--json"]);
    let places: Vec<u64> = events
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["place"].as_u64().unwrap())
        .collect();
    assert!(places.len() > 2 && places.is_sorted(), "{events:?}");
}

#[test]
fn a_release_that_may_not_be_is_refused_and_nothing_is_kept() {
    let workshop = Workshop::new();
    let plane = plane(&workshop);
    let release = workshop.path("release.json");
    let publish = || plane.convoy(&["release", "publish", &release]);
    workshop.sign(&["--sequence", "7"]);
    let good = fs::read_to_string(&release).unwrap();
    fs::write(&release, good.replace("web2", "web9")).unwrap();
    assert_eq!(publish().code(), 4, "a manifest that was changed");
    let other = Workshop::new();
    other.sign(&["--sequence", "7"]);
    fs::copy(other.path("release.json"), &release).unwrap();
    assert_eq!(publish().code(), 4, "a key that is not trusted");
    assert_eq!(plane.convoy(&["rollout", "list", "--json"]).json(), json!([]));
    fs::write(&release, &good).unwrap();
    assert_eq!(publish().code(), 0);
    workshop.manifest("stable@1", 2);
    workshop.sign(&["--sequence", "8"]);
    assert_eq!(publish().code(), 4, "a known id with another digest");
    workshop.manifest("stable@2", 2);
    workshop.sign(&["--sequence", "6"]);
    let older = publish();
    assert_eq!(older.code(), 4, "an older sequence");
    assert!(older.stderr.contains('6') && older.stderr.contains('7'), "{older:?}");
    assert_eq!(plane.convoy(&["rollout", "list", "--json"]).json().as_array().map(Vec::len), Some(1));
}

#[test]
fn a_backup_of_a_running_control_plane_restores_to_rollouts_that_wait() {
    let workshop = Workshop::new();
    workshop.sign(&["--sequence", "7"]);
    let mut first = plane(&workshop);
    assert_eq!(first.convoy(&["release", "publish", &workshop.path("release.json")]).code(), 0);
    let (database, copy) = (workshop.path("convoy.db"), workshop.path("copy.db"));
    let backup = run(CONVOY_CP, &["backup", "--database", &database, "--to", &copy]);
    assert_eq!(backup.code(), 0, "{backup:?}");
    let early = run(CONVOY_CP, &["restore", "--database", &database, "--from", &copy]);
    fails(&early, 3, &["convoy.db"]);
    first.process.kill();
    assert_eq!(run(CONVOY_CP, &["restore", "--database", &database, "--from", &copy]).code(), 0);
    let second = plane(&workshop);
    let shown = second.convoy(&["rollout", "show", "stable@1", "--json"]).json();
    assert_eq!(shown["rollout"]["id"], "stable@1", "{shown}");
}

#[test]
fn a_dry_run_is_not_logged_as_done() {
    let workshop = Workshop::new();
    workshop.sign(&[]);
    let plane = plane(&workshop);
    assert_eq!(plane.convoy(&["release", "publish", &workshop.path("release.json")]).code(), 0);
    assert_eq!(plane.convoy(&["rollout", "pause", "stable@1", "--dry-run"]).code(), 0);
    assert_eq!(plane.convoy(&["rollout", "cancel", "stable@1"]).code(), 0);
    until("cancel in the log", PATIENCE, || plane.process.stderr().contains("cancelled").then_some(()));
    assert!(!plane.process.stderr().contains("paused"), "{}", plane.process.stderr());
}

#[test]
fn a_full_disk_refuses_with_a_reason_and_loses_nothing_that_was_accepted() {
    let workshop = Workshop::new();
    let (database, trust, port) = (workshop.path("convoy.db"), workshop.path("trust.json"), workshop.path("port"));
    // 512 blocks of 1 KiB for each file: the schema and some releases fit.
    let script = format!(
        "ulimit -f 512; exec {CONVOY_CP} run --listen 127.0.0.1:0 --database {database} --trust {trust} \
         --port-file {port}"
    );
    let mut process = Process::start("/bin/bash", &["-c", &script]);
    let number = until("port", PATIENCE, || fs::read_to_string(&port).ok()?.trim().parse::<u16>().ok());
    let url = format!("http://127.0.0.1:{number}");
    let mut accepted = Vec::new();
    let refused = until("refusal", PATIENCE, || {
        let number = accepted.len() + 1;
        let id = format!("channel{number}@1");
        workshop.manifest(&id, 1);
        assert_eq!(workshop.sign(&["--sequence", &number.to_string()]).code(), 0);
        let published = convoy(&url, &["release", "publish", &workshop.path("release.json")]);
        if published.code() == 0 {
            accepted.push(id);
        }
        (published.code() != 0 || number > 1000).then_some(published)
    });
    fails(&refused, 4, &["free some space"]);
    assert!(!accepted.is_empty());
    assert!(process.is_running(), "{}", process.stderr());
    let listed = |url: &str| {
        let rollouts = convoy(url, &["rollout", "list", "--json"]).json();
        rollouts
            .as_array()
            .unwrap()
            .iter()
            .map(|rollout| rollout["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let all_are_in = |ids: &[String]| accepted.iter().all(|id| ids.contains(id));
    assert!(all_are_in(&listed(&url)), "what is full can still be read");
    assert!(!process.stderr().contains("panicked"), "{}", process.stderr());
    process.kill();
    let roomy = ControlPlane::start_plain(workshop.dir.path(), Path::new(&workshop.path("trust.json")));
    assert!(all_are_in(&listed(&roomy.url)));
    let again = roomy.convoy(&["release", "publish", &workshop.path("release.json")]);
    assert_eq!(again.code(), 0, "the refused one can be published once there is room: {again:?}");
}

#[test]
fn a_program_without_a_verb_shows_how_it_is_used() {
    for program in [CONVOY, CONVOY_CP] {
        let ended = run(program, &[]);
        assert!(ended.code() == 2 && ended.stderr.contains("Usage:"), "{ended:?}");
        let version = run(program, &["--version"]);
        assert!(version.code() == 0 && version.stdout.contains(env!("CARGO_PKG_VERSION")), "{version:?}");
    }
    let workshop = Workshop::new();
    assert!(!shown(workshop.dir.path()).is_empty());
}
