//! The one spawner: every process Convoy starts, starts here. Must not know what it starts.
//!
//! Every process gets a process group of its own, so that it can be ended with all it started, and so that an
//! interrupt typed at a terminal reaches only the program in front.

mod process;
mod tail;

pub use crate::system::exec::process::Process;

use crate::system::exec::tail::Tail;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::Command;

/// How long the output of an ended process is read on while something it left behind holds the pipe open.
const DRAIN: Duration = Duration::from_millis(500);
/// The stack, in bytes, of the thread that waits for a detached process: it only calls `wait`.
const REAPER_STACK: usize = 64 * 1024;

/// A process could not be run.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// It could not be started: not there, not executable, no more processes allowed.
    #[error("starting {program:?} failed: {source}")]
    Start {
        /// The program.
        program: OsString,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file for its output could not be opened.
    #[error("opening {path:?} for the output of {program:?} failed: {source}")]
    Output {
        /// The program.
        program: OsString,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It runs, but waiting for it failed.
    #[error("waiting for {program:?} failed: {source}")]
    Wait {
        /// The program.
        program: OsString,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What to run to its end. The caller's environment is passed on.
#[derive(Debug, Clone)]
pub struct ExecSpec {
    /// A path, or a name looked up in `PATH`.
    pub program: OsString,
    /// Its arguments, without the program's name.
    pub args: Vec<OsString>,
    /// Set on top of the caller's environment.
    pub env: Vec<(OsString, OsString)>,
    /// The directory to run in; the caller's when `None`.
    pub cwd: Option<PathBuf>,
    /// After this long the whole process group is killed.
    pub timeout: Duration,
    /// How many bytes are kept of each of stdout and stderr: the last ones, since the end says most.
    pub output_cap: usize,
}

/// How a process ended, and the end of what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutput {
    /// How it ended.
    pub status: Exit,
    /// The last bytes of its stdout, at most the cap.
    pub stdout: Vec<u8>,
    /// The last bytes of its stderr, at most the cap.
    pub stderr: Vec<u8>,
    /// Whether either was longer than the cap.
    pub cut: bool,
    /// Whether it was killed because it outlived its limit.
    pub timed_out: bool,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Exit {
    /// Tells whether it ended by itself with status 0.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, signal) => Self::Signal(signal.unwrap_or(0)),
        }
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// Runs a program to its end, or kills its whole group at the limit. Dropping the future kills it too.
///
/// # Errors
/// [`ExecError`] when it could not be started or waited for. A bad exit status is not an error.
pub async fn run(spec: ExecSpec) -> Result<ExecOutput, ExecError> {
    let mut command = command(&spec.program, &spec.args, &spec.env);
    if let Some(cwd) = &spec.cwd {
        command.current_dir(cwd);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Process::start(&mut command, &spec.program)?;
    let (mut stdout, mut stderr) = (Tail::new(spec.output_cap), Tail::new(spec.output_cap));
    let (out, err) = (child.inner.stdout.take(), child.inner.stderr.take());
    let status = {
        let reading = async { tokio::join!(stdout.fill(out), stderr.fill(err)) };
        tokio::pin!(reading);
        let mut read_all = false;
        let limit = tokio::time::sleep(spec.timeout);
        tokio::pin!(limit);
        let ended = loop {
            tokio::select! {
                _ = &mut reading, if !read_all => read_all = true,
                ended = child.inner.wait() => break Some(ended),
                () = &mut limit => break None,
            }
        };
        if ended.is_none() {
            child.kill();
        }
        if !read_all && tokio::time::timeout(DRAIN, &mut reading).await.is_err() {
            child.kill();
        }
        ended
    };
    let timed_out = status.is_none();
    let status = match status {
        Some(status) => status,
        None => child.inner.wait().await,
    };
    child.group = None;
    let status = status.map_err(|source| ExecError::Wait { program: spec.program, source })?;
    let cut = stdout.cut || stderr.cut;
    Ok(ExecOutput { status: status.into(), stdout: stdout.bytes, stderr: stderr.bytes, cut, timed_out })
}

/// Runs a program to its end without a runtime around it. Must not be called within one.
///
/// # Errors
/// As [`run`].
pub fn run_blocking(spec: ExecSpec) -> Result<ExecOutput, ExecError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(run(spec)),
        Err(source) => Err(ExecError::Start { program: spec.program, source }),
    }
}

/// What to start and leave running, or to hold on to.
#[derive(Debug, Clone)]
pub struct ChildSpec {
    /// A path, or a name looked up in `PATH`.
    pub program: OsString,
    /// Its arguments, without the program's name.
    pub args: Vec<OsString>,
    /// Set on top of the caller's environment.
    pub env: Vec<(OsString, OsString)>,
    /// Where stdout and stderr go.
    pub output: ChildOutput,
}

/// Where the output of a started process goes.
#[derive(Debug, Clone)]
pub enum ChildOutput {
    /// Nowhere.
    Null,
    /// To the end of this file, made when it is not there.
    Append(PathBuf),
    /// Where the caller's goes.
    Inherit,
}

/// Starts a process that outlives the caller, and returns its process id, which is its group too. It is not
/// touched when the caller ends; while the caller lives it does not stay behind as a zombie.
///
/// # Errors
/// [`ExecError`] when it could not be started.
#[expect(clippy::disallowed_methods, reason = "the one spawner")]
pub fn spawn_detached(spec: &ChildSpec) -> Result<u32, ExecError> {
    let mut command = std::process::Command::new(&spec.program);
    command.args(&spec.args).envs(spec.env.iter().cloned()).process_group(0).stdin(Stdio::null());
    let (stdout, stderr) = spec.streams()?;
    let started = command.stdout(stdout).stderr(stderr).spawn();
    let mut child = started.map_err(|source| ExecError::Start { program: spec.program.clone(), source })?;
    let pid = child.id();
    let reaper = std::thread::Builder::new().name("reaper".to_owned()).stack_size(REAPER_STACK);
    // Without the thread the process only stays a zombie until the caller ends.
    drop(reaper.spawn(move || child.wait()));
    Ok(pid)
}

/// Starts a process that ends with its handle. Must be called within a tokio runtime.
///
/// # Errors
/// [`ExecError`] when it could not be started.
pub fn spawn_child(spec: &ChildSpec) -> Result<Process, ExecError> {
    let mut command = command(&spec.program, &spec.args, &spec.env);
    let (stdout, stderr) = spec.streams()?;
    command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
    Process::start(&mut command, &spec.program)
}

impl ChildSpec {
    fn streams(&self) -> Result<(Stdio, Stdio), ExecError> {
        match &self.output {
            ChildOutput::Null => Ok((Stdio::null(), Stdio::null())),
            ChildOutput::Inherit => Ok((Stdio::inherit(), Stdio::inherit())),
            ChildOutput::Append(path) => {
                let open = || OpenOptions::new().create(true).append(true).open(path);
                let both = open().and_then(|out| Ok((out.try_clone()?, out)));
                let (out, err) = both.map_err(|source| ExecError::Output {
                    program: self.program.clone(),
                    path: path.clone(),
                    source,
                })?;
                Ok((out.into(), err.into()))
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one spawner")]
fn command(program: &OsString, args: &[OsString], env: &[(OsString, OsString)]) -> Command {
    let mut command = Command::new(program);
    command.args(args).envs(env.iter().cloned()).process_group(0);
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{Signal, killpg};
    use nix::unistd::Pid;

    fn shell(script: &str) -> ExecSpec {
        ExecSpec {
            program: "sh".into(),
            args: vec!["-c".into(), script.into()],
            env: vec![("GREETING".into(), "hello".into())],
            cwd: None,
            timeout: Duration::from_secs(20),
            output_cap: 64,
        }
    }

    fn alive(pid: i32) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    }

    async fn gone(pid: i32) {
        for _ in 0..500 {
            if !alive(pid) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("process {pid} is still there");
    }

    #[tokio::test]
    async fn status_output_environment_and_directory_are_passed() {
        let spec = ExecSpec { cwd: Some("/".into()), ..shell("echo $GREETING; pwd >&2; exit 3") };
        let output = run(spec).await.unwrap();
        assert_eq!(output.status, Exit::Code(3));
        assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"hello\n"[..], &b"/\n"[..]));
        assert!(!output.cut && !output.timed_out && !output.status.is_success());
    }

    #[tokio::test]
    async fn stdin_is_empty() {
        assert!(run(shell("cat")).await.unwrap().status.is_success());
    }

    #[tokio::test]
    async fn only_the_end_of_a_long_output_is_kept() {
        let output = run(shell("head -c 100000 /dev/zero; printf end")).await.unwrap();
        assert_eq!(output.stdout.len(), 64);
        assert!(output.stdout.ends_with(b"end") && output.cut);
    }

    #[tokio::test]
    async fn a_process_over_its_limit_is_killed_with_all_it_started() {
        let spec = ExecSpec { timeout: Duration::from_millis(300), ..shell("sleep 600 & echo $!; wait") };
        let output = run(spec).await.unwrap();
        assert!(output.timed_out);
        assert_eq!(output.status, Exit::Signal(9));
        gone(String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()).await;
    }

    #[tokio::test]
    async fn a_child_left_behind_does_not_hold_the_result_and_is_killed() {
        let output = run(shell("sleep 600 & echo $!")).await.unwrap();
        assert!(output.status.is_success() && !output.timed_out);
        gone(String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()).await;
    }

    #[tokio::test]
    async fn dropping_the_future_kills_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let running =
            tokio::spawn(run(shell(&format!("echo $$ > {0}.new; mv {0}.new {0}; sleep 600", file.display()))));
        let pid = loop {
            match std::fs::read_to_string(&file) {
                Ok(text) => break text.trim().parse().unwrap(),
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        assert!(alive(pid));
        running.abort();
        gone(pid).await;
    }

    #[tokio::test]
    async fn a_missing_program_is_an_error_that_names_it() {
        let spec = ExecSpec { program: "/nonexistent/program".into(), ..shell("") };
        let error = run(spec).await.unwrap_err();
        assert!(error.to_string().contains("/nonexistent/program"), "{error}");
    }

    #[tokio::test]
    async fn a_child_ends_with_its_handle_and_a_detached_one_does_not() {
        let spec =
            ChildSpec { program: "sleep".into(), args: vec!["600".into()], env: Vec::new(), output: ChildOutput::Null };
        let child = spawn_child(&spec).unwrap();
        let held = i32::try_from(child.id().unwrap()).unwrap();
        let detached = i32::try_from(spawn_detached(&spec).unwrap()).unwrap();
        drop(child);
        gone(held).await;
        assert!(alive(detached));
        killpg(Pid::from_raw(detached), Signal::SIGKILL).unwrap();
        gone(detached).await;
    }

    #[tokio::test]
    async fn stop_kills_what_does_not_listen() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let spec = ChildSpec {
            program: "sh".into(),
            args: vec!["-c".into(), "trap '' TERM; echo ready; while :; do sleep 1; done".into()],
            env: Vec::new(),
            output: ChildOutput::Append(log.clone()),
        };
        let mut child = spawn_child(&spec).unwrap();
        while !std::fs::read_to_string(&log).unwrap().contains("ready") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(child.stop(Duration::from_millis(50)).await.unwrap(), Exit::Signal(9));
    }
}
