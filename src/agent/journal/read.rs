//! Reads a whole journal up to its end or to the first damage. Must not write.

use crate::agent::journal::JournalError;
use crate::agent::journal::book::Book;
use crate::agent::journal::content::{Content, Kept};
use crate::agent::journal::line::{self, BadLine, Entry, Read};

/// What was found to be damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The line, from 1.
    pub line: usize,
    /// Where it begins, in bytes.
    pub offset: usize,
    /// What is wrong.
    pub detail: String,
    /// Whether it is only the last line, cut off while it was written: nobody has seen that one.
    pub torn: bool,
    /// The name under which everything from there on is kept; `None` when that failed.
    pub kept_as: Option<String>,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = if self.torn { "was cut off while it was written" } else { "is damaged" };
        write!(f, "line {} of the journal {what} ({})", self.line, self.detail)?;
        match &self.kept_as {
            Some(name) => write!(f, "; it is kept as {name}"),
            None => Ok(()),
        }
    }
}

/// What was read: `None` for an empty journal, or one without a sound first line.
pub(crate) struct Found {
    pub(crate) content: Option<Content>,
    pub(crate) damage: Option<Damage>,
}

/// Reads the bytes of a journal.
///
/// # Errors
/// [`JournalError::Newer`] when a sound line is of a newer format.
pub(crate) fn read(bytes: &[u8]) -> Result<Found, JournalError> {
    let mut content = None;
    let mut offset = 0;
    for (at, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let torn = !line.ends_with(b"\n");
        match take(&mut content, line, torn)? {
            Ok(()) => offset += line.len(),
            Err(detail) => {
                let damage = Damage { line: at + 1, offset, detail, torn, kept_as: None };
                return Ok(Found { content, damage: Some(damage) });
            }
        }
    }
    Ok(Found { content, damage: None })
}

/// Returns what the sound lines of a journal add up to, for whoever looks at it from outside; `None` without any.
#[must_use]
pub fn book(bytes: &[u8]) -> Option<Book> {
    read(bytes).ok()?.content.map(|content| content.book)
}

/// Takes one line in; the inner error says how it is damaged.
fn take(content: &mut Option<Content>, line: &[u8], torn: bool) -> Result<Result<(), String>, JournalError> {
    if torn {
        return Ok(Err("it has no end".to_owned()));
    }
    let read = match line::read(&line[..line.len() - 1]) {
        Ok(read) => read,
        Err(BadLine::Newer(version)) => return Err(JournalError::Newer(version)),
        Err(BadLine::Damaged(why)) => return Ok(Err(why)),
    };
    let text = String::from_utf8_lossy(line).into_owned();
    let taken = match (content.as_mut(), read) {
        (None, Read::Known(entry)) => match *entry {
            Entry::Base(base) => Book::from_base(base).map(|book| *content = Some(Content::of(book))),
            Entry::Open(_)
            | Entry::Event(_)
            | Entry::Acked(_)
            | Entry::Quarantine(_)
            | Entry::Floor(_)
            | Entry::Note(_) => return Ok(Err("the first line is not a base".to_owned())),
        },
        (None, Read::Unknown) => return Ok(Err("the first line is not a base".to_owned())),
        (Some(content), Read::Unknown) => {
            content.lines.push(Kept { seq: None, text, known: false });
            Ok(())
        }
        (Some(content), Read::Known(entry)) => content.take(&entry, text).map(drop),
    };
    Ok(taken.map_err(|why| why.to_string()))
}
