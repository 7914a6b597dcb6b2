//! `convoy watch`: a rollout's way to its end, as bars on a terminal and as plain lines elsewhere.

use crate::client::http::HttpTransport;
use crate::client::{ClientError, operator};
use crate::ctl::exit::{Exit, Mistake};
use crate::ctl::human::{Span, clean, count};
use crate::ctl::rollout::done;
use crate::ctl::session::Session;
use crate::model::id::RolloutId;
use crate::runtime::signals::Shutdown;
use crate::wire::v1::operator::{RolloutView, WaveView};
use anyhow::Context;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

/// How often the rollout is looked at: as often as a person can follow.
const LOOK: Duration = Duration::from_millis(500);
/// How many looks in a row may fail before watching is given up: ten minutes, longer than a restart of the
/// control plane and its host takes.
const MAX_FAILED_LOOKS: u32 = 1200;
/// How a bar looks.
const STYLE: &str = "{prefix} [{bar:24}] {pos}/{len} {msg}";

/// What to watch.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The rollout, such as stable@2026-05.42; the newest open one when left out
    pub rollout: Option<RolloutId>,
    /// Give up after this time, such as 2h (exit code 8); the rollout goes on
    #[arg(long, value_name = "SPAN")]
    pub timeout: Option<Span>,
}

/// Runs the verb. With `--json` each change is one line of JSON.
///
/// # Errors
/// See [`crate::ctl::run`].
pub async fn run(session: &Session, args: Args) -> anyhow::Result<Exit> {
    let transport = session.transport()?;
    let rollout = match args.rollout {
        Some(rollout) => rollout,
        None => newest(&transport).await?,
    };
    let shutdown = Shutdown::on_signals().context("can't wait for Ctrl-C")?;
    let mut screen = Screen::new(session);
    let out_of_time = async {
        match args.timeout {
            Some(Span(limit)) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        ended = follow(&transport, &rollout, &mut screen) => ended,
        () = out_of_time => {
            eprintln!("note: {rollout} has not ended yet; it goes on");
            Ok(Exit::TimedOut)
        }
        () = shutdown.asked() => Ok(Exit::Interrupted),
    };
    screen.end();
    ended
}

async fn newest(transport: &HttpTransport) -> anyhow::Result<RolloutId> {
    let open = operator::rollouts(transport, true).await?;
    let all = if open.is_empty() { operator::rollouts(transport, false).await? } else { open };
    let Some(first) = all.first() else {
        return Err(Mistake::new("there is no rollout to watch", "`convoy release publish FILE` opens one").into());
    };
    first.id.parse().with_context(|| format!("the control plane names a rollout {:?}", first.id))
}

async fn follow(transport: &HttpTransport, id: &RolloutId, screen: &mut Screen<'_>) -> anyhow::Result<Exit> {
    let mut view = operator::rollout(transport, id).await?;
    let mut failed_looks = 0;
    loop {
        screen.show(&view)?;
        if let Some(exit) = end(&view) {
            return Ok(exit);
        }
        tokio::time::sleep(LOOK).await;
        match operator::rollout(transport, id).await {
            Ok(next) => {
                if failed_looks > 0 {
                    screen.note("the control plane answers again");
                }
                failed_looks = 0;
                view = next;
            }
            Err(error @ ClientError::Unreachable { .. }) if failed_looks < MAX_FAILED_LOOKS => {
                if failed_looks == 0 {
                    screen.note(&format!("{error}; hosts in flight go on without it, trying again"));
                }
                failed_looks += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Returns the exit code of a rollout that has come to an end, or can't go on without an operator.
fn end(view: &RolloutView) -> Option<Exit> {
    let in_flight: u32 = view.waves.iter().map(|wave| wave.in_flight).sum();
    match view.state.as_str() {
        "Completed" => Some(Exit::Success),
        "Halted" | "Superseded" | "Cancelled" => (in_flight == 0).then_some(Exit::Stopped),
        _ => None,
    }
}

/// Where progress is shown.
struct Screen<'a> {
    session: &'a Session,
    bars: Option<Bars>,
    last: Vec<String>,
    last_view: Option<RolloutView>,
}

struct Bars {
    all: MultiProgress,
    head: ProgressBar,
    waves: Vec<ProgressBar>,
}

impl<'a> Screen<'a> {
    fn new(session: &'a Session) -> Self {
        let bars = (!session.json() && std::io::stdout().is_terminal()).then(|| {
            let all = MultiProgress::with_draw_target(indicatif::ProgressDrawTarget::stdout());
            let head = all.add(ProgressBar::new(0).with_style(style("{msg}")));
            Bars { all, head, waves: Vec::new() }
        });
        Self { session, bars, last: Vec::new(), last_view: None }
    }

    fn show(&mut self, view: &RolloutView) -> anyhow::Result<()> {
        let changed = self.last_view.as_ref() != Some(view);
        self.last_view = Some(view.clone());
        if let Some(bars) = &mut self.bars {
            bars.draw(view);
            return Ok(());
        }
        if self.session.json() {
            return if changed { self.session.json_line(view) } else { Ok(()) };
        }
        let now = lines(view);
        for line in now.iter().filter(|line| !self.last.contains(line)) {
            self.session.print(line)?;
        }
        self.last = now;
        Ok(())
    }

    fn note(&self, text: &str) {
        match &self.bars {
            // A terminal that is gone gets no note; the next look says so again.
            Some(bars) => drop(bars.all.println(format!("note: {}", clean(text)))),
            None => eprintln!("note: {}", clean(text)),
        }
    }

    fn end(&self) {
        if let Some(bars) = &self.bars {
            bars.waves.iter().chain([&bars.head]).for_each(ProgressBar::abandon);
        }
    }
}

impl Bars {
    fn draw(&mut self, view: &RolloutView) {
        self.head.set_message(headline(view));
        self.head.tick();
        let width = view.waves.iter().map(|wave| wave.name.chars().count()).max().unwrap_or(0);
        for (number, wave) in view.waves.iter().enumerate() {
            if self.waves.len() <= number {
                let bar = ProgressBar::new(u64::from(wave.hosts)).with_style(style(STYLE));
                self.waves.push(self.all.add(bar));
            }
            let bar = &self.waves[number];
            bar.set_prefix(format!("{:<width$}", clean(&wave.name)));
            bar.set_position(u64::from(done(wave)));
            bar.set_message(counts(wave));
            bar.tick();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    // A template that can't be read would be a mistake in the constant above; the plain bar still tells the truth.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

/// Gives the rollout and each wave that has begun as one line each, so that only changed lines are printed.
fn lines(view: &RolloutView) -> Vec<String> {
    let mut lines = vec![headline(view)];
    for (number, wave) in (1_u32..).zip(&view.waves) {
        let begun = wave.waiting + wave.set_aside < wave.hosts || view.wave == Some(number);
        if begun {
            let name = clean(&wave.name);
            lines.push(format!("{}: wave {number} {name}: {}/{} {}", view.id, done(wave), wave.hosts, counts(wave)));
        }
    }
    lines
}

fn headline(view: &RolloutView) -> String {
    let hosts: u32 = view.waves.iter().map(|wave| wave.hosts).sum();
    let wave = view.wave.map(|wave| format!(" wave {wave} of {}", view.waves.len())).unwrap_or_default();
    let why = view.why.as_ref().map(|why| format!(": {}", clean(why))).unwrap_or_default();
    format!("{} {}{wave}, {}{why}", clean(&view.id), clean(&view.state), count(hosts, "host"))
}

fn counts(wave: &WaveView) -> String {
    let parts = [
        (wave.succeeded, "converged"),
        (wave.in_flight, "in flight"),
        (wave.failed, "failed"),
        (wave.neutral, "ended otherwise"),
        (wave.set_aside, "silent"),
    ];
    let mut shown: Vec<String> =
        parts.iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}")).collect();
    shown.extend(wave.waits_for.as_ref().map(|what| format!("waits for {}", clean(what))));
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use crate::ctl::exit::Exit;
    use crate::ctl::rollout::tests::rollout;
    use crate::ctl::watch::{end, lines};

    #[test]
    fn only_waves_that_have_begun_are_told() {
        let lines = lines(&rollout());
        assert_eq!(
            lines,
            [
                "stable@1 Advancing wave 1 of 2, 12 hosts",
                "stable@1: wave 1 canary: 2/4 1 converged, 1 in flight, 1 failed"
            ]
        );
    }

    #[test]
    fn a_halt_is_the_end_only_when_no_host_is_in_flight() {
        let mut view = rollout();
        assert_eq!(end(&view), None);
        view.state = "Halted".into();
        assert_eq!(end(&view), None);
        view.waves[0].in_flight = 0;
        assert_eq!(end(&view), Some(Exit::Stopped));
        view.state = "Completed".into();
        assert_eq!(end(&view), Some(Exit::Success));
        view.state = "Paused".into();
        assert_eq!(end(&view), None);
    }
}
