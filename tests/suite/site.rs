//! One site as a user makes it: `convoy init` in an empty directory, a control plane, one simulated host; everything
//! that a person types is counted.

use crate::process::{CONVOY, CONVOY_AGENT, CONVOY_CP, Ended, PATIENCE, Process, run, shown, until};
use crate::sim_world::{good, quick_policy};
use convoy::model::id::{Closure, HostName};
use convoy::model::time::Timestamp;
use convoy::system::sim::backing::Backing;
use convoy::system::sim::closure::{self, UnitState};
use convoy::system::sim::disk::DiskHost;
use convoy::system::sim::machine::{Machine, Setup};
use convoy::system::sim::power::power_cut;
use convoy::trust::certificate::{chain, presented};
use rand::Rng;
use serde_json::{Value, json};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The one host.
pub(crate) const HOST: &str = "web1";

/// The site. Dropping it leaves no process behind.
pub(crate) struct Site {
    dir: TempDir,
    /// `https://127.0.0.1:PORT`.
    pub(crate) url: String,
    /// What was typed on the control plane's machine.
    pub(crate) typed_there: Vec<String>,
    /// What was typed on the host.
    pub(crate) typed_on_the_host: Vec<String>,
    pub(crate) plane: Option<Process>,
    host: Option<(DiskHost, Process)>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.switch_off();
    }
}

/// An address that is free, among those that the kernel gives to no outgoing connection.
fn free_address() -> String {
    let mut random = convoy::runtime::entropy::generator().unwrap();
    until("free port", PATIENCE, || {
        let address = format!("127.0.0.1:{}", random.random_range(20_000..32_000_u16));
        TcpListener::bind(&address).is_ok().then_some(address)
    })
}

impl Site {
    /// Types `convoy init`, and gives the control plane settings that a test need not wait long for.
    pub(crate) fn init(quick: &Value) -> Self {
        let listen = free_address();
        let dir = tempfile::tempdir().unwrap();
        let url = format!("https://{listen}");
        let (typed_there, typed_on_the_host) = (Vec::new(), Vec::new());
        let mut site = Self { dir, url, typed_there, typed_on_the_host, plane: None, host: None };
        let fleet = shown(&site.fleet());
        let made =
            site.type_there(CONVOY, &["init", &fleet, "--host", HOST, "--name", "127.0.0.1", "--listen", &listen]);
        assert_eq!(made.code(), 0, "{made:?}");
        let path = site.fleet().join("control-plane.json");
        let mut settings: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        settings.as_object_mut().unwrap().extend(quick.as_object().unwrap().clone());
        fs::write(path, settings.to_string()).unwrap();
        site
    }

    /// Types `convoy init` and `convoy-cp run`, lets the host in, and waits until it was heard.
    pub(crate) fn running(quick: &Value) -> Self {
        let mut site = Self::init(quick);
        site.start_plane();
        site.carry_to_the_host();
        site.start_host();
        until("first contact", PATIENCE, || site.heard());
        site
    }

    /// What `convoy init` made.
    pub(crate) fn fleet(&self) -> PathBuf {
        self.dir.path().join("fleet")
    }

    /// The host's own folder, `/etc/convoy` and `/var/lib` in truth.
    pub(crate) fn on_host(&self, name: &str) -> PathBuf {
        self.dir.path().join("on-host").join(name)
    }

    fn type_there(&mut self, program: &str, args: &[&str]) -> Ended {
        self.typed_there.push(args.join(" "));
        run(program, args)
    }

    /// Types `convoy-cp run`.
    pub(crate) fn start_plane(&mut self) {
        let config = shown(&self.fleet().join("control-plane.json"));
        let args = ["run", "--config", &config];
        self.typed_there.push(args.join(" "));
        let mut plane = Process::start(CONVOY_CP, &args);
        until("control plane", PATIENCE, || {
            assert!(plane.is_running(), "convoy-cp ended: {}", plane.stderr());
            plane.stdout().contains("listening on").then_some(())
        });
        self.plane = Some(plane);
    }

    /// Carries the three files to the host that `convoy init` names, and adds what makes it a simulated one.
    pub(crate) fn carry_to_the_host(&self) {
        fs::create_dir_all(self.on_host("")).unwrap();
        for name in ["ca.pem", "web1.json", "web1.token"] {
            fs::copy(self.fleet().join("hosts").join(name), self.on_host(name)).unwrap();
        }
        let path = self.on_host("web1.json");
        let mut settings: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        settings["simulate"] = json!(self.on_host("machine"));
        settings["stateDir"] = json!(self.on_host("state"));
        settings["identityDir"] = json!(self.on_host("identity"));
        settings["heartbeatFloorMs"] = json!(100);
        fs::write(path, settings.to_string()).unwrap();
        let initial = self.closure("old");
        let settings = shown(&self.on_host("web1.json"));
        let agent = [CONVOY_AGENT, "run", "--config", &settings].map(str::to_owned).to_vec();
        let machine = Machine {
            store: self.on_host("store"),
            program: CONVOY_AGENT.into(),
            agent,
            restart_delay_ms: 50,
            dead_man_ms: 200,
            ca: Some(self.on_host("ca.pem")),
            ..Machine::default()
        };
        let setup = Setup { name: HostName::new(HOST).unwrap(), machine, closure: initial };
        DiskHost::create(&self.on_host("machine"), setup).unwrap();
    }

    /// Makes a closure that believes the fleet's release key and knows its control plane.
    pub(crate) fn closure(&self, name: &str) -> Closure {
        let trust = fs::read_to_string(self.fleet().join("trust.json")).unwrap();
        let made = good(&format!("nixos-system-web1-{name}"), &self.url).with(|closure| {
            closure.behaviour.units.insert("web.service".to_owned(), UnitState::Ok);
            closure.trust = trust;
        });
        closure::write(&self.on_host("store"), &made).unwrap();
        made.path
    }

    /// Types `convoy-agent run` on the host, as its machine does it from then on with every start.
    pub(crate) fn start_host(&mut self) {
        let disk = DiskHost::open(&self.on_host("machine")).unwrap();
        self.typed_on_the_host.push(disk.look().unwrap().machine.agent[1..].join(" "));
        let parent = std::process::id().to_string();
        let args = ["simulate", "boot", &shown(&self.on_host("machine")), "--parent-pid", &parent];
        self.host = Some((disk, Process::start(CONVOY_AGENT, &args)));
    }

    /// Cuts the host's power.
    pub(crate) fn switch_off(&mut self) {
        if let Some((disk, mut machine)) = self.host.take() {
            machine.kill();
            // What can't be read any more has no processes that could be found.
            drop(power_cut(&disk));
        }
    }

    /// Runs an operator's command to its end.
    pub(crate) fn operator(&self, args: &[&str]) -> Ended {
        let settings = shown(&self.fleet().join("convoy.json"));
        run(CONVOY, &[&["--config", &settings], args].concat())
    }

    /// Runs an operator's command that has to work.
    pub(crate) fn ask(&self, args: &[&str]) -> Ended {
        let ended = self.operator(args);
        assert_eq!(ended.code(), 0, "{args:?}: {ended:?}");
        ended
    }

    /// Publishes a release of one closure, and waits until the host has converged on it.
    pub(crate) fn converge(&self, id: &str, target: &Closure) {
        let manifest = json!({
            "schema": "convoy.release/1", "release": id, "policy": quick_policy(),
            "hosts": { HOST: { "closure": target.as_str() } }, "waves": [{ "name": "all", "hosts": [HOST] }],
        });
        let (path, key) = (self.dir.path().join("release.json"), shown(&self.fleet().join("release.key")));
        fs::write(&path, manifest.to_string()).unwrap();
        self.ask(&["release", "publish", "--manifest", &shown(&path), "--key", &key]);
        until("convergence", PATIENCE, || {
            let seen = self.ask(&["host", "show", HOST, "--json"]).json();
            (seen["running"] == json!(target.as_str()) && seen["attempts"][0]["state"] == "Converged").then_some(())
        });
    }

    /// When the host was heard the last time, as text.
    pub(crate) fn heard(&self) -> Option<String> {
        let shown = self.operator(&["host", "show", HOST, "--json"]);
        if shown.code() != 0 { None } else { shown.json()["heardAt"].as_str().map(str::to_owned) }
    }

    /// The host's key, as it lies on its disk.
    pub(crate) fn key(&self) -> String {
        fs::read_to_string(self.on_host("identity/key.pem")).unwrap()
    }

    /// The host's certificate, and until when it counts.
    pub(crate) fn certificate(&self) -> (String, Timestamp) {
        let text = fs::read_to_string(self.on_host("identity/certificate.pem")).unwrap();
        let expires = presented(&chain("certificate", &text).unwrap()[0]).unwrap().expires;
        (text, expires)
    }
}

/// Replaces a file as an operator would: never half of it.
pub(crate) fn replace(from: &Path, to: &Path) {
    let beside = to.with_extension("new");
    fs::copy(from, &beside).unwrap();
    fs::rename(beside, to).unwrap();
}
