//! What the agent and the root helper say to each other: one request and one answer on a connection, each one line of
//! JSON. Must not decide who may ask.

use crate::model::facts::HostHold;
use crate::model::host_rollout::Terms;
use crate::model::id::{Attempt, Closure, RolloutId};
use crate::wire::stored::root_record::RootRecordV1;
use crate::wire::v1::event::facts::{HostHoldJson, VerdictJson};
use crate::wire::v1::event::progress::{RebootJson, TermsJson};
use crate::wire::v1::release::MAX_RELEASE;
use crate::wire::{Invalid, text};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The version of the protocol.
pub const VERSION: u32 = 1;
/// The longest request, in bytes: the largest release, whose quotes are escaped, with room.
pub const MAX_REQUEST: usize = MAX_RELEASE * 2 + MAX_RELEASE / 2;
/// The longest answer, in bytes: eight records with their logs, with room.
pub const MAX_ANSWER: usize = 8 * 1024 * 1024;

/// What the agent asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Request {
    /// Start a switch, or defer it.
    Start(Box<StartBody>),
    /// Tell the root records, newest first.
    Status,
    /// The agent is alive and not Failed.
    Pat(Which),
    /// Make the target the boot default.
    Commit(Which),
    /// Bring the prior back.
    Revert {
        /// Which attempt.
        #[serde(flatten)]
        which: Which,
        /// Why.
        why: VerdictJson,
        /// Give the target up without touching it.
        #[serde(default)]
        keep: bool,
    },
    /// Boot once into the target of a deferred attempt.
    Reboot(Which),
    /// An agent process has started.
    AgentStarted,
    /// Try the control plane with the prior's settings.
    PriorReach(Which),
    /// Tell what only root can read.
    Machine,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Which {
    /// Which rollout.
    #[serde(with = "text")]
    pub rollout_id: RolloutId,
    /// Which try.
    pub attempt: u32,
}

impl Which {
    /// Names an attempt.
    #[must_use]
    pub fn of(rollout: &RolloutId, attempt: Attempt) -> Self {
        Self { rollout_id: rollout.clone(), attempt: attempt.0 }
    }

    /// The attempt's number.
    #[must_use]
    pub fn attempt(&self) -> Attempt {
        Attempt(self.attempt)
    }
}

/// What a start needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartBody {
    /// Which attempt.
    #[serde(flatten)]
    pub which: Which,
    /// What the release says for this host.
    pub terms: TermsJson,
    /// How long the dead-man waits for a sign of life, in milliseconds.
    pub agent_timeout_ms: u64,
    /// The absolute end of the attempt from its start, in milliseconds.
    pub end_after_ms: u64,
    /// Live or trial boot.
    pub reboot: RebootJson,
    /// The signed release as it came from the control plane.
    pub signed_release: String,
}

impl StartBody {
    /// Returns the terms.
    #[must_use]
    pub fn terms(&self) -> Terms {
        self.terms.clone().into()
    }
}

/// What the helper answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Answer {
    /// It is done, or has begun.
    Done,
    /// The root records, newest first.
    Records {
        /// The records.
        records: Vec<RootRecordV1>,
    },
    /// Whether the prior's settings reach a control plane.
    Reached {
        /// Whether they do.
        reached: bool,
    },
    /// What only root can read.
    Machine {
        /// What boots by default, where profile and loader agree.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
        default: Option<Closure>,
        /// What the machine holds itself back for.
        holds: Vec<HostHoldJson>,
    },
    /// Refused for a reason that may pass.
    Held {
        /// The reason.
        hold: HostHoldJson,
    },
    /// Refused because the record's state does not allow it, or because of what is signed.
    Refused {
        /// The reason.
        why: String,
    },
    /// No record of that attempt.
    Unknown,
    /// The machine failed.
    Failed {
        /// What was tried.
        what: String,
        /// What it said.
        why: String,
    },
    /// The request can't be read.
    Malformed {
        /// Why.
        why: String,
    },
}

impl Answer {
    /// Refuses for a reason that may pass.
    #[must_use]
    pub fn held(hold: &HostHold) -> Self {
        Self::Held { hold: hold.into() }
    }
}

#[derive(Serialize, Deserialize)]
struct Asked<T> {
    v: u32,
    request: T,
}

#[derive(Serialize, Deserialize)]
struct Answered<T> {
    v: u32,
    answer: T,
}

#[derive(Deserialize)]
struct Head {
    v: u32,
}

/// Writes a request, with the end of its line.
#[must_use]
pub fn write_request(request: &Request) -> String {
    line(&Asked { v: VERSION, request })
}

/// Writes an answer, with the end of its line.
#[must_use]
pub fn write_answer(answer: &Answer) -> String {
    line(&Answered { v: VERSION, answer })
}

fn line<T: Serialize>(body: &T) -> String {
    serde_json::to_string(body).expect("messages are structs with text keys: always JSON") + "\n"
}

/// Reads a request.
///
/// # Errors
/// [`Invalid`] for what is no request of this version.
pub fn read_request(line: &str) -> Result<Request, Invalid> {
    read::<Asked<Request>>("request to the root helper", line).map(|asked| asked.request)
}

/// Reads an answer.
///
/// # Errors
/// [`Invalid`] for what is no answer of this version.
pub fn read_answer(line: &str) -> Result<Answer, Invalid> {
    read::<Answered<Answer>>("answer of the root helper", line).map(|answered| answered.answer)
}

fn read<T: DeserializeOwned>(what: &'static str, line: &str) -> Result<T, Invalid> {
    let invalid = |error: serde_json::Error| Invalid { what, detail: error.to_string() };
    let head: Head = serde_json::from_str(line).map_err(invalid)?;
    if head.v != VERSION {
        let detail = format!("version {} is not spoken here, only {VERSION}: agent and helper differ", head.v);
        return Err(Invalid { what, detail });
    }
    serde_json::from_str(line).map_err(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn which() -> Which {
        Which::of(&"stable@1".parse().unwrap(), Attempt(3))
    }

    #[test]
    fn a_request_is_the_line_of_the_page() {
        let line = "{\"v\":1,\"request\":{\"kind\":\"pat\",\"rolloutId\":\"stable@1\",\"attempt\":3}}\n";
        assert_eq!(write_request(&Request::Pat(which())), line);
        assert_eq!(read_request(line), Ok(Request::Pat(which())));
        assert_eq!(write_answer(&Answer::Done), "{\"v\":1,\"answer\":{\"kind\":\"done\"}}\n");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let why = VerdictJson::DeadMan;
        for request in [
            Request::Status,
            Request::Revert { which: which(), why, keep: true },
            Request::Reboot(which()),
            Request::AgentStarted,
            Request::Machine,
        ] {
            assert_eq!(read_request(&write_request(&request)), Ok(request));
        }
        for answer in [
            Answer::Reached { reached: true },
            Answer::Machine { default: None, holds: vec![HostHoldJson::Lock] },
            Answer::held(&HostHold::ClockBehind),
            Answer::Unknown,
        ] {
            assert_eq!(read_answer(&write_answer(&answer)), Ok(answer));
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for line in [
            "",
            "{}",
            "null",
            "{\"v\":2,\"request\":{\"kind\":\"status\"}}",
            "{\"v\":1,\"request\":{\"kind\":\"shell\",\"command\":\"id\"}}",
            "{\"v\":1,\"request\":{\"kind\":\"pat\",\"rolloutId\":\"../../etc\",\"attempt\":1}}",
            "{\"v\":1,\"request\":{\"kind\":\"pat\",\"rolloutId\":\"a@b\",\"attempt\":-1}}",
        ] {
            assert!(read_request(line).is_err(), "{line}");
        }
    }
}
