//! One line of the journal: format version, checksum, JSON. Must not touch a file.
//!
//! ```text
//! 1 9f3c2a10 {"kind":"event","seq":7,…}
//! ```
//! A kind that this version does not know is kept as it came and skipped: the journal may have been written by the
//! agent of a newer closure that was reverted.

use crate::model::id::{Closure, Digest, HostName, JournalId, RolloutId};
use crate::wire::text;
use crate::wire::v1::agent::{EventEnvelope, StoreMarkBody};
use crate::wire::v1::event::{ProgressBody, StampBody};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The format that this version writes, and the newest that it reads.
pub const FORMAT: u32 = 1;
/// The longest line that is taken for one, in bytes: the widest event carries 8 KiB of log and a few more of units.
pub const MAX_LINE: usize = 4 * 1024 * 1024;

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Entry {
    /// The first line: which journal this is, and the state that everything before it led to.
    Base(Base),
    /// An attempt was opened.
    Open(Open),
    /// Something happened; written before it is acted on.
    Event(EventEnvelope),
    /// The control plane holds everything up to this number.
    Acked(Acked),
    /// A closure is not started again here by itself, or may be again.
    Quarantine(Quarantine),
    /// The newest place in the fleet's sequence, and the newest signed date, that were accepted.
    Floor(FloorLine),
    /// Something a person who reads the journal should know.
    Note(Note),
}

/// See [`Entry::Base`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Base {
    /// The journal.
    #[serde(with = "text")]
    pub journal: JournalId,
    /// The host that writes it.
    #[serde(with = "text")]
    pub host: HostName,
    /// The last number that is only in the base.
    pub seq: u64,
    /// See [`Entry::Acked`]; `None` until the control plane took this journal for the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acked: Option<u64>,
    /// The attempts.
    pub rollouts: Vec<Open>,
    /// Closures that are not started again here.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "text::list")]
    pub quarantined: Vec<Closure>,
    /// See [`Entry::Floor`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<FloorLine>,
    /// The highest store mark that was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreMarkBody>,
    /// Events of earlier journals that are gone and not yet marked as such.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<Lost>,
}

/// Events that are gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lost {
    /// The journal that held them.
    #[serde(with = "text")]
    pub journal: JournalId,
    /// The first.
    pub from: u64,
    /// The last; `None` when nobody can know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
}

/// An attempt as it was opened, or as it stands in a base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Open {
    /// Which rollout.
    #[serde(with = "text")]
    pub rollout_id: RolloutId,
    /// Try, terms and how far it is.
    pub progress: ProgressBody,
    /// The digest of the signed release that gave the terms; `None` where a snapshot or root record gave them.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    pub digest: Option<Digest>,
    /// When the control plane opened it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispatched_at: Option<DateTime<Utc>>,
    /// The number of the last event about it; 0 when there is none.
    #[serde(default)]
    pub last_seq: u64,
}

/// See [`Entry::Acked`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Acked {
    /// The number.
    pub seq: u64,
    /// The store that holds them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreMarkBody>,
}

/// See [`Entry::Quarantine`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quarantine {
    /// The closure.
    #[serde(with = "text")]
    pub closure: Closure,
    /// Whether the quarantine ends with this line.
    pub lifted: bool,
}

/// See [`Entry::Floor`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FloorLine {
    /// Nothing older in the fleet's sequence is started.
    pub sequence: u64,
    /// The manifest that has that place.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    pub digest: Option<Digest>,
    /// A wall clock that shows less than this is behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_issued: Option<DateTime<Utc>>,
}

/// See [`Entry::Note`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// When, if the boot was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<StampBody>,
    /// What.
    pub text: String,
}

/// A line that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// One of ours.
    Known(Box<Entry>),
    /// Sound, but of a kind that this version does not know.
    Unknown,
}

/// Why a line can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadLine {
    /// Sound, but of a format that is newer than [`FORMAT`].
    Newer(u32),
    /// Damaged.
    Damaged(String),
}

/// Writes a line, its newline included.
#[must_use]
pub fn write(entry: &Entry) -> String {
    let json = serde_json::to_string(entry).expect("an entry of texts, numbers and lists is always JSON");
    format!("{FORMAT} {} {json}\n", sum(FORMAT, &json))
}

/// Covers the version too: a flipped bit in it must not pass for a newer format.
fn sum(version: u32, json: &str) -> String {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&version.to_be_bytes());
    hasher.update(json.as_bytes());
    format!("{:08x}", hasher.finalize())
}

/// Reads a line, without its newline.
///
/// # Errors
/// [`BadLine`] when it is damaged or of a newer format.
pub fn read(line: &[u8]) -> Result<Read, BadLine> {
    let damaged = |why: &str| BadLine::Damaged(why.to_owned());
    if line.len() > MAX_LINE {
        return Err(damaged("it is too long"));
    }
    let line = std::str::from_utf8(line).map_err(|_| damaged("it is not text"))?;
    let mut parts = line.splitn(3, ' ');
    let (Some(version), Some(found), Some(json)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(damaged("it is not version, checksum and body"));
    };
    let version: u32 = version.parse().map_err(|_| damaged("it has no version"))?;
    if sum(version, json) != found {
        return Err(damaged("its checksum is wrong"));
    }
    if version > FORMAT {
        return Err(BadLine::Newer(version));
    }
    match serde_json::from_str::<Entry>(json) {
        Ok(entry) => Ok(Read::Known(Box::new(entry))),
        Err(_) if !known_kind(json) => Ok(Read::Unknown),
        Err(why) => Err(BadLine::Damaged(why.to_string())),
    }
}

fn known_kind(json: &str) -> bool {
    #[derive(Deserialize)]
    struct Kind {
        kind: String,
    }
    let kind = serde_json::from_str::<Kind>(json).map(|body| body.kind).unwrap_or_default();
    ["base", "open", "event", "acked", "quarantine", "floor", "note"].contains(&kind.as_str())
}
