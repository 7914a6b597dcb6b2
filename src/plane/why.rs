//! Why a host does not start, or what it waits for: every hold, the first to clear first, and who can clear it.

use crate::model::gate::clearing::sort_first_to_clear;
use crate::model::gate::{Gate, Hold};
use crate::model::host_rollout::{Phase, Rollback, Soaking};
use crate::model::id::HostName;
use crate::model::time::{Spoken, Stamp};
use crate::plane::Plane;
use crate::plane::desk::Desk;
use crate::plane::error::Done;
use crate::plane::ledger::Kept;
use crate::plane::liveness::Seen;
use crate::plane::silence::Judged;
use crate::wire::v1::operator::{HoldView, WhyView};
use crate::wire::v1::release::date;
use std::sync::Arc;
use std::time::Duration;

impl Plane {
    /// Says why a host waits.
    ///
    /// # Errors
    /// [`crate::plane::error::PlaneError::NotFound`], the store's.
    pub async fn why(self: &Arc<Self>, host: HostName) -> Done<WhyView> {
        self.look(move |desk| desk.why(&host)).await
    }
}

impl Desk<'_> {
    fn why(&self, host: &HostName) -> Done<WhyView> {
        self.check_known(host)?;
        let open = self.open_records(host)?;
        let mut said = Vec::new();
        let mut holds = Vec::new();
        for kept in &open {
            if kept.waits() {
                let found = self.sorted_holds(kept)?;
                said.push(self.waiting_words(kept, &found));
                holds.extend(found.iter().map(|(gate, hold)| self.hold_view(kept, *gate, hold)));
            } else {
                said.push(format!("{}: {}", kept.row.rollout, self.running_words(kept)));
            }
        }
        if open.is_empty() {
            said.push(self.idle_words(host)?);
        }
        said.extend(self.identity_words(host)?);
        Ok(WhyView { host: host.to_string(), summary: said.join("; "), holds })
    }

    fn sorted_holds(&self, kept: &Kept) -> Done<Vec<(Gate, Hold)>> {
        let Some(case) = self.case(kept)? else { return Ok(Vec::new()) };
        let mut holds = self.holds(&case, kept);
        sort_first_to_clear(&mut holds, self.now);
        Ok(holds)
    }

    fn hold_view(&self, kept: &Kept, gate: Gate, hold: &Hold) -> HoldView {
        HoldView {
            rollout: kept.row.rollout.to_string(),
            gate: gate.to_string(),
            text: hold.to_string(),
            cleared_by: hold.cleared_by().to_string(),
            hint: hold.hint(kept.host(), &kept.row.rollout),
            clears_at: hold.clears_at(self.now).map(date),
        }
    }

    fn waiting_words(&self, kept: &Kept, holds: &[(Gate, Hold)]) -> String {
        let (rollout, state) = (&kept.row.rollout, kept.row.state);
        let aside = match self.plane.silence.of(kept.host(), rollout) {
            Some(Judged::SetAside) => ", set aside because it is silent",
            Some(Judged::AssumedInFlight) => ", counted as in flight until it reports, because the store was restored",
            Some(Judged::Lost | Judged::LostFailing | Judged::LostForgiven) | None => "",
        };
        match holds.len() {
            0 => format!("{rollout}: {state}{aside}, nothing holds it; it is invited as soon as a slot is free"),
            1 => format!("{rollout}: {state}{aside}, one hold"),
            n => format!("{rollout}: {state}{aside}, {n} holds"),
        }
    }

    fn running_words(&self, kept: &Kept) -> String {
        let words = match &kept.body.progress.phase {
            Phase::Pending(_) => "permitted to switch, it has not begun yet".to_owned(),
            Phase::Deferred(_) => "permitted to reboot, it has not begun yet".to_owned(),
            Phase::Activating(_) => "switching now".to_owned(),
            Phase::Soaking(soaking) => self.soaking_words(kept, soaking),
            Phase::Failed(failed) => match &failed.rollback {
                Rollback::Due | Rollback::Started(_) => format!("failed ({}), going back", failed.verdict),
                Rollback::Impossible(why) => format!("failed ({}) and can't go back: {why}", failed.verdict),
                Rollback::Kept => format!("failed ({}), kept as it is by policy", failed.verdict),
                Rollback::Overtaken => format!("failed ({})", failed.verdict),
            },
            Phase::Converged(_) => "converged".to_owned(),
            Phase::Reverted(reverted) => format!("reverted ({})", reverted.verdict),
            Phase::Cancelled(cancelled) => format!("cancelled ({})", cancelled.why),
        };
        let lost = match self.plane.silence.of(kept.host(), &kept.row.rollout) {
            Some(Judged::Lost | Judged::LostFailing | Judged::LostForgiven) => {
                "; lost: silent past its limit, counted as a failure"
            }
            Some(Judged::SetAside | Judged::AssumedInFlight) | None => "",
        };
        let ordered = kept.body.revert.as_ref().map(|why| format!("; told to go back: {why}")).unwrap_or_default();
        format!("{words}{ordered}{lost}")
    }

    fn soaking_words(&self, kept: &Kept, soaking: &Soaking) -> String {
        let terms = &kept.body.progress.terms;
        let seen = self.plane.live.get(kept.host());
        if soaking.committed.is_some() {
            return "committed, about to converge".to_owned();
        }
        if let Some(since) = &soaking.failing_since {
            let left = left(&seen, (self.up, before_beat(since, &seen)), terms.failure_after);
            return format!("soaking, an enforced probe fails; judged unhealthy in {}", Spoken(left));
        }
        let Some(probes) = &soaking.probes else { return "soaking, its probes are not declared yet".to_owned() };
        let missing: Vec<_> = probes
            .iter()
            .filter(|(_, probe)| probe.mode == crate::model::facts::ProbeMode::Enforce && probe.last.is_none())
            .map(|(name, _)| name.to_string())
            .collect();
        if !missing.is_empty() {
            return format!("soaking, waits for the first result of {}", missing.join(", "));
        }
        let left = left(&seen, (self.up, before_beat(&soaking.since, &seen)), terms.soak);
        if left.is_zero() {
            return "soaked; the commit waits for the host: `convoy events` shows what it says".to_owned();
        }
        format!("soaking for {} more", Spoken(left))
    }

    fn idle_words(&self, host: &HostName) -> Done<String> {
        let Some(kept) = self.newest_record(host)? else {
            return Ok("no release names this host".to_owned());
        };
        let (_, body) = self.host(host)?;
        let cloned = body.cloned.map(|seen| format!("; two machines seem to use its identity: {seen}"));
        let held = body.operator_hold.map(|why| format!("; held: {why}"));
        let (cloned, held) = (cloned.unwrap_or_default(), held.unwrap_or_default());
        Ok(format!("nothing to do: {} in {}{held}{cloned}", self.running_words(&kept), kept.row.rollout))
    }
}

/// What is left of a span that began `elapsed` before the host's last heartbeat.
fn left(seen: &Seen, (up, elapsed): (Duration, Option<Duration>), span: Duration) -> Duration {
    let since_beat = seen.stamp_up.map_or(Duration::ZERO, |at| up.saturating_sub(at));
    span.saturating_sub(elapsed.unwrap_or_default() + since_beat)
}

/// How long before the host's last heartbeat something was; `None` when another boot lies between.
fn before_beat(at: &Stamp, seen: &Seen) -> Option<Duration> {
    seen.stamp.as_ref()?.since(at)
}
