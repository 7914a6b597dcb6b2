//! The control plane's process: started, killed, started again on the same address, and what it uses.

use crate::body::{closure, host, request};
use crate::fleet::Fleet;
use crate::line::Line;
use anyhow::{Context, Result, bail, ensure};
use convoy::runtime::clock::{Clock, SystemClock};
use convoy::trust::{Lease, draft, sign_release};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often the port is looked for, and how many times: ten seconds in all.
const LOOK: Duration = Duration::from_millis(5);
const LOOKS: usize = 2000;

/// A running control plane; killed when dropped.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: String,
    /// How it is spoken to.
    pub scheme: &'static str,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Server {
    /// Starts it on a free port.
    pub async fn start(fleet: &Fleet) -> Result<Self> {
        let scheme = if fleet.agent(0).is_some() { "https" } else { "http" };
        let child = spawn(fleet, "127.0.0.1:0")?;
        let mut server = Self { child, address: String::new(), scheme };
        server.address = listening(fleet).await?;
        Ok(server)
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same address, after [`Server::kill`].
    pub async fn start_again(&mut self, fleet: &Fleet) -> Result<()> {
        self.child = spawn(fleet, &self.address)?;
        self.address = listening(fleet).await?;
        Ok(())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its base address.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }
}

#[expect(clippy::disallowed_methods, reason = "the load program starts the control plane that it loads")]
fn spawn(fleet: &Fleet, listen: &str) -> Result<Child> {
    let port = fleet.path("port");
    if port.exists() {
        std::fs::remove_file(&port)?;
    }
    let mut command = Command::new(fleet.program(env!("CARGO_BIN_EXE_convoy-cp")));
    command.args(["run", "--listen", listen, "--config"]).arg(fleet.path("control-plane.json"));
    command.arg("--port-file").arg(port).stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(std::fs::File::create(fleet.path("log"))?).spawn().context("can't start convoy-cp")
}

async fn listening(fleet: &Fleet) -> Result<String> {
    for _ in 0..LOOKS {
        let port = std::fs::read_to_string(fleet.path("port")).ok().and_then(|text| text.trim().parse::<u16>().ok());
        if let Some(port) = port {
            return Ok(format!("127.0.0.1:{port}"));
        }
        sleep(LOOK).await;
    }
    bail!("convoy-cp did not come up: {}", std::fs::read_to_string(fleet.path("log"))?)
}

/// Publishes one release for this many hosts.
pub async fn publish(server: &Server, fleet: &Fleet, hosts: usize) -> Result<()> {
    let names: Vec<String> = (0..hosts).map(host).collect();
    let entries = (0..hosts).map(|n| (host(n), serde_json::json!({ "closure": closure(n, 'b') })));
    let manifest = serde_json::json!({
        "schema": "convoy.release/1",
        "release": "load@1",
        "hosts": entries.collect::<serde_json::Map<_, _>>(),
        "waves": [{ "name": "all", "hosts": names }],
    });
    let issued = SystemClock.wall();
    let lease = Lease { sequence: 1, issued, expires: issued.plus(Duration::from_secs(86_400)) };
    let signed = sign_release(&draft(&manifest.to_string())?, std::slice::from_ref(&fleet.release_key), &lease)?;
    let mut line = Line::open(&server.address, fleet.tls_of_admin()?).await?;
    let began = Instant::now();
    let answer = line.send(&request("POST", "/v1/releases", None, &serde_json::to_string(&signed)?)).await?;
    ensure!(answer.status / 100 == 2, "publishing failed: {}", answer.body);
    println!("published for {hosts} hosts in {} ms", began.elapsed().as_millis());
    Ok(())
}

/// The resident memory of a process in KiB.
pub fn resident(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).context("no figure")?.parse()?)
}

/// The share of one core that a process used over a span, in percent.
pub async fn cpu_over(pid: u32, span: Duration) -> Result<f64> {
    let before = cpu_ticks(pid)?;
    sleep(span).await;
    Ok((cpu_ticks(pid)? - before) as f64 / span.as_secs_f64())
}

/// What the kernel counts, in hundredths of a second.
fn cpu_ticks(pid: u32) -> Result<u64> {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"))?;
    let fields: Vec<_> = stat.rsplit(')').next().context("no fields")?.split_whitespace().collect();
    let tick = |n: usize| fields.get(n).and_then(|text| text.parse::<u64>().ok()).context("no figure");
    Ok(tick(11)? + tick(12)?)
}
