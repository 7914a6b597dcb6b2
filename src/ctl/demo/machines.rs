//! The demo's hosts: simulated machines, each a process that starts and restarts its agent. Nothing of them is left
//! when this value is dropped.

use crate::ctl::demo::place::Place;
use crate::ctl::demo::plan::{Plan, Stage};
use crate::ctl::demo::release::{Kind, Site, closure};
use crate::model::id::{Closure, HostName};
use crate::system::exec::{ChildOutput, ChildSpec, Process, spawn_child};
use crate::system::sim::backing::Backing;
use crate::system::sim::disk::DiskHost;
use crate::system::sim::log::{Act, By, read};
use crate::system::sim::machine::{Machine, Setup};
use crate::system::sim::power::power_cut;
use crate::system::sim::process::{is_alive, signal};
use crate::system::sim::state::{HostState, Mark};
use anyhow::{Context, bail};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a machine may take to shut down.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// How long a killed process may take to be gone.
const DEATH_LIMIT: Duration = Duration::from_secs(10);
/// How often something awaited is looked at.
const LOOK: Duration = Duration::from_millis(15);
/// How long an agent stays dead before its machine starts it again.
const RESTART_DELAY_MS: u64 = 200;
/// Agents report as often as the control plane of the demo asks for, which is far more often than in a real fleet.
const HEARTBEAT_FLOOR_MS: u64 = 100;
/// How often a dead-man looks.
const DEAD_MAN_MS: u64 = 200;

/// All hosts of one demo.
#[derive(Debug)]
pub struct Machines {
    place: Place,
    program: PathBuf,
    running: BTreeMap<HostName, Process>,
}

impl Machines {
    /// Makes the hosts, off, with their closures in the simulated store. Returns the closures of each kind.
    ///
    /// # Errors
    /// When a file can't be written.
    pub fn make(place: &Place, program: &Path, plan: &Plan, site: &Site<'_>) -> anyhow::Result<(Self, Closures)> {
        let mut closures = Closures::default();
        for (host, switch) in plan.hosts.iter().zip(&plan.switch) {
            let site = Site { switch: *switch, ..*site };
            for (kind, of_kind) in closures.each() {
                let made = closure(host, kind, &site)?;
                crate::system::sim::closure::write(&place.store(), &made)?;
                of_kind.insert(host.clone(), made.path);
            }
            let machine = machine(place, program, host);
            write_agent_settings(place, host)?;
            let initial = closures.initial.get(host).context("no initial closure")?.clone();
            DiskHost::create(&place.host(host), Setup { name: host.clone(), machine, closure: initial })?;
        }
        let running = BTreeMap::new();
        Ok((Self { place: place.clone(), program: program.to_owned(), running }, closures))
    }

    /// Switches a host on.
    ///
    /// # Errors
    /// When its process can't be started.
    pub fn boot(&mut self, host: &HostName) -> anyhow::Result<()> {
        let parent = std::process::id().to_string();
        let mut args: Vec<OsString> = vec!["simulate".into(), "boot".into(), self.place.host(host).into()];
        args.extend(["--parent-pid".into(), parent.into()]);
        let output = ChildOutput::Append(self.place.host_log(host));
        let spec = ChildSpec { program: self.program.clone().into(), args, env: Vec::new(), output };
        self.running.insert(host.clone(), spawn_child(&spec)?);
        Ok(())
    }

    /// Shuts all hosts down, at the same time.
    ///
    /// # Errors
    /// When waiting for one fails.
    pub async fn shut_down(&mut self) -> anyhow::Result<()> {
        for machine in self.running.values() {
            machine.terminate();
        }
        let by = Instant::now() + STOP_LIMIT;
        for machine in self.running.values_mut() {
            machine.stop(by.saturating_duration_since(Instant::now())).await?;
        }
        Ok(())
    }
}

impl Drop for Machines {
    /// Cuts the power of every host: whatever still runs on it ends at once.
    fn drop(&mut self) {
        for (host, machine) in &self.running {
            machine.kill();
            if let Ok(disk) = DiskHost::open(&self.place.host(host)) {
                // What could not be read has no processes that anyone could find.
                drop(power_cut(&disk));
            }
        }
    }
}

/// The closures of every host, by kind.
#[derive(Debug, Clone, Default)]
pub struct Closures {
    /// What runs before anything.
    pub initial: BTreeMap<HostName, Closure>,
    /// Release 1.
    pub good: BTreeMap<HostName, Closure>,
    /// The bad release.
    pub bad: BTreeMap<HostName, Closure>,
}

impl Closures {
    fn each(&mut self) -> [(Kind, &mut BTreeMap<HostName, Closure>); 3] {
        [(Kind::Initial, &mut self.initial), (Kind::Good, &mut self.good), (Kind::Bad, &mut self.bad)]
    }
}

fn write_agent_settings(place: &Place, host: &HostName) -> anyhow::Result<()> {
    let settings = serde_json::json!({
        "host": host.as_str(),
        "stateDir": place.agent_state(host),
        "simulate": place.host(host),
        "heartbeatFloorMs": HEARTBEAT_FLOOR_MS,
        "ca": place.fleet().join("ca.pem"),
        "identityDir": place.identity(host),
        "tokenFile": place.fleet().join("hosts").join(format!("{host}.token")),
    });
    let path = place.agent_settings(host);
    fs::write(&path, settings.to_string()).with_context(|| format!("can't write {}", path.display()))
}

fn machine(place: &Place, program: &Path, host: &HostName) -> Machine {
    let shown = |path: &Path| path.to_string_lossy().into_owned();
    let words = ["part", "agent", "run", "--config"].map(str::to_owned);
    let mut agent = vec![shown(program)];
    agent.extend(words);
    agent.push(shown(&place.agent_settings(host)));
    Machine {
        store: place.store(),
        program: program.to_owned(),
        agent,
        restart_delay_ms: RESTART_DELAY_MS,
        dead_man_ms: DEAD_MAN_MS,
        ca: Some(place.fleet().join("ca.pem")),
        ..Machine::default()
    }
}

/// Reads what a host remembers.
///
/// # Errors
/// When its files can't be read.
pub fn state(place: &Place, host: &HostName) -> anyhow::Result<HostState> {
    Ok(DiskHost::open(&place.host(host))?.look()?)
}

/// Tells how far a host is with a closure, by its own log; `None` before its switch.
///
/// # Errors
/// When the log can't be read.
pub fn stage(place: &Place, host: &HostName, target: &Closure) -> anyhow::Result<Option<Stage>> {
    let mut stage = None;
    for entry in read(&place.host(host))? {
        if matches!(&entry.act, Act::SwitchStarted { by: By::Forward, to, .. } if to == target) {
            stage = Some(Stage::Switching);
        }
        if matches!(&entry.act, Act::SwitchEnded { by: By::Forward, to, .. } if to == target) {
            stage = Some(Stage::Soaking);
        }
    }
    Ok(stage)
}

/// Kills the agent of a host with SIGKILL, and waits until it is gone.
///
/// # Errors
/// When none runs within the limit, or it does not die.
pub async fn kill_agent(place: &Place, host: &HostName) -> anyhow::Result<()> {
    let agent = running_agent(place, host).await?;
    signal(agent, Signal::SIGKILL);
    let begun = Instant::now();
    while is_alive(agent) {
        if begun.elapsed() > DEATH_LIMIT {
            bail!("the agent of {host} does not die");
        }
        sleep(LOOK).await;
    }
    Ok(())
}

async fn running_agent(place: &Place, host: &HostName) -> anyhow::Result<Mark> {
    let begun = Instant::now();
    loop {
        if let Some(agent) = state(place, host)?.agent.filter(|agent| is_alive(*agent)) {
            return Ok(agent);
        }
        if begun.elapsed() > DEATH_LIMIT {
            bail!("no agent runs on {host}");
        }
        sleep(LOOK).await;
    }
}

/// Keeps a machine from starting its agent again until `go_on`: its own process stands still, everything else on
/// the host goes on.
///
/// # Errors
/// When the machine's process is not known.
pub fn hold_still(place: &Place, host: &HostName) -> anyhow::Result<Mark> {
    let init = state(place, host)?.init.context("the machine is off")?;
    signal(init, Signal::SIGSTOP);
    Ok(init)
}

/// Lets a machine go on.
pub fn go_on(init: Mark) {
    signal(init, Signal::SIGCONT);
}
