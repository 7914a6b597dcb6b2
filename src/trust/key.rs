//! Keys as text and as files. A secret never appears in an error, a log or a `Debug`.

use crate::trust::TrustError;
use crate::trust::private::check_private;
use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{SECRET_KEY_LENGTH, VerifyingKey};
use rand::CryptoRng;
use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The most bytes of a key file; real ones have about 100.
const MAX_KEY_FILE: usize = 4096;
/// The longest name of a key, in characters.
const MAX_NAME: usize = 64;
const SECRET: &str = "convoy-secret-key";
const PUBLIC: &str = "convoy-public-key";
const VERSION: &str = "v1";

/// A key that signs releases and leases, with its name.
pub struct SigningKey {
    name: String,
    key: ed25519_dalek::SigningKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A key that is believed, with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    key: VerifyingKey,
}

impl SigningKey {
    /// Makes a new key. The generator must be seeded by the operating system, except in tests and simulations.
    ///
    /// # Errors
    /// [`TrustError::KeyText`] when the name is not valid.
    pub fn generate(name: &str, rng: &mut (impl CryptoRng + ?Sized)) -> Result<Self, TrustError> {
        check_name("key name", name)?;
        let mut secret = [0_u8; SECRET_KEY_LENGTH];
        rng.fill_bytes(&mut secret);
        Ok(Self { name: name.to_owned(), key: ed25519_dalek::SigningKey::from_bytes(&secret) })
    }

    /// Reads `convoy-secret-key:v1:<name>:<base64>`, with or without a line's end.
    ///
    /// # Errors
    /// [`TrustError::KeyText`] with the rule, never with the text.
    pub fn parse(text: &str) -> Result<Self, TrustError> {
        let (name, bytes) = split("secret key", SECRET, text)?;
        Ok(Self { name, key: ed25519_dalek::SigningKey::from_bytes(&bytes) })
    }

    /// Writes the secret as text, with a line's end.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{SECRET}:{VERSION}:{}:{}\n", self.name, STANDARD.encode(self.key.as_bytes()))
    }

    /// Returns the name, as the trust file names it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey { name: self.name.clone(), key: self.key.verifying_key() }
    }

    /// Reads a secret key file that only its owner can read.
    ///
    /// # Errors
    /// When it can't be read, when others can read it, and when the text is wrong.
    pub fn load(path: &Path) -> Result<Self, TrustError> {
        let (text, file) = read(path, MAX_KEY_FILE)?;
        check_private(path, &file)?;
        Self::parse(&text)
    }

    /// Writes a new secret key file with mode 0600; never over an existing file.
    ///
    /// # Errors
    /// When the file is there, or can't be written; a file half written is removed.
    pub fn save(&self, path: &Path) -> Result<(), TrustError> {
        create(path, &self.to_text(), 0o600)
    }

    /// Signs.
    pub(super) fn sign(&self, message: &[u8]) -> [u8; ed25519_dalek::SIGNATURE_LENGTH] {
        ed25519_dalek::Signer::sign(&self.key, message).to_bytes()
    }
}

impl PublicKey {
    /// Reads `convoy-public-key:v1:<name>:<base64>`, with or without a line's end.
    ///
    /// # Errors
    /// [`TrustError::KeyText`] with the rule.
    pub fn parse(text: &str) -> Result<Self, TrustError> {
        let (name, bytes) = split("public key", PUBLIC, text)?;
        Self::from_bytes(name, &bytes)
    }

    /// Reads the base 64 of a trust file.
    pub(super) fn from_base64(name: &str, text: &str) -> Result<Self, TrustError> {
        check_name("public key", name)?;
        let bytes = decode("public key", text)?;
        Self::from_bytes(name.to_owned(), &bytes)
    }

    fn from_bytes(name: String, bytes: &[u8; 32]) -> Result<Self, TrustError> {
        let wrong = |detail: &str| TrustError::KeyText { what: "public key", detail: format!("{name}: {detail}") };
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| wrong("these bytes are not a point of the curve"))?;
        if key.is_weak() {
            return Err(wrong("anybody could sign for this key (it has a small order)"));
        }
        Ok(Self { name, key })
    }

    /// Writes the key as text, with a line's end.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{PUBLIC}:{VERSION}:{}:{}\n", self.name, self.to_base64())
    }

    /// Writes the bytes as a trust file holds them.
    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.key.as_bytes())
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the key's bytes: two names with the same bytes are one key.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Reads a public key file.
    ///
    /// # Errors
    /// When it can't be read, and when the text is wrong.
    pub fn load(path: &Path) -> Result<Self, TrustError> {
        Self::parse(&read(path, MAX_KEY_FILE)?.0)
    }

    /// Writes a new public key file; never over an existing file.
    ///
    /// # Errors
    /// When the file is there, or can't be written.
    pub fn save(&self, path: &Path) -> Result<(), TrustError> {
        create(path, &self.to_text(), 0o644)
    }

    /// Tells whether a signature in base 64 is good.
    pub(super) fn verifies(&self, message: &[u8], signature: &str) -> bool {
        let Ok(bytes) = STANDARD.decode(signature) else { return false };
        let Ok(signature) = ed25519_dalek::Signature::from_slice(&bytes) else { return false };
        self.key.verify_strict(message, &signature).is_ok()
    }
}

fn check_name(what: &'static str, name: &str) -> Result<(), TrustError> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(word) {
        return Ok(());
    }
    let name: String = name.chars().take(MAX_NAME).collect();
    let detail = format!("its name {name:?} is not 1 to {MAX_NAME} of a-z A-Z 0-9 . _ -");
    Err(TrustError::KeyText { what, detail })
}

fn decode(what: &'static str, text: &str) -> Result<[u8; 32], TrustError> {
    let bytes = STANDARD.decode(text).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    bytes.ok_or_else(|| TrustError::KeyText { what, detail: "its last part is not 32 bytes in base 64".to_owned() })
}

fn split(what: &'static str, kind: &str, text: &str) -> Result<(String, [u8; 32]), TrustError> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let parts: Vec<&str> = text.splitn(4, ':').collect();
    let [found, version, name, bytes] = parts[..] else {
        let detail = format!("it does not look like {kind}:{VERSION}:<name>:<base64>");
        return Err(TrustError::KeyText { what, detail });
    };
    if found != kind || version != VERSION {
        // Another kind may be a secret in the wrong place: only what is known to be harmless is said.
        let detail = match found {
            SECRET if kind == PUBLIC => "it is a secret key: keep it private and give the public one".to_owned(),
            PUBLIC if kind == SECRET => "it is a public key: the secret one is needed to sign".to_owned(),
            _ => format!("it does not begin with {kind}:{VERSION}"),
        };
        return Err(TrustError::KeyText { what, detail });
    }
    check_name(what, name)?;
    Ok((name.to_owned(), decode(what, bytes)?))
}

/// Reads a small file, with what it is; asked of the open file, so that both belong together.
pub(super) fn read(path: &Path, limit: usize) -> Result<(String, Metadata), TrustError> {
    let failed = |source: io::Error| TrustError::File { act: "read", path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let what = file.metadata().map_err(failed)?;
    let mut text = String::new();
    let size = file.take(u64::try_from(limit + 1).unwrap_or(u64::MAX)).read_to_string(&mut text).map_err(failed)?;
    if size > limit {
        return Err(failed(io::Error::new(ErrorKind::FileTooLarge, format!("it has more than {limit} bytes"))));
    }
    Ok((text, what))
}

/// The most bytes of a PEM file: a bundle of authorities with room.
const MAX_PEM: usize = 256 * 1024;

/// Reads a PEM file that anyone may read.
///
/// # Errors
/// [`TrustError::File`].
pub fn read_pem(path: &Path) -> Result<String, TrustError> {
    Ok(read(path, MAX_PEM)?.0)
}

/// Reads a PEM file that only its owner (and root) may read, or that systemd handed to this unit alone.
///
/// # Errors
/// [`TrustError::File`], [`TrustError::KeyExposed`].
pub fn read_secret_pem(path: &Path) -> Result<String, TrustError> {
    let (text, file) = read(path, MAX_PEM)?;
    check_private(path, &file)?;
    Ok(text)
}

/// Writes a file that must not be there, durably.
fn create(path: &Path, text: &str, mode: u32) -> Result<(), TrustError> {
    let failed = |source: io::Error| {
        if source.kind() == ErrorKind::AlreadyExists {
            return TrustError::KeyExists { path: path.to_owned() };
        }
        TrustError::File { act: "write", path: path.to_owned(), source }
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(failed)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| sync_parent(path));
    written.map_err(|source| {
        // Half a key would block the next try and help nobody; the first error is the one to tell.
        let _ = std::fs::remove_file(path);
        failed(source)
    })
}

fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests;
