//! What root pins for an attempt, so that no garbage collection takes target or prior away while it is under way.

use crate::model::id::Closure;
use crate::runtime::guard::Guard;
use crate::system::SystemError;
use crate::system::place::Place;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

/// Pins target and prior of an attempt that is about to start.
///
/// # Errors
/// When a link can't be made.
pub fn pin(place: &Place, id: &str, closures: (&Closure, &Closure)) -> Result<(), SystemError> {
    if Guard::GcRoots.left_out() {
        return Ok(());
    }
    let roots = place.gc_roots();
    let link = |name: &str, closure: &Closure| {
        let (path, beside) = (roots.join(format!("{id}-{name}")), roots.join(format!("{id}-{name}.tmp")));
        let _ = fs::remove_file(&beside);
        symlink(closure.as_str(), &beside)?;
        fs::rename(&beside, &path)
    };
    let made = fs::create_dir_all(&roots)
        .and_then(|()| link("target", closures.0))
        .and_then(|()| link("prior", closures.1))
        .and_then(|()| File::open(&roots)?.sync_all());
    made.map_err(|why| SystemError::Failed {
        what: "pin target and prior",
        detail: format!("{}: {why}", roots.display()),
    })
}

/// Lets go of what an ended attempt pinned.
pub fn unpin(place: &Place, id: &str) {
    for name in ["target", "prior"] {
        remove(&place.gc_roots().join(format!("{id}-{name}")));
    }
}

/// Lets go of all that no open attempt needs: an end that was cut short left it.
pub fn prune(place: &Place, open: &BTreeSet<String>) {
    let Ok(entries) = fs::read_dir(place.gc_roots()) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let id = name.strip_suffix("-target").or_else(|| name.strip_suffix("-prior"));
        if !id.is_some_and(|id| open.contains(id)) {
            remove(&path);
        }
    }
}

fn remove(link: &Path) {
    match fs::remove_file(link) {
        Ok(()) => {}
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => {}
        // It costs disk space until the next attempt of that name, and nothing else.
        Err(why) => tracing::warn!("{}: {why}", link.display()),
    }
}
