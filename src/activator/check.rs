//! What the root helper checks before a switch or a trial boot: it trusts nobody.

use crate::activator::helper::Helper;
use crate::activator::settings::Settings;
use crate::model::facts::HostHold;
use crate::model::fleet::RebootPolicy;
use crate::model::id::{Closure, HostName};
use crate::model::time::Timestamp;
use crate::runtime::guard::Guard;
use crate::system::boot::components::{inhibitors, reboot_needed};
use crate::system::boot::{Boot, BootDefault};
use crate::system::{SystemError, disk, links, nix};
use crate::trust::{Floor, TrustError, TrustFile, Verified, check_lease, parse_signed, verify};
use crate::wire::text;
use serde::{Deserialize, Serialize};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// What was accepted before, on disk.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FloorFile {
    v: u32,
    sequence: u64,
    #[serde(with = "text::option")]
    digest: Option<crate::model::id::Digest>,
    latest_issued_ms: Option<i64>,
}

fn held(error: &TrustError) -> SystemError {
    SystemError::Held(error.hold())
}

impl Helper {
    /// Verifies a signed release with the trust file that a closure ships.
    ///
    /// # Errors
    /// [`SystemError::Held`] when it is not signed as that asks for.
    pub fn verified(&self, signed: &str, by: &Closure) -> Result<Verified, SystemError> {
        let path = self.place.closure(by).join("etc/convoy/trust.json");
        let trust = TrustFile::load(&path).map_err(|error| held(&error))?;
        let signed = parse_signed(signed.as_bytes()).map_err(|error| held(&error))?;
        if Guard::Signature.left_out() {
            return unsigned(&signed);
        }
        verify(&signed, &trust).map_err(|error| held(&error))
    }

    /// Reads what was accepted before.
    ///
    /// # Errors
    /// When the file is damaged: without it an older release could follow a newer one.
    pub fn floor(&self) -> Result<Floor, SystemError> {
        let Some(text) = self.shelf.get("", "floor.json")? else { return Ok(Floor::default()) };
        let damaged =
            |why: serde_json::Error| SystemError::Failed { what: "read the sequence floor", detail: why.to_string() };
        let file: FloorFile = serde_json::from_str(&text).map_err(damaged)?;
        let latest_issued = file.latest_issued_ms.map(Timestamp);
        Ok(Floor { sequence: file.sequence, digest: file.digest, latest_issued })
    }

    /// Raises the floor by a release that is accepted.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn raise(&self, verified: &Verified) -> Result<(), SystemError> {
        let Floor { sequence, digest, latest_issued } = self.floor()?.raised(verified);
        let file = FloorFile { v: 1, sequence, digest, latest_issued_ms: latest_issued.map(|at| at.0) };
        let text = serde_json::to_string(&file).expect("a struct with text keys is always JSON");
        self.shelf.put("", "floor.json", text.as_bytes())
    }

    /// Checks what depends on the time and on what was accepted before: lease, sequence, windows.
    ///
    /// # Errors
    /// [`SystemError::Held`] with the reason.
    pub fn check_time(&self, host: &HostName, verified: &Verified) -> Result<(), SystemError> {
        let now = self.clock.wall();
        if !Guard::Lease.left_out() {
            check_lease(verified, &self.floor()?, now).map_err(|error| held(&error))?;
        }
        match verified.release.closed(host, now) {
            Some(why) => Err(SystemError::Held(HostHold::Window(why))),
            None => Ok(()),
        }
    }

    /// Checks that nothing on the machine speaks against a start: the switch's lock, free space, the boot default.
    ///
    /// # Errors
    /// [`SystemError::Held`] with the reason.
    pub fn check_machine(&self, running: &Closure, settings: &Settings) -> Result<(), SystemError> {
        if links::switch_is_locked(&self.place) {
            return Err(SystemError::Held(HostHold::Lock));
        }
        self.check_space(running, settings)?;
        if self.boot(running).is_pinned() || !self.defaults(running).are(running) {
            return Err(SystemError::Held(HostHold::BootDefaultDiffers));
        }
        Ok(())
    }

    /// Checks that there is room for a switch and for what the boot loader writes.
    ///
    /// # Errors
    /// [`SystemError::Held`] with where and how much.
    pub fn check_space(&self, running: &Closure, settings: &Settings) -> Result<(), SystemError> {
        let boot = self.boot(running);
        let mut little = disk::too_little(&self.place.at("/nix"), settings.free_nix_mib);
        if boot.default() != BootDefault::ByProfile {
            little = little.or_else(|| disk::too_little(&boot.mount, settings.free_boot_mib));
        }
        little.map_or(Ok(()), |why| Err(SystemError::Held(HostHold::Disk(why))))
    }

    /// Checks that closures are whole: known to the store, with a program to switch by that is not empty.
    ///
    /// # Errors
    /// [`SystemError::Refused`] for what is not.
    pub fn check_closures(&self, closures: &[&Closure]) -> Result<(), SystemError> {
        let refused = |why: String| SystemError::Refused(format!("not whole in the store: {why}"));
        let valid = self.call("ask the store", nix::check_validity(closures));
        valid.map_err(|why| refused(why.to_string()))?;
        for closure in closures {
            let program = self.place.closure(closure).join("bin/switch-to-configuration");
            let whole =
                fs::metadata(&program).is_ok_and(|file| file.len() > 0 && file.permissions().mode() & 0o111 != 0);
            if !whole {
                return Err(refused(format!("{} is missing, empty or can't be run", program.display())));
            }
        }
        Ok(())
    }

    /// Says why a switch to a closure has to be deferred to a boot; `None` when it can be made live.
    ///
    /// # Errors
    /// [`SystemError::Held`] where it has to be deferred and no trial boot can be made.
    pub fn deferral(&self, target: &Closure, policy: RebootPolicy) -> Result<Option<String>, SystemError> {
        let running = self.running()?;
        let inhibited = inhibitors(&self.place, &running, target);
        let why = if !inhibited.is_empty() {
            format!("a live switch is refused: {} differ", inhibited.join(", "))
        } else if policy == RebootPolicy::Trial {
            let booted = links::booted(&self.place).unwrap_or(running.clone());
            let parts = reboot_needed(&self.place, &booted, target);
            if parts.is_empty() {
                return Ok(None);
            }
            format!("the release wants a trial boot: {} differ", parts.join(", "))
        } else {
            return Ok(None);
        };
        self.check_trial(&self.boot(&running), target)?;
        Ok(Some(why))
    }

    /// Checks that a trial boot can be made, and that somebody will guard it.
    ///
    /// # Errors
    /// [`SystemError::Held`] with the reason.
    pub fn check_trial(&self, boot: &Boot, target: &Closure) -> Result<(), SystemError> {
        let shipped = self.place.closure(target);
        let guard = shipped.join("etc/systemd/system/convoy-boot-guard.service").exists();
        let mounts = fs::read_to_string(self.place.at("/proc/self/mounts")).unwrap_or_default();
        let why = boot.no_oneshot(&mounts);
        let why = why.or_else(|| (!guard).then(|| "the target ships no guard for a trial boot".to_owned()));
        why.map_or(Ok(()), |why| Err(SystemError::Held(HostHold::NoTrialBoot(why))))
    }
}

/// Takes a release for verified that is not: reached only in a build that can leave guards out.
fn unsigned(signed: &crate::wire::v1::release::SignedRelease) -> Result<Verified, SystemError> {
    let release = crate::trust::draft(&signed.manifest).map_err(|error| held(&error))?;
    let body: crate::wire::v1::release::LeaseBody = serde_json::from_str(&signed.lease.statement)
        .map_err(|why| SystemError::Refused(format!("the lease can't be read: {why}")))?;
    let lease = crate::trust::Lease {
        sequence: body.sequence,
        issued: crate::wire::v1::release::timestamp(body.issued),
        expires: crate::wire::v1::release::timestamp(body.expires),
    };
    Ok(Verified { release, lease })
}
