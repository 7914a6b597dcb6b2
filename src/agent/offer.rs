//! A release as this host sees it: verified, and cut down to what concerns it. Must not decide when to start.

use crate::agent::journal::line::FloorLine;
use crate::client::agent::FetchedRelease;
use crate::model::facts::HostHold;
use crate::model::host_rollout::Terms;
use crate::model::id::{Digest, HostName};
use crate::model::limit::self_rollback;
use crate::model::time::Timestamp;
use crate::model::window::{is_open, opens_at};
use crate::trust::{Floor, TrustError, TrustFile, Verified, check_lease, verify_for_host};
use crate::wire::v1::release::{date, timestamp};
use std::time::Duration;

/// A verified release, without the other hosts.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The signed release as it came over the wire, for the root helper's own check.
    pub text: String,
    /// The release and its lease; the other hosts are left out, the digest is that of the whole.
    pub verified: Verified,
    /// What the machine needs of it.
    pub terms: Terms,
    /// The host's wave, from 0.
    pub wave: usize,
}

impl Offer {
    /// Verifies a release against the running closure's trust file.
    ///
    /// # Errors
    /// [`HostHold::Untrusted`] with the reason.
    pub fn read(fetched: FetchedRelease, trust: &str, host: &HostName) -> Result<Self, HostHold> {
        let untrusted = |why: TrustError| HostHold::Untrusted(why.to_string());
        let trust = TrustFile::parse(trust).map_err(untrusted)?;
        let found = verify_for_host(&fetched.signed, &trust, host).map_err(untrusted)?;
        let (mut verified, wave) = (found.verified, found.wave);
        let Some(terms) = Terms::of(&verified.release, host) else {
            return Err(HostHold::Untrusted(format!("{} has nothing for this host", verified.release.id)));
        };
        verified.release.hosts.retain(|name, _| name == host);
        for wave in &mut verified.release.waves {
            wave.hosts.retain(|name| name == host);
        }
        Ok(Self { text: fetched.text, verified, terms, wave })
    }

    /// The digest of the whole manifest.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.verified.release.digest
    }

    /// How long the dead-man waits for a sign of life.
    #[must_use]
    pub fn agent_timeout(&self) -> Duration {
        self.verified.release.policy.agent_timeout
    }

    /// The absolute end of an attempt, from its start.
    #[must_use]
    pub fn end_after(&self) -> Duration {
        self_rollback(&self.verified.release.policy).absolute_end
    }

    /// Returns why the signed release itself does not allow a start at this time, by this host's own clock.
    #[must_use]
    pub fn hold(&self, floor: &FloorLine, now: Timestamp) -> Option<HostHold> {
        match check_lease(&self.verified, &accepted(floor), now) {
            Ok(()) => {}
            Err(TrustError::ClockBehind { .. }) => return Some(HostHold::ClockBehind),
            Err(why) => return Some(HostHold::Lease(why.to_string())),
        }
        let wave = self.verified.release.waves.get(self.wave)?;
        if let Some(from) = wave.not_before.filter(|from| now < *from) {
            return Some(HostHold::Window(format!("not before {}", date(from))));
        }
        if is_open(&wave.windows, now) {
            return None;
        }
        let next = opens_at(&wave.windows, now).map(|at| format!("the next window opens at {}", date(at)));
        Some(HostHold::Window(next.unwrap_or_else(|| "no window of this wave ever opens".to_owned())))
    }

    /// Returns the floor after this release was accepted.
    #[must_use]
    pub fn raised(&self, floor: &FloorLine) -> FloorLine {
        let raised = accepted(floor).raised(&self.verified);
        FloorLine { sequence: raised.sequence, digest: raised.digest, latest_issued: raised.latest_issued.map(date) }
    }
}

fn accepted(floor: &FloorLine) -> Floor {
    Floor { sequence: floor.sequence, digest: floor.digest.clone(), latest_issued: floor.latest_issued.map(timestamp) }
}
