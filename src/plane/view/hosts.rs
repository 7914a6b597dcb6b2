//! Pictures of hosts and their attempts.

use crate::model::host_rollout::{HostRollout, Phase};
use crate::model::id::HostName;
use crate::plane::Plane;
use crate::plane::desk::{Desk, keep};
use crate::plane::error::Done;
use crate::plane::permit::in_flight;
use crate::plane::silence::Judged;
use crate::store::rows::RecordRow;
use crate::wire::v1::event::activation::ActivationJson;
use crate::wire::v1::operator::{AttemptView, HostView, MAX_PAGE, Page};
use crate::wire::v1::release::date;
use std::sync::Arc;

/// How many attempts of one host are shown.
const ATTEMPTS: usize = 8;

impl Plane {
    /// Lists hosts by name, after one.
    ///
    /// # Errors
    /// The store's.
    pub async fn list_hosts(self: &Arc<Self>, after: Option<HostName>, limit: usize) -> Done<Page<HostView>> {
        let limit = limit.clamp(1, MAX_PAGE);
        self.look(move |desk| {
            let names: Vec<HostName> = {
                let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
                let seen = desk.plane.live.lock();
                let names = seen.range::<HostName, _>((from.as_ref(), std::ops::Bound::Unbounded));
                names.map(|(name, _)| name.clone()).take(limit).collect()
            };
            let next = (names.len() >= limit).then(|| names.last().map(ToString::to_string)).flatten();
            let items = names.iter().map(|name| desk.host_view(name)).collect::<Done<_>>()?;
            Ok(Page { items, next })
        })
        .await
    }

    /// Shows one host.
    ///
    /// # Errors
    /// [`crate::plane::error::PlaneError::NotFound`], the store's.
    pub async fn show_host(self: &Arc<Self>, host: HostName) -> Done<HostView> {
        self.look(move |desk| {
            desk.check_known(&host)?;
            desk.host_view(&host)
        })
        .await
    }
}

impl Desk<'_> {
    fn host_view(&self, name: &HostName) -> Done<HostView> {
        let (row, body) = self.host(name)?;
        let newest = self.tx.newest_records(name, ATTEMPTS)?;
        let attempts = newest.into_iter().map(|row| self.attempt_view(row)).collect::<Done<_>>()?;
        let closures = body.closures.as_ref();
        let text = |closure: Option<&crate::model::id::Closure>| closure.map(ToString::to_string);
        Ok(HostView {
            name: name.to_string(),
            heard_at: self.plane.live.get(name).heard.or(row.heard).map(date),
            running: text(closures.and_then(|known| known.running.as_ref())),
            booted: text(closures.and_then(|known| known.booted.as_ref())),
            default: text(closures.and_then(|known| known.default.as_ref())),
            agent_version: body.agent_version,
            operator_hold: body.operator_hold,
            cloned: body.cloned,
            identity: self.host_identity(name)?,
            activated: body.activated.as_ref().map(ActivationJson::from),
            quarantined: body.quarantined.iter().map(ToString::to_string).collect(),
            attempts,
        })
    }

    /// Makes the picture of an attempt.
    ///
    /// # Errors
    /// The store's.
    pub fn attempt_view(&self, row: RecordRow) -> Done<AttemptView> {
        let kept = keep(row)?;
        let judged = self.plane.silence.of(kept.host(), &kept.row.rollout);
        Ok(AttemptView {
            host: kept.row.host.to_string(),
            rollout: kept.row.rollout.to_string(),
            attempt: kept.row.attempt.0,
            wave: kept.row.wave.saturating_add(1),
            state: kept.row.state.to_string(),
            is_final: kept.row.is_final,
            in_flight: in_flight(kept.row.bucket),
            lost: judged.is_some_and(Judged::is_lost),
            verdict: verdict(&kept.body.progress),
            since: date(kept.body.state_since),
            target: kept.target().to_string(),
        })
    }
}

fn verdict(progress: &HostRollout) -> Option<String> {
    match &progress.phase {
        Phase::Failed(failed) => Some(failed.verdict.to_string()),
        Phase::Reverted(reverted) => Some(reverted.verdict.to_string()),
        Phase::Cancelled(cancelled) => Some(cancelled.why.clone()),
        Phase::Pending(_) | Phase::Activating(_) | Phase::Deferred(_) | Phase::Soaking(_) | Phase::Converged(_) => None,
    }
}
