"""A host as a scenario sees it: what runs there, what is switched there by hand, and what befalls it."""

import shlex
from pathlib import Path

from harness.command import SHORT, Failed
from harness.machine import BOOT_LIMIT, Machine
from harness.wait import until

# Seconds for a switch by hand with nothing in its way.
SWITCH_LIMIT = 120
PAUSES = "var/lib/machine-test/pause"
LOADER = "var/lib/machine-test/loader"
PROFILE = "/nix/var/nix/profiles/system"


class Host:
    """One NixOS-shaped host."""

    def __init__(self, fleet, system):
        self.fleet, self.system, self.name = fleet, system, system.host
        # Bytes of a disk of its own, in the words of `mount`; the scenario's memory when empty.
        self.disk = ""
        # Which boot loader it has: "systemd-boot" or "grub".
        self.loader = "systemd-boot"
        self.closure = None
        self.root = None
        self.machine = None

    def install(self, root, closure):
        """Makes a closure the first generation and the boot default, on a disk that never ran."""
        self.root, self.closure = root.path, closure
        root.mount("boot", "-t", "tmpfs", "-o", "size=64m", "boot")
        profiles = root.path / "nix/var/nix/profiles"
        profiles.mkdir(parents=True, exist_ok=True)
        (profiles / "system-1-link").symlink_to(closure)
        (profiles / "system").symlink_to("system-1-link")
        (root.path / "etc/hostname").write_text(f"{self.name}\n")
        (root.path / PAUSES).mkdir(parents=True)
        (root.path / LOADER).write_text(self.loader)
        self.fleet.chroot(root, f"{closure}/lib/install-boot-loader", closure)
        self.machine = Machine(self.name, root.path, self.fleet.lan, self.fleet.logs / f"console-{self.name}.log")

    # What it says.

    def exec(self, *words, limit=SHORT, check=True):
        """Runs a program on the host, as root, and returns what it said; one word is a shell line."""
        command = ["/bin/sh", "-c", words[0]] if len(words) == 1 else list(words)
        done = self.machine.run(command, limit, check=False)
        self.fleet.note(f"{self.name}$ {shlex.join(words)}\n{done.stdout}{done.stderr}[{done.returncode}]")
        if check and done.returncode != 0:
            raise Failed(f"{self.name}: {shlex.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}".rstrip())
        return done

    def says(self, *words):
        """Runs a program on the host and returns its output; nothing when it failed."""
        try:
            done = self.machine.run(["/bin/sh", "-c", words[0]] if len(words) == 1 else words, SHORT, check=False)
        except Failed:
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""

    def boot_id(self):
        """Returns which boot this is."""
        return self.says("cat /proc/sys/kernel/random/boot_id")

    def running(self):
        """Returns the closure that was activated last."""
        return self.says("readlink -f /run/current-system")

    def booted(self):
        """Returns the closure that it booted."""
        return self.says("readlink -f /run/booted-system")

    def profile(self):
        """Returns the closure that the system profile names."""
        return self.says(f"readlink -f {PROFILE}")

    def default(self):
        """Returns the closure that would boot next without a one-shot."""
        if self.loader == "grub":
            return self.says("grub-menu default")
        listed = self.says("bootctl list --json=short | python3 -c 'import json,sys; "
                           "print(*[e[\"options\"] for e in json.load(sys.stdin) if e[\"isDefault\"]])'")
        return next((word[5:-5] for word in listed.split() if word.startswith("init=")), "")

    def version(self):
        """Returns the version of the running closure."""
        return self.says("cat /run/current-system/nixos-version")

    def unit(self, name, key="ActiveState"):
        """Returns one property of a unit."""
        return self.says("systemctl", "show", "--value", f"--property={key}", name)

    def write(self, path, text):
        """Writes a file on its disk, also while it is off."""
        Path(self.root, path.lstrip("/")).write_text(text)

    def unit_runs(self, name):
        """Tells whether a unit is active."""
        return self.unit(name) == "active"

    def failed(self):
        """Returns the units that are failed."""
        lines = self.says("systemctl list-units --failed --plain --no-legend --full").splitlines()
        return [line.split()[0] for line in lines]

    def up(self):
        """Tells whether systemd finished to start."""
        return self.says("systemctl is-system-running || true") in ("running", "degraded")

    # What is done by hand.

    def fetch(self, closure):
        """Fetches a closure from the binary cache, kept from the collector."""
        self.exec("nix-store", "--realise", closure, "--add-root", f"/root/kept-{closure.rpartition('-')[2]}",
                  limit=SWITCH_LIMIT)

    def switch(self, closure, action, limit=SWITCH_LIMIT, env=""):
        """Runs a closure's switch script, and returns its exit status and words."""
        line = f"{env} {closure}/bin/switch-to-configuration {action} 2>&1"
        done = self.exec(line.strip(), limit=limit, check=False)
        return done.returncode, done.stdout

    def switch_in_background(self, closure, action, unit="by-hand"):
        """Starts a switch in a transient unit and returns at once."""
        self.exec("systemd-run", "--unit", unit, f"{closure}/bin/switch-to-configuration", action)

    def switch_manually(self, closure, who="ada"):
        """Does what a person's `sudo nixos-rebuild switch` does: fetches, sets the profile, switches."""
        self.fetch(closure)
        self.exec("nix-env", "--profile", PROFILE, "--set", closure)
        return self.switch(closure, "switch", env=f"SUDO_USER={who}")

    def hold_switch(self, point, version):
        """Makes the switch script of a version wait at a point."""
        Path(self.root, PAUSES, f"{point}@{version}").touch()

    def wait_held(self, point, version, limit=SWITCH_LIMIT):
        """Waits until a switch waits at a point."""
        until(f"{self.name}: the switch to {version} is held at {point!r}",
              lambda: self.says(f"ls /run/machine-test/at/{point}@{version}"), limit)

    def let_go(self, point, version):
        """Lets a held switch go on."""
        Path(self.root, PAUSES, f"{point}@{version}").unlink(missing_ok=True)

    # What befalls it.

    def power_on(self):
        """Switches it on and waits until systemd finished to start."""
        self.machine.power_on()
        self.wait_up()

    def wait_up(self, before=""):
        """Waits until it is up, in another boot than the one named."""
        def is_up():
            return self.machine.is_on() and self.boot_id() not in ("", before) and self.up()
        until(f"{self.name} is up", is_up, BOOT_LIMIT)

    def power_cut(self):
        """Takes its power away."""
        self.fleet.note(f"{self.name}: power cut")
        self.machine.power_cut()

    def power_cycle(self):
        """Takes its power away and gives it back."""
        self.power_cut()
        self.power_on()

    def reboot(self):
        """Reboots it in order and waits until it is up again."""
        before = self.boot_id()
        self.exec("systemctl reboot", check=False)
        self.wait_up(before)

    def cut_network(self):
        """Cuts its cable."""
        self.fleet.note(f"{self.name}: cable cut")
        self.fleet.lan.unplug(self.name)

    def mend_network(self):
        """Mends its cable."""
        self.fleet.note(f"{self.name}: cable mended")
        self.fleet.lan.replug(self.name)
