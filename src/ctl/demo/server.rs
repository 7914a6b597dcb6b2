//! The demo's control plane: a process of its own that is killed and started again on the same database and port.

use crate::client::http::HttpTransport;
use crate::client::{Request, send};
use crate::ctl::demo::place::Place;
use crate::runtime::clock::{Clock, SystemClock};
use crate::runtime::entropy;
use crate::system::exec::{ChildOutput, ChildSpec, Process, spawn_child};
use crate::trust::key::{read_pem, read_secret_pem};
use crate::trust::tls::{self, Credentials};
use anyhow::{Context, bail};
use rand::Rng;
use rustls::ClientConfig;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a start may take on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How long it may take to end when asked to; its own drain takes at most ten seconds.
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// How often something awaited is looked at.
const LOOK: Duration = Duration::from_millis(15);
/// How many ports are tried.
const PORT_TRIES: u32 = 25;
/// Ports below those that the kernel gives to outgoing connections: while the control plane is away, an agent's
/// own connection must not be given its port.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// How often hosts report.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// The control plane of one demo.
#[derive(Debug)]
pub struct Server {
    place: Place,
    program: PathBuf,
    tls: ClientConfig,
    port: u16,
    process: Option<Process>,
    away_since: Option<u64>,
    /// How often it was killed.
    pub kills: u64,
    /// When it was away, in milliseconds of the machine's uptime.
    pub outages: Vec<(u64, u64)>,
}

impl Server {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// When it does not come up; its log says why.
    pub async fn start(place: &Place, program: PathBuf) -> anyhow::Result<Self> {
        let mut server = Self {
            place: place.clone(),
            program,
            tls: admin(place)?,
            port: 0,
            process: None,
            away_since: None,
            kills: 0,
            outages: Vec::new(),
        };
        server.write_settings()?;
        let mut random = entropy::generator().context("no randomness for a port")?;
        for _ in 0..PORT_TRIES {
            server.port = random.random_range(PORTS);
            if server.try_launch().await? {
                return Ok(server);
            }
        }
        bail!("convoy-cp found no free port; its log is {}", place.control_plane_log().display())
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Makes a transport to it.
    ///
    /// # Errors
    /// When the address or the certificates can't be used.
    pub fn transport(&self) -> anyhow::Result<HttpTransport> {
        Ok(HttpTransport::new(&self.url(), Some(self.tls.clone()))?)
    }

    /// Kills it with SIGKILL.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        let mut process = self.process.take().context("the control plane does not run")?;
        self.away_since = Some(uptime_ms());
        process.kill();
        process.wait().await?;
        self.kills += 1;
        Ok(())
    }

    /// Starts it again on the same database and port.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        for _ in 0..PORT_TRIES {
            if self.try_launch().await? {
                if let Some(since) = self.away_since.take() {
                    self.outages.push((since, uptime_ms()));
                }
                return Ok(());
            }
            sleep(LOOK * 10).await;
        }
        bail!("convoy-cp did not come up again; its log is {}", self.place.control_plane_log().display())
    }

    /// Asks it to end, as systemd would.
    ///
    /// # Errors
    /// When waiting for it fails.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(mut process) = self.process.take() {
            process.stop(STOP_LIMIT).await?;
        }
        Ok(())
    }

    /// Launches it and waits until it answers; `false` when it ended at once, as with a port that is in use.
    async fn try_launch(&mut self) -> anyhow::Result<bool> {
        let mut process = spawn_child(&self.child())?;
        let transport = self.transport()?;
        let begun = Instant::now();
        while begun.elapsed() < START_LIMIT {
            let probe = Request::get("/healthz").limit(Duration::from_secs(2));
            tokio::select! {
                _ = process.wait() => return Ok(false),
                answer = send(&transport, probe) => if answer.is_ok() {
                    self.process = Some(process);
                    return Ok(true);
                }
            }
            sleep(LOOK).await;
        }
        bail!("convoy-cp was not ready within {START_LIMIT:?}; its log is {}", self.place.control_plane_log().display())
    }

    fn child(&self) -> ChildSpec {
        let parent = std::process::id().to_string();
        let listen = format!("127.0.0.1:{}", self.port);
        let words = ["part", "--parent-pid", &parent, "control-plane", "run", "--listen", &listen, "--config"];
        let mut args: Vec<OsString> = words.iter().map(OsString::from).collect();
        args.push(self.settings().into());
        let output = ChildOutput::Append(self.place.control_plane_log());
        ChildSpec { program: self.program.clone().into(), args, env: Vec::new(), output }
    }

    fn settings(&self) -> PathBuf {
        self.place.control_plane().join("settings.json")
    }

    fn write_settings(&self) -> anyhow::Result<()> {
        let fleet = |name: &str| self.place.fleet().join(name);
        let settings = serde_json::json!({
            "database": self.place.database(),
            "trustFile": fleet("trust.json"),
            "tlsCertificate": fleet("server.pem"),
            "tlsKey": fleet("server.key"),
            "clientAuthorities": fleet("ca.pem"),
            "issuerCertificate": fleet("ca.pem"),
            "issuerKey": fleet("ca.key"),
            "firstTokens": fleet("first-tokens.json"),
            "heartbeatIntervalMs": u64::try_from(HEARTBEAT.as_millis()).unwrap_or(u64::MAX),
            "testing": true,
        });
        let path = self.settings();
        fs::write(&path, settings.to_string()).with_context(|| format!("can't write {}", path.display()))
    }
}

/// TLS with the admin's certificate that `convoy init` made.
fn admin(place: &Place) -> anyhow::Result<ClientConfig> {
    let fleet = place.fleet();
    let (certificate, key) = (read_pem(&fleet.join("admin.pem"))?, read_secret_pem(&fleet.join("admin.key"))?);
    let own = Credentials { certificate: &certificate, key: &key };
    Ok(tls::client(&read_pem(&fleet.join("ca.pem"))?, Some(own))?)
}

fn uptime_ms() -> u64 {
    u64::try_from(SystemClock.uptime().as_millis()).unwrap_or(u64::MAX)
}
