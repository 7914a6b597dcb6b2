"""What a scenario gets: hosts, the network between them, and a builder of what they run."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor

from harness import convoy
from harness.builder import CACHE_ADDRESS, CACHE_NUMBER, Builder
from harness.command import run
from harness.host import Host
from harness.lan import Lan
from harness.layers import Root
from harness.plane import Plane
from harness.system import System

# The last part of the first host's address.
FIRST_HOST = 11


class Fleet:
    """The machines of one scenario. `place` is memory that is gone with it; `logs` stays."""

    def __init__(self, place, logs, tree, programs=None, guard=""):
        self.place, self.logs, self.guard = place, logs, guard
        self.began = time.monotonic()
        self.transcript = open(logs / "transcript.log", "w")
        self.lan = Lan()
        self.lan.plug("cache")
        self.lan.address("cache", CACHE_NUMBER)
        self.builder = Builder(place / "builder", [tree])
        self.builder.serve(open(logs / "cache.log", "w"))
        self.cache = CACHE_ADDRESS
        self.hosts = {}
        self.plane = Plane(self, programs) if programs else None
        self.source = programs
        self.programs = self.builder.add(programs) if programs else ""

    def note(self, text):
        """Writes a line of what happens, with the time since the scenario began."""
        self.transcript.write(f"[{time.monotonic() - self.began:7.2f}] {text}\n")
        self.transcript.flush()

    def add(self, name, **changes):
        """Declares a host."""
        system = System(host=name, number=FIRST_HOST + len(self.hosts))
        if self.plane:
            system = system.next("1", **convoy.of(name, self.programs, self.plane.trust, self.guard))
        system = system.next("1", **changes)
        self.hosts[name] = Host(self, system)
        return self.hosts[name]

    def start(self):
        """Builds what the hosts run first, and boots them side by side; the control plane before them."""
        hosts = list(self.hosts.values())
        first = {host.name: self.build(host.system) for host in hosts}
        self.builder.publish(*first.values())
        layers = self.builder.freeze()
        for host in hosts:
            host.install(Root(self.place / host.name, layers, host.disk), first[host.name])
        if self.plane:
            self.plane.start()
        self.side_by_side(lambda host: host.power_on(), hosts)
        self.note("all hosts are up")

    def side_by_side(self, act, things):
        """Does one thing to many at once, and fails when one of them did."""
        with ThreadPoolExecutor(max_workers=len(things)) as pool:
            list(pool.map(act, things))

    def build(self, system):
        """Builds a system and returns its closure; hosts don't have it yet."""
        drawing = self.place / f"drawing-{system.host}-{system.version}"
        system.draw(drawing, self.builder.key)
        inputs = [system.programs] if system.programs else []
        closure = self.builder.build(drawing, f"system-{system.host}-{system.version}", inputs)
        shutil.rmtree(drawing)
        self.note(f"{system.host} version {system.version} is {closure}")
        return closure

    def offer(self, host, version, **changes):
        """Builds the next version of a host's system, puts it into the cache and returns its closure."""
        closure = self.build(host.system.next(version, **changes))
        self.builder.publish(closure)
        return closure

    def other_programs(self):
        """Puts the programs into the store once more, as another release of them, and returns that path."""
        other = self.place / "other-programs"
        shutil.copytree(self.source, other)
        (other / "release").write_text("another\n")
        return self.builder.add(other)

    def keep_journals(self):
        """Writes what the hosts' journals hold, all boots of them, beside the logs."""
        for host in self.hosts.values():
            if host.root:
                journal = run(["chroot", host.root, "journalctl", "--no-pager", "--output=short-precise"], check=False)
                (self.logs / f"journal-{host.name}.log").write_text(journal.stdout)

    def chroot(self, root, *words):
        """Runs a program on a disk of a machine that is off."""
        return run(["chroot", root.path, *words])
