//! Acts on a host: hold, release, resolve.

use crate::model::id::HostName;
use crate::model::time::Timestamp;
use crate::plane::Plane;
use crate::plane::desk::Desk;
use crate::plane::error::{Done, PlaneError};
use crate::plane::heartbeat::facts::DRIFT;
use crate::plane::history::{Note, happening};
use crate::plane::operate::Act;
use crate::plane::silence::Judged;
use crate::wire::stored::HostBody;
use crate::wire::v1::operator::{ActRequest, ActResponse};
use serde_json::json;
use std::sync::Arc;

/// What to do with a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Start nothing on it.
    Hold,
    /// End that.
    Release,
    /// What looked wrong with it has been looked at.
    Resolve,
}

impl Verb {
    /// Reads the name used in paths.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "hold" => Self::Hold,
            "release" => Self::Release,
            "resolve" => Self::Resolve,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Hold => "hostHeld",
            Self::Release => "hostReleased",
            Self::Resolve => "hostResolved",
        }
    }
}

impl Plane {
    /// Does something to a host.
    ///
    /// # Errors
    /// [`PlaneError::NotFound`], [`PlaneError::BadRequest`], the store's.
    pub async fn act_on_host(self: &Arc<Self>, host: HostName, verb: Verb, asked: ActRequest) -> Done<ActResponse> {
        let act = Act::new(asked)?;
        self.perform(act.request.dry_run, move |desk| desk.mind(&host, verb, &act)).await
    }
}

impl Desk<'_> {
    fn mind(&mut self, host: &HostName, verb: Verb, act: &Act) -> Done<Vec<String>> {
        self.check_known(host)?;
        let (row, before) = self.host(host)?;
        let mut body = before.clone();
        let mut done = match verb {
            Verb::Hold => hold(host, &mut body, act),
            Verb::Release => release(host, &mut body),
            Verb::Resolve => resolve(host, &mut body, self.now),
        };
        if verb == Verb::Resolve {
            done.extend(self.what_stays(host)?);
        }
        if body == before {
            if done.is_empty() {
                done.push(format!("nothing to do: nothing of the kind is known of {host}"));
            }
            return Ok(done);
        }
        self.put_host(row, &body)?;
        self.follow.wake.insert(host.clone());
        let fields = json!({ "kind": verb.name(), "by": act.by, "reason": act.reason, "text": done.join("; ") });
        self.note(Note { host: Some(host), rollout: None, event: happening(fields)?, refused: None })?;
        for kept in self.open_records(host)? {
            self.follow.nudge.insert(kept.row.rollout);
        }
        Ok(done)
    }

    /// Checks that a host is known: it was heard, or a release names it.
    ///
    /// # Errors
    /// [`PlaneError::NotFound`].
    pub fn check_known(&self, host: &HostName) -> Done<()> {
        if self.tx.host(host)?.is_some() || self.newest_record(host)?.is_some() {
            return Ok(());
        }
        let hint = "no release names it and it was never heard from; `convoy status` shows those that are";
        Err(PlaneError::not_found(format!("host {host}"), hint))
    }

    fn what_stays(&self, host: &HostName) -> Done<Vec<String>> {
        let mut stays = Vec::new();
        for kept in self.open_records(host)? {
            let rollout = &kept.row.rollout;
            match self.plane.silence.of(host, rollout) {
                Some(Judged::Lost | Judged::LostForgiven) => stays.push(format!(
                    "{host} counts as lost in {rollout} until it reports; `convoy rollout resume {rollout}` forgives that"
                )),
                Some(Judged::SetAside | Judged::AssumedInFlight) | None => {}
            }
        }
        Ok(stays)
    }
}

fn hold(host: &HostName, body: &mut HostBody, act: &Act) -> Vec<String> {
    let reason = act.reason.clone().unwrap_or_else(|| "no reason given".to_owned());
    let text = format!("{reason} ({})", act.by);
    if body.operator_hold.as_ref() == Some(&text) {
        return vec![format!("nothing to do: {host} is held: {text}")];
    }
    body.operator_hold = Some(text);
    vec![format!("{host} starts nothing until `convoy host release {host}`; what it has in flight finishes")]
}

fn release(host: &HostName, body: &mut HostBody) -> Vec<String> {
    match body.operator_hold.take() {
        Some(reason) => vec![format!("{host} is not held any more; it was: {reason}")],
        None => vec![format!("nothing to do: {host} is not held")],
    }
}

fn resolve(host: &HostName, body: &mut HostBody, now: Timestamp) -> Vec<String> {
    let mut done = Vec::new();
    if let Some(seen) = body.cloned.take() {
        let last = body.boots.pop();
        body.boots = last.into_iter().collect();
        body.resolved = Some(now);
        done.push(format!("{host} counts as one machine again; it was: {seen}"));
    }
    if body.operator_hold.as_ref().is_some_and(|hold| hold.starts_with(DRIFT)) {
        let hold = body.operator_hold.take().unwrap_or_default();
        done.push(format!("what {host} runs is accepted; it was: {hold}"));
    }
    done
}
