//! A simulated machine's power: boot, clean shutdown, power cut, and a person at its keyboard.

use crate::model::id::Closure;
use crate::model::root_record::{RootEvent, RootState, SwitchResult};
use crate::system::sim::backing::Backing;
use crate::system::sim::closure::Boots;
use crate::system::sim::draft::Draft;
use crate::system::sim::error::SimError;
use crate::system::sim::host::{SimHost, change_and_act};
use crate::system::sim::log::{Act, By};
use crate::system::sim::machine::Faults;
use crate::system::sim::state::{Job, Mark};
use std::mem::take;
use std::time::Duration;
use tokio::time::sleep;

/// What switching the power on led to.
#[derive(Debug)]
pub enum PowerOn<B: Backing> {
    /// The machine is up.
    Up(SimHost<B>),
    /// The boot hung; the watchdog resets the machine.
    Hung,
}

/// Boots a machine that is off: the one-shot entry, or the default. What was in /run is forgotten; the root
/// records are told.
///
/// # Errors
/// [`SimError::Refused`] when it is on.
pub fn power_on<B: Backing>(backing: &B, init: Option<Mark>) -> Result<PowerOn<B>, SimError> {
    let boot = backing.fresh_boot();
    let up = change_and_act(backing, |draft| {
        if draft.state.power {
            return Err(SimError::Refused("the simulated host is on already".to_owned()));
        }
        let (clean, oneshot) = (take(&mut draft.state.shutdown_mark), draft.state.oneshot.take());
        let entry = oneshot.unwrap_or_else(|| draft.state.loader.clone());
        if draft.place.read_closure(&entry)?.behaviour.boots == Boots::Hangs {
            draft.log(Act::BootHung { closure: entry });
            return Ok(false);
        }
        draft.state.boot = boot.clone();
        draft.now.boot = boot.clone();
        draft.state.boots += 1;
        draft.state.power = true;
        draft.state.clean_shutdown = clean;
        draft.state.init = init;
        draft.state.booted = entry.clone();
        forget_run(draft);
        draft.log(Act::Booted { closure: entry.clone(), clean });
        draft.activate(&entry, By::Boot);
        tell_records(draft, &entry)?;
        Ok(true)
    })?;
    Ok(if up { PowerOn::Up(SimHost::of_boot(backing.clone(), boot)) } else { PowerOn::Hung })
}

fn forget_run(draft: &mut Draft<'_>) {
    draft.state.lock = None;
    draft.state.jobs.clear();
    draft.state.agent = None;
    draft.state.agent_ready = None;
    draft.state.reboot = false;
}

/// Tells the open record what booted, and arms the dead-man anew where the attempt goes on: its transient units
/// are gone.
fn tell_records(draft: &mut Draft<'_>, booted: &Closure) -> Result<(), SimError> {
    if draft.state.open_record().is_none() {
        return Ok(());
    }
    match draft.step(&RootEvent::Booted(booted.clone())) {
        Ok(()) | Err(SimError::Refused(_)) => {}
        Err(error) => return Err(error),
    }
    let Some(record) = draft.state.open_record() else { return Ok(()) };
    let guarded = match record.state {
        RootState::Launched => !matches!(record.result, Some((SwitchResult::Deferred(_), _))),
        RootState::Soaking | RootState::Committing | RootState::Reverting => true,
        RootState::Committed | RootState::Reverted | RootState::Overtaken | RootState::Kept => false,
    };
    let unjudged = record.is_unjudged_trial();
    if guarded {
        draft.want(Job::DeadMan);
    }
    if unjudged {
        draft.want(Job::Guard);
    }
    Ok(())
}

/// Shuts a machine down cleanly: a shutdown mark is written, everything on it ends.
///
/// # Errors
/// [`SimError::Off`] when it is off already.
pub fn shut_down<B: Backing>(host: &SimHost<B>) -> Result<(), SimError> {
    host.change(|draft| {
        draft.state.shutdown_mark = true;
        draft.log(Act::Rebooted { clean: true });
        go_dark(draft);
        draft.kills.retain(|mark| Some(*mark) != draft.state.init);
        draft.state.init = None;
        Ok(())
    })
}

/// Cuts the power: everything on the machine ends at once, nothing more is written. The machine itself
/// (`init`) ends too; a machine that is off stays off.
///
/// # Errors
/// [`SimError`] when the state can't be read or kept.
pub fn power_cut<B: Backing>(backing: &B) -> Result<(), SimError> {
    change_and_act(backing, |draft| {
        if draft.state.power {
            draft.log(Act::PowerCut);
            go_dark(draft);
            draft.state.init = None;
        }
        Ok(())
    })
}

fn go_dark(draft: &mut Draft<'_>) {
    draft.state.power = false;
    draft.kills.extend(draft.state.marks());
    draft.launches.clear();
}

/// Asks for a clean reboot.
///
/// # Errors
/// [`SimError::Off`] when it is off.
pub fn reboot<B: Backing>(host: &SimHost<B>) -> Result<(), SimError> {
    host.change(|draft| {
        draft.state.reboot = true;
        Ok(())
    })
}

/// Sets what is wrong with the machine itself.
///
/// # Errors
/// [`SimError`] when the state can't be read or kept.
pub fn set_faults<B: Backing>(backing: &B, faults: &Faults) -> Result<(), SimError> {
    backing.change(|draft| {
        draft.state.faults = faults.clone();
        Ok(())
    })
}

/// Acts as a person who runs `nixos-rebuild switch` at the machine: lock, boot default, activation.
///
/// # Errors
/// [`SimError::Held`] when another switch holds the lock.
pub async fn manual_switch<B: Backing>(host: &SimHost<B>, closure: &Closure) -> Result<(), SimError> {
    let (until_active, until_settled) = host.backing().closure(closure)?.behaviour.switch_times();
    let mark = host.backing().own_mark();
    host.change(|draft| {
        let held = |_| SimError::Held(crate::model::facts::HostHold::Lock);
        draft.take_lock(By::Operator, Some(mark)).map_err(held)?;
        draft.state.staged.insert(closure.clone());
        let (from, to) = (draft.state.running.clone(), closure.clone());
        draft.log(Act::ManualSwitch { closure: to.clone() });
        draft.log(Act::SwitchStarted { by: By::Operator, from, to, action: "switch".to_owned() });
        draft.write_default(closure, By::Operator);
        Ok(())
    })?;
    sleep(until_active).await;
    host.change(|draft| {
        draft.activate(closure, By::Operator);
        Ok(())
    })?;
    sleep(until_settled).await;
    host.change(|draft| {
        let failed = draft.failed_units()?;
        let result = if failed.is_empty() { "exit status 0" } else { "exit status 4" }.to_owned();
        draft.log(Act::SwitchEnded { by: By::Operator, to: closure.clone(), result });
        draft.unlock();
        Ok(())
    })
}

/// Waits for the machine's boot time, or for the watchdog's.
pub(crate) async fn boot_time(ms: u64) {
    sleep(Duration::from_millis(ms)).await;
}
