//! Starts the built programs as real processes, watches them with a limit, and kills them by their id when a test ends.

use convoy::client::http::HttpTransport;
use convoy::trust::tls::{self, Credentials};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fmt::Write as _;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The operator's command.
pub(crate) const CONVOY: &str = env!("CARGO_BIN_EXE_convoy");
/// The control plane.
pub(crate) const CONVOY_ACTIVATOR: &str = env!("CARGO_BIN_EXE_convoy-activator");
pub(crate) const CONVOY_CP: &str = env!("CARGO_BIN_EXE_convoy-cp");
/// The agent.
pub(crate) const CONVOY_AGENT: &str = env!("CARGO_BIN_EXE_convoy-agent");

/// The most time that anything expected may take before a test fails: generous, since it is only used up by a
/// failure, and the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How often something awaited is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// A running process, killed with SIGKILL and reaped when dropped.
pub(crate) struct Process {
    name: String,
    child: Child,
    stdout: Arc<Mutex<Vec<u8>>>,
    stderr: Arc<Mutex<Vec<u8>>>,
    readers: Vec<thread::JoinHandle<()>>,
}

/// How a process ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Exit status or signal.
    pub(crate) status: ExitStatus,
    /// Everything on standard output.
    pub(crate) stdout: String,
    /// Everything on standard error.
    pub(crate) stderr: String,
}

impl Ended {
    /// Returns the exit code; -1 after a signal.
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }

    /// Returns standard output as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }
}

impl Process {
    /// Starts a program with an environment of its own.
    pub(crate) fn start(program: &str, args: &[&str]) -> Self {
        Self::start_with(program, args, &[])
    }

    /// Starts a program with these variables and nothing else but the search path.
    #[expect(clippy::disallowed_methods, reason = "the one place where tests start processes")]
    pub(crate) fn start_with(program: &str, args: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(program);
        command.args(args).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(variables.iter().copied());
        let name = format!("{} {}", Path::new(program).file_name().unwrap().to_string_lossy(), args.join(" "));
        Self::watch(name, command.spawn().unwrap_or_else(|error| panic!("can't start {program}: {error}")))
    }

    /// Starts a program whose standard output goes somewhere else.
    #[expect(clippy::disallowed_methods, reason = "the one place where tests start processes")]
    pub(crate) fn start_writing_to(program: &str, args: &[&str], output: impl Into<Stdio>) -> Self {
        let mut command = Command::new(program);
        command.args(args).env_clear().stdin(Stdio::null()).stdout(output).stderr(Stdio::piped());
        Self::watch(args.join(" "), command.spawn().unwrap_or_else(|error| panic!("can't start {program}: {error}")))
    }

    fn watch(name: String, mut child: Child) -> Self {
        let (stdout, stderr) = (Arc::default(), Arc::default());
        let mut readers = Vec::new();
        readers.extend(child.stdout.take().map(|from| collect(from, &stdout)));
        readers.extend(child.stderr.take().map(|from| collect(from, &stderr)));
        Self { name, child, stdout, stderr, readers }
    }

    /// Returns its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(pid, signal).unwrap_or_else(|error| panic!("can't signal {}: {error}", self.name));
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Tells whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Returns what it has written to standard output so far.
    pub(crate) fn stdout(&self) -> String {
        text(&self.stdout)
    }

    /// Returns what it has written to standard error so far.
    pub(crate) fn stderr(&self) -> String {
        text(&self.stderr)
    }

    /// Waits until it ends by itself; the test fails when it does not within `limit`.
    pub(crate) fn ended_within(mut self, limit: Duration) -> Ended {
        let mut status = None;
        let what = format!("end of `{}`", self.name);
        let ended = try_until(limit, || {
            status = self.child.try_wait().unwrap();
            status
        });
        let Some(status) = ended else {
            self.kill();
            panic!("no {what} within {limit:?}; it wrote {}\n{}", self.stdout(), self.stderr());
        };
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        Ended { status, stdout: self.stdout(), stderr: self.stderr() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            let mut said = String::new();
            let _ = write!(said, "--- {} wrote\n{}{}", self.name, self.stdout(), self.stderr());
            eprintln!("{said}");
        }
    }
}

/// Runs a program to its end.
pub(crate) fn run(program: &str, args: &[&str]) -> Ended {
    Process::start(program, args).ended_within(PATIENCE)
}

/// Runs the operator's command against a control plane to its end.
pub(crate) fn convoy(control_plane: &str, args: &[&str]) -> Ended {
    Process::start_with(CONVOY, args, &[("CONVOY_CONTROL_PLANE", control_plane)]).ended_within(PATIENCE)
}

/// Looks until there is something; the test fails when there is nothing within `limit`.
pub(crate) fn until<T>(what: &str, limit: Duration, look: impl FnMut() -> Option<T>) -> T {
    try_until(limit, look).unwrap_or_else(|| panic!("no {what} within {limit:?}"))
}

/// Looks until there is something; `None` when there is nothing within `limit`.
pub(crate) fn try_until<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let looks = limit.as_millis() / LOOK.as_millis() + 1;
    for _ in 0..looks {
        if let Some(found) = look() {
            return Some(found);
        }
        thread::sleep(LOOK);
    }
    None
}

/// A control plane that is ready, with the address it really listens on.
pub(crate) struct ControlPlane {
    /// The process.
    pub(crate) process: Process,
    /// Such as `https://127.0.0.1:40123`.
    pub(crate) url: String,
    /// The settings of an admin's `convoy`.
    config: Option<PathBuf>,
}

impl ControlPlane {
    /// Starts one on a free port with its files in `dir` and a trust file, and waits until it listens.
    pub(crate) fn start(dir: &Path, trust: &Path, more: &[&str]) -> Self {
        Self::start_on(dir, trust, "127.0.0.1:0", more)
    }

    /// Starts one on a given address, such as that of one that was killed.
    pub(crate) fn start_on(dir: &Path, trust: &Path, listen: &str, more: &[&str]) -> Self {
        let fleet = fleet(dir, &[]);
        let config = shown(&fleet.join("control-plane.json"));
        let own = ["--config", &config];
        let settings = if more.contains(&"--config") { &[][..] } else { &own[..] };
        let (process, port) = listening(dir, trust, listen, &[settings, more].concat());
        let config = Some(fleet.join("convoy.json"));
        Self { process, url: format!("https://127.0.0.1:{port}"), config }
    }

    /// Starts one without certificates, on loopback.
    pub(crate) fn start_plain(dir: &Path, trust: &Path) -> Self {
        let (process, port) = listening(dir, trust, "127.0.0.1:0", &[]);
        Self { process, url: format!("http://127.0.0.1:{port}"), config: None }
    }

    /// What an admin's command needs to speak to it.
    pub(crate) fn variables(&self) -> Vec<(&str, &str)> {
        let config = self.config.as_ref().map(|path| ("CONVOY_CONFIG", path.to_str().unwrap()));
        [("CONVOY_CONTROL_PLANE", self.url.as_str())].into_iter().chain(config).collect()
    }

    /// Runs an admin's command against it to its end.
    pub(crate) fn convoy(&self, args: &[&str]) -> Ended {
        Process::start_with(CONVOY, args, &self.variables()).ended_within(PATIENCE)
    }
}

fn listening(dir: &Path, trust: &Path, listen: &str, more: &[&str]) -> (Process, u16) {
    let port_file = dir.join("port");
    let _ = std::fs::remove_file(&port_file);
    let (database, port, trust) = (shown(&dir.join("convoy.db")), shown(&port_file), shown(trust));
    let own = ["run", "--listen", listen, "--database", &database, "--trust", &trust, "--port-file", &port];
    let mut process = Process::start(CONVOY_CP, &[&own, more].concat());
    let port = until("port file", PATIENCE, || {
        assert!(process.is_running(), "convoy-cp ended: {}", process.stderr());
        std::fs::read_to_string(&port_file).ok()?.trim().parse::<u16>().ok()
    });
    (process, port)
}

/// Makes keys, certificates and tokens for a control plane on loopback below `dir`, unless they are there.
pub(crate) fn fleet(dir: &Path, hosts: &[&str]) -> PathBuf {
    let fleet = dir.join("fleet");
    if !fleet.exists() {
        let path = shown(&fleet);
        let mut args = vec!["init", &path, "--name", "127.0.0.1", "--listen", "127.0.0.1:7600"];
        hosts.iter().for_each(|host| args.extend(["--host", host]));
        let made = run(CONVOY, &args);
        assert_eq!(made.code(), 0, "{made:?}");
    }
    fleet
}

/// Makes an admin's transport to a control plane with the certificates of `fleet`.
pub(crate) fn transport(fleet: &Path, url: &str) -> HttpTransport {
    let read = |name: &str| std::fs::read_to_string(fleet.join(name)).unwrap();
    let (certificate, key) = (read("admin.pem"), read("admin.key"));
    let own = Credentials { certificate: &certificate, key: &key };
    HttpTransport::new(url, Some(tls::client(&read("ca.pem"), Some(own)).unwrap())).unwrap()
}

/// Gives a path as text.
pub(crate) fn shown(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn text(bytes: &Mutex<Vec<u8>>) -> String {
    String::from_utf8_lossy(&bytes.lock().unwrap()).into_owned()
}

fn collect(mut from: impl Read + Send + 'static, kept: &Arc<Mutex<Vec<u8>>>) -> thread::JoinHandle<()> {
    let into = Arc::clone(kept);
    thread::spawn(move || {
        let mut piece = [0_u8; 4096];
        while let Ok(read @ 1..) = from.read(&mut piece) {
            into.lock().unwrap().extend_from_slice(&piece[..read]);
        }
    })
}
