//! Closures and releases of the simulated fleet, good ones and bad in each way that a host has to undo.

use crate::simulation::transport::CONTROL_PLANE;
use convoy::model::fleet::Release;
use convoy::model::id::{Closure, HostName};
use convoy::system::sim::closure::{AgentKind, Network, SimClosure, SwitchOutcome, UnitState};
use convoy::trust::draft;
use serde_json::json;
use std::time::Duration;

/// How many hosts may hold a permit at once, over all waves.
pub(crate) const BUDGET: usize = 4;
/// How long a host soaks.
pub(crate) const SOAK: Duration = Duration::from_secs(300);
/// How long an `enforce` probe may fail.
pub(crate) const FAILURE_AFTER: Duration = Duration::from_secs(60);

/// What is wrong with a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quality {
    Good,
    ProbeFails,
    UnitFails,
    NetworkBroken,
    SwitchHangs,
    AgentCrashes,
    WrongControlPlane,
}

impl Quality {
    pub(crate) const BAD: [Self; 6] = [
        Self::ProbeFails,
        Self::UnitFails,
        Self::NetworkBroken,
        Self::SwitchHangs,
        Self::AgentCrashes,
        Self::WrongControlPlane,
    ];
}

pub(crate) fn host_name(n: usize) -> HostName {
    HostName::new(format!("host{n:02}")).unwrap()
}

/// Makes the closure that release `number` has for host `n`.
pub(crate) fn closure(n: usize, number: u64, quality: Quality, trust: &str) -> SimClosure {
    let checks = json!({ "version": 1, "probes": [
        { "name": "web", "kind": "unit", "unit": "web.service", "intervalMs": 10_000 },
    ] });
    let made = SimClosure::new(&format!("nixos-system-{}-{number}", host_name(n)), CONTROL_PLANE).unwrap();
    made.with(|closure| {
        closure.trust = trust.to_owned();
        closure.health_checks = checks.to_string();
        closure.behaviour.switch_ms = 20_000;
        closure.behaviour.activate_at_ms = 8_000;
        closure.behaviour.stage_ms = 5_000;
        closure.behaviour.commit_ms = 3_000;
        closure.behaviour.units.insert("web.service".into(), UnitState::Ok);
        match quality {
            Quality::Good => {}
            Quality::ProbeFails => {
                closure.behaviour.units.insert("web.service".into(), UnitState::FailsAfterMs(90_000));
            }
            Quality::UnitFails => {
                closure.behaviour.units.insert("db.service".into(), UnitState::Fails);
            }
            Quality::NetworkBroken => closure.behaviour.network = Network::Broken,
            Quality::SwitchHangs => closure.behaviour.switch = SwitchOutcome::Hangs,
            Quality::AgentCrashes => closure.agent.agent = AgentKind::CrashLoop,
            Quality::WrongControlPlane => closure.agent.control_plane = "http://elsewhere:1".into(),
        }
    })
}

/// Makes the release: three waves, a budget over all of them.
pub(crate) fn release(number: u64, closures: &[Closure], again: bool) -> Release {
    let hosts = closures.len();
    let entry = |n: usize| (host_name(n).to_string(), json!({ "closure": closures[n].as_str(), "tags": ["all"] }));
    let names = |from: usize, to: usize| (from..to).map(|n| host_name(n).to_string()).collect::<Vec<_>>();
    let waves = [("canary", 0, 3), ("some", 3, hosts / 2), ("rest", hosts / 2, hosts)];
    let wave = |(name, from, to): (&str, usize, usize)| json!({ "name": name, "hosts": names(from, to), "maxInFlight": BUDGET, "waitMs": 60_000 });
    let manifest = json!({
        "schema": "convoy.release/1",
        "release": format!("stable@{number}"),
        "hosts": (0..hosts).map(entry).collect::<serde_json::Map<_, _>>(),
        "waves": waves.map(wave),
        "again": again,
        "policy": {
            "soakMs": u64::try_from(SOAK.as_millis()).unwrap(),
            "failureAfterMs": u64::try_from(FAILURE_AFTER.as_millis()).unwrap(),
            "switchLimitMs": 300_000, "commitLimitMs": 60_000, "rollbackLimitMs": 300_000,
            "rebootLimitMs": 300_000, "agentTimeoutMs": 120_000, "isolationLimitMs": 1_800_000,
            "offlineGraceMs": 900_000, "budgets": { "all": BUDGET },
        },
    });
    draft(&manifest.to_string()).unwrap()
}
