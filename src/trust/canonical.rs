//! Canonical JSON (RFC 8785): one value, one byte string. What is signed must already have that form, so that two
//! readers can never understand one signature in two ways.

use crate::trust::TrustError;
use crate::wire::Invalid;
use crate::wire::v1::release::MAX_DEPTH;
use serde::Serialize;
use serde_json::Value;

/// What is checked, with its limits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Document {
    /// For errors.
    pub(super) what: &'static str,
    /// The most bytes.
    pub(super) limit: usize,
}

/// Writes a value in its one form.
pub(super) fn write<T: Serialize>(document: Document, value: &T) -> Result<String, TrustError> {
    let failed = |error: serde_json::Error| Invalid { what: document.what, detail: error.to_string() };
    let text = serde_json_canonicalizer::to_string(value).map_err(failed)?;
    check(document, &text)?;
    Ok(text)
}

/// Refuses what is too large, too deep, or not in its one form.
pub(super) fn check(document: Document, text: &str) -> Result<(), TrustError> {
    let what = document.what;
    check_size(document, text)?;
    if deeper_than(text, MAX_DEPTH) {
        return Err(TrustError::TooDeep { what, limit: MAX_DEPTH });
    }
    let failed = |error: serde_json::Error| Invalid { what, detail: error.to_string() };
    let value: Value = serde_json::from_str(text).map_err(failed)?;
    let again = serde_json_canonicalizer::to_string(&value).map_err(failed)?;
    if again == text { Ok(()) } else { Err(TrustError::NotCanonical { what }) }
}

/// Refuses what is too large.
pub(super) fn check_size(Document { what, limit }: Document, text: &str) -> Result<(), TrustError> {
    if text.len() > limit {
        return Err(TrustError::TooLarge { what, size: text.len(), limit });
    }
    Ok(())
}

/// Tells whether brackets nest deeper, in one pass and without a stack; brackets inside of strings don't count.
pub(super) fn deeper_than(text: &str, limit: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > limit {
            return true;
        }
    }
    false
}
