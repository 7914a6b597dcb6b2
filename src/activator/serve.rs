//! One connection: who asks, what, and the answer. What can't be read is refused and logged.

use crate::activator::helper::Helper;
use crate::activator::settings::Settings;
use crate::model::facts::HostHold;
use crate::system::{StartOrder, SystemError};
use crate::wire::helper::{Answer, MAX_REQUEST, Request, StartBody, Which, read_request, write_answer};
use crate::wire::stored::root_record::RootRecordV1;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::User;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a peer may take to say its request, or to take its answer.
const PEER_LIMIT: Duration = Duration::from_secs(20);

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The user.
    pub uid: u32,
    /// The program, where it is not root's.
    pub program: Option<PathBuf>,
}

impl Helper {
    /// Answers one request on a connection.
    ///
    /// # Errors
    /// When the peer may not ask, says nothing in time, or does not take the answer.
    pub fn serve(&self, mut connection: UnixStream) -> Result<(), SystemError> {
        let failed = |why: std::io::Error| SystemError::Failed { what: "talk to the agent", detail: why.to_string() };
        connection.set_read_timeout(Some(PEER_LIMIT)).map_err(failed)?;
        connection.set_write_timeout(Some(PEER_LIMIT)).map_err(failed)?;
        let answer = match self.peer(&connection) {
            Ok(peer) => {
                let line = read_line(&mut connection).map_err(failed)?;
                self.answer(&line, &peer)
            }
            Err(why) => {
                tracing::warn!("a request is refused: {why}");
                Answer::Refused { why: why.to_string() }
            }
        };
        connection.write_all(write_answer(&answer).as_bytes()).map_err(failed)
    }

    /// Finds out who is at the other end, and whether that user may ask.
    fn peer(&self, connection: &UnixStream) -> Result<Peer, SystemError> {
        let what = "see who asks";
        let credentials = getsockopt(connection, PeerCredentials);
        let credentials = credentials.map_err(|why| SystemError::Failed { what, detail: why.to_string() })?;
        let uid = credentials.uid();
        if uid == 0 {
            return Ok(Peer { uid, program: None });
        }
        let settings = Settings::of(&self.place, &self.running()?);
        let name = settings.map_err(|detail| SystemError::Failed { what, detail })?.agent_user;
        let user = User::from_name(&name).map_err(|why| SystemError::Failed { what, detail: why.to_string() })?;
        if user.is_none_or(|user| user.uid.as_raw() != uid) {
            return Err(SystemError::Refused(format!("user {uid} may not ask: only root and {name} may")));
        }
        let program = std::fs::read_link(format!("/proc/{}/exe", credentials.pid()));
        Ok(Peer { uid, program: Some(program.unwrap_or_default()) })
    }

    /// Answers a request.
    #[must_use]
    pub fn answer(&self, line: &str, peer: &Peer) -> Answer {
        let request = match read_request(line) {
            Ok(request) => request,
            Err(why) => {
                tracing::warn!(uid = peer.uid, "a malformed request is refused: {why}");
                return Answer::Malformed { why: why.to_string() };
            }
        };
        match self.obey(request, peer.program.as_deref()) {
            Ok(answer) => answer,
            Err(SystemError::Held(hold)) => {
                if !matches!(hold, HostHold::Lock) {
                    tracing::info!("held: {hold}");
                }
                Answer::held(&hold)
            }
            Err(SystemError::Refused(why)) => {
                tracing::warn!("refused: {why}");
                Answer::Refused { why }
            }
            Err(SystemError::Unknown(..)) => Answer::Unknown,
            Err(SystemError::Failed { what, detail }) => {
                tracing::error!("failed to {what}: {detail}");
                Answer::Failed { what: what.to_owned(), why: detail }
            }
        }
    }

    fn obey(&self, request: Request, asker: Option<&Path>) -> Result<Answer, SystemError> {
        let named = |which: &Which| (which.rollout_id.clone(), which.attempt());
        match request {
            Request::Start(body) => self.start(&order(*body))?,
            Request::Status => {
                let records = self.status()?.iter().map(RootRecordV1::from).collect();
                return Ok(Answer::Records { records });
            }
            Request::Pat(which) => self.pat(&named(&which).0, which.attempt())?,
            Request::Commit(which) => self.commit(&named(&which).0, which.attempt(), asker)?,
            Request::Revert { which, why, keep } => {
                self.revert((&which.rollout_id, which.attempt()), &why.into(), keep)?;
            }
            Request::Reboot(which) => self.trial(&which.rollout_id, which.attempt())?,
            Request::AgentStarted => self.agent_started()?,
            Request::PriorReach(which) => {
                let reached = self.prior_reaches(&which.rollout_id, which.attempt())?;
                return Ok(Answer::Reached { reached });
            }
            Request::Machine => {
                let facts = self.machine()?;
                let holds = facts.holds.iter().map(Into::into).collect();
                return Ok(Answer::Machine { default: facts.default, holds });
            }
        }
        Ok(Answer::Done)
    }
}

fn order(body: StartBody) -> StartOrder {
    StartOrder {
        rollout: body.which.rollout_id.clone(),
        attempt: body.which.attempt(),
        terms: body.terms(),
        agent_timeout: Duration::from_millis(body.agent_timeout_ms),
        end_after: Duration::from_millis(body.end_after_ms),
        reboot: body.reboot.into(),
        signed_release: body.signed_release,
    }
}

/// Reads up to the end of the line, or of the connection; what is too long is cut, and then no request.
fn read_line(from: &mut UnixStream) -> std::io::Result<String> {
    let mut line = Vec::new();
    let mut part = [0_u8; 64 * 1024];
    while line.len() <= MAX_REQUEST {
        let read = from.read(&mut part)?;
        line.extend_from_slice(&part[..read]);
        if read == 0 || part[..read].contains(&b'\n') {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}
