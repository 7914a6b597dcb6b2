//! From the manifest's JSON to the model: the policy, each span within its bounds.

use crate::model::fleet::Policy;
use crate::model::id::{Channel, Tag};
use crate::wire::v1::manifest::check::WaveOf;
use crate::wire::v1::manifest::mistakes::Mistakes;
use crate::wire::v1::manifest::order;
use crate::wire::v1::manifest::{MAX_AFTER_CHANNELS, MAX_BUDGETS, ManifestBody, PolicyBody};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// No span is shorter, in milliseconds: below it a busy machine would miss it by chance.
pub const MIN_SPAN_MS: u64 = 100;
const HOUR: u64 = 60 * 60 * 1_000;
const DAY: u64 = 24 * HOUR;
/// The longest soak: a host that is uncommitted for longer is forgotten.
pub const MAX_SOAK_MS: u64 = 7 * DAY;
/// The longest time a probe may fail.
pub const MAX_FAILURE_AFTER_MS: u64 = DAY;
/// The longest switch, rollback and reboot.
pub const MAX_ACT_MS: u64 = 6 * HOUR;
/// The longest commit.
pub const MAX_COMMIT_MS: u64 = HOUR;
/// The longest silence of an agent that the dead-man bears.
pub const MAX_AGENT_TIMEOUT_MS: u64 = HOUR;
/// The longest wait for a control plane that is gone.
pub const MAX_ISOLATION_MS: u64 = 7 * DAY;
/// The longest silence before a host is set aside.
pub const MAX_OFFLINE_GRACE_MS: u64 = 30 * DAY;
/// The longest try to fetch a closure.
pub const MAX_STAGE_MS: u64 = DAY;

/// Checks the policy and builds it.
pub(super) fn policy(found: &mut Mistakes, body: &ManifestBody, wave_of: &WaveOf<'_>) -> Policy {
    let rules = &body.policy;
    spans(found, rules);
    Policy {
        soak: Duration::from_millis(rules.soak_ms),
        failure_after: Duration::from_millis(rules.failure_after_ms),
        switch_limit: Duration::from_millis(rules.switch_limit_ms),
        commit_limit: Duration::from_millis(rules.commit_limit_ms),
        rollback_limit: Duration::from_millis(rules.rollback_limit_ms),
        reboot_limit: Duration::from_millis(rules.reboot_limit_ms),
        agent_timeout: Duration::from_millis(rules.agent_timeout_ms),
        isolation_limit: Duration::from_millis(rules.isolation_limit_ms),
        offline_grace: Duration::from_millis(rules.offline_grace_ms),
        stage_limit: Duration::from_millis(rules.stage_limit_ms),
        on_failure: rules.on_failure.into(),
        on_supersede: rules.on_supersede.into(),
        on_halt: rules.on_halt.into(),
        on_drift: rules.on_drift.into(),
        budgets: budgets(found, body),
        host_order: order::host_order(found, &rules.host_order, wave_of),
        after_channels: channels(found, body),
    }
}

fn spans(found: &mut Mistakes, rules: &PolicyBody) {
    let all = [
        ("soakMs", rules.soak_ms, MAX_SOAK_MS),
        ("failureAfterMs", rules.failure_after_ms, MAX_FAILURE_AFTER_MS),
        ("switchLimitMs", rules.switch_limit_ms, MAX_ACT_MS),
        ("commitLimitMs", rules.commit_limit_ms, MAX_COMMIT_MS),
        ("rollbackLimitMs", rules.rollback_limit_ms, MAX_ACT_MS),
        ("rebootLimitMs", rules.reboot_limit_ms, MAX_ACT_MS),
        ("agentTimeoutMs", rules.agent_timeout_ms, MAX_AGENT_TIMEOUT_MS),
        ("isolationLimitMs", rules.isolation_limit_ms, MAX_ISOLATION_MS),
        ("offlineGraceMs", rules.offline_grace_ms, MAX_OFFLINE_GRACE_MS),
        ("stageLimitMs", rules.stage_limit_ms, MAX_STAGE_MS),
    ];
    for (name, value, most) in all {
        found.range(format_args!("policy.{name}"), value, (MIN_SPAN_MS, most));
    }
    if rules.commit_limit_ms > rules.isolation_limit_ms {
        let wrong = "is more than isolationLimitMs: a host that hears from its control plane late could not commit";
        found.at("policy.commitLimitMs", wrong);
    }
}

fn budgets(found: &mut Mistakes, body: &ManifestBody) -> BTreeMap<Tag, u32> {
    found.at_most("policy.budgets", body.policy.budgets.len(), MAX_BUDGETS);
    let carried: BTreeSet<&String> = body.hosts.values().flat_map(|target| &target.tags).collect();
    let mut all = BTreeMap::new();
    for (name, limit) in &body.policy.budgets {
        let path = format!("policy.budgets.{name}");
        if *limit == 0 {
            found.at(&path, "0 lets nobody start: at least 1");
        }
        if !carried.contains(name) {
            found.at(&path, "no host has this tag: tag the hosts or remove the budget");
        }
        if let Some(tag) = found.parse(&path, name) {
            all.insert(tag, *limit);
        }
    }
    all
}

fn channels(found: &mut Mistakes, body: &ManifestBody) -> BTreeSet<Channel> {
    let path = "policy.afterChannels";
    found.at_most(path, body.policy.after_channels.len(), MAX_AFTER_CHANNELS);
    let own = body.release.split('@').next().unwrap_or_default();
    if body.policy.after_channels.iter().any(|channel| channel == own) {
        found.at(path, format_args!("{own} is this release's own channel: it would wait for itself"));
    }
    found.parse_set(path, &body.policy.after_channels)
}
