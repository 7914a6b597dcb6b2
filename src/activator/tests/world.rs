//! A machine in a directory: real files and links, and programs that do to them what the real ones would.

use crate::activator::helper::{Helper, Run};
use crate::activator::shelf::Shelf;
use crate::model::fleet::Release;
use crate::model::host_rollout::Terms;
use crate::model::id::{Attempt, Closure, HostName};
use crate::model::limit::self_rollback;
use crate::model::root_record::RootRecord;
use crate::model::time::Timestamp;
use crate::runtime::clock::Clock;
use crate::system::StartOrder;
use crate::system::exec::{ExecOutput, ExecSpec, Exit};
use crate::system::place::Place;
use crate::trust::{Lease, SigningKey, TrustFile, draft, sign_release};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) const ISSUED: Timestamp = Timestamp(1_777_000_000_000);

/// What programs did, and how they answer.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// Every call, in one line each.
    pub(crate) calls: Vec<String>,
    /// Exit statuses of `switch-to-configuration`, by closure and action; each is used once, then 0.
    pub(crate) exits: BTreeMap<(String, String), Vec<i32>>,
    /// Units that are failed while a closure runs.
    pub(crate) failed: BTreeMap<String, Vec<String>>,
    /// Transient units that run.
    pub(crate) units: Vec<String>,
    /// A switch says well done and moves nothing.
    pub(crate) lies: bool,
    /// What the system as a whole does.
    pub(crate) system: &'static str,
    /// Programs that fail.
    pub(crate) broken: Vec<String>,
    /// How often systemd does not say which units fail.
    pub(crate) late: u32,
}

struct FakeClock {
    uptime: Mutex<Duration>,
}

impl Clock for FakeClock {
    fn wall(&self) -> Timestamp {
        ISSUED.plus(Duration::from_secs(3600)).plus(*self.uptime.lock().unwrap())
    }

    fn uptime(&self) -> Duration {
        *self.uptime.lock().unwrap()
    }
}

struct FakeRun {
    place: Place,
    script: Arc<Mutex<Script>>,
    clock: Arc<FakeClock>,
}

fn output(code: i32, stdout: &str) -> ExecOutput {
    let stdout = stdout.as_bytes().to_vec();
    ExecOutput { status: Exit::Code(code), stdout, stderr: b"said".to_vec(), cut: false, timed_out: false }
}

fn relink(link: &Path, to: &str) {
    let _ = fs::remove_file(link);
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    symlink(to, link).unwrap();
}

impl FakeRun {
    fn switch(&self, program: &str, action: &str) -> ExecOutput {
        let closure = program.split("/nix/store/").nth(1).unwrap().split('/').next().unwrap();
        let path = format!("/nix/store/{closure}");
        let mut script = self.script.lock().unwrap();
        if script.lies {
            return output(0, "");
        }
        let planned = script.exits.get_mut(&(path.clone(), action.to_owned())).filter(|exits| !exits.is_empty());
        let code = planned.map_or(0, |exits| exits.remove(0));
        if matches!(code, 1 | 11 | 100) {
            return output(code, "");
        }
        if action != "test" {
            let profile = fs::read_link(self.place.profile()).unwrap();
            if profile.to_str() == Some(&path) {
                boots(&self.place, &path);
            }
        }
        if action != "boot" {
            relink(&self.place.running(), &path);
        }
        output(code, "switched")
    }

    fn systemctl(&self, args: &[String]) -> ExecOutput {
        let mut script = self.script.lock().unwrap();
        match args[0].as_str() {
            "list-units" if script.late > 0 => {
                script.late -= 1;
                output(1, "")
            }
            "list-units" => {
                let running = fs::read_link(self.place.running()).unwrap().to_str().unwrap().to_owned();
                let failed = script.failed.get(&running).cloned().unwrap_or_default();
                output(0, &failed.iter().map(|unit| format!("{unit} loaded failed failed X\n")).collect::<String>())
            }
            "show" => {
                let runs = script.units.contains(&args[1]);
                output(0, if runs { "ActiveState=active\nJob=\n" } else { "ActiveState=inactive\nJob=\n" })
            }
            "is-system-running" => output(0, script.system),
            _ => output(0, ""),
        }
    }
}

/// Writes what boots by default.
pub(crate) fn boots(place: &Place, closure: &str) {
    fs::create_dir_all(place.at("/boot/loader/entries")).unwrap();
    fs::write(place.at("/boot/loader/loader.conf"), format!("default {}.conf\n", &closure[11..43])).unwrap();
    let entry = place.at(&format!("/boot/loader/entries/{}.conf", &closure[11..43]));
    fs::write(entry, format!("options init={closure}/init\n")).unwrap();
}

impl Run for FakeRun {
    fn run(&self, spec: ExecSpec) -> Result<ExecOutput, String> {
        let args: Vec<String> = spec.args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
        let program = spec.program.to_string_lossy().into_owned();
        let name = program.rsplit('/').next().unwrap().to_owned();
        let line = format!("{name} {}", args.join(" "));
        {
            let mut script = self.script.lock().unwrap();
            script.calls.push(line.clone());
            if script.broken.iter().any(|part| line.contains(part.as_str())) {
                return Ok(output(1, ""));
            }
        }
        Ok(match name.as_str() {
            "switch-to-configuration" => self.switch(&program, &args[0]),
            "systemctl" => {
                if args[0] == "stop" || args[0] == "kill" {
                    self.script.lock().unwrap().units.retain(|unit| !args.contains(unit));
                }
                self.systemctl(&args)
            }
            "systemd-run" => {
                let unit = args.iter().find_map(|arg| arg.strip_prefix("--unit=")).unwrap_or("run").to_owned();
                let end = if line.contains("--on-active") { "timer" } else { "service" };
                self.script.lock().unwrap().units.push(format!("{unit}.{end}"));
                output(0, "")
            }
            "nix-env" => {
                relink(Path::new(&args[1]), &args[3]);
                output(0, "")
            }
            "nix-store" if args[0] == "--query" => output(0, &format!("{}\n", args[2])),
            _ => output(0, ""),
        })
    }

    fn pause(&self, span: Duration) {
        *self.clock.uptime.lock().unwrap() += span;
    }
}

/// A host of two closures: `a` runs, `b` is to come.
pub(crate) struct World {
    _dir: tempfile::TempDir,
    pub(crate) helper: Helper,
    pub(crate) script: Arc<Mutex<Script>>,
    clock: Arc<FakeClock>,
}

pub(crate) fn closure(letter: char) -> Closure {
    Closure::new(format!("/nix/store/{}-nixos-system-web1", letter.to_string().repeat(32))).unwrap()
}

pub(crate) fn key(name: &str, seed: u64) -> SigningKey {
    SigningKey::generate(name, &mut ChaCha20Rng::seed_from_u64(seed)).unwrap()
}

pub(crate) fn release(reference: &str, reboot: &str) -> Release {
    let manifest = json!({
        "schema": "convoy.release/1",
        "release": format!("stable@{reference}"),
        "hosts": {"web1": {"closure": closure('b')  .to_string()}, "web2": {"closure": closure('c').to_string()}},
        "waves": [{"name": "all", "hosts": ["web1", "web2"], "reboot": reboot}],
    });
    draft(&manifest.to_string()).unwrap()
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::below(dir.path());
        let write = |path: PathBuf, text: &str| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let trust = TrustFile::new(1, [key("ci", 1).public()]).unwrap().to_json();
        for letter in ['a', 'b', 'c'] {
            let root = place.closure(&closure(letter));
            write(root.join("etc/convoy/trust.json"), &trust);
            write(root.join("etc/convoy/activator.json"), r#"{"host":"web1","freeNixMiB":1,"freeBootMiB":1}"#);
            write(root.join("etc/convoy/agent.json"), "{}");
            write(root.join("etc/systemd/system/convoy-boot-guard.service"), "[Service]");
            for program in ["bin/switch-to-configuration", "sw/bin/convoy-activator", "sw/bin/convoy-agent"] {
                write(root.join(program), "#!/bin/sh");
                fs::set_permissions(root.join(program), fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        write(place.boot_id(), "boot-1\n");
        for link in [place.running(), place.booted(), place.profile()] {
            relink(&link, closure('a').as_str());
        }
        boots(&place, closure('a').as_str());
        let script = Arc::new(Mutex::new(Script::default()));
        let clock = Arc::new(FakeClock { uptime: Mutex::new(Duration::from_secs(100)) });
        let run = FakeRun { place: place.clone(), script: Arc::clone(&script), clock: Arc::clone(&clock) };
        let helper = Helper {
            shelf: Shelf::open(place.helper_state()).unwrap(),
            place,
            clock: clock.clone(),
            run: Box::new(run),
            own: PathBuf::from("/own/convoy-activator"),
            env: Vec::new(),
        };
        Self { _dir: dir, helper, script, clock }
    }

    /// An order of a release that is signed by a key under a lease.
    pub(crate) fn order_of(&self, release: &Release, key: SigningKey, sequence: u64) -> StartOrder {
        let day = Duration::from_secs(86_400);
        let lease = Lease { sequence, issued: ISSUED, expires: ISSUED.plus(day) };
        let signed = sign_release(release, &[key], &lease).unwrap();
        let terms = Terms::of(release, &HostName::new("web1").unwrap()).unwrap();
        StartOrder {
            rollout: release.id.clone(),
            attempt: Attempt(1),
            reboot: terms.reboot,
            terms,
            agent_timeout: release.policy.agent_timeout,
            end_after: self_rollback(&release.policy).absolute_end,
            signed_release: serde_json::to_string(&signed).unwrap(),
        }
    }

    pub(crate) fn order(&self) -> StartOrder {
        self.order_of(&release("1", "live"), key("ci", 1), 5)
    }

    pub(crate) fn record(&self) -> RootRecord {
        self.helper.shelf.records().unwrap().records.remove(0)
    }

    pub(crate) fn pass(&self, span: Duration) {
        *self.clock.uptime.lock().unwrap() += span;
    }

    /// Lets time pass under the dead-man's eyes.
    pub(crate) fn watch(&self, span: Duration) {
        let mut left = span;
        while left > Duration::ZERO {
            let step = left.min(Duration::from_secs(10));
            self.pass(step);
            self.helper.dead_man().unwrap();
            left -= step;
        }
    }

    /// Ends a unit, as one that is done or was killed.
    pub(crate) fn unit_ends(&self, unit: &str) {
        self.script.lock().unwrap().units.retain(|runs| runs != unit);
    }

    pub(crate) fn calls(&self, part: &str) -> usize {
        self.script.lock().unwrap().calls.iter().filter(|call| call.contains(part)).count()
    }

    pub(crate) fn runs(&self, unit: &str) -> bool {
        self.script.lock().unwrap().units.iter().any(|runs| runs == unit)
    }

    pub(crate) fn exits(&self, letter: char, action: &str, codes: &[i32]) {
        let key = (closure(letter).to_string(), action.to_owned());
        self.script.lock().unwrap().exits.insert(key, codes.to_vec());
    }

    pub(crate) fn fails(&self, letter: char, units: &[&str]) {
        let units = units.iter().map(ToString::to_string).collect();
        self.script.lock().unwrap().failed.insert(closure(letter).to_string(), units);
    }

    /// The machine boots what the loader names, or another closure.
    pub(crate) fn reboot(&self, into: char, number: u32) {
        let place = &self.helper.place;
        fs::write(place.boot_id(), format!("boot-{number}\n")).unwrap();
        relink(&place.running(), closure(into).as_str());
        relink(&place.booted(), closure(into).as_str());
        self.script.lock().unwrap().units.clear();
        *self.clock.uptime.lock().unwrap() = Duration::from_secs(5);
    }

    /// A person switches by hand.
    pub(crate) fn person_switches(&self, letter: char) {
        relink(&self.helper.place.profile(), closure(letter).as_str());
        boots(&self.helper.place, closure(letter).as_str());
        relink(&self.helper.place.running(), closure(letter).as_str());
    }

    /// Starts, and runs the switch to its end.
    pub(crate) fn switched() -> Self {
        let world = Self::new();
        world.helper.start(&world.order()).unwrap();
        world.helper.run_switch("stable@1-1").unwrap();
        world.unit_ends("convoy-switch.service");
        world
    }
}
