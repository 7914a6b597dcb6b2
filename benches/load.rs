//! Loads a real `convoy-cp` over loopback and prints what it bears: heartbeats and durable events a second, its
//! memory, and the delay from a decision to an agent. `cargo bench --bench load -- --help` lists the knobs.
//!
//! It speaks to a control plane that it starts itself on a port of 127.0.0.1, for a bounded time, and stops it.

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use convoy::runtime::clock::{Clock, SystemClock};
use convoy::trust::{Lease, SigningKey, TrustFile, draft, sign_release};
use rand::SeedableRng;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// The most that one exchange may take before the run fails.
const EXCHANGE_LIMIT: Duration = Duration::from_secs(30);
/// The largest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 64 * 1024;
/// The longest run that may be asked for.
const LONGEST: u64 = 600;

/// Measures a control plane under load.
#[derive(Parser)]
#[command(name = "load")]
struct Args {
    /// Hosts that the release names.
    #[arg(long, default_value_t = 1000)]
    hosts: usize,
    /// Kept-alive connections that send at once.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Seconds for each measurement, at most 600.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Events in one batch.
    #[arg(long, default_value_t = 32)]
    batch: usize,
    /// Agents that hold a long poll open while memory is read.
    #[arg(long, default_value_t = 200)]
    polling: usize,
    /// What `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
}

struct Server {
    child: Child,
    address: String,
    dir: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> Result<()> {
    let args = Args::parse();
    ensure!(args.seconds <= LONGEST, "--seconds is at most {LONGEST}");
    let server = start().await?;
    publish(&server, args.hosts).await?;
    println!("control plane with {} hosts: {} KiB resident", args.hosts, resident(server.child.id())?);
    let span = Duration::from_secs(args.seconds);
    let beats = drive(&server.address, &args, span, Kind::Heartbeat).await?;
    println!("heartbeats: {beats:.0} a second over {} kept-alive connections", args.connections);
    let events = drive(&server.address, &args, span, Kind::Events).await?;
    println!("durable events: {events:.0} a second in batches of {}", args.batch);
    polling(&server, args.polling).await
}

#[expect(clippy::disallowed_methods, reason = "the load program starts the control plane that it loads")]
async fn start() -> Result<Server> {
    let dir = tempfile::tempdir()?;
    let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(1);
    let key = SigningKey::generate("load", &mut rng)?;
    key.save(&dir.path().join("load.key"))?;
    std::fs::write(dir.path().join("trust.json"), TrustFile::new(1, [key.public()])?.to_json())?;
    let path = |name: &str| dir.path().join(name);
    let child = Command::new(env!("CARGO_BIN_EXE_convoy-cp"))
        .args(["run", "--listen", "127.0.0.1:0", "--database"])
        .arg(path("convoy.db"))
        .arg("--trust")
        .arg(path("trust.json"))
        .arg("--port-file")
        .arg(path("port"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(path("log"))?)
        .spawn()
        .context("can't start convoy-cp")?;
    let mut server = Server { child, address: String::new(), dir };
    for _ in 0..500 {
        if let Ok(port) = std::fs::read_to_string(server.dir.path().join("port")) {
            server.address = format!("127.0.0.1:{}", port.trim());
            return Ok(server);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bail!("convoy-cp did not come up: {}", std::fs::read_to_string(server.dir.path().join("log"))?)
}

fn host(n: usize) -> String {
    format!("host{n:06}")
}

fn closure(n: usize, letter: char) -> String {
    format!("/nix/store/{}-nixos-system-{}", letter.to_string().repeat(32), host(n))
}

async fn publish(server: &Server, hosts: usize) -> Result<()> {
    let names: Vec<String> = (0..hosts).map(host).collect();
    let entries = (0..hosts).map(|n| (host(n), serde_json::json!({ "closure": closure(n, 'b') })));
    let manifest = serde_json::json!({
        "schema": "convoy.release/1",
        "release": "load@1",
        "hosts": entries.collect::<serde_json::Map<_, _>>(),
        "waves": [{ "name": "all", "hosts": names }],
    });
    let key = SigningKey::load(&server.dir.path().join("load.key"))?;
    let issued = SystemClock.wall();
    let lease = Lease { sequence: 1, issued, expires: issued.plus(Duration::from_secs(86_400)) };
    let signed = sign_release(&draft(&manifest.to_string())?, &[key], &lease)?;
    let mut line = Line::open(&server.address).await?;
    let began = Instant::now();
    let answer = line.send(&request("POST", "/v1/releases", None, &serde_json::to_string(&signed)?)).await?;
    ensure!(answer.status / 100 == 2, "publishing failed: {}", answer.body);
    println!("published for {hosts} hosts in {} ms", began.elapsed().as_millis());
    Ok(())
}

#[derive(Clone, Copy)]
enum Kind {
    Heartbeat,
    Events,
}

/// Sends over every connection until the span is over; returns how many a second were answered.
async fn drive(address: &str, args: &Args, span: Duration, kind: Kind) -> Result<f64> {
    let done = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let mut tasks = Vec::new();
    for number in 0..args.connections {
        let (address, done) = (address.to_owned(), done.clone());
        let (hosts, step, batch) = (args.hosts, args.connections, args.batch);
        tasks.push(tokio::spawn(async move {
            let mut line = Line::open(&address).await?;
            let mut round = 0_u64;
            while began.elapsed() < span {
                for n in (number..hosts).step_by(step) {
                    if began.elapsed() >= span {
                        break;
                    }
                    let (text, count) = match kind {
                        Kind::Heartbeat => (heartbeat(n), 1),
                        Kind::Events => (events(n, round, batch), batch as u64),
                    };
                    let answer = line.send(&text).await?;
                    ensure!(answer.status == 200, "refused with {}: {}", answer.status, answer.body);
                    done.fetch_add(count, Ordering::Relaxed);
                }
                round += 1;
            }
            Ok(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(done.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64())
}

fn stamp(millis: u64) -> serde_json::Value {
    serde_json::json!({ "wall": "2026-01-01T00:00:00.000Z", "boot": "load", "uptimeMs": millis })
}

fn heartbeat(n: usize) -> String {
    let body = serde_json::json!({
        "hostname": host(n), "agentVersion": "load", "journalId": format!("{n:032x}"), "lastSeq": 0,
        "now": stamp(1000), "runningClosure": closure(n, 'a'), "bootedClosure": closure(n, 'a'),
        "defaultClosure": closure(n, 'a'), "rollouts": [],
    });
    request("POST", "/v1/agent/heartbeat", Some(n), &body.to_string())
}

fn events(n: usize, round: u64, batch: usize) -> String {
    let one = |i: usize| {
        let seq = round * batch as u64 + i as u64 + 1;
        let letter = if seq.is_multiple_of(2) { 'c' } else { 'd' };
        let seen = serde_json::json!({ "running": closure(n, letter) });
        let event = serde_json::json!({ "kind": "closureObserved", "closures": seen });
        serde_json::json!({ "seq": seq, "rolloutId": "load@1", "attempt": 1, "at": stamp(1000 + seq), "event": event })
    };
    let list: Vec<_> = (0..batch).map(one).collect();
    let body = serde_json::json!({ "hostname": host(n), "journalId": format!("{n:032x}"), "events": list });
    request("POST", "/v1/agent/events", Some(n), &body.to_string())
}

fn request(method: &str, path: &str, n: Option<usize>, body: &str) -> String {
    let name = n.map(|n| format!("x-convoy-host: {}\r\n", host(n))).unwrap_or_default();
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\n{name}content-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

/// Holds a long poll open for each agent, and reads what that costs the control plane.
async fn polling(server: &Server, agents: usize) -> Result<()> {
    let before = resident(server.child.id())?;
    let mut lines = Vec::new();
    for n in 0..agents {
        let mut line = Line::open(&server.address).await?;
        line.stream.write_all(request("GET", "/v1/agent/dispatch?wait=30&seen=none", Some(n), "").as_bytes()).await?;
        lines.push(line);
    }
    let cpu = cpu_ticks(server.child.id())?;
    let span = Duration::from_secs(10);
    tokio::time::sleep(span).await;
    let used = (cpu_ticks(server.child.id())? - cpu) as f64 / 100.0 / span.as_secs_f64();
    let after = resident(server.child.id())?;
    println!(
        "{agents} agents polling: {after} KiB resident, {:.1} KiB for each connection, {:.2} % of one core",
        after.saturating_sub(before) as f64 / agents.max(1) as f64,
        used * 100.0
    );
    Ok(())
}

fn resident(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).context("no figure")?.parse()?)
}

fn cpu_ticks(pid: u32) -> Result<u64> {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"))?;
    let fields: Vec<_> = stat.rsplit(')').next().context("no fields")?.split_whitespace().collect();
    let tick = |n: usize| fields.get(n).and_then(|text| text.parse::<u64>().ok()).context("no figure");
    Ok(tick(11)? + tick(12)?)
}

/// One kept-alive connection.
struct Line {
    stream: TcpStream,
    buffer: Vec<u8>,
}

struct Answer {
    status: u16,
    body: String,
}

impl Line {
    async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    async fn send(&mut self, text: &str) -> Result<Answer> {
        self.stream.write_all(text.as_bytes()).await?;
        timeout(EXCHANGE_LIMIT, self.receive()).await.context("no answer in time")?
    }

    async fn receive(&mut self) -> Result<Answer> {
        self.buffer.clear();
        let mut chunk = [0_u8; 8192];
        loop {
            if let Some(answer) = parse(&self.buffer)? {
                return Ok(answer);
            }
            ensure!(self.buffer.len() < ANSWER_LIMIT, "an answer is larger than {ANSWER_LIMIT} bytes");
            let read = self.stream.read(&mut chunk).await?;
            ensure!(read > 0, "the control plane closed the connection");
            self.buffer.extend_from_slice(&chunk[..read]);
        }
    }
}

/// Reads one answer with a known length; `None` until it is whole.
fn parse(bytes: &[u8]) -> Result<Option<Answer>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end])?.to_ascii_lowercase();
    let status = head.split_whitespace().nth(1).context("no status")?.parse()?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.map_or(Ok(0), |text| text.trim().parse())?;
    let Some(body) = bytes.get(end + 4..end + 4 + length) else { return Ok(None) };
    Ok(Some(Answer { status, body: String::from_utf8_lossy(body).into_owned() }))
}
