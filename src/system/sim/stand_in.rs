//! A stand-in for the agent, as small as it can be: it starts one release, pats, watches units and network, commits
//! or goes back. For tests of the host alone; it has no journal and no control plane.

use crate::model::facts::Verdict;
use crate::model::fleet::OnFailure;
use crate::model::host_rollout::Terms;
use crate::model::id::{Attempt, ProbeName};
use crate::model::limit::self_rollback;
use crate::model::root_record::{RootRecord, RootState, SwitchResult};
use crate::model::time::Stamp;
use crate::system::sim::backing::Backing;
use crate::system::sim::error::SimError;
use crate::system::sim::host::SimHost;
use crate::system::{StartOrder, System, SystemError};
use crate::trust;
use std::time::Duration;
use tokio::time::sleep;

/// How often it looks around within the time that a failure may last.
const LOOKS_PER_FAILURE: u32 = 4;

/// Makes the order that starts a signed release on a host.
///
/// # Errors
/// [`SimError::Invalid`] when the release can't be read or does not name the host.
pub fn order_of<B: Backing>(host: &SimHost<B>, signed: &str, attempt: Attempt) -> Result<StartOrder, SimError> {
    let invalid = |error: &dyn std::fmt::Display| SimError::Invalid { what: "release", detail: error.to_string() };
    let parsed = trust::parse_signed(signed.as_bytes()).map_err(|error| invalid(&error))?;
    let release = trust::draft(&parsed.manifest).map_err(|error| invalid(&error))?;
    let name = host.look()?.name;
    let terms = Terms::of(&release, &name).ok_or_else(|| invalid(&format!("it does not name {name}")))?;
    Ok(StartOrder {
        rollout: release.id.clone(),
        attempt,
        reboot: terms.reboot,
        terms,
        agent_timeout: release.policy.agent_timeout,
        end_after: self_rollback(&release.policy).absolute_end,
        signed_release: signed.to_owned(),
    })
}

/// Acts as the agent of one attempt until the attempt is over, and then for ever does nothing. Returns when the
/// host has no more use for it.
///
/// # Errors
/// [`SystemError`] when the host refuses for good or has gone.
pub async fn run<B: Backing>(host: SimHost<B>, order: StartOrder) -> Result<(), SystemError> {
    host.agent_started().await?;
    let pace = order.terms.failure_after / LOOKS_PER_FAILURE;
    let mut watch = Watch::default();
    loop {
        let records = host.status().await?;
        let of_mine = |record: &&RootRecord| record.rollout == order.rollout && record.attempt == order.attempt;
        match records.iter().find(of_mine) {
            Some(record) if record.may_relaunch() => start(&host, &order).await?,
            Some(record) if record.is_final() => std::future::pending().await,
            Some(record) => watch.attend(&host, &order, record).await?,
            None => start(&host, &order).await?,
        }
        sleep(pace).await;
    }
}

async fn start<B: Backing>(host: &SimHost<B>, order: &StartOrder) -> Result<(), SystemError> {
    let started = match host.stage(&order.terms.target).await {
        Ok(()) => host.start(order).await,
        Err(error) => Err(error),
    };
    match started {
        Err(SystemError::Held(_)) => Ok(()),
        other => other,
    }
}

/// Since when something has failed.
#[derive(Debug, Default)]
struct Watch {
    probe: Option<(Stamp, ProbeName)>,
    plane: Option<Stamp>,
}

impl Watch {
    async fn attend<B: Backing>(
        &mut self,
        host: &SimHost<B>,
        order: &StartOrder,
        record: &RootRecord,
    ) -> Result<(), SystemError> {
        let (rollout, attempt) = (&order.rollout, order.attempt);
        match (&record.state, &record.result) {
            (RootState::Launched, Some((SwitchResult::Deferred(_), _))) if record.trial_from.is_none() => {
                host.reboot(rollout, attempt, &order.signed_release).await
            }
            (RootState::Soaking, Some((SwitchResult::Good(_), since))) => {
                host.pat(rollout, attempt).await?;
                match self.judge(host, order, since).await? {
                    Some(verdict) => go_back(host, order, &verdict).await,
                    None if self.soaked(host, order, since) => ignore_refusal(host.commit(rollout, attempt).await),
                    None => Ok(()),
                }
            }
            (RootState::Soaking, Some((SwitchResult::Bad { verdict, .. }, _))) => go_back(host, order, verdict).await,
            _ => Ok(()),
        }
    }

    /// Looks at units, network and control plane, and says what has failed for too long.
    async fn judge<B: Backing>(
        &mut self,
        host: &SimHost<B>,
        order: &StartOrder,
        since: &Stamp,
    ) -> Result<Option<Verdict>, SystemError> {
        let now = host.now();
        let lasts = |from: &Stamp, limit: Duration| now.since(from).is_some_and(|lasted| lasted >= limit);
        let running = host.running().map_err(|error| error.on("read its own closure"))?;
        let mut failing = (!host.network_up().await).then(|| "gateway".to_owned());
        let baseline = host.look().map_err(|error| error.on("read its own state"))?.baseline;
        for unit in running.behaviour.units.keys().filter(|unit| !baseline.contains(unit)) {
            if !host.unit_active(unit).await? {
                failing = Some(unit.clone());
            }
        }
        let failing = failing.and_then(|name| ProbeName::new(name).ok());
        self.probe = failing.map(|name| (self.probe.as_ref().map_or(now.clone(), |(from, _)| from.clone()), name));
        let reached = host.network_up().await && host.backing().reaches(&running.agent.control_plane).await;
        self.plane = if reached { None } else { Some(self.plane.clone().unwrap_or_else(|| now.clone())) };
        if let Some((from, name)) = &self.probe
            && lasts(from, order.terms.failure_after)
        {
            return Ok(Some(Verdict::ProbesFailed(vec![name.clone()])));
        }
        let Some(lost) = &self.plane else { return Ok(None) };
        if lasts(lost, order.terms.failure_after)
            && host.prior_reaches_control_plane(&order.rollout, order.attempt).await?
        {
            return Ok(Some(Verdict::ControlPlaneLost));
        }
        Ok(lasts(since, order.terms.soak + order.terms.isolation_limit).then_some(Verdict::Isolated))
    }

    fn soaked<B: Backing>(&self, host: &SimHost<B>, order: &StartOrder, since: &Stamp) -> bool {
        let soaked = host.now().since(since).is_some_and(|lasted| lasted >= order.terms.soak);
        soaked && self.probe.is_none() && self.plane.is_none()
    }
}

async fn go_back<B: Backing>(host: &SimHost<B>, order: &StartOrder, why: &Verdict) -> Result<(), SystemError> {
    let keep = order.terms.on_failure == OnFailure::Keep;
    ignore_refusal(host.revert(&order.rollout, order.attempt, why, keep).await)
}

/// The record has moved on meanwhile: the next look shows where to.
fn ignore_refusal(done: Result<(), SystemError>) -> Result<(), SystemError> {
    match done {
        Err(SystemError::Refused(_)) => Ok(()),
        other => other,
    }
}
