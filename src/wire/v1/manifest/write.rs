//! From the model to the manifest's JSON. Every knob is written out, so that what was signed never changes its
//! meaning with a later default.

use crate::model::fleet::{InFlight, OnDrift, Policy, Release, Target, Wave};
use crate::model::window::Window;
use crate::wire::v1::event::millis;
use crate::wire::v1::manifest::check::DAYS;
use crate::wire::v1::manifest::{
    InFlightJson, ManifestBody, OnDriftJson, PolicyBody, SCHEMA, TargetBody, WaveBody, WindowBody, default_timezone,
};
use crate::wire::v1::release::date;
use std::fmt::Display;

fn texts<'a, T: Display + 'a>(values: impl IntoIterator<Item = &'a T>) -> Vec<String> {
    values.into_iter().map(ToString::to_string).collect()
}

impl From<&Release> for ManifestBody {
    fn from(release: &Release) -> Self {
        let hosts = release.hosts.iter().map(|(host, target)| (host.to_string(), target.into()));
        Self {
            schema: SCHEMA.to_owned(),
            release: release.id.to_string(),
            again: release.again,
            hosts: hosts.collect(),
            waves: release.waves.iter().map(WaveBody::from).collect(),
            policy: (&release.policy).into(),
        }
    }
}

impl From<&Target> for TargetBody {
    fn from(target: &Target) -> Self {
        Self { closure: target.closure.to_string(), tags: texts(&target.tags) }
    }
}

impl From<&Wave> for WaveBody {
    fn from(wave: &Wave) -> Self {
        Self {
            name: wave.name.to_string(),
            hosts: texts(&wave.hosts),
            max_in_flight: wave.max_in_flight,
            min_success: wave.min_success,
            max_failures: wave.max_failures,
            wait_ms: millis(wave.wait),
            not_before: wave.not_before.map(|at| date(at).to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)),
            windows: wave.windows.iter().map(WindowBody::from).collect(),
            approval: wave.approval,
            reboot: Some(wave.reboot.into()),
        }
    }
}

impl From<&Window> for WindowBody {
    fn from(window: &Window) -> Self {
        let open = DAYS.iter().zip(window.days).filter(|(_, open)| *open);
        Self {
            days: open.map(|(name, _)| (*name).to_owned()).collect(),
            from: format!("{:02}:{:02}", window.from / 60, window.from % 60),
            minutes: u32::from(window.minutes),
            timezone: default_timezone(),
        }
    }
}

impl From<&Policy> for PolicyBody {
    fn from(policy: &Policy) -> Self {
        let order = policy.host_order.iter().map(|(host, before)| (host.to_string(), texts(before)));
        Self {
            soak_ms: millis(policy.soak),
            failure_after_ms: millis(policy.failure_after),
            switch_limit_ms: millis(policy.switch_limit),
            commit_limit_ms: millis(policy.commit_limit),
            rollback_limit_ms: millis(policy.rollback_limit),
            reboot_limit_ms: millis(policy.reboot_limit),
            agent_timeout_ms: millis(policy.agent_timeout),
            isolation_limit_ms: millis(policy.isolation_limit),
            offline_grace_ms: millis(policy.offline_grace),
            stage_limit_ms: millis(policy.stage_limit),
            on_failure: policy.on_failure.into(),
            on_supersede: policy.on_supersede.into(),
            on_halt: policy.on_halt.into(),
            on_drift: policy.on_drift.into(),
            budgets: policy.budgets.iter().map(|(tag, limit)| (tag.to_string(), *limit)).collect(),
            host_order: order.collect(),
            after_channels: texts(&policy.after_channels),
        }
    }
}

impl From<InFlight> for InFlightJson {
    fn from(rule: InFlight) -> Self {
        match rule {
            InFlight::Finish => Self::Finish,
            InFlight::Revert => Self::Revert,
        }
    }
}

impl From<InFlightJson> for InFlight {
    fn from(json: InFlightJson) -> Self {
        match json {
            InFlightJson::Finish => Self::Finish,
            InFlightJson::Revert => Self::Revert,
        }
    }
}

impl From<OnDrift> for OnDriftJson {
    fn from(rule: OnDrift) -> Self {
        match rule {
            OnDrift::Report => Self::Report,
            OnDrift::Hold => Self::Hold,
            OnDrift::Reconcile => Self::Reconcile,
        }
    }
}

impl From<OnDriftJson> for OnDrift {
    fn from(json: OnDriftJson) -> Self {
        match json {
            OnDriftJson::Report => Self::Report,
            OnDriftJson::Hold => Self::Hold,
            OnDriftJson::Reconcile => Self::Reconcile,
        }
    }
}
