//! The six verbs of a simulated host and looking at it: what `System` asks for.

use crate::model::facts::{Closures, HostHold, Verdict};
use crate::model::id::{Attempt, Closure, RolloutId};
use crate::model::root_record::{RootEvent, RootRecord};
use crate::system::sim::backing::Backing;
use crate::system::sim::closure::{Network, Stage};
use crate::system::sim::error::SimError;
use crate::system::sim::host::SimHost;
use crate::system::sim::log::{Act, By};
use crate::system::sim::orders::{find, ignore_refused};
use crate::system::sim::state::HostState;
use crate::system::{AgentSettings, Observation, StartOrder, System, SystemError};
use async_trait::async_trait;
use std::time::Duration;
use tokio::time::sleep;

/// The free space that a simulated full disk shows.
const FULL: &str = "/nix: 0 MiB free";

#[async_trait]
impl<B: Backing> System for SimHost<B> {
    async fn start(&self, order: &StartOrder) -> Result<(), SystemError> {
        self.start_now(order).map_err(|error| error.on("start a switch"))
    }

    async fn status(&self) -> Result<Vec<RootRecord>, SystemError> {
        let records = || {
            let state = self.look()?;
            if state.takeover().is_none() {
                return Ok(state.records);
            }
            self.change(|draft| {
                draft.notice_takeover()?;
                Ok(draft.state.records.clone())
            })
        };
        records().map_err(|error: SimError| error.on("read its root records"))
    }

    async fn pat(&self, rollout: &RolloutId, attempt: Attempt) -> Result<(), SystemError> {
        self.pat_now(rollout, attempt).map_err(|error| error.on("pat the dead-man"))
    }

    async fn commit(&self, rollout: &RolloutId, attempt: Attempt) -> Result<(), SystemError> {
        self.commit_now(rollout, attempt).map_err(|error| error.on("commit"))
    }

    async fn revert(
        &self,
        rollout: &RolloutId,
        attempt: Attempt,
        why: &Verdict,
        keep: bool,
    ) -> Result<(), SystemError> {
        let event = if keep { RootEvent::KeepAsked(why.clone()) } else { RootEvent::RevertAsked(why.clone()) };
        self.revert_now(rollout, attempt, &event).map_err(|error| error.on("revert"))
    }

    async fn reboot(&self, rollout: &RolloutId, attempt: Attempt, release: &str) -> Result<(), SystemError> {
        self.reboot_now(rollout, attempt, release).map_err(|error| error.on("reboot"))
    }

    async fn observe(&self) -> Result<Observation, SystemError> {
        let observe = || {
            let state = self.look()?;
            let default = (state.profile == state.loader).then(|| state.loader.clone());
            let holds = holds(&state);
            let closures = Closures { running: Some(state.running), booted: Some(state.booted), default };
            Ok(Observation { boot: state.boot, closures, clean_shutdown: state.clean_shutdown, holds })
        };
        observe().map_err(|error: SimError| error.on("look at itself"))
    }

    async fn stage(&self, closure: &Closure) -> Result<(), SystemError> {
        let stage = async {
            let state = self.look()?;
            if state.staged.contains(closure) {
                return Ok(());
            }
            if state.faults.disk_full {
                return Err(SimError::Held(HostHold::Disk(FULL.to_owned())));
            }
            let missing = || SimError::Held(HostHold::Cache(format!("{closure} is not in the cache")));
            let behaviour = self.backing().closure(closure).map_err(|_| missing())?.behaviour;
            sleep(Duration::from_millis(behaviour.stage_ms)).await;
            if behaviour.stage == Stage::Fails {
                return Err(missing());
            }
            self.change(|draft| {
                draft.state.staged.insert(closure.clone());
                Ok(())
            })
        };
        stage.await.map_err(|error| error.on("stage"))
    }

    async fn needs_reboot(&self, target: &Closure) -> Result<bool, SystemError> {
        let differ = || {
            let state = self.look()?;
            let booted = self.backing().closure(&state.booted)?.behaviour.boot_components;
            Ok(booted != self.backing().closure(target)?.behaviour.boot_components)
        };
        differ().map_err(|error: SimError| error.on("compare boot components"))
    }

    async fn settings(&self) -> Result<AgentSettings, SystemError> {
        let read = || {
            if self.look()?.faults.settings_unreadable {
                return Err(SimError::Refused("the agent's settings can't be read".to_owned()));
            }
            self.running()
        };
        let running = read().map_err(|error: SimError| error.on("read its agent's settings"))?;
        Ok(AgentSettings {
            control_plane: running.agent.control_plane,
            health_checks: running.health_checks,
            trust: running.trust,
        })
    }

    async fn agent_started(&self) -> Result<(), SystemError> {
        let counted = self.change(|draft| {
            draft.log(Act::AgentStarted);
            draft.state.agent_ready = Some(draft.place.read_closure(&draft.state.running)?.agent);
            ignore_refused(draft.step(&RootEvent::AgentStarted))
        });
        counted.map_err(|error| error.on("count a start of its agent"))
    }

    async fn prior_reaches_control_plane(&self, rollout: &RolloutId, attempt: Attempt) -> Result<bool, SystemError> {
        let prior = || {
            let state = self.look()?;
            let record = find(&state, rollout, attempt)?;
            self.backing().closure(&record.prior)
        };
        let prior = prior().map_err(|error| error.on("ask with the prior's settings"))?;
        let works = prior.behaviour.network == Network::Ok && self.network_up().await;
        Ok(works && self.backing().reaches(&prior.agent.control_plane).await)
    }

    async fn network_up(&self) -> bool {
        let up = || {
            let cable = !self.look()?.faults.cable_out;
            Ok::<bool, SimError>(cable && self.running()?.behaviour.network == Network::Ok)
        };
        up().unwrap_or(false)
    }

    async fn unit_active(&self, unit: &str) -> Result<bool, SystemError> {
        let active = || {
            let state = self.look()?;
            let units = self.backing().closure(&state.running)?.behaviour.units;
            let after = state.active_for(&self.now());
            Ok(units.get(unit).is_some_and(|unit| !unit.is_failed(after)))
        };
        active().map_err(|error: SimError| error.on("look at a unit"))
    }
}

fn holds(state: &HostState) -> Vec<HostHold> {
    let mut holds = Vec::new();
    if state.faults.disk_full {
        holds.push(HostHold::Disk(FULL.to_owned()));
    }
    if state.lock.as_ref().is_some_and(|lock| lock.by == By::Operator) {
        holds.push(HostHold::Lock);
    }
    if state.open_record().is_none() && !state.default_is_running() {
        holds.push(HostHold::BootDefaultDiffers);
    }
    if state.faults.volatile_state {
        holds.push(HostHold::StateNotPersistent);
    }
    holds
}
