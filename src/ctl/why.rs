//! `convoy why HOST`: every hold, the first to clear first, and who can clear it.

use crate::client::operator;
use crate::ctl::exit::Exit;
use crate::ctl::human::{clean, from_now};
use crate::ctl::session::Session;
use crate::model::id::HostName;
use crate::model::time::Timestamp;
use crate::wire::v1::operator::{HoldView, WhyView};
use std::fmt::Write as _;

/// The host to ask about.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The host
    pub host: HostName,
}

/// Runs the verb.
///
/// # Errors
/// See [`crate::ctl::run`].
pub async fn run(session: &Session, args: Args) -> anyhow::Result<Exit> {
    let why = operator::why(&session.transport()?, &args.host).await?;
    session.show(&why, |why| render(why, session.now()))
}

fn render(why: &WhyView, now: Timestamp) -> String {
    let mut text = format!("{}: {}\n", clean(&why.host), clean(&why.summary));
    if why.holds.is_empty() {
        text.push_str("nothing holds it\n");
    }
    for (number, hold) in why.holds.iter().enumerate() {
        let _ = writeln!(
            text,
            "\n{:>3}. {} ({}, {})",
            number + 1,
            clean(&hold.text),
            clean(&hold.gate),
            clean(&hold.rollout)
        );
        let _ = writeln!(text, "     {}", clearing(hold, now));
        if let Some(hint) = &hold.hint {
            let _ = writeln!(text, "     {}", clean(hint));
        }
    }
    text
}

fn clearing(hold: &HoldView, now: Timestamp) -> String {
    let when = hold.clears_at.map(|at| format!(" {}", from_now(at, now))).unwrap_or_default();
    match hold.cleared_by.as_str() {
        "time" => format!("clears by itself{when}"),
        "progress" => format!("clears when other hosts have moved on{when}"),
        "host" => format!("the host has to clear it{when}"),
        "operator" => "an operator has to clear it".to_owned(),
        "release" => "a new release has to clear it".to_owned(),
        other => format!("cleared by: {}{when}", clean(other)),
    }
}

#[cfg(test)]
mod tests {
    use crate::ctl::why::render;
    use crate::model::time::Timestamp;
    use crate::wire::v1::operator::{HoldView, WhyView};
    use chrono::DateTime;

    fn hold(cleared_by: &str) -> HoldView {
        HoldView {
            rollout: "stable@1".into(),
            gate: "window".into(),
            text: "no window is open".into(),
            cleared_by: cleared_by.into(),
            hint: None,
            clears_at: DateTime::from_timestamp(3600, 0),
        }
    }

    #[test]
    fn a_free_host_says_that_nothing_holds_it() {
        let why = WhyView { host: "web1".into(), summary: "Converged".into(), holds: Vec::new() };
        assert_eq!(render(&why, Timestamp(0)), "web1: Converged\nnothing holds it\n");
    }

    #[test]
    fn each_hold_says_who_clears_it_and_when() {
        let mut second = hold("operator");
        second.hint = Some("convoy host release web1".into());
        let why = WhyView { host: "web1".into(), summary: "Pending".into(), holds: vec![hold("time"), second] };
        let text = render(&why, Timestamp(0));
        assert!(text.contains("  1. no window is open (window, stable@1)\n     clears by itself in 1h\n"), "{text}");
        assert!(text.contains("an operator has to clear it\n     convoy host release web1\n"), "{text}");
    }
}
