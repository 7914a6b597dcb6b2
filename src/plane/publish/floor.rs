//! The fleet's sequence here: what was accepted before, and the renewal of a known release's lease.

use crate::plane::desk::Desk;
use crate::plane::error::{Done, PlaneError};
use crate::store::rows::ReleaseRow;
use crate::trust::{self, Floor, Verified};
use crate::wire::Invalid;
use crate::wire::v1::release::{date, timestamp};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The setting that holds the floor.
const SETTING: &str = "floor";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FloorBody {
    sequence: u64,
    #[serde(default, with = "crate::wire::text::option")]
    digest: Option<crate::model::id::Digest>,
    latest_issued: Option<DateTime<Utc>>,
}

impl Desk<'_> {
    /// Reads what was accepted before.
    ///
    /// # Errors
    /// The store's.
    pub fn floor(&self) -> Done<Floor> {
        let Some(text) = self.tx.setting(SETTING)? else { return Ok(Floor::default()) };
        let broken = |why: serde_json::Error| PlaneError::Stored(Invalid { what: "floor", detail: why.to_string() });
        let FloorBody { sequence, digest, latest_issued } = serde_json::from_str(&text).map_err(broken)?;
        Ok(Floor { sequence, digest, latest_issued: latest_issued.map(timestamp) })
    }

    /// Writes what was accepted.
    ///
    /// # Errors
    /// The store's.
    pub fn put_floor(&mut self, floor: &Floor) -> Done<()> {
        let latest_issued = floor.latest_issued.map(date);
        let body = FloorBody { sequence: floor.sequence, digest: floor.digest.clone(), latest_issued };
        let text = serde_json::to_string(&body).expect("numbers and dates are always JSON");
        Ok(self.tx.put_setting(SETTING, &text)?)
    }

    /// Takes a known release again: nothing changes, or its lease is renewed.
    ///
    /// # Errors
    /// [`PlaneError::Refused`] when it has another content, [`PlaneError::Trust`] when the lease can't be taken.
    pub fn renew(&mut self, known: &ReleaseRow, verified: &Verified, body: String) -> Done<()> {
        let Verified { release, lease } = verified;
        if known.digest != release.digest {
            let said =
                format!("{} was published before with another content: give the new one another ref", release.id);
            return Err(PlaneError::refused("release_known", said));
        }
        let Some(held) = self.release(&release.id)? else { return Ok(()) };
        if lease.issued <= held.issued && lease.sequence <= held.sequence {
            return Ok(());
        }
        let (sequence, digest) = (known.sequence, Some(known.digest.clone()));
        trust::check_lease(verified, &Floor { sequence, digest, latest_issued: Some(held.issued) }, self.now)?;
        let floor = self.floor()?;
        if lease.sequence > known.sequence
            && lease.sequence <= floor.sequence
            && floor.digest != Some(release.digest.clone())
        {
            return Err(trust::TrustError::SequenceTaken { sequence: lease.sequence }.into());
        }
        self.put_floor(&floor.raised(verified))?;
        self.tx.put_release(&ReleaseRow { sequence: lease.sequence, body, ..known.clone() })?;
        self.follow.forget.push(release.id.clone());
        tracing::info!(rollout.id = %release.id, "the lease of {} was renewed", release.id);
        Ok(())
    }
}
