//! One check, from its spec to pass or fail. Must not keep anything between checks.

use crate::model::facts::ProbeOutcome;
use crate::probe::net::{HttpAnswer, ProbeNet};
use crate::probe::spec::{Http, Kind, Spec};
use crate::system::System;
use std::time::Duration;

/// The longest reason that is kept, in characters: it travels in an event.
pub const MAX_REASON: usize = 300;

/// Runs one check; it ends within the probe's time limit.
pub async fn check(spec: &Spec, system: &dyn System, net: &dyn ProbeNet) -> ProbeOutcome {
    // A check whose own limit fails still ends here; a little later, so that the better reason wins.
    let outer = spec.timeout + spec.timeout / 10;
    let looked = tokio::time::timeout(outer, look(spec, system, net)).await;
    match looked.unwrap_or_else(|_| Err(format!("no result within {:?}", spec.timeout))) {
        Ok(()) => ProbeOutcome::Pass,
        Err(reason) => ProbeOutcome::Fail(short(&reason)),
    }
}

async fn look(spec: &Spec, system: &dyn System, net: &dyn ProbeNet) -> Result<(), String> {
    let limit = spec.timeout;
    match &spec.kind {
        Kind::Unreadable(mistakes) => Err(format!("health-checks.json can't be read: {mistakes}")),
        Kind::Unit(unit) => match system.unit_active(unit).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("{unit} is not active")),
            Err(why) => Err(why.to_string()),
        },
        Kind::Exec(program) => net.run(program, limit).await,
        Kind::Http(_) | Kind::Tcp(_) | Kind::Reach(_) if !system.network_up().await => {
            Err("this host's network is down".to_owned())
        }
        Kind::Http(http) => judge(http, &net.get(&http.url, limit).await?),
        Kind::Tcp(address) => net.connect(address, limit).await,
        Kind::Reach(addresses) => any(addresses, net, limit).await,
    }
}

fn judge(http: &Http, answer: &HttpAnswer) -> Result<(), String> {
    let wanted = if http.expect_status.is_empty() {
        (200..300).contains(&answer.status)
    } else {
        http.expect_status.contains(&answer.status)
    };
    if !wanted {
        return Err(format!("{} answered {}", http.url, answer.status));
    }
    match &http.body_contains {
        Some(text) if !String::from_utf8_lossy(&answer.body).contains(text) => {
            Err(format!("the answer of {} does not contain {text:?}", http.url))
        }
        Some(_) | None => Ok(()),
    }
}

/// Tries all addresses at once, so that one that swallows packets does not use up the time of the others.
async fn any(addresses: &[String], net: &dyn ProbeNet, limit: Duration) -> Result<(), String> {
    let tries = addresses.iter().map(|address| net.connect(address, limit));
    match futures_util::future::select_ok(tries).await {
        Ok(_) => Ok(()),
        Err(why) => Err(format!("none of {} answers; the last: {why}", addresses.join(", "))),
    }
}

fn short(reason: &str) -> String {
    let line = reason.chars().map(|c| if c.is_control() { ' ' } else { c });
    line.take(MAX_REASON).collect()
}

#[cfg(test)]
mod tests;
