//! What is shown of this agent in one line: what it does, and before that what is wrong with its identity. A text
//! is shown and logged once, not at each retry.

use crate::model::id::HostName;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Shows a line.
pub type Show = Box<dyn Fn(&str) + Send>;

/// See the module.
pub struct Board {
    host: HostName,
    shown: Mutex<Shown>,
}

struct Shown {
    show: Show,
    line: String,
    /// What keeps the host from being known: the gist, by which two are told apart, and the text.
    trouble: Option<(String, String)>,
    /// Why the certificate could not be renewed yet.
    renewal: Option<(String, String)>,
}

impl Board {
    /// Makes a board that shows its line with `show`.
    #[must_use]
    pub fn new(host: HostName, show: Show) -> Self {
        let shown = Shown { show, line: String::new(), trouble: None, renewal: None };
        Self { host, shown: Mutex::new(shown) }
    }

    /// Takes what the agent does now.
    pub fn say(&self, line: &str) {
        let mut shown = self.lock();
        line.clone_into(&mut shown.line);
        shown.show();
    }

    /// Takes what keeps the host from being known: nothing any more, or a gist and a text.
    pub fn trouble(&self, trouble: Option<(String, String)>) {
        let mut shown = self.lock();
        if same(&shown.trouble, &trouble) {
            return;
        }
        match &trouble {
            Some((_, text)) => tracing::error!(host.name = %self.host, "{text}"),
            None => tracing::info!(host.name = %self.host, "the control plane knows this host again"),
        }
        shown.trouble = trouble;
        shown.show();
    }

    /// Takes why the certificate could not be renewed: nothing any more, or a gist and a text.
    pub fn renewal(&self, trouble: Option<(String, String)>) {
        let mut shown = self.lock();
        if same(&shown.renewal, &trouble) {
            return;
        }
        if let Some((_, text)) = &trouble {
            tracing::warn!(host.name = %self.host, "{text}");
        }
        shown.renewal = trouble;
        shown.show();
    }

    fn lock(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shown {
    fn show(&self) {
        let wrong = self.trouble.as_ref().or(self.renewal.as_ref());
        match wrong {
            None => (self.show)(&self.line),
            Some((_, text)) if self.line.is_empty() => (self.show)(text),
            Some((_, text)) => (self.show)(&format!("{text}; {}", self.line)),
        }
    }
}

fn same(one: &Option<(String, String)>, other: &Option<(String, String)>) -> bool {
    one.as_ref().map(|(gist, _)| gist) == other.as_ref().map(|(gist, _)| gist)
}
