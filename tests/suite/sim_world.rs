//! What tests of the simulated host start from: a key, signed releases, closures, and a host in memory or on disk.

use crate::process::{CONVOY_AGENT, PATIENCE, Process, run, shown, until};
use convoy::model::host_rollout::Terms;
use convoy::model::id::{Attempt, HostName};
use convoy::model::root_record::RootRecord;
use convoy::model::time::Timestamp;
use convoy::runtime::clock::{Clock, SystemClock};
use convoy::runtime::entropy;
use convoy::system::StartOrder;
use convoy::system::sim::backing::Backing;
use convoy::system::sim::closure::{self, SimClosure};
use convoy::system::sim::disk::DiskHost;
use convoy::system::sim::host::SimHost;
use convoy::system::sim::log::{self, Act, Entry};
use convoy::system::sim::machine::{Machine, Setup};
use convoy::system::sim::memory::{MemoryHost, World};
use convoy::system::sim::stand_in;
use convoy::system::sim::state::HostState;
use convoy::trust::{Lease, SigningKey, TrustFile, draft, sign_release};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

/// The one host.
pub(crate) const HOST: &str = "web1";
/// The rollout that every release here is.
pub(crate) const ROLLOUT: &str = "stable@1";

pub(crate) fn name() -> HostName {
    HostName::new(HOST).unwrap()
}

fn key() -> SigningKey {
    SigningKey::generate("ci", &mut entropy::seeded(1)).unwrap()
}

/// The trust file that believes the key of these tests.
pub(crate) fn trust() -> String {
    TrustFile::new(1, [key().public()]).unwrap().to_json()
}

/// A trust file that believes somebody else.
pub(crate) fn foreign_trust() -> String {
    let other = SigningKey::generate("ci", &mut entropy::seeded(2)).unwrap();
    TrustFile::new(1, [other.public()]).unwrap().to_json()
}

/// Spans that a busy machine keeps, and that are soon over.
pub(crate) fn quick_policy() -> Value {
    json!({
        "soakMs": 400, "failureAfterMs": 200, "switchLimitMs": 15_000, "commitLimitMs": 3_000,
        "rollbackLimitMs": 30_000, "rebootLimitMs": 30_000, "agentTimeoutMs": 20_000, "isolationLimitMs": 4_000,
    })
}

/// What a signed release says, and how.
#[derive(Clone)]
pub(crate) struct Signed {
    pub(crate) id: &'static str,
    pub(crate) host: &'static str,
    pub(crate) policy: Value,
    pub(crate) reboot: &'static str,
    pub(crate) sequence: u64,
    /// From when to when its lease runs, from now, in hours.
    pub(crate) lease: (i64, i64),
}

impl Default for Signed {
    fn default() -> Self {
        let policy = quick_policy();
        Self { id: ROLLOUT, host: HOST, policy, reboot: "live", sequence: 1, lease: (-1, 24) }
    }
}

impl Signed {
    /// A release whose agent is soon given up.
    pub(crate) fn impatient() -> Self {
        let mut signed = Self::default();
        signed.policy["agentTimeoutMs"] = json!(2_500);
        signed
    }

    /// Signs it, for this closure.
    pub(crate) fn sign(&self, target: &SimClosure, now: Timestamp) -> String {
        let manifest = json!({
            "schema": "convoy.release/1", "release": self.id, "policy": self.policy,
            "hosts": { self.host: { "closure": target.path.as_str() } },
            "waves": [{ "name": "all", "hosts": [self.host], "reboot": self.reboot }],
        });
        let release = draft(&manifest.to_string()).unwrap_or_else(|error| panic!("{error}"));
        let hours = |hours: i64| Timestamp(now.0 + hours * 3_600_000);
        let lease = Lease { sequence: self.sequence, issued: hours(self.lease.0), expires: hours(self.lease.1) };
        serde_json::to_string(&sign_release(&release, &[key()], &lease).unwrap()).unwrap()
    }
}

/// A good closure of that name, which believes the key of these tests.
pub(crate) fn good(name: &str, control_plane: &str) -> SimClosure {
    SimClosure::new(name, control_plane).unwrap().with(|closure| closure.trust = trust())
}

/// A machine that looks often and boots soon.
pub(crate) fn quick_machine() -> Machine {
    Machine { restart_delay_ms: 50, dead_man_ms: 50, boot_ms: 20, watchdog_ms: 50, ..Machine::default() }
}

/// Makes the order that starts the release.
pub(crate) fn order<B: Backing>(host: &SimHost<B>, signed: &str) -> StartOrder {
    let order = stand_in::order_of(host, signed, Attempt::FIRST).unwrap();
    assert_eq!(order.terms, Terms { ..order.terms.clone() });
    order
}

/// Tokio's clock, paused or not.
struct TokioClock {
    start: Instant,
}

impl Clock for TokioClock {
    fn wall(&self) -> Timestamp {
        Timestamp(1_800_000_000_000 + i64::try_from(self.uptime().as_millis()).unwrap())
    }

    fn uptime(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A host in memory that is off, with what it can fetch. Its agent starts the signed release, if there is one.
pub(crate) fn memory(machine: Machine, closures: &[SimClosure], signed: Option<Signed>) -> MemoryHost {
    let clock: Arc<dyn Clock> = Arc::new(TokioClock { start: Instant::now() });
    let release = signed.map(|signed| signed.sign(&closures[1], clock.wall()));
    let agent = move |host: SimHost<MemoryHost>| -> convoy::system::sim::tasks::BoxFuture {
        let release = release.clone();
        Box::pin(async move {
            let Some(release) = release else { return std::future::pending().await };
            let order = order(&host, &release);
            drop(stand_in::run(host, order).await);
        })
    };
    let world = World { clock, agent: Arc::new(agent), reach: Arc::new(|url| url == "http://plane") };
    let setup = Setup { name: name(), machine, closure: closures[0].path.clone() };
    let host = MemoryHost::new(setup, closures[0].clone(), world);
    closures.iter().for_each(|closure| host.add_closure(closure.clone()));
    host
}

/// A host on disk with its machine's process. Dropping it leaves nothing behind, and checks that.
pub(crate) struct Disk {
    pub(crate) dir: TempDir,
    pub(crate) host: DiskHost,
    pub(crate) machine: Option<Process>,
}

impl Disk {
    /// Makes a host that is off. Its agent starts the signed release, if there is one.
    pub(crate) fn new(machine: Machine, closures: &[SimClosure], signed: Option<Signed>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (store, home, release) = (dir.path().join("store"), dir.path().join("host"), dir.path().join("release"));
        closures.iter().for_each(|sim| closure::write(&store, sim).unwrap());
        let mut agent = ["sleep", "1000"].map(str::to_owned).to_vec();
        if let Some(signed) = signed {
            std::fs::write(&release, signed.sign(&closures[1], SystemClock.wall())).unwrap();
            let stand_in = [CONVOY_AGENT, "simulate", "stand-in", &shown(&home), &shown(&release)];
            agent = stand_in.map(str::to_owned).to_vec();
        }
        let machine = Machine { store, program: CONVOY_AGENT.into(), agent, ..machine };
        let setup = Setup { name: name(), machine, closure: closures[0].path.clone() };
        let host = DiskHost::create(&home, setup).unwrap();
        Self { dir, host, machine: None }
    }

    pub(crate) fn home(&self) -> String {
        shown(self.host.dir())
    }

    /// Switches it on and waits until it is up.
    pub(crate) fn boot(&mut self) -> SimHost<DiskHost> {
        let before = self.state().boots;
        let parent = std::process::id().to_string();
        let args = ["simulate", "boot", &self.home(), "--parent-pid", &parent];
        self.machine = Some(Process::start(CONVOY_AGENT, &args));
        until("boot", PATIENCE, || (self.state().boots > before && self.state().power).then_some(()));
        SimHost::attach(self.host.clone()).unwrap()
    }

    /// Runs a verb on it to its end.
    pub(crate) fn verb(&self, verb: &str, more: &[&str]) {
        let ended = run(CONVOY_AGENT, &[&["simulate", verb, &self.home()], more].concat());
        assert_eq!(ended.code(), 0, "{ended:?}");
    }

    pub(crate) fn state(&self) -> HostState {
        self.host.look().unwrap()
    }

    pub(crate) fn acts(&self) -> Vec<Entry> {
        log::read(self.host.dir()).unwrap()
    }

    /// Waits until the newest record is as told, and returns it.
    pub(crate) fn record(&self, what: &str, is: impl Fn(&RootRecord) -> bool) -> RootRecord {
        until(what, PATIENCE, || self.state().records.first().filter(|record| is(record)).cloned())
    }

    /// Waits until the log holds such an act.
    pub(crate) fn act(&self, what: &str, is: impl Fn(&Act) -> bool) {
        until(what, PATIENCE, || self.acts().iter().any(|entry| is(&entry.act)).then_some(()));
    }

    /// The processes of the host.
    pub(crate) fn processes(&self) -> Vec<String> {
        processes_naming(self.dir.path())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        let stopped = Process::start(CONVOY_AGENT, &["simulate", "stop", &self.home()]);
        if failed {
            let output = std::fs::read_to_string(self.host.dir().join("output.log")).unwrap_or_default();
            let acts: Vec<Act> = self.acts().into_iter().map(|entry| entry.act).collect();
            eprintln!("--- acts {acts:#?}\n--- records {:#?}\n--- output {output}", self.state().records);
            std::thread::sleep(Duration::from_secs(1));
            return;
        }
        let stopped = stopped.ended_within(PATIENCE);
        assert_eq!(stopped.code(), 0, "{stopped:?}");
        self.machine.take();
        // A process that was started an instant before claims nothing and ends by itself.
        until("end of every process", PATIENCE, || self.processes().is_empty().then_some(()));
    }
}

/// Returns the command lines of the processes that name this directory, without the dead.
pub(crate) fn processes_naming(dir: &Path) -> Vec<String> {
    let dir = shown(dir);
    let ids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let lines = ids.filter_map(|id| std::fs::read(format!("/proc/{id}/cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).filter(|line| line.contains(&dir)).collect()
}

/// A control plane that only says that it is there, until the test ends.
pub(crate) fn healthy_plane() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut request = [0; 512];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    url
}

/// Writes an act in short, without what differs from one machine to the next; `None` for what does so itself.
pub(crate) fn short(entry: &Entry) -> Option<String> {
    if matches!(entry.act, Act::AgentStarted | Act::AgentEnded) {
        return None;
    }
    let Value::Object(mut fields) = serde_json::to_value(&entry.act).unwrap() else { panic!("{entry:?}") };
    let act = fields.remove("act").unwrap();
    let word = |value: &Value| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text.strip_prefix("/nix/store/").map_or(text.clone(), |base| base[33..].to_owned())
    };
    let fields = fields.iter().map(|(field, value)| format!(" {field}={}", word(value)));
    Some(act.as_str().unwrap().to_owned() + &fields.collect::<String>())
}
