"""Starts a scenario in namespaces of its own, and ends it with all it started."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
import uuid

from harness import cgroup
from harness.paths import MACHINES

PR_SET_PDEATHSIG = 1


class Isolated:
    """A scenario that runs. Ending its first process ends everything in its process namespace."""

    def __init__(self, scenario, tree, programs, logs):
        self.scenario, self.logs = scenario, logs
        self.began = time.monotonic()
        self.group = f"{cgroup.PREFIX}{uuid.uuid4().hex[:12]}"
        logs.mkdir(parents=True)
        command = ["unshare", "--mount", "--pid", "--net", "--ipc", "--fork", "--kill-child", "--mount-proc",
                   sys.executable, "-B", "-m", "harness.inside", scenario.name, str(tree), str(logs),
                   str(programs or ""), scenario.guard]
        with open(logs / "harness.log", "w") as log:
            self.process = subprocess.Popen(
                command, cwd=MACHINES, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, "MACHINES_GROUP": self.group}, preexec_fn=die_with_parent)

    def seconds(self):
        """Returns how long it runs already."""
        return time.monotonic() - self.began

    def ended(self):
        """Returns what was wrong once it ended, an empty text when nothing was; None while it runs."""
        if self.process.poll() is None:
            if self.seconds() < self.scenario.limit:
                return None
            self.end()
            return f"no end within {self.scenario.limit} s"
        self.end()
        try:
            return json.loads((self.logs / "result.json").read_text())["error"]
        except (OSError, ValueError):
            return f"it ended without a result:\n{(self.logs / 'harness.log').read_text()[-2000:]}"

    def end(self):
        """Ends it, and returns when nothing of it is left."""
        self.process.kill()
        self.process.wait()
        cgroup.remove(self.group)


def die_with_parent():
    """Ends the calling process when the one that started it is gone, however that came about."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
