//! What is asked of systemd: pure argument lists, and reading its answers. Must not run anything.

use crate::system::exec::ExecSpec;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

/// How long one call may take: a manager that is busy answers late, one that hangs not at all.
const CALL_LIMIT: Duration = Duration::from_secs(15);
/// The most output that is kept, in bytes: a thousand failed units.
const OUTPUT_CAP: usize = 128 * 1024;
/// The end of a unit's log, in lines.
const LOG_LINES: u32 = 40;
/// Variables that a switch is handed on when they are set.
pub const SWITCH_VARIABLES: [&str; 2] = ["LOCALE_ARCHIVE", "NIXOS_INSTALL_BOOTLOADER"];

fn call<const N: usize>(program: &str, words: [&str; N]) -> ExecSpec {
    let args = words.iter().map(OsString::from).collect();
    ExecSpec { program: program.into(), args, env: Vec::new(), cwd: None, timeout: CALL_LIMIT, output_cap: OUTPUT_CAP }
}

/// Lists the units that are failed, or that died and wait to be started again, one a line.
#[must_use]
pub fn failed_units() -> ExecSpec {
    let states = "--state=failed,auto-restart,auto-restart-queued";
    call("systemctl", ["list-units", states, "--all", "--plain", "--no-legend", "--no-pager", "--full"])
}

/// Reads the answer of [`failed_units`]: what is failed, and what waits to be started again.
#[must_use]
pub fn parse_failed(answer: &[u8]) -> (Vec<String>, Vec<String>) {
    let (mut failed, mut restarting) = (Vec::new(), Vec::new());
    for line in String::from_utf8_lossy(answer).lines() {
        // Older versions begin the line of a failed unit with a dot also in plain output.
        let mut words = line.trim_start_matches(['●', '×', ' ']).split_whitespace();
        let Some(unit) = words.next() else { continue };
        let restarts = words.nth(2).is_some_and(|sub| sub.starts_with("auto-restart"));
        if restarts { restarting.push(unit.to_owned()) } else { failed.push(unit.to_owned()) }
    }
    (failed, restarting)
}

/// Asks with which status the processes of units ended last.
#[must_use]
pub fn exit_statuses(units: &[String]) -> ExecSpec {
    let mut spec = call("systemctl", ["show", "--property=Id", "--property=ExecMainStatus", "--no-pager"]);
    spec.args.extend(units.iter().map(OsString::from));
    spec
}

/// Reads the answer of [`exit_statuses`]: the units whose process ended badly.
#[must_use]
pub fn parse_bad_exits(answer: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(answer);
    let value = |block: &str, name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    let bad = text.split("\n\n").filter(|block| value(block, "ExecMainStatus=").is_some_and(|status| status != "0"));
    bad.filter_map(|block| value(block, "Id=")).collect()
}

/// Asks for a unit's state.
#[must_use]
pub fn show(unit: &str) -> ExecSpec {
    call("systemctl", ["show", unit, "--property=ActiveState", "--property=Job", "--no-pager"])
}

/// Reads the answer of [`show`]: whether the unit runs, starts, or waits to be started.
#[must_use]
pub fn parse_runs(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
    let active = matches!(value("ActiveState=").as_str(), "active" | "activating" | "deactivating" | "reloading");
    let job = value("Job=");
    active || !(job.is_empty() || job == "0")
}

/// Asks whether a unit is active, by the exit status alone.
#[must_use]
pub fn is_active(unit: &str) -> ExecSpec {
    call("systemctl", ["is-active", "--quiet", unit])
}

/// Kills all processes of a unit at once.
#[must_use]
pub fn kill(unit: &str) -> ExecSpec {
    call("systemctl", ["kill", "--signal=SIGKILL", unit])
}

/// Stops a unit without waiting for it.
#[must_use]
pub fn stop(unit: &str) -> ExecSpec {
    call("systemctl", ["stop", "--no-block", unit])
}

/// Reboots, whatever a session or a program inhibits: since systemd 257 an inhibitor refuses root too.
#[must_use]
pub fn reboot() -> ExecSpec {
    call("systemctl", ["reboot", "--no-block", "--check-inhibitors=no"])
}

/// Reboots without asking anybody: for a machine that did not reboot when it was asked.
#[must_use]
pub fn reboot_now() -> ExecSpec {
    call("systemctl", ["reboot", "--force", "--force"])
}

/// Asks what the system as a whole does.
#[must_use]
pub fn system_state() -> ExecSpec {
    call("systemctl", ["is-system-running"])
}

/// Reads the answer of [`system_state`]: whether the system is on its way down.
#[must_use]
pub fn parse_stopping(answer: &[u8]) -> bool {
    String::from_utf8_lossy(answer).trim() == "stopping"
}

/// Reads the answer of [`system_state`]: whether the system is on its way up.
#[must_use]
pub fn parse_starting(answer: &[u8]) -> bool {
    matches!(String::from_utf8_lossy(answer).trim(), "initializing" | "starting")
}

/// Asks for the end of a unit's log in this boot.
#[must_use]
pub fn log(unit: &str) -> ExecSpec {
    let (unit, lines) = (format!("--unit={unit}"), format!("--lines={LOG_LINES}"));
    call("journalctl", ["--boot", &unit, &lines, "--output=cat", "--no-pager", "--quiet"])
}

/// A process in a transient unit.
#[derive(Debug, Clone)]
pub struct Transient<'a> {
    /// The unit's name without its ending.
    pub unit: &'a str,
    /// The longest that it may run.
    pub limit: Duration,
    /// Variables for it.
    pub env: &'a [(String, String)],
    /// The program and its arguments.
    pub program: &'a Path,
    /// Its arguments.
    pub args: &'a [&'a str],
}

/// What a unit needs to outlive everything but a shutdown. With the default dependencies it would require
/// `sysinit.target`, which emergency mode takes away, and the way back with it.
const OUTLIVES: [&str; 4] =
    ["DefaultDependencies=no", "Conflicts=shutdown.target", "Before=shutdown.target", "IgnoreOnIsolate=yes"];

fn outlives(option: &str) -> impl Iterator<Item = String> {
    OUTLIVES.into_iter().map(move |property| format!("{option}={property}"))
}

impl Transient<'_> {
    fn run(&self, options: &[String]) -> ExecSpec {
        let mut args: Vec<OsString> = ["--collect", "--quiet", "--no-ask-password"].map(Into::into).into();
        args.extend(options.iter().map(Into::into));
        args.push(format!("--property=RuntimeMaxSec={}", self.limit.as_secs().max(1)).into());
        args.extend(self.env.iter().map(|(name, value)| format!("--setenv={name}={value}").into()));
        args.extend(["--".into(), self.program.into()]);
        args.extend(self.args.iter().map(Into::into));
        ExecSpec { args, ..call("systemd-run", []) }
    }

    /// Starts it, and does not wait.
    #[must_use]
    pub fn start(&self) -> ExecSpec {
        let mut options = vec!["--no-block".into(), format!("--unit={}", self.unit), "--property=Type=exec".into()];
        options.extend(outlives("--property"));
        self.run(&options)
    }

    /// Starts it by a timer, once in each period.
    #[must_use]
    pub fn periodic(&self, period: Duration) -> ExecSpec {
        let seconds = period.as_secs().max(1);
        let mut options = vec![
            format!("--unit={}", self.unit),
            format!("--on-active={seconds}"),
            format!("--on-unit-active={seconds}"),
            "--timer-property=AccuracySec=1s".into(),
        ];
        options.extend(outlives("--timer-property"));
        options.extend(outlives("--property"));
        self.run(&options)
    }

    /// Runs it as a user to its end, and ends with its status.
    #[must_use]
    pub fn wait_as(&self, user: &str) -> ExecSpec {
        let spec = self.run(&["--wait".into(), "--pipe".into(), format!("--uid={user}")]);
        ExecSpec { timeout: self.limit + CALL_LIMIT, ..spec }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(spec: &ExecSpec) -> String {
        let args: Vec<_> = spec.args.iter().map(|arg| arg.to_string_lossy()).collect();
        format!("{} {}", spec.program.to_string_lossy(), args.join(" "))
    }

    fn transient<'a>(env: &'a [(String, String)], args: &'a [&'a str]) -> Transient<'a> {
        Transient { unit: "convoy-x", limit: Duration::from_secs(90), env, program: Path::new("/p"), args }
    }

    #[test]
    fn transient_units_are_those_of_the_page() {
        let env = [("PATH".to_owned(), "/a:/b".to_owned())];
        let start = words(&transient(&env, &["run-switch", "a@b-1"]).start());
        assert_eq!(
            start,
            "systemd-run --collect --quiet --no-ask-password --no-block --unit=convoy-x --property=Type=exec \
             --property=DefaultDependencies=no --property=Conflicts=shutdown.target --property=Before=shutdown.target \
             --property=IgnoreOnIsolate=yes --property=RuntimeMaxSec=90 --setenv=PATH=/a:/b -- /p run-switch a@b-1"
        );
        let timer = words(&transient(&[], &["dead-man"]).periodic(Duration::from_secs(10)));
        assert_eq!(
            timer,
            "systemd-run --collect --quiet --no-ask-password --unit=convoy-x --on-active=10 --on-unit-active=10 \
             --timer-property=AccuracySec=1s --timer-property=DefaultDependencies=no \
             --timer-property=Conflicts=shutdown.target --timer-property=Before=shutdown.target \
             --timer-property=IgnoreOnIsolate=yes --property=DefaultDependencies=no \
             --property=Conflicts=shutdown.target --property=Before=shutdown.target --property=IgnoreOnIsolate=yes \
             --property=RuntimeMaxSec=90 -- /p dead-man"
        );
        let wait = transient(&[], &["reach"]).wait_as("convoy-agent");
        assert!(words(&wait).contains("--wait --pipe --uid=convoy-agent"));
        assert!(wait.timeout > Duration::from_secs(90));
    }

    #[test]
    fn failed_units_are_read_in_every_spelling() {
        let answer = "● a.service loaded failed failed A\nb.mount      loaded failed failed B\n  × c.timer x\n\n\
                      d.service loaded activating auto-restart D\n";
        let (failed, restarting) = parse_failed(answer.as_bytes());
        assert_eq!(
            (failed, restarting),
            (vec!["a.service".into(), "b.mount".into(), "c.timer".into()], vec!["d.service".into()])
        );
        assert_eq!(parse_failed(b""), (vec![], vec![]));
    }

    #[test]
    fn a_unit_that_is_started_again_and_again_has_failed_where_its_process_did() {
        let answer = "Id=a.service\nExecMainStatus=1\n\nExecMainStatus=0\nId=b.service\n";
        assert_eq!(parse_bad_exits(answer.as_bytes()), ["a.service"]);
    }

    #[test]
    fn a_unit_runs_from_its_job_to_its_end() {
        for (answer, runs) in [
            ("ActiveState=active\nJob=0\n", true),
            ("ActiveState=activating\n", true),
            ("ActiveState=deactivating\n", true),
            ("ActiveState=inactive\nJob=123\n", true),
            ("ActiveState=inactive\nJob=0\n", false),
            ("ActiveState=inactive\nJob=\n", false),
            ("ActiveState=failed\n", false),
            ("", false),
        ] {
            assert_eq!(parse_runs(answer.as_bytes()), runs, "{answer:?}");
        }
    }

    #[test]
    fn only_a_system_on_its_way_down_is_stopping() {
        assert!(parse_stopping(b"stopping\n"));
        assert!(parse_starting(b"starting\n") && !parse_starting(b"running\n") && !parse_starting(b"degraded\n"));
        assert!(!parse_stopping(b"running\n") && !parse_stopping(b"degraded\n") && !parse_stopping(b""));
    }
}
