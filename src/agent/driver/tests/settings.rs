//! What a closure tells its agent, when that can't be read.

use super::world::{SOAK, World, closure};
use crate::model::host_rollout::HostRolloutState as State;
use crate::system::sim::machine::Faults;
use crate::system::sim::power::set_faults;
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn the_probes_of_the_prior_soak_no_target() {
    let world = World::ordered(closure("1").with(|it| {
        it.health_checks =
            json!({"version": 1, "probes": [{"name": "db", "kind": "unit", "unit": "web.service"}]}).to_string();
    }));
    world.until(State::Activating).await;
    set_faults(&world.host, &Faults { settings_unreadable: true, ..Faults::default() }).unwrap();
    world.pass(SOAK + 60).await;
    assert_eq!((world.state(), world.running()), (Some(State::Soaking), world.target.clone()));
    assert_ne!(world.host.snapshot().loader, world.target, "committed on the word of the prior's probes");
    set_faults(&world.host, &Faults::default()).unwrap();
    world.until(State::Converged).await;
}
