//! What an operator tells the control plane to do: each act can be tried first, may be repeated, and stands in the
//! history with who and why.

pub mod rollouts;
pub mod hosts;

use crate::plane::Plane;
use crate::plane::desk::Desk;
use crate::plane::error::{Done, PlaneError};
use crate::plane::http::peer::Speaker;
use crate::wire::v1::operator::{ActRequest, ActResponse};
use std::sync::Arc;

/// The longest name of an operator, in characters.
const MAX_BY: usize = 128;
/// The longest reason, in characters.
const MAX_REASON: usize = 1024;

/// An act with its words checked.
#[derive(Debug, Clone)]
pub struct Act {
    /// Who.
    pub by: String,
    /// Why, where they said.
    pub reason: Option<String>,
    /// The rest.
    pub request: ActRequest,
}

impl Act {
    /// Checks who and why. A certificate says who; what a request claims counts where there are none.
    ///
    /// # Errors
    /// [`PlaneError::BadRequest`] when they are too long or hold control characters.
    pub fn new(request: ActRequest, speaker: &Speaker) -> Done<Self> {
        if !fits(&request.by, MAX_BY) {
            let said = format!("`by` is one line of at most {MAX_BY} characters");
            return Err(PlaneError::bad("invalid_by", said));
        }
        check_reason(request.reason.as_deref())?;
        let by = speaker.actor(&request.by);
        Ok(Self { by, reason: request.reason.clone().filter(|reason| !reason.is_empty()), request })
    }
}

fn fits(text: &str, most: usize) -> bool {
    text.chars().count() <= most && !text.chars().any(char::is_control)
}

/// Checks the words of a reason.
///
/// # Errors
/// [`PlaneError::BadRequest`] when they are too long or hold control characters.
pub fn check_reason(reason: Option<&str>) -> Done<()> {
    if reason.is_some_and(|reason| !fits(reason, MAX_REASON)) {
        let said = format!("`reason` is one line of at most {MAX_REASON} characters");
        return Err(PlaneError::bad("invalid_reason", said));
    }
    Ok(())
}

impl Plane {
    /// Carries an act out, or tries it and undoes it when only that was asked.
    pub(crate) async fn perform<F>(self: &Arc<Self>, dry_run: bool, act: F) -> Done<ActResponse>
    where
        F: FnOnce(&mut Desk<'_>) -> Done<Vec<String>> + Send + 'static,
    {
        let tried = self.transact(move |desk| {
            let done = act(desk)?;
            if !dry_run {
                return Ok(done);
            }
            desk.finish()?;
            Err(PlaneError::Tried(done))
        });
        let done = match tried.await {
            Ok(done) => done,
            Err(PlaneError::Tried(done)) => done,
            Err(error) => return Err(error),
        };
        if !dry_run {
            self.settle().await?;
        }
        Ok(ActResponse { done, dry_run })
    }
}
