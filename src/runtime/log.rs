//! The log: text on a terminal, JSON lines under systemd. Must not be used for what a command was asked to print.

use std::env;
use std::io::{self, IsTerminal};
use tracing_subscriber::EnvFilter;

/// The variable that says what is logged, such as `info` or `convoy=debug`.
pub const FILTER_VARIABLE: &str = "CONVOY_LOG";
/// What is logged when nothing is said.
pub const DEFAULT_FILTER: &str = "info";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// JSON when systemd reads it, text otherwise.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One object a line, for the journal and for programs.
    Json,
}

impl std::str::FromStr for LogFormat {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(format!("{other:?} is no log format: use auto, text or json")),
        }
    }
}

impl LogFormat {
    /// Tells whether lines are JSON, given whether systemd's journal reads them.
    #[must_use]
    pub fn is_json(self, under_journal: bool) -> bool {
        match self {
            Self::Auto => under_journal,
            Self::Text => false,
            Self::Json => true,
        }
    }
}

/// Starts logging to standard error; a second call changes nothing. An unreadable filter is said and the default used.
pub fn start(format: LogFormat) {
    let wanted = env::var(FILTER_VARIABLE).unwrap_or_else(|_| DEFAULT_FILTER.to_owned());
    let (filter, mistake) = match EnvFilter::try_new(&wanted) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(DEFAULT_FILTER), Some(error)),
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // The journal sets this variable to the stream that it reads.
    let started = if format.is_json(env::var_os("JOURNAL_STREAM").is_some()) {
        lines.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    } else {
        lines.with_ansi(io::stderr().is_terminal()).with_target(false).try_init()
    };
    if let (Ok(()), Some(error)) = (started, mistake) {
        tracing::warn!("{FILTER_VARIABLE}={wanted:?} can't be read ({error}), logging at {DEFAULT_FILTER:?}");
    }
}

#[cfg(test)]
mod tests {
    use crate::runtime::log::LogFormat;

    #[test]
    fn auto_is_json_under_the_journal_only() {
        assert!(LogFormat::Auto.is_json(true) && !LogFormat::Auto.is_json(false));
        assert!(!LogFormat::Text.is_json(true) && LogFormat::Json.is_json(false));
    }

    #[test]
    fn an_unknown_format_names_the_known_ones() {
        assert_eq!("json".parse(), Ok(LogFormat::Json));
        let said = "xml".parse::<LogFormat>().unwrap_err();
        assert!(said.contains("auto, text or json"), "{said}");
    }
}
