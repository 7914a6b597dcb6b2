//! A running process with its group: asked, killed and waited for as one.

use crate::system::exec::{ExecError, Exit};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::time::Duration;
use tokio::process::{Child, Command};

/// A running process with its group. Dropping it kills the group.
#[derive(Debug)]
pub struct Process {
    program: OsString,
    pub(crate) inner: Child,
    pub(crate) group: Option<Pid>,
}

impl Process {
    pub(crate) fn start(command: &mut Command, program: &OsString) -> Result<Self, ExecError> {
        let started = command.spawn();
        let inner = started.map_err(|source| ExecError::Start { program: program.clone(), source })?;
        let group = inner.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
        Ok(Self { program: program.clone(), inner, group })
    }

    /// Returns the process id, which is its group too; `None` once it has been waited for.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.inner.id()
    }

    /// Kills the whole group at once, without asking.
    pub fn kill(&self) {
        self.signal(Signal::SIGKILL);
    }

    /// Asks the process to end.
    pub fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // It fails only when the whole group is gone already.
            let _ = killpg(group, signal);
        }
    }

    /// Waits for its end, however long that takes. Safe to cancel and to repeat.
    ///
    /// # Errors
    /// [`ExecError::Wait`].
    pub async fn wait(&mut self) -> Result<Exit, ExecError> {
        let ended = self.inner.wait().await;
        let status = ended.map_err(|source| ExecError::Wait { program: self.program.clone(), source })?;
        self.group = None;
        Ok(status.into())
    }

    /// Asks the process to end, and kills its group when it has not within the grace.
    ///
    /// # Errors
    /// [`ExecError::Wait`].
    pub async fn stop(&mut self, grace: Duration) -> Result<Exit, ExecError> {
        self.terminate();
        if let Ok(ended) = tokio::time::timeout(grace, self.wait()).await {
            return ended;
        }
        self.kill();
        self.wait().await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
