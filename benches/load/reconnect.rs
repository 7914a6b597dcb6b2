//! A whole fleet that comes back at once: after a SIGKILL of the control plane, and over connections that broke.

use crate::body::{heartbeat, poll, request};
use crate::fleet::Fleet;
use crate::line::Line;
use crate::server::Server;
use anyhow::{Context, Result, ensure};
use rustls::ClientConfig;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// How often the control plane asks for heartbeats unless told otherwise: within this all must be back.
const HEARTBEAT: Duration = Duration::from_secs(60);
/// The pause before an agent tries again: far shorter than a real one's, so that all press at once.
const AGAIN: Duration = Duration::from_millis(20);

type Tls = Option<Arc<ClientConfig>>;

/// A connection that is there again: since when, and over a session that went on.
struct Back {
    at: Instant,
    resumed: bool,
    line: Line,
}

/// Kills the control plane under all agents, and counts who comes back and when.
pub async fn measure(server: &mut Server, fleet: &Fleet, agents: usize) -> Result<()> {
    let tls: Vec<Tls> = (0..agents).map(|n| fleet.tls_of(n)).collect::<Result<_>>()?;
    println!("{agents} agents at once, each with its own certificate and connection:");
    let first = storm("first, full handshakes", server, &tls).await?;
    drop(first);
    let lines = storm("again, sessions go on", server, &tls).await?;
    let waiting: Vec<JoinHandle<Result<Back>>> = lines
        .into_iter()
        .enumerate()
        .map(|(n, mut line)| {
            let (address, tls) = (server.address.clone(), tls[n].clone());
            tokio::spawn(async move {
                line.ask(&poll(n)).await?;
                line.until_gone().await;
                come_back(&address, n, tls).await
            })
        })
        .collect();
    sleep(Duration::from_secs(1)).await;
    let killed = Instant::now();
    server.kill();
    server.start_again(fleet).await?;
    let up = Instant::now();
    let mut back = Vec::new();
    for task in waiting {
        back.push(timeout(HEARTBEAT, task).await.context("not all came back within the heartbeat interval")???);
    }
    let last = back.iter().map(|back| back.at).max().context("no agents")?;
    ensure!(last - killed <= HEARTBEAT, "the last came back after the heartbeat interval");
    println!(
        "  SIGKILL: control plane up after {} ms, all {} agents answered {} ms later; {}",
        (up - killed).as_millis(),
        back.len(),
        last.saturating_duration_since(up).as_millis(),
        rate(&back, last.saturating_duration_since(up)),
    );
    none_is_lost(server, fleet, agents).await
}

/// Connects all at once, each with one heartbeat.
async fn storm(what: &str, server: &Server, tls: &[Tls]) -> Result<Vec<Line>> {
    let began = Instant::now();
    let all = tls.iter().enumerate().map(|(n, tls)| {
        let (address, tls) = (server.address.clone(), tls.clone());
        tokio::spawn(async move { come_back(&address, n, tls).await })
    });
    let all: Vec<_> = all.collect();
    let mut back = Vec::new();
    for task in all {
        back.push(timeout(HEARTBEAT, task).await.context("no answer in time")???);
    }
    println!("  {what}: {} ms; {}", began.elapsed().as_millis(), rate(&back, began.elapsed()));
    Ok(back.into_iter().map(|back| back.line).collect())
}

fn rate(back: &[Back], took: Duration) -> String {
    let resumed = back.iter().filter(|back| back.resumed).count();
    let each = back.len() as f64 / took.as_secs_f64();
    format!("{} full and {resumed} resumed handshakes, {each:.0} a second", back.len() - resumed)
}

/// Tries until a heartbeat is answered. Whoever waits for this has a limit.
async fn come_back(address: &str, n: usize, tls: Tls) -> Result<Back> {
    let beat = heartbeat(n);
    loop {
        if let Ok(mut line) = Line::open(address, tls.clone()).await
            && let Ok(answer) = line.send(&beat).await
        {
            ensure!(answer.status == 200, "refused with {}: {}", answer.status, answer.body);
            return Ok(Back { at: Instant::now(), resumed: line.resumed, line });
        }
        sleep(AGAIN).await;
    }
}

async fn none_is_lost(server: &Server, fleet: &Fleet, agents: usize) -> Result<()> {
    let mut line = Line::open(&server.address, fleet.tls_of_admin()?).await?;
    let answer = line.send(&request("GET", "/v1/fleet", None, "")).await?;
    ensure!(answer.status == 200, "refused with {}: {}", answer.status, answer.body);
    let seen: serde_json::Value = serde_json::from_str(&answer.body)?;
    let (online, lost) = (seen["online"].as_u64().unwrap_or(0), seen["byState"]["Lost"].as_u64().unwrap_or(0));
    ensure!(online >= agents as u64 && lost == 0, "{online} are online and {lost} are lost");
    println!("  the control plane sees {online} online and {lost} lost");
    Ok(())
}
