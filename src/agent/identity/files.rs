//! Key, certificate and authority on disk: read with their stamps, written so that a crash at any instant leaves a
//! state that the next start can use.

use crate::model::id::{Digest, HostName};
use crate::model::identity::{Identity, Presented};
use crate::trust::authority::{new_key, public_digest};
use crate::trust::certificate::{chain, presented};
use crate::trust::key::{read_pem, read_secret_pem};
use crate::trust::{TrustError, token::Token};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The private key's file in `identityDir`.
const KEY: &str = "key.pem";
/// The certificate's.
const CERTIFICATE: &str = "certificate.pem";
/// What a file is called until it is whole.
const NEW: &str = "new";

/// Where the three files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// Verifies the control plane.
    pub ca: PathBuf,
    /// This host's certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Tells a file from what it was before: inode, length, mode, time of change. `None` where there is none.
pub type Stamp = Option<(u64, u64, u32, i64, i64)>;

/// What the three files looked like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamps([Stamp; 3]);

/// What is there of an identity.
pub enum Held {
    /// Neither key nor certificate.
    Nothing,
    /// A key without a certificate that can be used: why, and the key.
    Key(String, String),
    /// Both.
    Whole(Box<Whole>),
}

/// A key and a certificate that belong together and to this host.
pub struct Whole {
    /// The certificate and those above it, as PEM.
    pub certificate: String,
    /// The private key, as PEM.
    pub key: String,
    /// What the certificate says.
    pub presented: Presented,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Key(..) => "Key",
            Self::Whole(_) => "Whole",
        })
    }
}

impl Files {
    /// Names the files of an identity that this agent looks after.
    #[must_use]
    pub fn of_own(ca: &Path, dir: &Path) -> Self {
        Self { ca: ca.to_owned(), certificate: dir.join(CERTIFICATE), key: dir.join(KEY) }
    }

    /// Looks at the files without reading them.
    #[must_use]
    pub fn stamps(&self) -> Stamps {
        Stamps([stamp(&self.ca), stamp(&self.certificate), stamp(&self.key)])
    }

    /// Reads what there is of an identity of this host. A certificate that is half written, or of another key, host
    /// or role, counts as none.
    ///
    /// # Errors
    /// [`TrustError`] for files that can't be read, a key that others can read, and one that is no key: nothing
    /// is replaced that a person may want to look at.
    pub fn held(&self, host: &HostName) -> Result<Held, TrustError> {
        let Some(key) = there(read_secret_pem(&self.key))? else { return Ok(Held::Nothing) };
        let digest = public_digest(&key).map_err(|error| self.broken_key(&error))?;
        let Some(certificate) = there(read_pem(&self.certificate))? else {
            return Ok(Held::Key(format!("{} is not there", self.certificate.display()), key));
        };
        match fitting(&certificate, host, &digest) {
            Ok(presented) => Ok(Held::Whole(Box::new(Whole { certificate, key, presented }))),
            Err(error) => Ok(Held::Key(format!("{}: {error}", self.certificate.display()), key)),
        }
    }

    fn broken_key(&self, error: &TrustError) -> TrustError {
        let key = self.key.display();
        let detail = format!("{key}: {error}; remove the file and let the host in again with a new token");
        TrustError::Certificate { what: "host's private key", detail }
    }

    /// Makes a key, durable before it is used: what is asked for with it may be granted.
    ///
    /// # Errors
    /// [`TrustError`] when it can't be written.
    pub fn make_key(&self) -> Result<String, TrustError> {
        let key = new_key()?;
        replace(&self.key, &key, 0o600)?;
        Ok(key)
    }

    /// Tells whether this very certificate is in its place.
    #[must_use]
    pub fn holds_certificate(&self, certificate: &str) -> bool {
        read_pem(&self.certificate).is_ok_and(|held| held == certificate)
    }

    /// Puts a certificate into its place, as a whole.
    ///
    /// # Errors
    /// [`TrustError`] when it can't be written; the one before is still there.
    pub fn keep_certificate(&self, certificate: &str) -> Result<(), TrustError> {
        replace(&self.certificate, certificate, 0o644)
    }
}

/// Checks that a certificate is this host's, for this key.
///
/// # Errors
/// [`TrustError::Certificate`] that says what it is instead.
pub fn fitting(certificate: &str, host: &HostName, key: &Digest) -> Result<Presented, TrustError> {
    const WHAT: &str = "host's certificate";
    let wrong = |detail: String| TrustError::Certificate { what: WHAT, detail };
    let links = chain(WHAT, certificate)?;
    let own = presented(&links[0])?;
    let expected = Identity::Agent(host.clone());
    if own.identity != expected {
        return Err(wrong(format!("it is for {}, not for {expected}", own.identity)));
    }
    if own.key != *key {
        return Err(wrong("it is for another private key".to_owned()));
    }
    Ok(own)
}

/// Reads a token's file; `None` where there is none (it may vanish once the host is let in), and for a blank one, which
/// is what systemd hands over in its place.
///
/// # Errors
/// [`TrustError`] when it can't be read or is no token; never with its text.
pub fn token(path: &Path) -> Result<Option<Token>, TrustError> {
    let named = |error| {
        let TrustError::Token(rule) = error else { return error };
        TrustError::Certificate { what: "token", detail: format!("{}: {rule}", path.display()) }
    };
    let text = there(read_secret_pem(path))?.filter(|text| !text.trim().is_empty());
    text.map(|text| Token::parse(&text)).transpose().map_err(named)
}

/// Looks at one file without reading it, to see whether it changed.
#[must_use]
pub fn stamp(path: &Path) -> Stamp {
    let seen = fs::metadata(path).ok()?;
    Some((seen.ino(), seen.len(), seen.mode(), seen.mtime(), seen.mtime_nsec()))
}

/// Tells a file that is not there from one that can't be read.
fn there(read: Result<String, TrustError>) -> Result<Option<String>, TrustError> {
    match read {
        Ok(text) => Ok(Some(text)),
        Err(TrustError::File { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
        Err(other) => Err(other),
    }
}

/// Writes a file through a new one beside it, durably, with its folder.
fn replace(path: &Path, text: &str, mode: u32) -> Result<(), TrustError> {
    let failed = |source: io::Error| TrustError::File { act: "write", path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(Path::new("/"));
    make_folder(folder).map_err(failed)?;
    let new = path.with_extension(NEW);
    let write = || -> io::Result<()> {
        // What a crash left may have another mode.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(failed)
}

/// Makes the folder, readable by its owner only, where it is not there.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    folder.parent().map_or(Ok(()), |above| File::open(above)?.sync_all())
}

#[cfg(test)]
mod tests {
    use crate::agent::identity::files::token;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_blank_token_file_is_no_token_and_other_text_is_a_mistake() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        assert!(token(&path).unwrap().is_none());
        for (text, good) in [("", true), ("\n", true), ("hello", false)] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            assert_eq!(token(&path).is_ok_and(|token| token.is_none()), good, "{text:?}");
        }
    }
}
