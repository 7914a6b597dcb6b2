//! Agents that hold a long poll open, and what that costs the control plane.

use crate::body::poll;
use crate::fleet::Fleet;
use crate::line::Line;
use crate::server::{Server, cpu_over, resident};
use anyhow::Result;
use std::time::Duration;

/// How long the polls are held while the control plane's processor time is counted.
const SPAN: Duration = Duration::from_secs(10);

/// Holds a long poll open for each agent, and reads memory and processor time.
pub async fn measure(server: &Server, fleet: &Fleet, agents: usize) -> Result<()> {
    let before = resident(server.pid())?;
    let mut lines = Vec::new();
    for n in 0..agents {
        let mut line = Line::open(&server.address, fleet.tls_of(n)?).await?;
        line.ask(&poll(n)).await?;
        lines.push(line);
    }
    let used = cpu_over(server.pid(), SPAN).await?;
    let after = resident(server.pid())?;
    let each = after.saturating_sub(before) as f64 / agents.max(1) as f64;
    println!(
        "{agents} agents polling: {after} KiB resident, {each:.1} KiB for each connection, {used:.2} % of one core"
    );
    Ok(())
}
