//! The two releases of the demo: what they bring, in which waves, under which rules. Pure.

use crate::ctl::demo::plan::{FAILURE_AFTER_MS, Plan, SOAK_MS};
use crate::model::fleet::{InFlight, OnDrift, OnFailure, Policy, RebootPolicy, Release, Target, Wave};
use crate::model::id::{Closure, Digest, HostName, InvalidId, RolloutId, Tag};
use crate::system::sim::closure::{SimClosure, UnitState};
use crate::system::sim::error::SimError;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The service that every host runs and that the probe watches.
pub const UNIT: &str = "web.service";
/// When the bad release's service dies, after the switch has activated it: later than any switch takes, so that
/// the switch itself succeeds.
const DIES_AFTER_MS: u64 = 1_500;
/// How long a host takes to fetch a closure, in milliseconds.
const STAGE_MS: u64 = 80;
/// The wait between two waves.
const WAVE_WAIT: Duration = Duration::from_millis(300);

/// What a closure of the demo is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What the host runs before anything.
    Initial,
    /// Release 1.
    Good,
    /// The bad release: its switch succeeds, then its service dies.
    Bad,
}

impl Kind {
    fn version(self) -> &'static str {
        match self {
            Self::Initial => "26.05.1",
            Self::Good => "26.05.2",
            Self::Bad => "26.05.3",
        }
    }

    /// Names the release; the initial closure is of none.
    ///
    /// # Errors
    /// [`InvalidId`] never, in truth: the names are written here.
    pub fn rollout(self) -> Result<RolloutId, InvalidId> {
        match self {
            Self::Initial => "stable@0".parse(),
            Self::Good => "stable@1".parse(),
            Self::Bad => "stable@2".parse(),
        }
    }
}

/// Makes a host's closure.
///
/// # Errors
/// [`SimError`] when the host's name does not fit into a store path.
pub fn closure(host: &HostName, kind: Kind, site: &Site<'_>) -> Result<SimClosure, SimError> {
    let name = format!("nixos-system-{host}-{}", kind.version());
    let unit = match kind {
        Kind::Initial | Kind::Good => UnitState::Ok,
        Kind::Bad => UnitState::FailsAfterMs(DIES_AFTER_MS),
    };
    let blank = SimClosure::new(&name, site.control_plane)?;
    let switch_ms = u64::try_from(site.switch.as_millis()).unwrap_or(u64::MAX);
    Ok(blank.with(|closure| {
        closure.behaviour.switch_ms = switch_ms;
        closure.behaviour.activate_at_ms = switch_ms / 2;
        closure.behaviour.stage_ms = STAGE_MS;
        closure.behaviour.units.insert(UNIT.to_owned(), unit);
        closure.health_checks = health_checks();
        closure.trust = site.trust.to_owned();
    }))
}

/// What all closures of one host share.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// Where the control plane is.
    pub control_plane: &'a str,
    /// The text of the trust file.
    pub trust: &'a str,
    /// How long the host's switch takes.
    pub switch: Duration,
}

fn health_checks() -> String {
    let probe = format!(
        r#"{{ "name": "web", "kind": "unit", "unit": "{UNIT}", "mode": "enforce", "intervalMs": 250, "timeoutMs": 2000 }}"#
    );
    format!("{{ \"version\": 1, \"probes\": [ {probe} ] }}\n")
}

/// Makes a release of these closures in the plan's waves.
///
/// # Errors
/// [`InvalidId`] never, in truth: the names are written here.
pub fn release(plan: &Plan, kind: Kind, closures: &BTreeMap<HostName, Closure>) -> Result<Release, InvalidId> {
    let target = |(host, closure): (&HostName, &Closure)| {
        (host.clone(), Target { closure: closure.clone(), tags: BTreeSet::new() })
    };
    let names = ["canaries", "half", "everyone"];
    let waves = plan.waves.iter().zip(names).map(|(hosts, name)| wave(plan, hosts, name));
    Ok(Release {
        id: kind.rollout()?,
        // Signing computes it from the manifest; until then there is none.
        digest: Digest::new("0".repeat(64))?,
        hosts: closures.iter().map(target).collect(),
        waves: waves.collect::<Result<_, _>>()?,
        policy: policy(),
        again: false,
    })
}

fn wave(plan: &Plan, hosts: &[HostName], name: &str) -> Result<Wave, InvalidId> {
    let count = u32::try_from(hosts.len()).unwrap_or(u32::MAX);
    Ok(Wave {
        name: Tag::new(name)?,
        hosts: hosts.iter().cloned().collect(),
        max_in_flight: Some(plan.wave_limit),
        min_success: count,
        max_failures: 0,
        wait: WAVE_WAIT,
        not_before: None,
        windows: Vec::new(),
        approval: false,
        reboot: RebootPolicy::Live,
    })
}

/// Everything is as for a real fleet, only shorter: minutes are seconds.
fn policy() -> Policy {
    Policy {
        soak: Duration::from_millis(SOAK_MS),
        failure_after: Duration::from_millis(FAILURE_AFTER_MS),
        switch_limit: Duration::from_secs(20),
        commit_limit: Duration::from_secs(15),
        rollback_limit: Duration::from_secs(20),
        reboot_limit: Duration::from_secs(20),
        agent_timeout: Duration::from_secs(20),
        isolation_limit: Duration::from_secs(60),
        offline_grace: Duration::from_secs(60),
        stage_limit: Duration::from_secs(20),
        on_failure: OnFailure::Revert,
        on_supersede: InFlight::Finish,
        on_halt: InFlight::Finish,
        on_drift: OnDrift::Report,
        budgets: BTreeMap::new(),
        host_order: BTreeMap::new(),
        after_channels: BTreeSet::new(),
    }
}

/// The terms that a host of the demo gets, for the tests of the demo's own counting.
#[cfg(test)]
pub(crate) fn tests_terms() -> crate::model::host_rollout::Terms {
    use crate::ctl::demo::plan::Scenario;
    let plan = Plan::new(4, Scenario::Good, crate::runtime::entropy::seeded(1)).unwrap();
    let host = plan.hosts[0].clone();
    let path = crate::system::sim::closure::store_path("good", b"").unwrap();
    let closures = plan.hosts.iter().map(|host| (host.clone(), path.clone())).collect();
    crate::model::host_rollout::Terms::of(&release(&plan, Kind::Good, &closures).unwrap(), &host).unwrap()
}
