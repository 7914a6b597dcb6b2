"""Runs scenarios side by side, as many as this machine can carry."""

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from harness import cgroup
from harness.isolate import Isolated
from harness.paths import CACHE

# Most of a scenario is waiting: a few more of them than there are cores.
MOST = 3
# Bytes of memory that the machines of one scenario may need.
MEMORY = 2 * 1024**3
EVERY = 0.1


@dataclass(frozen=True)
class Result:
    """How a scenario ended; `error` is empty when all that it claims was seen."""

    scenario: object
    error: str
    seconds: float


def places():
    """Returns how many scenarios may run at once."""
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    available = int(fields["MemAvailable"].split()[0]) * 1024
    return max(1, min(MOST, (os.cpu_count() or 1) + 1, available // MEMORY))


class Pool:
    """The scenarios that run and those that wait for a place. `programs` has a folder for each kind that they name."""

    def __init__(self, tree, programs, keep, at_once=None):
        self.tree, self.programs, self.keep = tree, programs, keep
        self.at_once = at_once or places()
        self.logs = CACHE / "runs" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
        self.running = []
        cgroup.sweep()

    def run(self, scenarios, report):
        """Runs all and calls `report` with each result as it comes."""
        waiting = list(scenarios)
        try:
            while waiting or self.running:
                while waiting and len(self.running) < self.at_once:
                    scenario = waiting.pop(0)
                    programs = self.programs.get(scenario.programs)
                    self.running.append(Isolated(scenario, self.tree, programs, self.logs / scenario.name))
                self._collect(report)
                time.sleep(EVERY)
        finally:
            self.close()

    def _collect(self, report):
        for isolated in list(self.running):
            error = isolated.ended()
            if error is None:
                continue
            self.running.remove(isolated)
            if not (error and self.keep):
                shutil.rmtree(isolated.logs)
            elif self.keep:
                error += f"\nlogs: {isolated.logs}"
            report(Result(isolated.scenario, error, isolated.seconds()))

    def close(self):
        """Ends what still runs, and drops folders without logs."""
        for isolated in self.running:
            isolated.end()
            if not self.keep:
                shutil.rmtree(isolated.logs, ignore_errors=True)
        self.running = []
        if self.logs.is_dir() and not any(self.logs.iterdir()):
            self.logs.rmdir()
