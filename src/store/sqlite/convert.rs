//! Between columns and types. A value that its type does not allow is damage, and said so; it never panics.

use crate::model::host_rollout::HostRolloutState;
use crate::model::id::{Digest, InvalidId, JournalId, Tag};
use crate::model::identity::Origin;
use crate::model::time::Timestamp;
use crate::store::rows::Bucket;
use crate::store::sqlite::failure::Unread;
use rusqlite::Row;
use rusqlite::types::{FromSql, Type};
use std::fmt::{Display, Write};
use std::str::FromStr;

type Read<T> = Result<T, Unread>;

/// Says that a column holds what it must not.
pub(crate) fn bad(column: &str, why: impl Display) -> Unread {
    Unread::Bad(format!("column {column}: {why}"))
}

fn column(row: &Row<'_>, at: usize) -> String {
    row.as_ref().column_name(at).unwrap_or("?").to_owned()
}

/// Reads a value that SQLite's own type describes whole.
pub(crate) fn plain<T: FromSql>(row: &Row<'_>, at: usize) -> Read<T> {
    row.get(at).map_err(|error| {
        if error.sqlite_error().is_some() { Unread::Engine(error) } else { bad(&column(row, at), error) }
    })
}

/// Reads a name.
pub(crate) fn id<T: FromStr<Err = InvalidId>>(row: &Row<'_>, at: usize) -> Read<T> {
    plain::<String>(row, at)?.parse().map_err(|error| bad(&column(row, at), error))
}

/// Reads a name that may be missing.
pub(crate) fn id_or_none<T: FromStr<Err = InvalidId>>(row: &Row<'_>, at: usize) -> Read<Option<T>> {
    let text = plain::<Option<String>>(row, at)?;
    text.map(|text| text.parse().map_err(|error| bad(&column(row, at), error))).transpose()
}

/// Reads a number that is not negative.
pub(crate) fn count<T: TryFrom<i64>>(row: &Row<'_>, at: usize) -> Read<T> {
    let number = plain::<i64>(row, at)?;
    T::try_from(number).map_err(|_| bad(&column(row, at), format_args!("{number} is out of range")))
}

/// Reads a time.
pub(crate) fn time(row: &Row<'_>, at: usize) -> Read<Timestamp> {
    plain(row, at).map(Timestamp)
}

/// Reads bytes as the hexadecimal name they stand for.
pub(crate) fn hex<T: FromStr<Err = InvalidId>>(row: &Row<'_>, at: usize) -> Read<T> {
    hex_or_none(row, at)?.ok_or_else(|| bad(&column(row, at), "it is missing"))
}

/// The same where there may be none.
pub(crate) fn hex_or_none<T: FromStr<Err = InvalidId>>(row: &Row<'_>, at: usize) -> Read<Option<T>> {
    let value = row.get_ref(at)?;
    if value.data_type() == Type::Null {
        return Ok(None);
    }
    let bytes = value.as_blob().map_err(|error| bad(&column(row, at), error))?;
    let text = bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    });
    text.parse().map(Some).map_err(|error| bad(&column(row, at), error))
}

/// Returns the bytes that a journal's name stands for.
pub(crate) fn journal_bytes(journal: &JournalId) -> Vec<u8> {
    bytes(journal.as_str())
}

/// Returns the bytes of a digest.
pub(crate) fn digest_bytes(digest: &Digest) -> Vec<u8> {
    bytes(digest.as_str())
}

fn bytes(hex: &str) -> Vec<u8> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit.to_ascii_lowercase().wrapping_sub(b'a').wrapping_add(10),
    };
    hex.as_bytes().chunks_exact(2).map(|pair| (value(pair[0]) << 4) | value(pair[1])).collect()
}

/// Returns the word of a bucket.
pub(crate) fn bucket_word(bucket: Bucket) -> &'static str {
    match bucket {
        Bucket::Waiting => "waiting",
        Bucket::InFlight => "inFlight",
        Bucket::Succeeded => "succeeded",
        Bucket::Unchanged => "unchanged",
        Bucket::Failing => "failing",
        Bucket::Failed => "failed",
        Bucket::Neutral => "neutral",
    }
}

/// Reads a bucket.
pub(crate) fn bucket(row: &Row<'_>, at: usize) -> Read<Bucket> {
    word(row, at, &Bucket::ALL, bucket_word)
}

/// Returns the word of a state.
pub(crate) fn state_word(state: HostRolloutState) -> &'static str {
    match state {
        HostRolloutState::Pending => "pending",
        HostRolloutState::Activating => "activating",
        HostRolloutState::Deferred => "deferred",
        HostRolloutState::Soaking => "soaking",
        HostRolloutState::Converged => "converged",
        HostRolloutState::Failed => "failed",
        HostRolloutState::Reverted => "reverted",
        HostRolloutState::Cancelled => "cancelled",
    }
}

/// Reads a state.
pub(crate) fn state(row: &Row<'_>, at: usize) -> Read<HostRolloutState> {
    word(row, at, &HostRolloutState::ALL, state_word)
}

/// Returns the word of an origin.
pub(crate) fn origin_word(origin: Origin) -> &'static str {
    match origin {
        Origin::Issued => "issued",
        Origin::Elsewhere => "elsewhere",
    }
}

/// Reads an origin.
pub(crate) fn origin(row: &Row<'_>, at: usize) -> Read<Origin> {
    word(row, at, &[Origin::Issued, Origin::Elsewhere], origin_word)
}

fn word<T: Copy>(row: &Row<'_>, at: usize, all: &[T], word: fn(T) -> &'static str) -> Read<T> {
    let value = row.get_ref(at)?;
    let text = value.as_str().map_err(|error| bad(&column(row, at), error))?;
    let found = all.iter().copied().find(|known| word(*known) == text);
    found.ok_or_else(|| bad(&column(row, at), format_args!("{text:?} is not known")))
}

/// Returns tags as one text; a tag has no comma.
pub(crate) fn tags_text(tags: &[Tag]) -> String {
    tags.iter().map(Tag::as_str).collect::<Vec<_>>().join(",")
}

/// Reads tags.
pub(crate) fn tags(row: &Row<'_>, at: usize) -> Read<Vec<Tag>> {
    let text = plain::<String>(row, at)?;
    let parts = text.split(',').filter(|part| !part.is_empty());
    parts.map(|part| part.parse().map_err(|error| bad(&column(row, at), error))).collect()
}
