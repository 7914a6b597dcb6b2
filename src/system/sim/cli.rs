//! `convoy-agent simulate …`: the processes that a simulated host on disk consists of, and what is done to it from
//! outside. Hidden from the help: it is of use to tests and the demo only.

use crate::model::id::{Attempt, BootId, Closure};
use crate::runtime::signals::Shutdown;
use crate::system::sim::backing::Backing;
use crate::system::sim::disk::{DiskHost, attach};
use crate::system::sim::error::SimError;
use crate::system::sim::host::SimHost;
use crate::system::sim::state::{Job, Mark};
use crate::system::sim::{init, jobs, power, process, stand_in};
use clap::{Subcommand, ValueEnum};
use nix::sys::signal::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often a machine looks whether whoever started it is still there.
const PARENT_LOOK: Duration = Duration::from_millis(100);
/// How often a killed process is looked for.
const END_LOOK: Duration = Duration::from_millis(5);
/// How long a machine may take to end.
const END_LIMIT: Duration = Duration::from_secs(10);

/// What to do with a simulated host, which lies in a directory.
#[derive(Debug, Subcommand)]
pub enum Simulate {
    /// Is the machine: boots, runs the agent, reboots; SIGTERM shuts it down.
    Boot {
        /// The host's directory.
        dir: PathBuf,
        /// Shuts down when this process is gone.
        #[arg(long)]
        parent_pid: Option<u32>,
    },
    /// Cuts the power: everything on the machine is killed at once.
    PowerCut {
        /// The host's directory.
        dir: PathBuf,
    },
    /// Shuts the machine down and waits until nothing of it is left.
    Stop {
        /// The host's directory.
        dir: PathBuf,
    },
    /// Asks the machine for a clean reboot.
    Reboot {
        /// The host's directory.
        dir: PathBuf,
    },
    /// Acts as a person who runs `nixos-rebuild switch` at the machine.
    Switch {
        /// The host's directory.
        dir: PathBuf,
        /// The closure, which must be in the simulated store.
        closure: String,
    },
    /// Does one long act of the machine.
    Job {
        /// The host's directory.
        dir: PathBuf,
        /// Which.
        job: JobName,
        /// The boot that it belongs to.
        #[arg(long)]
        boot: String,
    },
    /// Stands in for the agent: starts one signed release and sees it to its end.
    StandIn {
        /// The host's directory.
        dir: PathBuf,
        /// The file with the signed release.
        release: PathBuf,
        /// The number of the try.
        #[arg(long, default_value_t = 1)]
        attempt: u32,
    },
    /// Prints what the host remembers, as JSON.
    Show {
        /// The host's directory.
        dir: PathBuf,
    },
}

/// A long act.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum JobName {
    /// The switch to the target.
    Forward,
    /// The commit.
    Commit,
    /// Bringing the prior back.
    Revert,
    /// The dead-man.
    DeadMan,
    /// The guard of a trial boot.
    Guard,
}

impl From<JobName> for Job {
    fn from(name: JobName) -> Self {
        match name {
            JobName::Forward => Self::Forward,
            JobName::Commit => Self::Commit,
            JobName::Revert => Self::Revert,
            JobName::DeadMan => Self::DeadMan,
            JobName::Guard => Self::Guard,
        }
    }
}

/// Does what is asked.
///
/// # Errors
/// [`SimError`] with what went wrong.
pub async fn run(verb: Simulate) -> Result<(), SimError> {
    match verb {
        Simulate::Boot { dir, parent_pid } => boot(&dir, parent_pid).await,
        Simulate::PowerCut { dir } => cut(&DiskHost::open(&dir)?).await,
        Simulate::Stop { dir } => stop(&DiskHost::open(&dir)?).await,
        Simulate::Reboot { dir } => power::reboot(&SimHost::attach(DiskHost::open(&dir)?)?),
        Simulate::Switch { dir, closure } => {
            let closure = Closure::new(closure).map_err(|error| SimError::invalid("closure", &error))?;
            power::manual_switch(&SimHost::attach(DiskHost::open(&dir)?)?, &closure).await
        }
        Simulate::Job { dir, job, boot } => {
            let boot = BootId::new(boot).map_err(|error| SimError::invalid("boot", &error))?;
            match jobs::run(DiskHost::open(&dir)?, boot, job.into(), process::own()).await {
                // Too late, or a second one: nothing is left to do.
                Err(SimError::Off | SimError::NotMine) => Ok(()),
                other => other,
            }
        }
        Simulate::StandIn { dir, release, attempt } => {
            let host = attach(&dir)?;
            let signed = fs::read_to_string(&release).map_err(|source| SimError::io("read", &release, source))?;
            let order = stand_in::order_of(&host, &signed, Attempt(attempt))?;
            stand_in::run(host, order).await.map_err(|error| SimError::Refused(error.to_string()))
        }
        Simulate::Show { dir } => {
            let state = DiskHost::open(&dir)?.look()?;
            let text = serde_json::to_string_pretty(&state).map_err(|error| SimError::invalid("state", &error))?;
            println!("{text}");
            Ok(())
        }
    }
}

async fn boot(dir: &Path, parent: Option<u32>) -> Result<(), SimError> {
    let host = DiskHost::open(dir)?;
    let state = host.look()?;
    if state.init.is_some_and(process::is_alive) {
        return Err(SimError::Refused("the simulated host is on already".to_owned()));
    }
    // A machine that was killed without a word has lost its power.
    cut(&host).await?;
    let signals = Shutdown::on_signals().map_err(|source| SimError::io("listen to signals at", dir, source))?;
    let (trigger, stop) = Shutdown::manual();
    tokio::spawn(async move {
        tokio::select! {
            () = signals.asked() => {}
            () = gone(parent) => {}
        }
        trigger.ask();
        std::future::pending::<()>().await;
    });
    match init::run(host, process::own(), stop).await {
        // The power was cut.
        Err(SimError::Off) => Ok(()),
        other => other,
    }
}

/// Waits until the process is gone; for ever without one.
async fn gone(parent: Option<u32>) {
    let Some(pid) = parent else { return std::future::pending().await };
    let Some(mark) = process::mark(pid) else { return };
    while process::is_alive(mark) {
        sleep(PARENT_LOOK).await;
    }
}

/// Cuts the power and waits until nothing of the machine is left.
async fn cut(host: &DiskHost) -> Result<(), SimError> {
    let marks = host.look()?.marks();
    power::power_cut(host)?;
    ended(&marks).await
}

async fn stop(host: &DiskHost) -> Result<(), SimError> {
    let state = host.look()?;
    if let Some(init) = state.init {
        process::signal(init, Signal::SIGTERM);
        ended(&[init]).await?;
    }
    // Without a machine process there is nobody to shut down: what is left is killed.
    cut(host).await?;
    ended(&state.marks()).await
}

async fn ended(marks: &[Mark]) -> Result<(), SimError> {
    let limit = Instant::now() + END_LIMIT;
    while let Some(left) = marks.iter().find(|mark| process::is_alive(**mark)) {
        if Instant::now() >= limit {
            return Err(SimError::Refused(format!("process {} does not end", left.id)));
        }
        sleep(END_LOOK).await;
    }
    Ok(())
}
