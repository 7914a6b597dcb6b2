//! Tells what happens, each event as one line in plain words: above a bar on a terminal, as plain lines elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// How often the spinner turns on a terminal.
const TICK: Duration = Duration::from_millis(120);

/// Where the story goes.
#[derive(Debug)]
pub struct Telling {
    bar: Option<ProgressBar>,
    to_stderr: bool,
    began: tokio::time::Instant,
}

impl Telling {
    /// Starts to tell; with `to_stderr`, standard output is left to the result.
    #[must_use]
    pub fn start(to_stderr: bool) -> Self {
        let terminal = io::stderr().is_terminal() && (to_stderr || io::stdout().is_terminal());
        let bar = terminal.then(|| {
            let style = ProgressStyle::with_template("{spinner} {bar:24} {pos}/{len} {msg}");
            let bar = ProgressBar::new(1).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.enable_steady_tick(TICK);
            bar
        });
        Self { bar, to_stderr, began: tokio::time::Instant::now() }
    }

    /// How long it has been going on.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Tells one event.
    pub fn say(&self, line: &str) {
        let line = format!("{:5.1}s  {line}", self.elapsed().as_secs_f64());
        self.write(&line);
    }

    /// Writes text as it is.
    pub fn write(&self, text: &str) {
        let print = || {
            // Nobody listening any more is no reason to stop: the result is in the exit status.
            let _ = if self.to_stderr { writeln!(io::stderr(), "{text}") } else { writeln!(io::stdout(), "{text}") };
        };
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// Writes a remark on standard error, so that the result stays the last on standard output.
    pub fn note(&self, text: &str) {
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// Shows how far a rollout is, on a terminal only.
    pub fn progress(&self, done: u64, of: u64, doing: &str) {
        if let Some(bar) = &self.bar {
            bar.set_length(of);
            bar.set_position(done);
            bar.set_message(doing.to_owned());
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.finish();
    }
}
