"""A control group for each host, so that hosts don't meet in one, and nothing of them is left behind."""

import os
import time
from pathlib import Path

PREFIX = "convoy-machines-"
# Seconds to wait until the kernel has let go of a group whose processes were killed.
EMPTY_LIMIT = 10


def hierarchies():
    """Returns the mount points that systemd keeps groups in: the unified one, and its own where both are there."""
    found = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, kind, options = line.split()[:4]
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(",")):
            found.append(Path(point))
    return found


def within(group, command):
    """Makes a group, and returns a command that runs another one in it."""
    lists = []
    for top in hierarchies():
        (top / group).mkdir(parents=True, exist_ok=True)
        lists.append(str(top / group / "cgroup.procs"))
    # A shell moves itself: code between fork and exec is not safe where threads run.
    return ["/bin/sh", "-ec", 'while [ "$1" != -- ]; do echo $$ >"$1"; shift; done; shift; exec "$@"', "sh",
            *lists, "--", *command]


def remove(group):
    """Removes a group and all below it."""
    until = time.monotonic() + EMPTY_LIMIT
    for top in hierarchies():
        while (top / group).is_dir():
            for folder, _, _ in os.walk(top / group, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    pass
            if time.monotonic() > until:
                break
            if (top / group).is_dir():
                time.sleep(0.05)


def sweep():
    """Removes groups without processes that a killed run left behind."""
    for top in hierarchies():
        for group in top.glob(f"{PREFIX}*"):
            if not any(path.read_text() for path in group.rglob("cgroup.procs")):
                remove(group.name)
