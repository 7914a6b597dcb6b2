//! Work that never runs out: a store during whose every job something happens.

use crate::plane::Plane;
use crate::plane::tests::trial::{HandClock, Trial, fresh_store, name, rollout};
use crate::store::{Job, Store, StoreError, StoreMark};
use async_trait::async_trait;
use std::any::Any;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

struct Restless {
    inner: Arc<dyn Store>,
    fleet: OnceLock<(Weak<Plane>, Arc<HandClock>)>,
}

impl Restless {
    async fn stir(&self) {
        tokio::task::yield_now().await;
        let Some((plane, clock)) = self.fleet.get() else { return };
        let Some(plane) = plane.upgrade() else { return };
        clock.pass(Duration::from_millis(1));
        plane.heard(&name("a"));
        plane.nudge(rollout("stable@1"));
    }
}

#[async_trait]
impl Store for Restless {
    async fn write_job(&self, job: Job) -> Result<Box<dyn Any + Send>, StoreError> {
        let answer = self.inner.write_job(job).await;
        self.stir().await;
        answer
    }

    async fn read_job(&self, job: Job) -> Result<Box<dyn Any + Send>, StoreError> {
        let answer = self.inner.read_job(job).await;
        self.stir().await;
        answer
    }

    fn mark(&self) -> StoreMark {
        self.inner.mark()
    }

    fn commit_cost(&self) -> (u64, u64, u64) {
        self.inner.commit_cost()
    }
}

#[tokio::test]
async fn a_fleet_that_is_never_quiet_lets_every_piece_of_work_end() {
    let store = Arc::new(Restless { inner: fresh_store('a'), fleet: OnceLock::new() });
    let trial = Trial::on(store.clone()).await;
    trial.publish_simple("stable@1", &["a", "b"]).await;
    assert!(store.fleet.set((Arc::downgrade(&trial.plane), trial.clock.clone())).is_ok());
    let patience = Duration::from_secs(30);
    let settled = tokio::time::timeout(patience, trial.plane.settle()).await;
    settled.expect("settles while rollouts change").unwrap();
    let flushed = tokio::time::timeout(patience, trial.plane.flush()).await;
    flushed.expect("writes contacts while hosts are heard").unwrap();
}
