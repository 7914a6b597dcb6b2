"""The control plane of a scenario, in a network namespace of its own, and the operator beside it."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from harness.command import run
from harness.lan import NETWORK
from harness.paths import GUEST
from harness.wait import until

# Names the guard that the programs of a twin leave out.
LEAVE_OUT = "CONVOY_LEAVE_OUT"
NUMBER = 2
NAMESPACE = "plane"
PORT = 7600
# Short, so that a scenario sees in seconds what a fleet sees in minutes.
HEARTBEAT_MS = 1000


class Plane:
    """A control plane that can be started, killed and robbed of its database."""

    def __init__(self, fleet, programs):
        self.fleet, self.programs = fleet, programs
        self.folder = fleet.place / "plane"
        self.folder.mkdir()
        self.process = None
        self.sequence = 0
        self._make_credentials()
        fleet.lan.plug(NAMESPACE)
        fleet.lan.address(NAMESPACE, NUMBER)

    def _make_credentials(self):
        """Makes keys and settings; the relays stand in for TLS until `convoy init` makes that too."""
        self.operate("keygen", "--out", self.folder, "--trust", self.folder / "trust.json", "fleet")
        self.trust = (self.folder / "trust.json").read_text()
        settings = {"listen": f"127.0.0.1:{PORT}", "database": str(self.folder / "convoy.db"), "testing": True,
                    "trustFile": str(self.folder / "trust.json"), "heartbeatIntervalMs": HEARTBEAT_MS}
        (self.folder / "cp.json").write_text(json.dumps(settings))

    def _in_namespace(self, *words):
        return [str(word) for word in ("ip", "netns", "exec", NAMESPACE, *words)]

    def _spawn(self, name, *words):
        log = open(self.fleet.logs / f"{name}.log", "a")
        environment = {**os.environ, **({LEAVE_OUT: self.fleet.guard} if self.fleet.guard else {})}
        return subprocess.Popen(self._in_namespace(*words), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                env=environment)

    def start(self):
        """Starts it and waits until it answers."""
        if self.process is None:
            self._spawn("relay", sys.executable, GUEST / "relay", f"{NETWORK}.{NUMBER}:{PORT}", f"127.0.0.1:{PORT}")
        self.process = self._spawn("plane", self.programs / "bin/convoy-cp", "run", "--config", self.folder / "cp.json")
        until("the control plane answers", lambda: self.ask("status") is not None)

    def kill(self):
        """Kills it."""
        self.fleet.note("control plane killed")
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def lose_database(self):
        """Loses its database; only while it does not run."""
        for path in self.folder.glob("convoy.db*"):
            path.unlink()

    def operate(self, *words, check=True):
        """Runs the operator's command."""
        command = self._in_namespace(self.programs / "bin/convoy", *words)
        done = run(command, check=check) if self.process else run(command[4:], check=check)
        self.fleet.note(f"operator$ convoy {' '.join(str(word) for word in words)}\n{done.stdout}{done.stderr}")
        return done

    def ask(self, *words):
        """Asks and returns the answer as JSON; nothing when there was none."""
        done = run(self._in_namespace(self.programs / "bin/convoy", *words, "--json"), check=False)
        return json.loads(done.stdout) if done.returncode == 0 and done.stdout else None

    def attempt(self, host, release):
        """Returns the newest attempt of a host in a rollout; nothing before there is one."""
        view = self.ask("host", "show", host.name) or {"attempts": []}
        return next((one for one in view["attempts"] if one["rollout"] == release), None)

    def state(self, host, release):
        """Returns the state of a host in a rollout."""
        return (self.attempt(host, release) or {"state": "unknown"})["state"]

    def rollout(self, release):
        """Returns what the list says of a rollout; nothing when there is none of this name."""
        return next((one for one in self.ask("rollout", "list") or [] if one["id"] == release), None)

    def rollout_state(self, release):
        """Returns the state of a rollout; nothing when there is none of this name."""
        return (self.rollout(release) or {"state": None})["state"]

    def history(self, host, release):
        """Returns a host's events in a rollout, in their order."""
        listed = self.operate("events", "--host", host.name, "--rollout", release, "--json").stdout
        return [json.loads(line) for line in listed.splitlines()]

    def events(self, host, release):
        """Returns the names of a host's events in a rollout, in their order."""
        return [event["kind"] for event in self.history(host, release)]

    def make_key(self, name):
        """Makes another signing key; returns its public half, which nobody believes yet."""
        self.operate("keygen", "--out", self.folder, "--trust", self.folder / f"{name}.trust", name)
        return json.loads((self.folder / f"{name}.trust").read_text())["keys"][name]

    def capture(self, name):
        """Lets the control plane alone believe a key: what one does that somebody else has taken over."""
        trust = json.loads(self.trust)
        trust["keys"][name] = self.make_key(name)
        (self.folder / "trust.json").write_text(json.dumps(trust))

    def sign(self, ref, closures, waves=None, policy=None, reboot="live", key="fleet", more=()):
        """Signs a release of {host: closure}, in waves of hosts."""
        self.sequence += 1
        manifest = draft(f"stable@{ref}", closures, waves or [list(closures)], policy or {})
        for wave in manifest["waves"]:
            wave["reboot"] = reboot
        source, signed = self.folder / f"{ref}.json", self.folder / f"{ref}.signed"
        source.write_text(json.dumps(manifest))
        self.operate("release", "sign", "--manifest", source, "--key", self.folder / f"{key}.key",
                     "--sequence", self.sequence, "--out", signed, *more)
        return Signed(f"stable@{ref}", manifest, signed)

    def send(self, signed):
        """Publishes a signed release and returns its id."""
        self.operate("release", "publish", signed.path)
        return signed.release

    def publish(self, ref, closures, **more):
        """Signs and publishes a release; returns its id."""
        return self.send(self.sign(ref, closures, **more))


@dataclass(frozen=True)
class Signed:
    """A signed release: its id, what it says, and the file."""

    release: str
    manifest: dict
    path: Path


def draft(release, closures, waves, policy):
    """Returns a manifest with limits that fit a scenario."""
    limits = {"soakMs": 5_000, "failureAfterMs": 3_000, "switchLimitMs": 30_000, "commitLimitMs": 20_000,
              "rollbackLimitMs": 30_000, "rebootLimitMs": 60_000, "agentTimeoutMs": 15_000,
              "isolationLimitMs": 30_000, "offlineGraceMs": 120_000, "stageLimitMs": 60_000}
    return {
        "schema": "convoy.release/1", "release": release, "policy": {**limits, **policy},
        "hosts": {host.name: {"closure": closure} for host, closure in closures.items()},
        "waves": [{"name": f"wave{number}", "hosts": [host.name for host in hosts]}
                  for number, hosts in enumerate(waves, 1)],
    }
