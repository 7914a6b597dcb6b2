//! One real agent that has nothing to do, on a simulated host: what it costs its machine.

use crate::body::host;
use crate::fleet::Fleet;
use crate::server::{Server, cpu_over, resident};
use anyhow::{Context, Result, bail};
use convoy::model::id::HostName;
use convoy::system::sim::backing::Backing;
use convoy::system::sim::closure::{SimClosure, write};
use convoy::system::sim::disk::DiskHost;
use convoy::system::sim::machine::{Machine, Setup};
use convoy::system::sim::power::power_cut;
use serde_json::json;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::time::sleep;

const AGENT: &str = env!("CARGO_BIN_EXE_convoy-agent");
/// How long an agent has to come up and send its first heartbeat.
const SETTLES: Duration = Duration::from_secs(3);

/// A simulated host that is on; off when dropped.
struct Host {
    disk: DiskHost,
    init: Child,
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.init.kill();
        let _ = self.init.wait();
        // What can't be read any more has no processes that could be found.
        drop(power_cut(&self.disk));
    }
}

/// Starts the agent, lets it settle, and reads its memory and processor time.
pub async fn measure(server: &Server, fleet: &Fleet, span: Duration) -> Result<()> {
    let machine = boot(server, fleet)?;
    sleep(SETTLES).await;
    let pid = u32::try_from(machine.disk.look()?.agent.context("no agent runs")?.id)?;
    let used = cpu_over(pid, span).await?;
    let kib = resident(pid)?;
    println!("one idle agent: {:.1} MB resident, {used:.2} % of one core", kib as f64 * 1024.0 / 1e6);
    let shown = fs::read_to_string(fleet.path("agent.log")).unwrap_or_default();
    if shown.contains("ERROR") {
        bail!("the agent was not well: {shown}");
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the load program starts the agent that it measures")]
fn boot(server: &Server, fleet: &Fleet) -> Result<Host> {
    let (store, home) = (fleet.path("store"), fleet.path("host"));
    fs::create_dir_all(&store)?;
    let name = HostName::new(host(0))?;
    let closure = SimClosure::new("nixos-system-idle", &server.url())?;
    write(&store, &closure)?;
    let mut settings = json!({ "host": name.as_str(), "stateDir": fleet.path("agent"), "simulate": home });
    if let Some(pair) = fleet.agent(0) {
        fleet.put("agent.pem", &pair.certificate)?;
        fleet.put("agent.key", &pair.key)?;
        settings["ca"] = json!(fleet.path("ca.pem"));
        settings["certificate"] = json!(fleet.path("agent.pem"));
        settings["key"] = json!(fleet.path("agent.key"));
    }
    let config = fleet.path("agent.json");
    fs::write(&config, settings.to_string())?;
    let program = fleet.program(AGENT);
    let agent =
        [&*program.to_string_lossy(), "run", "--config", &*config.to_string_lossy()].map(str::to_owned).to_vec();
    let machine = Machine { store, program: program.clone(), agent, ..Machine::default() };
    let disk = DiskHost::create(&home, Setup { name, machine, closure: closure.path })?;
    let mut command = Command::new(program);
    command.args(["simulate", "boot"]).arg(&home).args(["--parent-pid", &std::process::id().to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(fleet.path("agent.log"))?);
    Ok(Host { disk, init: command.spawn().context("can't start the host")? })
}
