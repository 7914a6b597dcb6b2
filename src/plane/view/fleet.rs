//! The fleet in counts, never a list: from memory and counters, so that it costs the same at any size.

use crate::model::host_rollout::HostRolloutState;
use crate::model::id::RolloutId;
use crate::plane::Plane;
use crate::plane::desk::Desk;
use crate::plane::error::Done;
use crate::plane::heartbeat::online_span;
use crate::plane::silence::Judged;
use crate::wire::v1::operator::FleetView;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Hosts in one state.
#[derive(Debug, Clone, Copy, Default)]
pub struct InState {
    /// How many.
    pub hosts: u64,
    /// How long the one that is in it longest has been.
    pub longest: Duration,
}

impl Plane {
    /// Shows the fleet in counts.
    ///
    /// # Errors
    /// The store's.
    pub async fn fleet(self: &Arc<Self>) -> Done<FleetView> {
        let by_state = self.hosts_by_state();
        let rollouts = self
            .look(|desk| {
                let ids = desk.shown_rollouts()?;
                ids.iter().map(|id| desk.rollout_view(id)).collect::<Done<Vec<_>>>()
            })
            .await?;
        let hosts = self.live.count();
        let online = self.live.online(self.up(), online_span(self.config().heartbeat));
        Ok(FleetView {
            hosts,
            online,
            by_state: by_state.into_iter().map(|(state, found)| (state, found.hosts)).collect(),
            rollouts,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }

    /// Counts hosts by the state of their newest attempt, lost and set-aside ones as such.
    #[must_use]
    pub fn hosts_by_state(&self) -> BTreeMap<String, InState> {
        let now = self.now();
        let mut counts: BTreeMap<String, InState> =
            HostRolloutState::ALL.iter().map(|state| (state.to_string(), InState::default())).collect();
        let newest: Vec<_> = {
            let seen = self.live.lock();
            seen.iter().filter_map(|(host, seen)| Some((host.clone(), seen.newest.clone()?))).collect()
        };
        for (host, newest) in newest {
            let state = match self.silence.of(&host, &newest.rollout) {
                Some(Judged::Lost | Judged::LostFailing | Judged::LostForgiven) => "Lost".to_owned(),
                Some(Judged::SetAside) => "SetAside".to_owned(),
                Some(Judged::AssumedInFlight) | None => newest.state.to_string(),
            };
            let found = counts.entry(state).or_default();
            found.hosts += 1;
            found.longest = found.longest.max(now.since(newest.since));
        }
        counts
    }
}

impl Desk<'_> {
    /// Lists rollouts that are open or the newest of their channel, newest first.
    ///
    /// # Errors
    /// The store's.
    pub fn shown_rollouts(&self) -> Done<Vec<RolloutId>> {
        Ok(self.concerned()?.into_iter().map(|row| row.id).collect())
    }
}
