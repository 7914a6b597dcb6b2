//! What a release says for one host, in the machine's own words: the same on both ends.

use crate::model::fleet::Release;
use crate::model::host_rollout::Terms;
use crate::model::id::HostName;

impl Terms {
    /// Returns what the release says for the host; `None` when it does not name it, or names it in no wave.
    #[must_use]
    pub fn of(release: &Release, host: &HostName) -> Option<Self> {
        let target = release.hosts.get(host)?.closure.clone();
        let wave = release.waves.get(release.wave_of(host)?)?;
        let policy = &release.policy;
        Some(Self {
            target,
            soak: policy.soak,
            failure_after: policy.failure_after,
            switch_limit: policy.switch_limit,
            commit_limit: policy.commit_limit,
            rollback_limit: policy.rollback_limit,
            reboot_limit: policy.reboot_limit,
            stage_limit: policy.stage_limit,
            isolation_limit: policy.isolation_limit,
            on_failure: policy.on_failure,
            reboot: wave.reboot,
        })
    }
}
