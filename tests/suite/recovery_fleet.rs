//! A small fleet of real processes for the tests of recovery: `convoy-cp`, and simulated machines with real agents. It
//! can be killed, robbed and rewound; in the end its own logs and the store say what became of it.

use crate::process::{CONVOY_AGENT, ControlPlane, PATIENCE, Process, until};
use crate::sim_world::{good, processes_naming, trust};
use convoy::agent::journal::book::Book;
use convoy::agent::journal::read;
use convoy::client::http::HttpTransport;
use convoy::client::operator::{self, HostAct, RolloutAct};
use convoy::ctl::demo::evidence::{Evidence, gather};
use convoy::ctl::demo::figures::{Blows, Figures, Meant, count};
use convoy::ctl::demo::machines::{go_on, hold_still};
use convoy::ctl::demo::place::Place;
use convoy::model::host_rollout::{HostRolloutState, Phase};
use convoy::model::id::{Closure, HostName, RolloutId, StoreId};
use convoy::model::root_record::{RootRecord, SwitchResult};
use convoy::model::time::Timestamp;
use convoy::runtime::clock::{Clock, SystemClock};
use convoy::runtime::entropy;
use convoy::system::sim::backing::Backing;
use convoy::system::sim::closure::{self, SimClosure, UnitState};
use convoy::system::sim::disk::DiskHost;
use convoy::system::sim::log::{Act, By, Entry};
use convoy::system::sim::machine::{Machine, Setup};
use convoy::system::sim::state::{HostState, Mark};
use convoy::system::sim::{power, process};
use convoy::trust::{Lease, SigningKey, draft, sign_release};
use convoy::wire::v1::operator::{ActRequest, HostView, RolloutView, WhyView};
use convoy::wire::v1::release::SignedRelease;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// How long a host soaks: long enough for a clock that began anew to show.
pub(crate) const SOAK: Duration = Duration::from_millis(1_500);
/// How long a probe may fail.
pub(crate) const FAILURE_AFTER: Duration = Duration::from_millis(800);
/// The service that every host runs and that the probe watches.
pub(crate) const UNIT: &str = "web.service";
/// Ports that the kernel does not give to outgoing connections.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Changes a closure from the good case.
pub(crate) type Change = fn(&mut SimClosure);

/// A release as it was published.
pub(crate) struct Release {
    pub(crate) id: RolloutId,
    pub(crate) targets: BTreeMap<HostName, Closure>,
    pub(crate) signed: SignedRelease,
}

/// What a release is made of.
pub(crate) struct Draft {
    pub(crate) change: Change,
    pub(crate) policy: Value,
    pub(crate) waves: Value,
}

/// The fleet. Dropping it leaves no process behind.
pub(crate) struct Fleet {
    pub(crate) place: Place,
    pub(crate) hosts: Vec<HostName>,
    pub(crate) initial: BTreeMap<HostName, Closure>,
    pub(crate) plane: Option<ControlPlane>,
    machines: BTreeMap<HostName, Process>,
    listen: String,
    sequence: u64,
    away_since: Option<u64>,
    outages: Vec<(u64, u64)>,
    // Last, so that the directory outlives every process.
    dir: TempDir,
}

/// The uptime in milliseconds, as in the acts of all simulated hosts.
pub(crate) fn uptime_ms() -> u64 {
    u64::try_from(SystemClock.uptime().as_millis()).unwrap()
}

pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap()
}

/// Where the agent with this state directory keeps who it is: not in there, since that may be lost.
pub(crate) fn identity_of(state: &std::path::Path) -> PathBuf {
    state.with_extension("identity")
}

fn block<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

impl Fleet {
    /// Starts a control plane and this many hosts.
    pub(crate) fn start(hosts: usize) -> Self {
        Self::start_with(hosts, |_| ())
    }

    /// Starts them with another closure to begin with.
    pub(crate) fn start_with(hosts: usize, initial: Change) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path());
        place.folders().iter().for_each(|folder| fs::create_dir_all(folder).unwrap());
        fs::write(place.control_plane().join("trust.json"), trust()).unwrap();
        let hosts: Vec<_> = (1..=hosts).map(|n| HostName::new(format!("web{n}")).unwrap()).collect();
        let names: Vec<&str> = hosts.iter().map(HostName::as_str).collect();
        let fleet = crate::process::fleet(&place.control_plane(), &names);
        let settings = json!({
            "heartbeatIntervalMs": 200, "testing": true,
            "tlsCertificate": fleet.join("server.pem"), "tlsKey": fleet.join("server.key"),
            "clientAuthorities": fleet.join("ca.pem"),
            "issuerCertificate": fleet.join("ca.pem"), "issuerKey": fleet.join("ca.key"),
            "firstTokens": fleet.join("first-tokens.json"),
        });
        fs::write(place.control_plane().join("settings.json"), settings.to_string()).unwrap();
        let mut fleet = Self {
            dir,
            place,
            initial: BTreeMap::new(),
            plane: None,
            machines: BTreeMap::new(),
            listen: free_port(),
            sequence: 0,
            away_since: None,
            outages: Vec::new(),
            hosts,
        };
        fleet.initial = fleet.closures("old", initial);
        fleet.start_plane();
        for host in fleet.hosts.clone() {
            let home = fleet.place.host(&host);
            fleet.make_machine(&host, &home, &fleet.place.agent_state(&host));
            fleet.boot(&host);
        }
        fleet
    }

    /// Makes a machine that is off: its disk in `home`, its agent's memory in `state`.
    pub(crate) fn make_machine(&self, host: &HostName, home: &std::path::Path, state: &std::path::Path) {
        let settings = home.with_extension("json");
        let fleet = self.fleet();
        let text = json!({
            "host": host.as_str(), "stateDir": state, "simulate": home, "heartbeatFloorMs": 100,
            "ca": fleet.join("ca.pem"), "identityDir": identity_of(state),
            "tokenFile": fleet.join("hosts").join(format!("{host}.token")),
        });
        fs::write(&settings, text.to_string()).unwrap();
        let agent = [CONVOY_AGENT, "run", "--config", settings.to_str().unwrap()].map(str::to_owned).to_vec();
        let machine = Machine {
            store: self.place.store(),
            program: CONVOY_AGENT.into(),
            agent,
            restart_delay_ms: 50,
            dead_man_ms: 200,
            ca: Some(fleet.join("ca.pem")),
            ..Machine::default()
        };
        let setup = Setup { name: host.clone(), machine, closure: self.initial[host].clone() };
        DiskHost::create(home, setup).unwrap();
    }

    fn closures(&self, name: &str, change: Change) -> BTreeMap<HostName, Closure> {
        let of = |host: &HostName| {
            let probe = json!({ "name": "web", "kind": "unit", "unit": UNIT, "mode": "enforce", "intervalMs": 150,
                "timeoutMs": 5000 });
            let made = good(&format!("nixos-system-{host}-{name}"), &self.url()).with(|closure| {
                closure.behaviour.units.insert(UNIT.to_owned(), UnitState::Ok);
                closure.health_checks = json!({ "version": 1, "probes": [probe] }).to_string();
            });
            let made = made.with(change);
            closure::write(&self.place.store(), &made).unwrap();
            (host.clone(), made.path)
        };
        self.hosts.iter().map(of).collect()
    }

    /// Where the control plane is.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.listen)
    }

    /// Keys, certificates and tokens.
    pub(crate) fn fleet(&self) -> PathBuf {
        self.place.control_plane().join("fleet")
    }

    /// Starts the control plane, again on the same port.
    pub(crate) fn start_plane(&mut self) {
        let (folder, settings) = (self.place.control_plane(), self.place.control_plane().join("settings.json"));
        let more = ["--config", settings.to_str().unwrap()];
        self.plane =
            Some(ControlPlane::start_on(&folder, &self.place.control_plane().join("trust.json"), &self.listen, &more));
        if let Some(since) = self.away_since.take() {
            self.outages.push((since, uptime_ms()));
        }
    }

    /// Kills the control plane with SIGKILL.
    pub(crate) fn kill_plane(&mut self) {
        self.away_since = Some(uptime_ms());
        self.plane.take().unwrap().process.kill();
    }

    /// Switches a host on.
    pub(crate) fn boot(&mut self, host: &HostName) {
        let machine = self.boot_at(&self.place.host(host));
        self.machines.insert(host.clone(), machine);
    }

    /// Switches the machine in this directory on, and waits until it is up.
    pub(crate) fn boot_at(&self, home: &std::path::Path) -> Process {
        let disk = DiskHost::open(home).unwrap();
        let before = disk.look().unwrap().boots;
        let parent = std::process::id().to_string();
        let machine =
            Process::start(CONVOY_AGENT, &["simulate", "boot", home.to_str().unwrap(), "--parent-pid", &parent]);
        until("boot", PATIENCE, || disk.look().ok().filter(|state| state.boots > before && state.power));
        machine
    }

    /// Shuts a host down.
    pub(crate) fn turn_off(&mut self, host: &HostName) {
        self.verb("stop", host, &[]);
        self.machines.remove(host);
    }

    /// Cuts a host's power.
    pub(crate) fn cut_power(&mut self, host: &HostName) {
        self.verb("power-cut", host, &[]);
        self.machines.remove(host);
    }

    /// Runs a verb of the simulated host to its end.
    pub(crate) fn verb(&self, verb: &str, host: &HostName, more: &[&str]) {
        let home = self.place.host(host);
        let ended = crate::process::run(CONVOY_AGENT, &[&["simulate", verb, home.to_str().unwrap()], more].concat());
        assert_eq!(ended.code(), 0, "{ended:?}");
    }

    /// Publishes a good release for all hosts in one wave, changed as told.
    pub(crate) fn publish(&mut self, id: &str, change: Change) -> Release {
        self.publish_as(id, Draft { change, policy: json!({}), waves: self.one_wave() })
    }

    /// Publishes a good release for all hosts in one wave, with a soak of its own.
    pub(crate) fn publish_soaking_for(&mut self, id: &str, soak: Duration) -> Release {
        let policy = json!({ "soakMs": millis(soak) });
        self.publish_as(id, Draft { change: |_| (), policy, waves: self.one_wave() })
    }

    /// All hosts in one wave.
    pub(crate) fn one_wave(&self) -> Value {
        let hosts: Vec<&str> = self.hosts.iter().map(HostName::as_str).collect();
        json!([{ "name": "all", "hosts": hosts }])
    }

    /// Publishes a release.
    pub(crate) fn publish_as(&mut self, id: &str, draft: Draft) -> Release {
        let targets = self.closures(&id.replace('@', "-"), draft.change);
        let release = self.sign(id, targets, draft);
        self.publish_again(&release);
        release
    }

    /// Signs a release of these closures.
    pub(crate) fn sign(&mut self, id: &str, targets: BTreeMap<HostName, Closure>, drafted: Draft) -> Release {
        self.sequence += 1;
        let mut policy = json!({
            "soakMs": millis(SOAK), "failureAfterMs": millis(FAILURE_AFTER), "switchLimitMs": 20_000,
            "commitLimitMs": 15_000, "rollbackLimitMs": 20_000, "rebootLimitMs": 20_000, "agentTimeoutMs": 20_000,
            "isolationLimitMs": 60_000, "offlineGraceMs": 60_000, "stageLimitMs": 20_000,
        });
        for (name, value) in drafted.policy.as_object().unwrap() {
            policy[name] = value.clone();
        }
        let mut waves = drafted.waves;
        for wave in waves.as_array_mut().unwrap() {
            wave["reboot"] = json!("live");
        }
        let hosts: serde_json::Map<_, _> =
            targets.iter().map(|(host, closure)| (host.to_string(), json!({ "closure": closure.as_str() }))).collect();
        let manifest = json!({ "schema": "convoy.release/1", "release": id, "policy": policy, "hosts": hosts,
            "waves": waves });
        let release = draft(&manifest.to_string()).unwrap_or_else(|error| panic!("{error}"));
        let key = SigningKey::generate("ci", &mut entropy::seeded(1)).unwrap();
        let hours = |hours: i64| Timestamp(SystemClock.wall().0 + hours * 3_600_000);
        let lease = Lease { sequence: self.sequence, issued: hours(-24), expires: hours(24) };
        let signed = sign_release(&release, &[key], &lease).unwrap();
        Release { id: release.id, targets, signed }
    }

    /// Publishes the very same release.
    pub(crate) fn publish_again(&self, release: &Release) {
        let over = self.transport();
        block(operator::publish(&over, &release.signed)).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Acts on a rollout, as an operator.
    pub(crate) fn act(&self, release: &Release, act: RolloutAct) {
        let over = self.transport();
        let request = ActRequest { by: "test".to_owned(), ..ActRequest::default() };
        block(operator::act_on_rollout(&over, &release.id, act, &request)).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Acts on a host, as an operator.
    pub(crate) fn act_on_host(&self, host: &HostName, act: HostAct) {
        let over = self.transport();
        let request = ActRequest { by: "test".to_owned(), ..ActRequest::default() };
        block(operator::act_on_host(&over, host, act, &request)).unwrap_or_else(|error| panic!("{error}"));
    }

    fn transport(&self) -> HttpTransport {
        crate::process::transport(&self.fleet(), &self.url())
    }

    /// What the control plane says of a host; `None` while it does not answer or does not know it.
    pub(crate) fn view(&self, host: &HostName) -> Option<HostView> {
        let over = self.transport();
        block(operator::host(&over, host)).ok()
    }

    /// What holds a host.
    pub(crate) fn why(&self, host: &HostName) -> Option<WhyView> {
        let over = self.transport();
        block(operator::why(&over, host)).ok()
    }

    /// What the control plane says of a rollout.
    pub(crate) fn rollout(&self, release: &Release) -> Option<RolloutView> {
        let over = self.transport();
        block(operator::rollout(&over, &release.id)).ok()
    }

    /// Waits until a rollout is in this state.
    pub(crate) fn rollout_is(&self, release: &Release, state: &str) {
        until(&format!("{} of {}", state, release.id), PATIENCE, || {
            self.rollout(release).filter(|view| view.state == state)
        });
    }

    /// Waits until the control plane says that every host's attempt has come to this state.
    pub(crate) fn all_are(&self, release: &Release, state: HostRolloutState) {
        self.hosts.iter().for_each(|host| self.is(host, release, state));
    }

    /// Waits until the control plane says that a host's newest attempt has come to this state.
    pub(crate) fn is(&self, host: &HostName, release: &Release, state: HostRolloutState) {
        let (id, state) = (release.id.to_string(), state.to_string());
        until(&format!("{state} of {host} in {id}"), PATIENCE, || {
            let view = self.view(host)?;
            view.attempts.iter().find(|attempt| attempt.rollout == id).filter(|attempt| attempt.state == state)?;
            Some(())
        });
    }

    /// Waits until the control plane has heard a host `times` times from now on.
    pub(crate) fn heard(&self, host: &HostName, times: u32) {
        for _ in 0..times {
            let before = until("host", PATIENCE, || self.view(host)).heard_at;
            until("heartbeat", PATIENCE, || self.view(host).filter(|view| view.heard_at > before));
        }
    }

    pub(crate) fn disk(&self, host: &HostName) -> DiskHost {
        DiskHost::open(&self.place.host(host)).unwrap()
    }

    pub(crate) fn state(&self, host: &HostName) -> HostState {
        self.disk(host).look().unwrap()
    }

    pub(crate) fn acts(&self, host: &HostName) -> Vec<Entry> {
        self.disk(host).acts().unwrap()
    }

    /// How often this closure was switched to by the root helper.
    pub(crate) fn switches_to(&self, host: &HostName, target: &Closure) -> usize {
        let of = |entry: &&Entry| matches!(&entry.act, Act::SwitchStarted { by: By::Forward, to, .. } if to == target);
        self.acts(host).iter().filter(of).count()
    }

    /// How many times any host was switched to this release.
    pub(crate) fn switches(&self, release: &Release) -> usize {
        self.hosts.iter().map(|host| self.switches_to(host, &release.targets[host])).sum()
    }

    /// Waits until the newest root record is as told.
    pub(crate) fn record(&self, host: &HostName, what: &str, is: impl Fn(&RootRecord) -> bool) -> RootRecord {
        until(what, PATIENCE, || self.state(host).records.first().filter(|record| is(record)).cloned())
    }

    /// Reads the journal of a host's agent; `None` while there is none.
    pub(crate) fn book(&self, host: &HostName) -> Option<Book> {
        let bytes = fs::read(self.place.agent_state(host).join("journal")).ok()?;
        read::book(&bytes)
    }

    /// Waits until a host's own journal says that its attempt is in this state.
    pub(crate) fn journal_is(&self, host: &HostName, release: &Release, state: HostRolloutState) {
        until(&format!("{state} in the journal of {host}"), PATIENCE, || {
            let book = self.book(host)?;
            book.rollouts.get(&release.id).filter(|tracked| tracked.progress.state() == state).map(|_| ())
        });
    }

    /// Waits for the good result of a host's switch and returns when that was.
    pub(crate) fn good_since(&self, host: &HostName, release: &Release) -> u64 {
        let record = self.record(host, "good result", |record| {
            record.rollout == release.id && matches!(record.result, Some((SwitchResult::Good(_), _)))
        });
        millis(record.result.unwrap().1.uptime)
    }

    /// Since when an attempt's failure clock runs, by the host's own journal, in milliseconds of uptime.
    pub(crate) fn failing_since(&self, host: &HostName, release: &Release) -> Option<u64> {
        let book = self.book(host)?;
        let Phase::Soaking(soaking) = &book.rollouts.get(&release.id)?.progress.phase else { return None };
        soaking.failing_since.as_ref().map(|at| millis(at.uptime))
    }

    /// Waits until a host is half way through its soak, by its own journal too.
    pub(crate) fn mid_soak(&self, host: &HostName, release: &Release) {
        let since = self.good_since(host, release);
        self.journal_is(host, release, HostRolloutState::Soaking);
        until("half of the soak", PATIENCE, || (uptime_ms() >= since + millis(SOAK) / 2).then_some(()));
    }

    /// Kills the agent with SIGKILL and returns its machine, which stands still so that none is started again.
    pub(crate) fn kill_agent(&self, host: &HostName) -> Mark {
        let alive = || self.state(host).agent.filter(|agent| process::is_alive(*agent));
        let agent = until("agent", PATIENCE, alive);
        let machine = hold_still(&self.place, host).unwrap();
        process::signal(agent, Signal::SIGKILL);
        until("end of the agent", PATIENCE, || (!process::is_alive(agent)).then_some(()));
        machine
    }

    /// Takes the agent's memory away; kept where the count finds it.
    pub(crate) fn wipe(&self, host: &HostName) {
        fs::rename(self.place.agent_state(host), self.place.lost_state(host)).unwrap();
    }

    /// Lets a machine start its agent again.
    pub(crate) fn go_on(&self, machine: Mark) {
        go_on(machine);
    }

    /// Waits until everything that agents know is acknowledged.
    pub(crate) fn all_delivered(&self) {
        for host in &self.hosts {
            until(&format!("delivery of all events of {host}"), PATIENCE, || {
                self.book(host).filter(|book| book.acked.unwrap_or(0) >= book.last_seq).map(|_| ())
            });
        }
    }

    /// Ends everything and checks that no process is left.
    pub(crate) fn shut_down(&mut self) {
        for machine in self.machines.values() {
            machine.signal(Signal::SIGTERM);
        }
        for (_, machine) in std::mem::take(&mut self.machines) {
            let ended = machine.ended_within(PATIENCE);
            assert_eq!(ended.code(), 0, "{ended:?}");
        }
        self.kill_plane();
        let dir = self.dir.path().to_owned();
        until("end of every process", PATIENCE, || processes_naming(&dir).is_empty().then_some(()));
    }

    /// Ends everything and checks what holds in every scenario: nothing activated twice, no event missing without a
    /// mark, no soak counted anew or cut short, nothing under way, no process left. Returns what is on record.
    pub(crate) fn end(mut self) -> (Evidence, Figures) {
        self.all_delivered();
        self.shut_down();
        let fresh = StoreId::new("00000000000000000000000000000001").unwrap();
        let mut evidence = block(gather(&self.place, &self.hosts, fresh)).unwrap();
        evidence.outages.clone_from(&self.outages);
        let figures = count(&evidence, &Meant::default(), Blows::default());
        let broken = (
            figures.duplicate_activations,
            figures.events_missing,
            figures.soak_clock_resets,
            figures.early_commits,
            figures.in_flight,
        );
        assert_eq!(broken, (0, 0, 0, 0, 0), "{figures:#?}");
        assert!(figures.events_stored > 0);
        (evidence, figures)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        for host in &self.hosts {
            let Ok(disk) = DiskHost::open(&self.place.host(host)) else { continue };
            if failed {
                let acts: Vec<_> =
                    disk.acts().unwrap_or_default().into_iter().map(|it| (it.uptime_ms, it.act)).collect();
                let output = fs::read_to_string(disk.dir().join("output.log")).unwrap_or_default();
                eprintln!("--- {host}: acts {acts:#?}\n--- output {output}");
            }
            if let Some(machine) = self.machines.get_mut(host) {
                machine.kill();
            }
            drop(power::power_cut(&disk));
        }
    }
}

fn free_port() -> String {
    use rand::Rng;
    let mut random = entropy::generator().unwrap();
    until("free port", PATIENCE, || {
        let address = format!("127.0.0.1:{}", random.random_range(PORTS));
        std::net::TcpListener::bind(&address).is_ok().then_some(address)
    })
}
