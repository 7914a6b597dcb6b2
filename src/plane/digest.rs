//! SHA-256 as our own digests.

use crate::model::id::Digest;
use sha2::{Digest as _, Sha256};
use std::fmt::Write;

/// Returns the digest of some bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Digest {
    let hash = Sha256::digest(bytes);
    let mut text = String::with_capacity(64);
    for byte in hash {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
    }
    Digest::new(text).expect("32 bytes in lower-case hexadecimal are a digest")
}
