//! What the root helper checks by itself before a switch or a trial boot: it trusts nobody.

use crate::model::facts::HostHold;
use crate::model::fleet::RebootPolicy;
use crate::model::id::HostName;
use crate::model::root_record::SwitchResult;
use crate::system::StartOrder;
use crate::system::sim::closure::SimClosure;
use crate::system::sim::draft::Draft;
use crate::system::sim::error::SimError;
use crate::system::sim::state::HostState;
use crate::trust::{Floor, TrustError, TrustFile, Verified, check_lease, parse_signed, verify};

/// Checks the machine before a start.
///
/// # Errors
/// [`SimError::Held`] for what may pass, [`SimError::Refused`] for what will not.
pub(crate) fn machine(draft: &mut Draft<'_>, order: &StartOrder, target: &SimClosure) -> Result<(), SimError> {
    if draft.state.running == target.path && draft.state.default_is_running() {
        return Err(SimError::Refused(format!("{} runs already", target.path)));
    }
    if let Some(open) = draft.state.open_record() {
        let waits = matches!(open.result, Some((SwitchResult::Deferred(_), _))) && open.trial_from.is_none();
        if !waits {
            return Err(SimError::Held(HostHold::Busy(open.rollout.clone())));
        }
        draft.leave_deferred(&order.rollout)?;
    }
    if !draft.state.default_is_running() {
        return Err(SimError::Held(HostHold::BootDefaultDiffers));
    }
    if draft.lock_is_held() {
        return Err(SimError::Held(HostHold::Lock));
    }
    if draft.state.faults.disk_full {
        return Err(SimError::Held(HostHold::Disk("/nix: 0 MiB free".to_owned())));
    }
    if !draft.state.staged.contains(&target.path) {
        return Err(SimError::Refused(format!("{} is not staged", target.path)));
    }
    let booted = draft.place.read_closure(&draft.state.booted)?.behaviour.boot_components;
    if order.reboot == RebootPolicy::Trial && booted != target.behaviour.boot_components {
        trial_boot(draft.state, target)?;
    }
    Ok(())
}

/// Checks that a trial boot can be made, and that somebody will guard it.
///
/// # Errors
/// [`SimError::Held`] with the reason.
pub(crate) fn trial_boot(state: &HostState, target: &SimClosure) -> Result<(), SimError> {
    let why = if state.faults.no_oneshot {
        "the boot loader has no one-shot entry"
    } else if target.behaviour.no_trial_guard {
        "the target ships no guard for a trial boot"
    } else {
        return Ok(());
    };
    Err(SimError::Held(HostHold::NoTrialBoot(why.to_owned())))
}

/// Verifies a signed release with the trust file of a closure.
///
/// # Errors
/// [`SimError::Held`] when it is not signed as that asks for.
pub(crate) fn verified(signed: &str, by: &SimClosure) -> Result<Verified, SimError> {
    let trust = TrustFile::parse(&by.trust);
    let verified = trust.and_then(|trust| verify(&parse_signed(signed.as_bytes())?, &trust));
    verified.map_err(|error| held(&error))
}

/// Checks that a verified release says what is ordered: this host, this closure, these terms, and no limit that is
/// longer.
///
/// # Errors
/// [`SimError::Refused`] with what differs.
pub(crate) fn order(host: &HostName, order: &StartOrder, verified: &Verified) -> Result<(), SimError> {
    match order.differs(&verified.release, host) {
        Some(differs) => Err(SimError::Refused(format!("the signed release says {differs}"))),
        None => Ok(()),
    }
}

/// Checks what depends on the time and on what was accepted before: lease, sequence, windows.
///
/// # Errors
/// [`SimError::Held`] with the reason.
pub(crate) fn time(draft: &mut Draft<'_>, verified: &Verified) -> Result<(), SimError> {
    let floor = Floor::from(&draft.state.floor);
    let now = draft.now.wall;
    check_lease(verified, &floor, now).map_err(|error| held(&error))?;
    if let Some(why) = verified.release.closed(&draft.state.name, now) {
        return Err(SimError::Held(HostHold::Window(why)));
    }
    draft.state.floor = floor.raised(verified).into();
    Ok(())
}

fn held(error: &TrustError) -> SimError {
    SimError::Held(error.hold())
}
