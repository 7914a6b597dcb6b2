//! The trust file: which keys are believed, and how many of them it takes.

use crate::trust::key::{self, PublicKey};
use crate::trust::{TrustError, canonical};
use crate::wire::text;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The most keys of a trust file; each costs one check of a signature.
pub const MAX_KEYS: usize = 64;
/// The most bytes of a trust file.
pub const MAX_TRUST_FILE: usize = 64 * 1024;
/// The version of the format.
const VERSION: u32 = 1;

/// The keys that are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustFile {
    threshold: usize,
    keys: BTreeMap<String, PublicKey>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TrustBody {
    version: u32,
    threshold: usize,
    #[serde(deserialize_with = "text::unique_map")]
    keys: BTreeMap<String, String>,
}

impl TrustFile {
    /// Puts keys together.
    ///
    /// # Errors
    /// [`TrustError::TrustFile`] when there is no key, a name or a key is there twice, or the threshold is not
    /// within 1 and the number of keys.
    pub fn new(threshold: usize, keys: impl IntoIterator<Item = PublicKey>) -> Result<Self, TrustError> {
        let wrong = |detail: String| Err(TrustError::TrustFile(detail));
        let mut named = BTreeMap::new();
        let mut bytes = BTreeMap::new();
        for key in keys {
            if let Some(other) = bytes.insert(*key.bytes(), key.name().to_owned()) {
                return wrong(format!("{other} and {} are the same key: remove one", key.name()));
            }
            if let Some(key) = named.insert(key.name().to_owned(), key) {
                return wrong(format!("the name {} is there twice", key.name()));
            }
        }
        if named.is_empty() {
            return wrong("it names no key: add one made by `convoy keygen`".to_owned());
        }
        if named.len() > MAX_KEYS {
            return wrong(format!("{} keys are more than the {MAX_KEYS} that are read", named.len()));
        }
        if !(1..=named.len()).contains(&threshold) {
            return wrong(format!("threshold {threshold} is not within 1 and its {} key(s)", named.len()));
        }
        Ok(Self { threshold, keys: named })
    }

    /// Reads `{"version":1,"threshold":1,"keys":{"name":"base64"}}`.
    ///
    /// # Errors
    /// [`TrustError`] with the rule it breaks; also for unknown fields and names that are there twice.
    pub fn parse(json: &str) -> Result<Self, TrustError> {
        let document = canonical::Document { what: "trust file", limit: MAX_TRUST_FILE };
        canonical::check_size(document, json)?;
        let body: TrustBody = serde_json::from_str(json).map_err(|error| TrustError::TrustFile(error.to_string()))?;
        if body.version != VERSION {
            let detail = format!("version {} is not known here, only {VERSION}: upgrade convoy", body.version);
            return Err(TrustError::TrustFile(detail));
        }
        let keys = body.keys.iter().map(|(name, text)| PublicKey::from_base64(name, text));
        Self::new(body.threshold, keys.collect::<Result<Vec<_>, _>>()?)
    }

    /// Reads a trust file.
    ///
    /// # Errors
    /// When it can't be read, and as [`TrustFile::parse`].
    pub fn load(path: &Path) -> Result<Self, TrustError> {
        // A little more than is parsed, so that one just too large gets the error that says so.
        Self::parse(&key::read(path, 2 * MAX_TRUST_FILE)?.0)
    }

    /// Writes it as JSON, for people to read.
    #[must_use]
    pub fn to_json(&self) -> String {
        let keys = self.keys.iter().map(|(name, key)| (name.clone(), key.to_base64())).collect();
        let body = TrustBody { version: VERSION, threshold: self.threshold, keys };
        serde_json::to_string_pretty(&body).expect("a struct with text keys is always JSON") + "\n"
    }

    /// Returns how many different keys have to sign.
    #[must_use]
    pub fn threshold(&self) -> usize {
        self.threshold
    }

    /// Lists the keys, by name.
    pub fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.keys.values()
    }

    /// Returns the key of that name.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&PublicKey> {
        self.keys.get(name)
    }

    /// Returns the names of the keys.
    #[must_use]
    pub fn names(&self) -> BTreeSet<&str> {
        self.keys.keys().map(String::as_str).collect()
    }
}
