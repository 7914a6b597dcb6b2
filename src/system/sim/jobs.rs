//! The long acts of a simulated host, each in a process or task of its own: forward switch, commit, rollback,
//! dead-man. Killing the agent touches none of them.

use crate::model::facts::{UnitFailure, Verdict};
use crate::model::id::{BootId, Closure};
use crate::model::root_record::{RootEvent, RootState, SwitchResult, dead_man_due};
use crate::system::judge::{SwitchExit, judge};
use crate::system::sim::backing::Backing;
use crate::system::sim::closure::{AgentFile, AgentKind, SimClosure, SwitchOutcome};
use crate::system::sim::draft::Draft;
use crate::system::sim::error::SimError;
use crate::system::sim::host::SimHost;
use crate::system::sim::log::{Act, By};
use crate::system::sim::rollback::revert;
use crate::system::sim::state::{Job, Mark};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// How long a switch waits for the restarted agent to say that it runs.
const AGENT_READY: Duration = Duration::from_secs(3);
/// How long a switch that hangs hangs: longer than any limit.
const FOREVER: Duration = Duration::from_secs(366 * 24 * 3600);

/// Does a job of a boot to its end, if it is still wanted.
///
/// # Errors
/// [`SimError`]; the host's own supervision takes up what was left.
pub async fn run<B: Backing>(backing: B, boot: BootId, job: Job, mark: Mark) -> Result<(), SimError> {
    let host = SimHost::of_boot(backing, boot).claim(job, mark)?;
    match job {
        Job::Forward => forward(&host).await,
        Job::Commit => commit(&host).await,
        Job::Revert => revert(&host, mark).await,
        Job::DeadMan => dead_man(&host).await,
    }
}

async fn forward<B: Backing>(host: &SimHost<B>) -> Result<(), SimError> {
    let record = host.change(|draft| {
        let record = draft.open_record()?;
        let (from, to) = (draft.state.running.clone(), record.target.clone());
        draft.log(Act::SwitchStarted { by: By::Forward, from, to, action: "test".to_owned() });
        Ok(record)
    })?;
    let switched = timeout(record.terms.switch_limit, switch_to(host, &record.target, By::Forward)).await;
    let exit = switched.unwrap_or(Ok(SwitchExit::TimedOut))?;
    host.change(|draft| {
        let result = judged(exit, &draft.failed_units()?, &draft.state.baseline);
        draft.log(Act::SwitchEnded { by: By::Forward, to: record.target.clone(), result: exit.to_string() });
        draft.unlock();
        draft.done(Job::Forward);
        draft.step(&RootEvent::Ended(result))
    })
}

/// Runs a closure's `switch-to-configuration test`: nothing, then `/run/current-system` moves, then units settle.
pub(crate) async fn switch_to<B: Backing>(
    host: &SimHost<B>,
    closure: &Closure,
    by: By,
) -> Result<SwitchExit, SimError> {
    let SimClosure { behaviour, agent, .. } = host.backing().closure(closure)?;
    let (until_active, until_settled) = behaviour.switch_times();
    sleep(until_active).await;
    if by == By::Rollback && behaviour.only_by_boot {
        return Ok(SwitchExit::Code(1));
    }
    match behaviour.switch {
        SwitchOutcome::Refused => return Ok(SwitchExit::Code(1)),
        SwitchOutcome::Exit100 => return Ok(SwitchExit::Code(100)),
        SwitchOutcome::Ok | SwitchOutcome::Fails | SwitchOutcome::Hangs | SwitchOutcome::Exits4 => {}
    }
    let before = host.running()?.agent;
    host.change(|draft| {
        draft.activate(closure, by);
        Ok(())
    })?;
    sleep(until_settled).await;
    if agent != before {
        agent_restarted(host, &agent).await?;
    }
    match behaviour.switch {
        SwitchOutcome::Hangs => sleep(FOREVER).await,
        SwitchOutcome::Fails => return Ok(SwitchExit::Code(2)),
        SwitchOutcome::Exits4 => return Ok(SwitchExit::Code(4)),
        SwitchOutcome::Ok | SwitchOutcome::Refused | SwitchOutcome::Exit100 => {}
    }
    let failed = host.change(|draft| draft.failed_units())?;
    Ok(SwitchExit::Code(if failed.is_empty() { 0 } else { 4 }))
}

/// Waits for the machine to have restarted the agent: a real switch does that itself, before it ends.
async fn agent_restarted<B: Backing>(host: &SimHost<B>, settings: &AgentFile) -> Result<(), SimError> {
    let limit = Instant::now() + AGENT_READY;
    loop {
        let state = host.look()?;
        let ready = state.agent_ready.as_ref() == Some(settings) || state.init.is_none();
        if ready
            || settings.agent != AgentKind::Ok
            || timeout_at(limit, host.backing().changed(state.revision)).await.is_err()
        {
            return Ok(());
        }
    }
}

/// Judges a switch as the root helper does, with simulated logs.
fn judged(exit: SwitchExit, failed: &[String], baseline: &[String]) -> SwitchResult {
    match judge(exit, failed, baseline) {
        SwitchResult::Bad { verdict, units, .. } => {
            let log = |unit: UnitFailure| UnitFailure { log: format!("{}: simulated failure", unit.unit), ..unit };
            let units = units.into_iter().map(log).collect();
            SwitchResult::Bad { verdict, log: format!("simulated switch: {exit}"), units }
        }
        judged @ (SwitchResult::Good(_) | SwitchResult::Deferred(_)) => judged,
    }
}

/// One write of a commit, or reading back.
type CommitStep = fn(&mut Draft<'_>, &Closure) -> Result<(), SimError>;

/// Makes the target the boot default: profile, then loader, then both are read back. Each is a step of its own,
/// since the power may go between any two.
async fn commit<B: Backing>(host: &SimHost<B>) -> Result<(), SimError> {
    let record = host.change(|draft| draft.open_record())?;
    let target = &record.target;
    let third = Duration::from_millis(host.backing().closure(target)?.behaviour.commit_ms / 3);
    let steps: [CommitStep; 3] = [
        |draft, target| {
            draft.write_profile(target);
            Ok(())
        },
        |draft, target| {
            draft.write_default(target, By::Forward);
            Ok(())
        },
        |draft, target| {
            if draft.state.profile == *target && draft.state.loader == *target {
                draft.done(Job::Commit);
                return draft.step(&RootEvent::CommitDone);
            }
            Err(SimError::Refused("the boot default is not what was written".to_owned()))
        },
    ];
    for step in steps {
        sleep(third).await;
        host.change(|draft| if draft.notice_takeover()? { Ok(()) } else { step(draft, target) })?;
    }
    Ok(())
}

async fn dead_man<B: Backing>(host: &SimHost<B>) -> Result<(), SimError> {
    let period = Duration::from_millis(host.look()?.machine.dead_man_ms.max(1));
    loop {
        sleep(period).await;
        let goes_on = host.change(|draft| {
            draft.notice_takeover()?;
            let Some(record) = draft.state.open_record().cloned() else {
                draft.done(Job::DeadMan);
                return Ok(false);
            };
            if let Some(verdict) = dead_man_due(&record, &draft.now) {
                draft.log(Act::DeadManFired { verdict: format!("{verdict:?}") });
                draft.step(&RootEvent::RevertAsked(verdict))?;
            }
            supervise(draft)?;
            Ok(true)
        })?;
        if !goes_on {
            return Ok(());
        }
    }
}

/// Takes up the long acts that died: a switch whose end nobody wrote down has an unknown outcome, which is never
/// good; a commit and a rollback are finished.
///
/// # Errors
/// [`SimError`] when the record can't be moved.
fn supervise(draft: &mut Draft<'_>) -> Result<(), SimError> {
    let Some(record) = draft.state.open_record().cloned() else { return Ok(()) };
    match record.state {
        RootState::Launched if record.result.is_none() => {
            if draft.is_waiting(Job::Forward) {
                draft.want(Job::Forward);
            } else if !draft.is_running(Job::Forward) {
                draft.drop_job(Job::Forward);
                let to = record.target.clone();
                draft.log(Act::SwitchEnded { by: By::Forward, to, result: "killed".to_owned() });
                let verdict = Verdict::SwitchFailed("it was killed: its outcome is not known".to_owned());
                let result = SwitchResult::Bad { verdict, log: String::new(), units: Vec::new() };
                draft.step(&RootEvent::Ended(result))?;
            }
        }
        RootState::Committing => draft.want(Job::Commit),
        RootState::Reverting if !draft.state.reboot => draft.want(Job::Revert),
        RootState::Launched | RootState::Soaking | RootState::Reverting => {}
        RootState::Committed | RootState::Reverted | RootState::Overtaken | RootState::Kept => {}
    }
    Ok(())
}
