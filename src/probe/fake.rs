//! A machine and a network for the tests of probes: every question has a fixed answer.

use crate::model::facts::Verdict;
use crate::model::id::{Attempt, Closure, RolloutId};
use crate::model::root_record::RootRecord;
use crate::probe::net::{HttpAnswer, ProbeNet};
use crate::probe::spec::Exec;
use crate::system::{AgentSettings, Observation, StartOrder, System, SystemError};
use async_trait::async_trait;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A network on which addresses that contain `up` answer and `hang` never does.
#[derive(Default)]
pub(crate) struct FakeNet {
    /// How many checks were made.
    pub(crate) asked: AtomicUsize,
}

impl FakeNet {
    async fn answer(&self, name: &str) -> Result<(), String> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if name.contains("hang") {
            std::future::pending::<()>().await;
        }
        if name.contains("up") { Ok(()) } else { Err(format!("{name} refused")) }
    }
}

#[async_trait]
impl ProbeNet for FakeNet {
    async fn connect(&self, address: &str, _: Duration) -> Result<(), String> {
        self.answer(address).await
    }
    async fn get(&self, url: &str, _: Duration) -> Result<HttpAnswer, String> {
        self.answer(url).await?;
        Ok(HttpAnswer { status: if url.contains("moved") { 302 } else { 200 }, body: b"all ok".to_vec() })
    }
    async fn run(&self, program: &Exec, _: Duration) -> Result<(), String> {
        self.answer(&program.program).await
    }
}

/// A machine on which units that contain `up` are active.
pub(crate) struct FakeMachine {
    /// Whether its network works.
    pub(crate) network: bool,
}

fn never<T>() -> Result<T, SystemError> {
    Err(SystemError::Refused("not in this test".into()))
}

#[async_trait]
impl System for FakeMachine {
    async fn start(&self, _: &StartOrder) -> Result<(), SystemError> {
        never()
    }
    async fn status(&self) -> Result<Vec<RootRecord>, SystemError> {
        never()
    }
    async fn pat(&self, _: &RolloutId, _: Attempt) -> Result<(), SystemError> {
        never()
    }
    async fn commit(&self, _: &RolloutId, _: Attempt) -> Result<(), SystemError> {
        never()
    }
    async fn revert(&self, _: &RolloutId, _: Attempt, _: &Verdict, _: bool) -> Result<(), SystemError> {
        never()
    }
    async fn reboot(&self, _: &RolloutId, _: Attempt, _: &str) -> Result<(), SystemError> {
        never()
    }
    async fn observe(&self) -> Result<Observation, SystemError> {
        never()
    }
    async fn stage(&self, _: &Closure) -> Result<(), SystemError> {
        never()
    }
    async fn needs_reboot(&self, _: &Closure) -> Result<bool, SystemError> {
        never()
    }
    async fn settings(&self) -> Result<AgentSettings, SystemError> {
        never()
    }
    async fn agent_started(&self) -> Result<(), SystemError> {
        never()
    }
    async fn prior_reaches_control_plane(&self, _: &RolloutId, _: Attempt) -> Result<bool, SystemError> {
        never()
    }
    async fn network_up(&self) -> bool {
        self.network
    }
    async fn unit_active(&self, unit: &str) -> Result<bool, SystemError> {
        Ok(unit.contains("up"))
    }
}
