//! Many agents that send one after the other, each over its own kept-alive connection, for a span.

use crate::Args;
use crate::body::{events, heartbeat};
use crate::fleet::Fleet;
use crate::line::Line;
use crate::server::Server;
use anyhow::{Result, ensure};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// What they send.
#[derive(Clone, Copy)]
pub enum Kind {
    Heartbeat,
    Events,
}

/// Sends over every connection until the span is over; returns how many a second were answered.
pub async fn drive(server: &Server, fleet: &Fleet, (args, span): (&Args, Duration), kind: Kind) -> Result<f64> {
    let done = Arc::new(AtomicU64::new(0));
    let mut lines = Vec::new();
    for n in 0..args.connections {
        lines.push((n, Line::open(&server.address, fleet.tls_of(n)?).await?));
    }
    let began = Instant::now();
    let tasks: Vec<_> = lines
        .into_iter()
        .map(|(n, mut line)| {
            let (done, batch) = (done.clone(), args.batch);
            tokio::spawn(async move {
                // What stays the same is written once, so that the sender costs little of the machine it shares.
                let beat = heartbeat(n);
                let mut round = 0_u64;
                while began.elapsed() < span {
                    let answer = match kind {
                        Kind::Heartbeat => line.send(&beat).await?,
                        Kind::Events => line.send(&events(n, round, batch)).await?,
                    };
                    ensure!(answer.status == 200, "refused with {}: {}", answer.status, answer.body);
                    let count = match kind {
                        Kind::Heartbeat => 1,
                        Kind::Events => batch as u64,
                    };
                    done.fetch_add(count, Ordering::Relaxed);
                    round += 1;
                }
                Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(done.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64())
}
