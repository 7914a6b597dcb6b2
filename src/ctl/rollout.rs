//! `convoy rollout …`: look at rollouts and steer them.

use crate::client::operator::{self, RolloutAct};
use crate::ctl::exit::{Exit, Mistake};
use crate::ctl::human::{Span, clean, closure, count, date, from_now};
use crate::ctl::session::Session;
use crate::ctl::table::{Table, fields};
use crate::model::id::{HostName, RolloutId};
use crate::model::time::Timestamp;
use crate::wire::v1::operator::{ActRequest, ActResponse, AttemptView, RolloutView, WaveView};
use std::env;

/// Verbs about rollouts.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// List rollouts, newest first
    List(ListArgs),
    /// Show one rollout, its waves and its hosts that are not done
    Show(ShowArgs),
    /// Stop new permits at once; hosts in flight finish
    Pause(ActArgs),
    /// Go on after a pause or a halt; the failures counted so far are forgiven
    Resume(ActArgs),
    /// End a rollout: hosts that have not started never will
    Cancel(CancelArgs),
    /// Skip the wait before the next wave, or approve a wave
    Promote(PromoteArgs),
    /// Give failed hosts another attempt
    Retry(RetryArgs),
}

/// What to list.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Only those that are still going on
    #[arg(long)]
    pub open: bool,
}

/// What to show.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// The rollout, such as stable@2026-05.42
    pub rollout: RolloutId,
    /// List every host, also those that are done
    #[arg(long)]
    pub all_hosts: bool,
}

/// An act on a rollout.
#[derive(Debug, clap::Args)]
pub struct ActArgs {
    /// The rollout, such as stable@2026-05.42
    pub rollout: RolloutId,
    /// Who does it and why
    #[command(flatten)]
    pub record: Record,
}

/// How to cancel.
#[derive(Debug, clap::Args)]
pub struct CancelArgs {
    /// What and why
    #[command(flatten)]
    pub act: ActArgs,
    /// Bring hosts in flight back too
    #[arg(long)]
    pub revert: bool,
}

/// What to promote.
#[derive(Debug, clap::Args)]
pub struct PromoteArgs {
    /// What and why
    #[command(flatten)]
    pub act: ActArgs,
    /// The wave, from 1; the one that waits when left out
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub wave: Option<u32>,
    /// The digest that was looked at; refused when the rollout has another
    #[arg(long)]
    pub digest: Option<String>,
    /// How long the approval is good for, such as 12h
    #[arg(long, value_name = "SPAN")]
    pub expires_in: Option<Span>,
}

/// What to try again.
#[derive(Debug, clap::Args)]
pub struct RetryArgs {
    /// What and why
    #[command(flatten)]
    pub act: ActArgs,
    /// These hosts; every failed host of the rollout when left out
    #[arg(long = "host", value_name = "HOST")]
    pub hosts: Vec<HostName>,
}

/// What the history says about an act.
#[derive(Debug, clap::Args)]
pub struct Record {
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Who, for the history; the user's name when left out
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// Only say what would happen
    #[arg(long)]
    pub dry_run: bool,
}

impl Record {
    /// Makes the request that all acts begin with.
    #[must_use]
    pub fn request(self) -> ActRequest {
        let user = || env::var("USER").or_else(|_| env::var("LOGNAME")).unwrap_or_else(|_| "operator".to_owned());
        let by = self.by.unwrap_or_else(user);
        ActRequest { by, reason: self.reason, dry_run: self.dry_run, ..ActRequest::default() }
    }
}

/// Runs a verb.
///
/// # Errors
/// See [`crate::ctl::run`].
pub async fn run(session: &Session, verb: Verb) -> anyhow::Result<Exit> {
    match verb {
        Verb::List(args) => {
            let rollouts = operator::rollouts(&session.transport()?, args.open).await?;
            session.show(&rollouts, |rollouts| match rollouts.is_empty() {
                true => "no rollouts\n".to_owned(),
                false => list(rollouts, session.now()),
            })
        }
        Verb::Show(args) => show(session, &args).await,
        Verb::Pause(args) => act(session, RolloutAct::Pause, args, |_| {}).await,
        Verb::Resume(args) => act(session, RolloutAct::Resume, args, |_| {}).await,
        Verb::Cancel(CancelArgs { act: args, revert }) => {
            act(session, RolloutAct::Cancel, args, |request| request.revert = revert).await
        }
        Verb::Promote(args) => promote(session, args).await,
        Verb::Retry(RetryArgs { act: args, hosts }) => {
            let hosts = hosts.iter().map(ToString::to_string).collect();
            act(session, RolloutAct::Retry, args, |request| request.hosts = hosts).await
        }
    }
}

async fn show(session: &Session, args: &ShowArgs) -> anyhow::Result<Exit> {
    let transport = session.transport()?;
    let rollout = operator::rollout(&transport, &args.rollout).await?;
    let attempts = operator::attempts(&transport, &args.rollout, !args.all_hosts).await?;
    if session.json() {
        session.json_line(&serde_json::json!({ "rollout": rollout, "hosts": attempts }))?;
        return Ok(Exit::Success);
    }
    session.print(&render(&rollout, &attempts, session.now()))
}

async fn promote(session: &Session, args: PromoteArgs) -> anyhow::Result<Exit> {
    let seen = operator::rollout(&session.transport()?, &args.act.rollout).await?;
    if args.wave.is_some_and(|wave| usize::try_from(wave).map_or(true, |wave| wave > seen.waves.len())) {
        let what = format!("{} has {}", seen.id, count(u64::try_from(seen.waves.len()).unwrap_or(0), "wave"));
        return Err(Mistake::new(what, format!("look at them with `convoy rollout show {}`", seen.id)).into());
    }
    let digest = args.digest.unwrap_or(seen.digest);
    act(session, RolloutAct::Promote, args.act, |request| {
        request.wave = args.wave;
        request.digest = Some(digest);
        request.expires_in_secs = args.expires_in.map(|span| span.0.as_secs());
    })
    .await
}

async fn act(
    session: &Session,
    act: RolloutAct,
    args: ActArgs,
    fill: impl FnOnce(&mut ActRequest),
) -> anyhow::Result<Exit> {
    let mut request = args.record.request();
    fill(&mut request);
    let done = operator::act_on_rollout(&session.transport()?, &args.rollout, act, &request).await?;
    session.show(&done, acted)
}

/// Shows what an act did, or would do.
#[must_use]
pub fn acted(response: &ActResponse) -> String {
    let lead = if response.dry_run { "would: " } else { "" };
    if response.done.is_empty() {
        return format!("{lead}nothing to do\n");
    }
    response.done.iter().map(|line| format!("{lead}{}\n", clean(line))).collect()
}

/// Lists rollouts, one a line.
#[must_use]
pub fn list(rollouts: &[RolloutView], now: Timestamp) -> String {
    let mut table = Table::new(&["ROLLOUT", "STATE", "WAVE", "DONE", "IN FLIGHT", "FAILED", "OPENED", "WHY"]);
    for rollout in rollouts {
        let sum = |of: fn(&WaveView) -> u32| rollout.waves.iter().map(of).sum::<u32>();
        let wave = rollout.wave.map(|wave| format!("{wave}/{}", rollout.waves.len())).unwrap_or_default();
        table.row([
            rollout.id.clone(),
            rollout.state.clone(),
            wave,
            format!("{}/{}", sum(done), sum(|wave| wave.hosts)),
            sum(|wave| wave.in_flight).to_string(),
            sum(|wave| wave.failed).to_string(),
            from_now(rollout.opened_at, now),
            rollout.why.clone().unwrap_or_default(),
        ]);
    }
    table.render()
}

/// Counts the hosts of a wave for which nothing more is to do.
#[must_use]
pub fn done(wave: &WaveView) -> u32 {
    wave.hosts.saturating_sub(wave.waiting + wave.in_flight + wave.set_aside)
}

fn render(rollout: &RolloutView, attempts: &[AttemptView], now: Timestamp) -> String {
    let state = match &rollout.why {
        Some(why) => format!("{}: {}", rollout.state, why),
        None => rollout.state.clone(),
    };
    let lease = format!("{} ({})", date(rollout.lease_expires_at), from_now(rollout.lease_expires_at, now));
    let mut text = fields(&[
        ("rollout", rollout.id.clone()),
        ("state", state),
        ("digest", rollout.digest.clone()),
        ("sequence", rollout.sequence.to_string()),
        ("opened", format!("{} ({})", date(rollout.opened_at), from_now(rollout.opened_at, now))),
        ("lease until", lease),
    ]);
    text.push('\n');
    text.push_str(&waves(rollout));
    if !attempts.is_empty() {
        text.push('\n');
        text.push_str(&hosts(attempts, now));
    }
    text
}

fn waves(rollout: &RolloutView) -> String {
    let headings =
        ["WAVE", "NAME", "HOSTS", "CHANGED", "WAITING", "IN FLIGHT", "OK", "FAILED", "OTHER", "ASIDE", "WAITS FOR"];
    let mut table = Table::new(&headings);
    for (number, wave) in (1_u32..).zip(&rollout.waves) {
        let open = if rollout.wave == Some(number) { "▸" } else { "" };
        table.row([
            format!("{number}{open}"),
            wave.name.clone(),
            wave.hosts.to_string(),
            wave.changed.to_string(),
            wave.waiting.to_string(),
            wave.in_flight.to_string(),
            wave.succeeded.to_string(),
            wave.failed.to_string(),
            wave.neutral.to_string(),
            wave.set_aside.to_string(),
            wave.waits_for.clone().unwrap_or_default(),
        ]);
    }
    table.render()
}

/// Lists attempts, one a line.
#[must_use]
pub fn hosts(attempts: &[AttemptView], now: Timestamp) -> String {
    let mut table = Table::new(&["HOST", "ROLLOUT", "WAVE", "TRY", "STATE", "SINCE", "TARGET", "VERDICT"]);
    for attempt in attempts {
        let lost = if attempt.lost { " (lost)" } else { "" };
        table.row([
            attempt.host.clone(),
            attempt.rollout.clone(),
            attempt.wave.to_string(),
            attempt.attempt.to_string(),
            format!("{}{lost}", attempt.state),
            from_now(attempt.since, now),
            closure(&attempt.target),
            attempt.verdict.clone().unwrap_or_default(),
        ]);
    }
    table.render()
}

#[cfg(test)]
pub mod tests {
    //! Tests, and a rollout to show for those of other verbs.

    use crate::ctl::rollout::{acted, done, list, render};
    use crate::model::time::Timestamp;
    use crate::wire::v1::operator::{ActResponse, AttemptView, RolloutView, WaveView};
    use chrono::DateTime;

    /// A rollout of two waves in its first.
    pub fn rollout() -> RolloutView {
        let wave = |name: &str, hosts, waiting, in_flight, succeeded, failed| WaveView {
            name: name.to_owned(),
            hosts,
            changed: hosts,
            waiting,
            in_flight,
            succeeded,
            failed,
            neutral: 0,
            set_aside: 0,
            waits_for: None,
        };
        RolloutView {
            id: "stable@1".to_owned(),
            state: "Advancing".to_owned(),
            why: None,
            wave: Some(1),
            waves: vec![wave("canary", 4, 1, 1, 1, 1), wave("rest", 8, 8, 0, 0, 0)],
            digest: "ab".repeat(32),
            sequence: 7,
            opened_at: DateTime::from_timestamp(0, 0).unwrap(),
            updated_at: DateTime::from_timestamp(0, 0).unwrap(),
            lease_expires_at: DateTime::from_timestamp(86400, 0).unwrap(),
        }
    }

    #[test]
    fn a_list_counts_over_all_waves() {
        let text = list(&[rollout()], Timestamp(60_000));
        let line = text.lines().nth(1).unwrap();
        let cells: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(cells, ["stable@1", "Advancing", "1/2", "2/12", "1", "1", "1m", "ago", "-"]);
    }

    #[test]
    fn hosts_set_aside_are_not_done() {
        let mut wave = rollout().waves.remove(0);
        assert_eq!(done(&wave), 2);
        wave.set_aside = 1;
        wave.waiting = 0;
        assert_eq!(done(&wave), 2);
    }

    #[test]
    fn the_open_wave_is_marked_and_the_lease_is_told() {
        let text = render(&rollout(), &[], Timestamp(0));
        assert!(text.contains("\n1▸ "), "{text}");
        assert!(text.contains("1970-01-02 00:00:00 UTC (in 1d)"), "{text}");
    }

    #[test]
    fn a_lost_host_is_said_to_be_lost() {
        let attempt = AttemptView {
            host: "web1".into(),
            rollout: "stable@1".into(),
            attempt: 2,
            wave: 1,
            state: "Soaking".into(),
            is_final: false,
            in_flight: true,
            lost: true,
            verdict: Some("probes failed:\nhttp".into()),
            since: DateTime::from_timestamp(0, 0).unwrap(),
            target: "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-web1".into(),
        };
        let text = render(&rollout(), &[attempt], Timestamp(5_000));
        assert!(text.contains("Soaking (lost)  5s ago  0123456…-web1  probes failed: http\n"), "{text}");
    }

    #[test]
    fn a_dry_run_never_reads_as_done() {
        let response = ActResponse { done: vec!["pause stable@1".into()], dry_run: true };
        assert_eq!(acted(&response), "would: pause stable@1\n");
        assert_eq!(acted(&ActResponse { done: Vec::new(), dry_run: false }), "nothing to do\n");
    }
}
