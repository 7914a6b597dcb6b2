//! The key that says what may run: made here, or its public half taken from elsewhere.

use crate::ctl::files::NewFile;
use crate::ctl::init::Making;
use crate::trust::{PublicKey, SigningKey, TrustFile};
use std::path::PathBuf;

/// The key's name, as signatures and trust file name it.
const NAME: &str = "release";

/// Makes key and trust file; returns the secret key's name in the folder, if it is there.
pub(super) fn make(making: &mut Making<'_>) -> anyhow::Result<Option<PathBuf>> {
    let given = &making.args.release_public;
    let file = |name: &str| making.place.file(name);
    let (trust, secret) = if given.is_empty() {
        let key = SigningKey::generate(NAME, &mut making.rng)?;
        making.files.push(NewFile::secret(file("release.key"), key.to_text()));
        making.files.push(NewFile::public(file("release.pub"), key.public().to_text()));
        (TrustFile::new(1, [key.public()])?, Some(PathBuf::from("release.key")))
    } else {
        let keys = given.iter().map(|path| PublicKey::load(path)).collect::<Result<Vec<_>, _>>()?;
        (TrustFile::new(1, keys)?, None)
    };
    making.files.push(NewFile::public(file("trust.json"), trust.to_json()));
    Ok(secret)
}
