//! A whole fleet that comes back at once after the control plane was killed. `cargo bench --bench load` does the same
//! with more agents, and measures it.

use crate::ctl_offline::Workshop;
use crate::process::{ControlPlane, PATIENCE, fleet, transport};
use convoy::client::http::HttpTransport;
use convoy::client::{Request, send_json};
use convoy::model::identity::Identity;
use convoy::runtime::clock::{Clock, SystemClock};
use convoy::runtime::entropy::generator;
use convoy::trust::authority::{Authority, Term};
use convoy::trust::tls::{self, Credentials};
use convoy::wire::v1::operator::FleetView;
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

const AGENTS: usize = 100;
/// How often agents report here; the promise is that all are back within it.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// The pause before an agent tries again: far shorter than a real one's, so that all press at once.
const AGAIN: Duration = Duration::from_millis(20);

fn host(n: usize) -> String {
    format!("host{n}")
}

/// One transport for each agent, with its own certificate and connections.
fn agents(dir: &Path, url: &str) -> Vec<HttpTransport> {
    let authority = Authority::load(&dir.join("ca.pem"), &dir.join("ca.key")).unwrap();
    let ca = std::fs::read_to_string(dir.join("ca.pem")).unwrap();
    let mut rng = generator().unwrap();
    let term = Term { from: SystemClock.wall(), lasts: Duration::from_secs(3600) };
    let one = |n| {
        let who: Identity = format!("agent/{}", host(n)).parse().unwrap();
        let pair = authority.issue_client(&who, term, &mut rng).unwrap();
        let own = Credentials { certificate: &pair.certificate, key: &pair.key };
        HttpTransport::new(url, Some(tls::client(&ca, Some(own)).unwrap())).unwrap()
    };
    (0..AGENTS).map(one).collect()
}

/// Sends heartbeats until one is answered.
async fn come_back(n: usize, over: &HttpTransport) {
    let beat = json!({
        "hostname": host(n), "agentVersion": "test", "journalId": format!("{n:032x}"), "lastSeq": 0,
        "now": { "wall": "2026-01-01T00:00:00.000Z", "boot": "test", "uptimeMs": 1000 }, "rollouts": [],
    });
    loop {
        let request = Request::post("/v1/agent/heartbeat").json(&beat).unwrap();
        match send_json::<Value>(over, request).await {
            Ok(_) => return,
            Err(_) => sleep(AGAIN).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_agents_are_back_within_the_heartbeat_interval_after_sigkill_and_none_is_lost() {
    let workshop = Workshop::new();
    let (dir, trust) = (workshop.dir.path(), workshop.path("trust.json"));
    let interval = format!("{}s", HEARTBEAT.as_secs());
    let more = ["--heartbeat-interval", interval.as_str()];
    let mut plane = ControlPlane::start(dir, Path::new(&trust), &more);
    let address = plane.url.trim_start_matches("https://").to_owned();
    let fleet = fleet(dir, &[]);
    let agents = agents(&fleet, &plane.url);
    let all = || join_all(agents.iter().enumerate().map(|(n, over)| come_back(n, over)));
    timeout(PATIENCE, all()).await.unwrap();
    plane.process.kill();
    let killed = Instant::now();
    let restarted = async {
        let (dir, trust) = (dir.to_owned(), trust.clone());
        let start = move || ControlPlane::start_on(&dir, Path::new(&trust), &address, &more_of(&interval));
        tokio::task::spawn_blocking(start).await.unwrap()
    };
    let (plane, ()) = tokio::join!(restarted, async { drop(all().await) });
    let took = killed.elapsed();
    assert!(took <= HEARTBEAT, "the last was back after {took:?}");
    let seen: FleetView = send_json(&transport(&fleet, &plane.url), Request::get("/v1/fleet")).await.unwrap();
    assert_eq!((seen.hosts, seen.online), (AGENTS as u64, AGENTS as u64), "{seen:?}");
    assert_eq!(seen.by_state.get("Lost"), None, "{seen:?}");
}

fn more_of(interval: &str) -> [&str; 2] {
    ["--heartbeat-interval", interval]
}
