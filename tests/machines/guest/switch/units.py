"""Units as systemd and their files show them."""

import os
import subprocess

TRUE = ("1", "yes", "true", "on")
# Changes of these never ask for a restart.
IGNORED = {("Unit", "Description"), ("Unit", "Documentation"), ("Unit", "PartOf"), ("Unit", "OnFailure"),
           ("Unit", "X-StopOnRemoval")}


def systemctl(verb, *names):
    """Runs a verb to its end, however long that takes, and tells whether all of it succeeded."""
    return subprocess.run(["systemctl", verb, "--", *names] if names else ["systemctl", verb],
                          check=False).returncode == 0


def loaded():
    """Returns each loaded unit with its active and sub state."""
    command = ["systemctl", "list-units", "--all", "--plain", "--no-legend", "--full"]
    rows = {}
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        name, _, active, sub = line.split()[:4]
        rows[name] = (active, sub)
    return rows


def failed_units():
    """Returns the units that failed, or fail again and again."""
    return sorted(name for name, (active, sub) in loaded().items() if active == "failed" or sub == "auto-restart")


def unit_file(folder, name):
    """Returns the path of a unit's file in a folder, its template's for an instance; nothing when it has none."""
    stem, at, rest = name.partition("@")
    candidates = [name] + ([f"{stem}@.{rest.rpartition('.')[2]}"] if at else [])
    for candidate in candidates:
        path = os.path.join(folder, candidate)
        if os.path.exists(path) and os.path.realpath(path) != "/dev/null":
            return path
    return None


class Unit:
    """A unit file's settings."""

    def __init__(self, path):
        self.settings = {}
        section = ""
        with open(path) as file:
            for line in (line.strip() for line in file):
                if line.startswith("["):
                    section = line.strip("[]")
                elif line and line[0] not in "#;":
                    key, _, value = line.partition("=")
                    self.settings.setdefault((section, key.strip()), []).append(value.strip())

    def true(self, section, key, default):
        """Reads a yes or no."""
        values = self.settings.get((section, key))
        return values[-1].lower() in TRUE if values else default

    def differs(self, other):
        """Tells what a change from this unit to another asks for: nothing, a reload or a restart."""
        keys = (set(self.settings) | set(other.settings)) - IGNORED
        changed = {key for key in keys if key[0] != "Install" and self.settings.get(key) != other.settings.get(key)}
        if not changed:
            return None
        return "reload" if changed == {("Unit", "X-Reload-Triggers")} else "restart"
