//! Bringing the prior back: to the recorded one, judged by what runs, in the end by a reboot.

use crate::model::root_record::{RootEvent, RootRecord};
use crate::system::sim::backing::Backing;
use crate::system::sim::draft::Draft;
use crate::system::sim::error::SimError;
use crate::system::sim::host::SimHost;
use crate::system::sim::jobs::switch_to;
use crate::system::sim::log::{Act, By};
use crate::system::sim::state::{Job, Mark};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How often a rollback tries to get the lock.
const LOCK_RETRY: Duration = Duration::from_millis(50);

/// Brings the prior back, or says that only a boot will.
///
/// # Errors
/// [`SimError`] when this boot has ended or another process has the job by now.
pub(crate) async fn revert<B: Backing>(host: &SimHost<B>, mark: Mark) -> Result<(), SimError> {
    let record = host.change(|draft| draft.open_record())?;
    let tried = timeout(record.terms.rollback_limit, bring_back(host, &record, mark)).await;
    let trouble = match tried {
        Ok(Ok(())) => None,
        Ok(Err(error @ (SimError::Off | SimError::NotMine))) => return Err(error),
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("the rollback outlived its limit".to_owned()),
    };
    host.change(|draft| {
        if draft.state.lock.as_ref().is_some_and(|lock| lock.mark == Some(mark)) {
            draft.unlock();
        }
        draft.done(Job::Revert);
        let trouble = trouble.or_else(|| not_back(draft, &record));
        match trouble {
            None => draft.step(&RootEvent::RevertDone),
            Some(why) => {
                draft.log(Act::RollbackFailed { why: why.clone() });
                draft.step(&RootEvent::RevertFailed(why))
            }
        }
    })
}

/// How the prior comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Back {
    /// It runs.
    Already,
    /// By a live switch.
    Live,
    /// By a boot only.
    ByBoot,
}

/// Sees to it that the prior runs and is the boot default.
async fn bring_back<B: Backing>(host: &SimHost<B>, record: &RootRecord, mark: Mark) -> Result<(), SimError> {
    let prior = &record.prior;
    while !host.change(|draft| Ok(draft.take_lock(By::Rollback, Some(mark)).is_ok()))? {
        sleep(LOCK_RETRY).await;
    }
    let way = host.change(|draft| {
        let touched = draft.state.profile != *prior || draft.state.loader != *prior;
        if touched {
            draft.write_default(prior, By::Rollback);
        }
        // A switch that was killed may have stopped units before it moved the link.
        let halfway = record.result.is_none() && record.started.boot == draft.now.boot;
        let from = draft.state.running.clone();
        let switch = from != *prior || halfway;
        // After a trial boot the target's kernel runs.
        let kernel = |closure| Ok::<_, SimError>(draft.place.read_closure(closure)?.behaviour.boot_components.clone());
        if kernel(&draft.state.booted)? != kernel(prior)? && record.trial_from.is_some() {
            return Ok(Back::ByBoot);
        }
        if switch {
            let action = if touched { "switch" } else { "test" }.to_owned();
            draft.log(Act::SwitchStarted { by: By::Rollback, from, to: prior.clone(), action });
        }
        Ok(if switch { Back::Live } else { Back::Already })
    })?;
    if way == Back::ByBoot {
        return Err(SimError::Refused("another kernel runs: only a boot brings the prior back".to_owned()));
    }
    if way == Back::Live {
        let exit = switch_to(host, prior, By::Rollback).await?;
        host.change(|draft| {
            draft.log(Act::SwitchEnded { by: By::Rollback, to: prior.clone(), result: exit.to_string() });
            Ok(())
        })?;
    }
    Ok(())
}

/// Says why the prior is not back. After a boot into it what runs counts alone: there is no other way left.
fn not_back(draft: &Draft<'_>, record: &RootRecord) -> Option<String> {
    let state = &draft.state;
    if state.running != record.prior || state.profile != record.prior || state.loader != record.prior {
        return Some(format!("{} runs and {} would boot", state.running, state.loader));
    }
    if record.rollback_trouble.is_some() || record.started.boot != draft.now.boot {
        return None;
    }
    let failed = draft.failed_units().unwrap_or_default();
    let new: Vec<String> = failed.into_iter().filter(|unit| !state.baseline.contains(unit)).collect();
    (!new.is_empty()).then(|| format!("units failed on the way back: {}", new.join(", ")))
}
