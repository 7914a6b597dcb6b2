//! What a check touches outside the machine's own state: connections, HTTP, programs. A trait, so that a whole fleet
//! can be simulated; must not judge an answer.

use crate::probe::spec::Exec;
use crate::system::exec::{self, ExecSpec, Exit};
use async_trait::async_trait;
use std::time::Duration;

/// The most of a body that is read, in bytes.
pub const MAX_BODY: usize = 64 * 1024;
/// The most of a program's output that is kept, in bytes.
const MAX_OUTPUT: usize = 1024;

/// What an HTTP server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// The first [`MAX_BODY`] bytes of the body.
    pub body: Vec<u8>,
}

/// Touches the world for a check. Every call ends by itself within `limit`, or is dropped by its caller then.
#[async_trait]
pub trait ProbeNet: Send + Sync {
    /// Connects and hangs up.
    ///
    /// # Errors
    /// What happened, in words.
    async fn connect(&self, address: &str, limit: Duration) -> Result<(), String>;
    /// Asks for an address once, without following redirects.
    ///
    /// # Errors
    /// What happened, in words.
    async fn get(&self, url: &str, limit: Duration) -> Result<HttpAnswer, String>;
    /// Runs a program; it and all it started are killed at the limit.
    ///
    /// # Errors
    /// Its exit status and the end of what it said.
    async fn run(&self, program: &Exec, limit: Duration) -> Result<(), String>;
}

/// The real world.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealNet;

#[async_trait]
impl ProbeNet for RealNet {
    async fn connect(&self, address: &str, limit: Duration) -> Result<(), String> {
        match tokio::time::timeout(limit, tokio::net::TcpStream::connect(address)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(why)) => Err(format!("connecting to {address} failed: {why}")),
            Err(_) => Err(format!("connecting to {address} took longer than {limit:?}")),
        }
    }

    async fn get(&self, url: &str, limit: Duration) -> Result<HttpAnswer, String> {
        // Refused when it was done before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // One client for each check: a kept connection would hide that new ones are refused.
        let client = reqwest::Client::builder()
            .timeout(limit)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|why| format!("no HTTP client: {why}"))?;
        let mut answer = client.get(url).send().await.map_err(|why| told(&why))?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        while body.len() < MAX_BODY {
            let Some(chunk) = answer.chunk().await.map_err(|why| told(&why))? else { break };
            let room = MAX_BODY - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        }
        Ok(HttpAnswer { status, body })
    }

    async fn run(&self, program: &Exec, limit: Duration) -> Result<(), String> {
        let spec = ExecSpec {
            program: program.program.clone().into(),
            args: program.args.iter().map(Into::into).collect(),
            env: Vec::new(),
            cwd: None,
            timeout: limit,
            output_cap: MAX_OUTPUT,
        };
        let ended = exec::run(spec).await.map_err(|why| why.to_string())?;
        let said = if ended.stderr.is_empty() { &ended.stdout } else { &ended.stderr };
        let said = String::from_utf8_lossy(said);
        let said = said.trim();
        if ended.timed_out {
            Err(format!("{} ran longer than {limit:?}: {said}", program.program))
        } else if ended.status == Exit::Code(0) {
            Ok(())
        } else {
            Err(format!("{} ended with {}: {said}", program.program, ended.status))
        }
    }
}

/// Tells an error with its causes: reqwest's own text leaves out why.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
