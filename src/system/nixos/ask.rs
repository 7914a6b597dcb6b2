//! One question to the root helper: a connection, a line, an answer.

use crate::model::id::{Attempt, RolloutId};
use crate::system::SystemError;
use crate::system::nixos::NixosHost;
use crate::wire::helper::{Answer, MAX_ANSWER, Request, read_answer, write_request};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// How long an answer may take: the helper tries some calls of up to 20 seconds each, and the agent's own limit of one
/// call to its machine is 30.
const ANSWER_LIMIT: Duration = Duration::from_secs(28);

impl NixosHost {
    /// Asks the root helper; `which` is the attempt that the question is about.
    pub(super) async fn ask(
        &self,
        request: Request,
        which: Option<(&RolloutId, Attempt)>,
    ) -> Result<Answer, SystemError> {
        let what = "ask the root helper";
        let failed = |why: &dyn std::fmt::Display| {
            let socket = self.place.helper_socket();
            SystemError::Failed { what, detail: format!("{}: {why}", socket.display()) }
        };
        let line = match timeout(ANSWER_LIMIT, self.exchange(&write_request(&request))).await {
            Ok(line) => line.map_err(|why| failed(&why))?,
            Err(_) => return Err(failed(&format_args!("no answer within {ANSWER_LIMIT:?}"))),
        };
        let answer = read_answer(&line).map_err(|why| failed(&why))?;
        match answer {
            Answer::Held { hold } => Err(SystemError::Held(hold.into())),
            Answer::Refused { why } | Answer::Malformed { why } => Err(SystemError::Refused(why)),
            Answer::Unknown => Err(match which {
                Some((rollout, attempt)) => SystemError::Unknown(rollout.clone(), attempt),
                None => failed(&"it knows no such attempt"),
            }),
            Answer::Failed { what, why } => Err(failed(&format_args!("failed to {what}: {why}"))),
            answer @ (Answer::Done | Answer::Records { .. } | Answer::Reached { .. } | Answer::Machine { .. }) => {
                Ok(answer)
            }
        }
    }

    async fn exchange(&self, line: &str) -> std::io::Result<String> {
        let mut stream = UnixStream::connect(self.place.helper_socket()).await?;
        stream.write_all(line.as_bytes()).await?;
        let mut answer = String::new();
        stream.take(MAX_ANSWER as u64).read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

/// An answer to another question.
pub(super) fn unexpected(answer: &Answer) -> SystemError {
    SystemError::Failed { what: "ask the root helper", detail: format!("it answered another question: {answer:?}") }
}

/// A span on the wire.
pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
