"""Power and console of one machine: systemd-nspawn, started again when the guest reboots."""

import os
import signal
import subprocess
import threading
from pathlib import Path

from harness import cgroup
from harness.command import run
from harness.wait import until

# How systemd-nspawn says that the guest wants to reboot.
REBOOT = 133
# Seconds from power on to a system that is up, and from a wish to power off to off.
BOOT_LIMIT = 90
OFF_LIMIT = 120


class Machine:
    """A machine that can be switched on and off, and cut from power."""

    def __init__(self, name, root, lan, log):
        self.name, self.root, self.lan, self.log = name, root, lan, log
        self.process = None
        self.boots = 0
        self.wanted = False
        self.changing = threading.Lock()

    def power_on(self):
        """Switches it on; it stays on over reboots until it is switched off."""
        with self.changing:
            self.wanted = True
            self._start()

    def _start(self):
        self.boots += 1
        self.lan.plug_anew(self.name)
        group = f"{os.environ['MACHINES_GROUP']}/{self.name}-{self.boots}"
        command = ["systemd-nspawn", "--quiet", "--directory", str(self.root), f"--machine={self.name}",
                   f"--network-namespace-path=/run/netns/{self.name}", "--register=no", "--keep-unit",
                   "--capability=CAP_NET_ADMIN", "--resolv-conf=off", "--timezone=off",
                   "--console=read-only", "--kill-signal=SIGRTMIN+3", "--link-journal=no", "/usr/sbin/power-on"]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(cgroup.within(group, command), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log)
        threading.Thread(target=self._watch, args=(self.process,), daemon=True).start()

    def _watch(self, process):
        status = process.wait()
        with self.changing:
            if self.process is not process:
                return
            self.process = None
            self._say(f"ended with {status}")
            if status == REBOOT and self.wanted:
                try:
                    self._start()
                except Exception as why:  # Nobody waits for this thread: the console says so.
                    self._say(f"could not be switched on again: {why}")

    def _say(self, text):
        with open(self.log, "a") as log:
            log.write(f"\n-- {self.name} {text}\n")

    def leader(self):
        """Returns the process id of the guest's init; nothing while there is none."""
        process = self.process
        if process is None:
            return None
        try:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        except OSError:
            return None
        return int(children[0]) if children else None

    def power_cut(self):
        """Takes the power away: every process of the guest vanishes in the same instant."""
        with self.changing:
            self.wanted = False
            process, leader = self.process, self.leader()
            self.process = None
        if process is None:
            return
        process.send_signal(signal.SIGSTOP)
        if leader is not None:
            os.kill(leader, signal.SIGKILL)
        process.kill()
        process.wait()
        if leader is not None:
            # It takes all others with it once it gets to run; until then they go on.
            until(f"{self.name} is without power", lambda: has_ended(leader), OFF_LIMIT)

    def is_on(self):
        """Tells whether it runs."""
        return self.process is not None

    def run(self, words, limit, check):
        """Runs a program inside and returns what it said."""
        leader = until(f"{self.name} has an init", self.leader, BOOT_LIMIT)
        # The shell stays outside of the guest's process namespace and waits for its child there. nsenter's own fork
        # would stop itself when a shutdown stops that child, and the namespace could then never end.
        enter = ["nsenter", "-t", str(leader), "-m", "-u", "-i", "-n", "-p", "-C", "--no-fork", "--",
                 "/bin/sh", "-c", '"$@"; exit $?', "sh"]
        clean = {"PATH": "/run/current-system/sw/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "TERM": "dumb"}
        return run([*enter, *words], limit, check, env=clean)


def has_ended(pid):
    """Tells whether a process has ended, and with an init all of its namespace; perhaps nobody read its status yet."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"
