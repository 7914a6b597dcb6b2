//! SIGTERM and SIGINT as one request to end, which everything that waits can wait for too.

use std::future::pending;
use std::io;
use std::process;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// The exit status of a program that was told to end twice: 128 + SIGINT, as shells report it.
const EXIT_IMPATIENT: i32 = 130;

/// Makes writing beyond a file size limit an ordinary error instead of the end of the program, so that it can say
/// what to do and lose nothing. Must be called inside a runtime; holds for the life of the process.
///
/// # Errors
/// When the handler can't be installed.
pub fn survive_size_limit() -> io::Result<()> {
    let kind = SignalKind::from_raw(nix::sys::signal::Signal::SIGXFSZ as i32);
    signal(kind).map(drop)
}

/// Is told when the program has to end. Cheap to clone; every clone sees it.
#[derive(Debug, Clone)]
pub struct Shutdown {
    asked: watch::Receiver<bool>,
}

/// Asks for the end by hand: for tests, and for programs that run others in one process.
#[derive(Debug)]
pub struct ShutdownTrigger {
    ask: watch::Sender<bool>,
}

impl Shutdown {
    /// Makes one that is asked by its trigger only.
    #[must_use]
    pub fn manual() -> (ShutdownTrigger, Self) {
        let (ask, asked) = watch::channel(false);
        (ShutdownTrigger { ask }, Self { asked })
    }

    /// Makes one that SIGTERM or SIGINT asks; a second signal ends the program at once, so that a drain that
    /// hangs can be left.
    ///
    /// # Errors
    /// When the handlers can't be installed.
    pub fn on_signals() -> io::Result<Self> {
        let (ask, asked) = watch::channel(false);
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if ask.send_replace(true) {
                    process::exit(EXIT_IMPATIENT);
                }
            }
        });
        Ok(Self { asked })
    }

    /// Tells whether the end was asked for.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        *self.asked.borrow()
    }

    /// Waits until the end is asked for; for ever when nobody is left who could ask.
    pub async fn asked(&self) {
        let mut asked = self.asked.clone();
        if asked.wait_for(|asked| *asked).await.is_err() {
            pending::<()>().await;
        }
    }
}

impl ShutdownTrigger {
    /// Asks for the end.
    pub fn ask(&self) {
        self.ask.send_replace(true);
    }
}

#[cfg(test)]
mod tests {
    use crate::runtime::signals::Shutdown;

    #[tokio::test]
    async fn every_clone_sees_the_end_also_later() {
        let (trigger, shutdown) = Shutdown::manual();
        let early = shutdown.clone();
        assert!(!early.is_asked());
        trigger.ask();
        early.asked().await;
        shutdown.clone().asked().await;
        assert!(shutdown.is_asked());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_left_to_ask_is_not_an_end() {
        let (trigger, shutdown) = Shutdown::manual();
        drop(trigger);
        let waited = tokio::time::timeout(std::time::Duration::from_secs(3600), shutdown.asked()).await;
        assert!(waited.is_err() && !shutdown.is_asked());
    }
}
