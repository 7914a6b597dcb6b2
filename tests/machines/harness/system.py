"""A system as a scenario describes it, and its drawing: the folder that Nix makes a closure of."""

import json
import shutil
from dataclasses import dataclass, field, replace

from harness.builder import CACHE_ADDRESS
from harness.lan import NETWORK
from harness.paths import GUEST

TARGET = """[Unit]
Description=Multi-User System
Requires=basic.target
Conflicts=rescue.service rescue.target
After=basic.target rescue.service rescue.target
AllowIsolate=yes
"""
NETWORK_UNIT = """[Unit]
Description=Address of eth0
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/ip link set lo up
ExecStart=/usr/bin/ip link set eth0 up
ExecStart=/usr/bin/ip addr replace {address}/24 dev eth0
ExecStop=/usr/bin/ip addr flush dev eth0
[Install]
WantedBy=multi-user.target
"""
DAEMON_SOCKET = """[Unit]
Description=Nix daemon socket
[Socket]
ListenStream=/nix/var/nix/daemon-socket/socket
[Install]
WantedBy=sockets.target
"""
DAEMON = """[Unit]
Description=Nix daemon
RequiresMountsFor=/nix/store
[Service]
ExecStart=/usr/bin/nix-daemon --daemon
KillMode=process
X-RestartIfChanged=false
"""


@dataclass(frozen=True)
class System:
    """What one host is to run. `next` makes the following version of it."""

    host: str
    number: int
    version: str = "1"
    units: dict = field(default_factory=dict)
    etc: dict = field(default_factory=dict)
    programs: str = ""
    snippet: str = ""
    pre_switch_check: str = ""
    inhibitors: dict = field(default_factory=dict)
    triggers: dict = field(default_factory=lambda: {"kernel": "kernel-1"})
    interface: str = "2"
    address: str = ""

    def next(self, version, units=None, etc=None, **changes):
        """Returns the same system with changes; a unit or file of None is left out."""
        merged = {"units": {**self.units, **(units or {})}, "etc": {**self.etc, **(etc or {})}}
        kept = {key: {name: text for name, text in value.items() if text is not None} for key, value in merged.items()}
        return replace(self, version=version, **kept, **changes)

    def all_units(self):
        """Returns every unit's text: those that each system has, and its own."""
        address = self.address or f"{NETWORK}.{self.number}"
        base = {
            "multi-user.target": TARGET,
            "network-eth0.service": NETWORK_UNIT.format(address=address),
            "nix-daemon.socket": DAEMON_SOCKET,
            "nix-daemon.service": DAEMON,
        }
        return {name: text for name, text in {**base, **self.units}.items() if text}

    def draw(self, folder, key):
        """Draws the system up in a folder."""
        units = folder / "etc/systemd/system"
        units.mkdir(parents=True)
        (units / "default.target").symlink_to("multi-user.target")
        for name, text in self.all_units().items():
            (units / name).write_text(text)
            enable(units, name, text)
        settings = f"substituters = {CACHE_ADDRESS}\ntrusted-public-keys = {key}\nsandbox = false\n"
        settings += "build-users-group =\nexperimental-features = nix-command\nnarinfo-cache-negative-ttl = 0\n"
        write(folder / "etc/nix/nix.conf", settings + "connect-timeout = 5\n")
        for name, text in self.etc.items():
            write(folder / "etc" / name, text)
        self._draw_switch(folder)
        self._draw_programs(folder)

    def _draw_switch(self, folder):
        (folder / "bin").mkdir()
        shutil.copytree(GUEST / "switch", folder / "lib/switch")
        (folder / "lib/switch/switch-to-configuration").rename(folder / "bin/switch-to-configuration")
        for name, where in (("init", "init"), ("activate", "activate"), ("pause", "lib/pause"),
                            ("install-boot-loader", "lib/install-boot-loader")):
            shutil.copy(GUEST / name, folder / where)
        write(folder / "nixos-version", self.version)
        write(folder / "init-interface-version", self.interface)
        write(folder / "switch-inhibitors", json.dumps(self.inhibitors))
        write(folder / "reboot-triggers", json.dumps(self.triggers))
        if self.snippet:
            write(folder / "lib/snippet", self.snippet)
        if self.pre_switch_check:
            write(folder / "lib/pre-switch-check", self.pre_switch_check)
            (folder / "lib/pre-switch-check").chmod(0o755)

    def _draw_programs(self, folder):
        programs = folder / "sw/bin"
        programs.mkdir(parents=True)
        if self.programs:
            for name in ("convoy-agent", "convoy-activator", "convoy"):
                (programs / name).symlink_to(f"{self.programs}/bin/{name}")


def write(path, text):
    """Writes a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def enable(units, name, text):
    """Makes the links that an [Install] section asks for, as NixOS does."""
    for line in text.splitlines():
        key, _, wanted_by = line.partition("=")
        if key == "WantedBy":
            for target in wanted_by.split():
                folder = units / f"{target}.wants"
                folder.mkdir(exist_ok=True)
                (folder / name).symlink_to(f"../{name}")
