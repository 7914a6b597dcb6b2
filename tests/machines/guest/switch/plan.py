"""What a switch stops, restarts, reloads and starts; kept on disk, so that a killed switch is resumed by the next."""

import os

from units import Unit, loaded, unit_file

CURRENT = "/etc/systemd/system"
LISTS = {"start": "/run/nixos/start-list", "restart": "/run/nixos/restart-list", "reload": "/run/nixos/reload-list"}


class Plan:
    """The units of each step."""

    def __init__(self, toplevel):
        self.new = f"{toplevel}/etc/systemd/system"
        self.stop = set()
        self.active = {name for name, (active, _) in loaded().items() if active in ("active", "activating")}
        self.start, self.restart, self.reload = (self._resumed(verb) for verb in ("start", "restart", "reload"))
        for name in sorted(self.active):
            self._plan(name)

    def record(self):
        """Writes the lists before anything is touched."""
        for verb, path in LISTS.items():
            names = getattr(self, verb)
            if names:
                with open(path, "w") as file:
                    file.write("".join(f"{name}\n" for name in sorted(names)))

    def forget(self, verb):
        """Drops the list of a step that is done."""
        if os.path.exists(LISTS[verb]):
            os.remove(LISTS[verb])

    def _resumed(self, verb):
        try:
            with open(LISTS[verb]) as file:
                return {line.strip() for line in file if line.strip()}
        except FileNotFoundError:
            return set()

    def _plan(self, name):
        old_path = unit_file(CURRENT, name)
        if old_path is None:
            # Not of this system: transient, or generated.
            return
        old, new_path = Unit(old_path), unit_file(self.new, name)
        if new_path is None:
            if old.true("Unit", "X-StopOnRemoval", True):
                self.stop.add(name)
            return
        new = Unit(new_path)
        if name.endswith(".target"):
            if not (new.true("Unit", "RefuseManualStart", False) or new.true("Unit", "X-OnlyManualStart", False)):
                self.start.add(name)
            return
        change = old.differs(new)
        if change == "reload" and name.endswith(".service"):
            self.reload.add(name)
        elif change:
            self._changed(name, new)

    def _changed(self, name, new):
        kind = name.rpartition(".")[2]
        if kind in ("path", "slice"):
            return
        if kind != "service":
            self._stop_and_start(name)
        elif new.true("Service", "X-ReloadIfChanged", False):
            self.reload.add(name)
        elif not new.true("Service", "X-RestartIfChanged", True) or new.true("Unit", "RefuseManualStop", False) \
                or new.true("Unit", "X-OnlyManualStart", False):
            return
        elif not new.true("Service", "X-StopIfChanged", True):
            self.restart.add(name)
        else:
            self._stop_and_start(name)

    def _stop_and_start(self, name):
        """Stops a unit and starts it again; where a socket starts it, the socket instead."""
        self.stop.add(name)
        socket = f"{name.rpartition('.')[0]}.socket"
        if name.endswith(".service") and socket in self.active and unit_file(CURRENT, socket):
            self.stop.add(socket)
            if unit_file(self.new, socket):
                self.start.add(socket)
                return
        self.start.add(name)
