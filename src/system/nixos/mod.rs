//! This very machine, as its unprivileged agent sees it: links to look at, the Nix daemon to fetch by, and the root
//! helper's socket for everything else.

mod ask;
mod see;

use crate::model::facts::Verdict;
use crate::model::id::{Attempt, Closure, HostName, RolloutId};
use crate::model::root_record::RootRecord;
use crate::system::boot::components::reboot_needed;
use crate::system::exec::{ExecSpec, run};
use crate::system::place::Place;
use crate::system::{AgentSettings, Observation, StartOrder, System, SystemError, disk, links, nix, systemd};
use crate::wire::helper::{Answer, Request, StartBody, Which};
use async_trait::async_trait;
use std::path::PathBuf;
use std::time::Duration;

/// The longest that fetching a closure may take; the release's own limit is shorter.
const STAGE_LIMIT: Duration = Duration::from_secs(24 * 3600);
/// Less free space on `/nix`, in MiB, and nothing is fetched.
const LEAST_FREE: u64 = 512;

/// This machine.
#[derive(Debug, Clone)]
pub struct NixosHost {
    /// Where things are.
    pub place: Place,
    /// The agent's state directory: what is fetched is pinned below it.
    pub state_dir: PathBuf,
    /// The control plane's address, for a running closure that names none.
    pub control_plane: String,
    /// This host's name, for the log.
    pub host: HostName,
}

impl NixosHost {
    async fn done(&self, request: Request, which: Option<(&RolloutId, Attempt)>) -> Result<(), SystemError> {
        let answer = self.ask(request, which).await?;
        if answer == Answer::Done { Ok(()) } else { Err(ask::unexpected(&answer)) }
    }

    async fn call(&self, what: &'static str, spec: ExecSpec) -> Result<bool, SystemError> {
        let output = run(spec).await.map_err(|why| SystemError::Failed { what, detail: why.to_string() })?;
        Ok(output.status.is_success())
    }
}

#[async_trait]
impl System for NixosHost {
    async fn start(&self, order: &StartOrder) -> Result<(), SystemError> {
        let body = StartBody {
            which: Which::of(&order.rollout, order.attempt),
            terms: (&order.terms).into(),
            agent_timeout_ms: ask::millis(order.agent_timeout),
            end_after_ms: ask::millis(order.end_after),
            reboot: order.reboot.into(),
            signed_release: order.signed_release.clone(),
        };
        self.done(Request::Start(Box::new(body)), Some((&order.rollout, order.attempt))).await
    }

    async fn status(&self) -> Result<Vec<RootRecord>, SystemError> {
        let answer = self.ask(Request::Status, None).await?;
        let Answer::Records { records } = answer else { return Err(ask::unexpected(&answer)) };
        Ok(records.into_iter().map(Into::into).collect())
    }

    async fn pat(&self, rollout: &RolloutId, attempt: Attempt) -> Result<(), SystemError> {
        self.done(Request::Pat(Which::of(rollout, attempt)), Some((rollout, attempt))).await
    }

    async fn commit(&self, rollout: &RolloutId, attempt: Attempt) -> Result<(), SystemError> {
        self.done(Request::Commit(Which::of(rollout, attempt)), Some((rollout, attempt))).await
    }

    async fn revert(
        &self,
        rollout: &RolloutId,
        attempt: Attempt,
        why: &Verdict,
        keep: bool,
    ) -> Result<(), SystemError> {
        let request = Request::Revert { which: Which::of(rollout, attempt), why: why.into(), keep };
        self.done(request, Some((rollout, attempt))).await
    }

    async fn reboot(&self, rollout: &RolloutId, attempt: Attempt) -> Result<(), SystemError> {
        self.done(Request::Reboot(Which::of(rollout, attempt)), Some((rollout, attempt))).await
    }

    async fn observe(&self) -> Result<Observation, SystemError> {
        self.see().await
    }

    async fn stage(&self, closure: &Closure) -> Result<(), SystemError> {
        let held = |hold| SystemError::Held(hold);
        if let Some(why) = disk::too_little(&self.place.at("/nix"), LEAST_FREE) {
            return Err(held(crate::model::facts::HostHold::Disk(why)));
        }
        let roots = self.state_dir.join("gcroots");
        let made = tokio::fs::create_dir_all(&roots).await;
        let what = "pin what is fetched";
        made.map_err(|why| SystemError::Failed { what, detail: format!("{}: {why}", roots.display()) })?;
        let output = run(nix::realise(closure, &roots.join(closure.base()), STAGE_LIMIT)).await;
        let output = output.map_err(|why| SystemError::Failed { what: "fetch", detail: why.to_string() })?;
        if !output.status.is_success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(held(crate::model::facts::HostHold::Cache(said)));
        }
        self.drop_old_pins(&roots, closure).await;
        Ok(())
    }

    async fn needs_reboot(&self, target: &Closure) -> Result<bool, SystemError> {
        let detail = "/run/booted-system leads to no closure".to_owned();
        let booted = links::booted(&self.place);
        let booted = booted.ok_or(SystemError::Failed { what: "compare boot components", detail })?;
        Ok(!reboot_needed(&self.place, &booted, target).is_empty())
    }

    async fn settings(&self) -> Result<AgentSettings, SystemError> {
        self.shipped().await
    }

    async fn agent_started(&self) -> Result<(), SystemError> {
        self.done(Request::AgentStarted, None).await
    }

    async fn prior_reaches_control_plane(&self, rollout: &RolloutId, attempt: Attempt) -> Result<bool, SystemError> {
        let request = Request::PriorReach(Which::of(rollout, attempt));
        let answer = self.ask(request, Some((rollout, attempt))).await?;
        let Answer::Reached { reached } = answer else { return Err(ask::unexpected(&answer)) };
        Ok(reached)
    }

    async fn network_up(&self) -> bool {
        true
    }

    async fn unit_active(&self, unit: &str) -> Result<bool, SystemError> {
        self.call("look at a unit", systemd::is_active(unit)).await
    }
}
