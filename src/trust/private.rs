//! Whether a secret's file is for its reader only. Must not read what is in it.

use crate::trust::TrustError;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Where systemd says that it put a unit's secrets.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
/// The mode of a secret that systemd hands over: the group's bits are the mask of an access list that names the unit's
/// user alone, and not rights of the group.
const HANDED_OVER: u32 = 0o440;
/// The owner of such a file, and of the folder that nobody else may write.
const ROOT: u32 = 0;

/// Refuses a secret that others can read.
///
/// # Errors
/// [`TrustError::KeyExposed`].
pub(crate) fn check_private(path: &Path, file: &Metadata) -> Result<(), TrustError> {
    let mode = file.mode() & 0o777;
    let folder = std::env::var_os(CREDENTIALS);
    let handed_over = folder.is_some_and(|folder| is_handed_over(path, (file.uid(), mode), Path::new(&folder)));
    if mode & 0o077 == 0 || handed_over {
        return Ok(());
    }
    Err(TrustError::KeyExposed { path: path.to_owned(), mode })
}

/// Tells whether a file is one that systemd handed over by `LoadCredential=` or `SetCredential=`.
fn is_handed_over(path: &Path, (owner, mode): (u32, u32), folder: &Path) -> bool {
    folder.is_absolute() && path.parent() == Some(folder) && owner == ROOT && mode == HANDED_OVER
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_systemds_own_making_may_show_a_mode_for_a_group() {
        let folder = Path::new("/run/credentials/a.service");
        let inside = folder.join("key");
        assert!(is_handed_over(&inside, (0, 0o440), folder));
        for (owner, mode) in [(0, 0o444), (0, 0o460), (0, 0o640), (1000, 0o440)] {
            assert!(!is_handed_over(&inside, (owner, mode), folder), "{owner} {mode:o}");
        }
        for path in ["/etc/key", "/run/credentials/a.service/../key", "/run/credentials/b.service/key"] {
            assert!(!is_handed_over(Path::new(path), (0, 0o440), folder), "{path}");
        }
        assert!(!is_handed_over(Path::new("key"), (0, 0o440), Path::new("")));
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused_elsewhere() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, "secret").unwrap();
        for (mode, good) in [(0o600, true), (0o400, true), (0o440, false), (0o604, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let checked = check_private(&path, &std::fs::metadata(&path).unwrap());
            assert_eq!(checked.is_ok(), good, "{mode:o}");
        }
    }
}
