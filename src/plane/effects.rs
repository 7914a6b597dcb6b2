//! What the orders of a host's machine mean to the control plane: the agent carries them out, some are remembered.

use crate::model::effect::{Alert, Effect};
use crate::model::id::HostName;
use crate::plane::desk::Desk;
use crate::plane::error::Done;

/// The most closures remembered as quarantined on one host; the oldest go first.
const MAX_QUARANTINED: usize = 64;

impl Desk<'_> {
    /// Keeps what concerns the control plane of an attempt's orders; the agent carries out the rest.
    ///
    /// # Errors
    /// The store's.
    pub fn carry(&mut self, host: &HostName, effect: Effect) -> Done<()> {
        match effect {
            Effect::Quarantine(closure) => {
                let (row, mut body) = self.host(host)?;
                if body.quarantined.contains(&closure) {
                    return Ok(());
                }
                body.quarantined.push(closure);
                let excess = body.quarantined.len().saturating_sub(MAX_QUARANTINED);
                body.quarantined.drain(..excess);
                self.put_host(row, &body)
            }
            Effect::Alert(alert) => {
                let text = words(&alert);
                tracing::warn!(host.name = %host, "a person has to look at the host: {text}");
                Ok(())
            }
            Effect::Stage
            | Effect::AskPermit
            | Effect::StartSwitch
            | Effect::TrialBoot
            | Effect::StartProbes
            | Effect::StopProbes
            | Effect::WatchProbes
            | Effect::Commit
            | Effect::Revert(_)
            | Effect::Keep(_) => Ok(()),
        }
    }
}

fn words(alert: &Alert) -> String {
    match alert {
        Alert::RollbackFailed(why) => format!("the prior closure could not be brought back: {why}"),
        Alert::KeptAfterFailure(verdict) => format!("the release failed and policy keeps it running: {verdict}"),
        Alert::Overtaken(closure) => format!("somebody else switched it to {closure}"),
        Alert::FailedAfterCommit(probe) => format!("it is committed and fails {probe}"),
    }
}
