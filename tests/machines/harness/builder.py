"""Builds with a Nix of its own what hosts run, and serves it from a signed binary cache."""

import hashlib
import json
import shutil
import subprocess
import sys

from harness.command import run
from harness.lan import NETWORK
from harness.layers import Root
from harness.paths import GUEST

CACHE_NUMBER = 1
CACHE_ADDRESS = f"http://{NETWORK}.{CACHE_NUMBER}:8080"
# Seconds for one build: copying files, on a busy machine.
BUILD_LIMIT = 120
SETTINGS = "sandbox = false\nbuild-users-group =\nsubstituters =\nexperimental-features = nix-command\n"


class Builder:
    """A store that builds; nothing in it ever boots."""

    def __init__(self, place, layers):
        self.place = place
        self.count = 0
        self.root = None
        self._open(layers)
        self.key = self._make_key()
        self._install_guest_programs()

    def _open(self, layers):
        self.count += 1
        self.root = Root(self.place / f"layer{self.count}", layers)
        self.root.mount("proc", "-t", "proc", "proc")
        self.root.mount("dev", "--rbind", "/dev")
        self.root.mount("cache", "--bind", self._cache())

    def _cache(self):
        folder = self.place / "cache"
        folder.mkdir(exist_ok=True)
        return folder

    def nix(self, program, *words):
        """Runs one of Nix's programs and returns what it printed."""
        return self.beside(["chroot", self.root.path, program, *words]).stdout.strip()

    def beside(self, command, check=True):
        """Runs a command that finds this Nix and its settings when it changes its root, and returns what it said."""
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "NIX_CONFIG": SETTINGS}
        return run(command, BUILD_LIMIT, check, env=environment)

    def _make_key(self):
        self.nix("nix-store", "--generate-binary-cache-key", "machines-1", "/root/cache.key", "/root/cache.pub")
        return (self.root.path / "root/cache.pub").read_text().strip()

    def _install_guest_programs(self):
        shutil.copy(GUEST / "power-on", self.root.path / "usr/sbin/power-on")
        shutil.copy(GUEST / "bootctl", self.root.path / "usr/bin/bootctl")
        shutil.copy(GUEST / "relay", self.root.path / "usr/bin/relay")
        for name in ("grub-menu", "grub-reboot", "grub-editenv"):
            shutil.copy(GUEST / "grub", self.root.path / "usr/bin" / name)
        shutil.copy(GUEST / "closure.nix", self.root.path / "root/closure.nix")

    def add(self, folder):
        """Puts a folder into the store as it is, and returns its path there."""
        inside = self.root.path / "root" / folder.name
        shutil.copytree(folder, inside, symlinks=True)
        path = self.nix("nix-store", "--add", f"/root/{folder.name}")
        shutil.rmtree(inside)
        return path

    def build(self, drawing, name, inputs):
        """Builds a system closure from a drawn-up folder and returns its path."""
        token = hashlib.sha256(str(drawing).encode()).hexdigest()[:8]
        inside = self.root.path / "root" / f"drawing-{token}"
        shutil.copytree(drawing, inside, symlinks=True)
        listed = "[ " + " ".join(json.dumps(path) for path in inputs) + " ]"
        path = self.nix("nix-build", "/root/closure.nix", "--no-out-link", "--argstr", "name", name,
                        "--arg", "source", f"/root/drawing-{token}", "--arg", "inputs", listed)
        shutil.rmtree(inside)
        return path

    def publish(self, *paths):
        """Signs closures and puts them into the cache."""
        self.nix("nix", "copy", "--to", "file:///cache?secret-key=/root/cache.key&compression=none", *paths)

    def publish_with_another_key(self, *paths):
        """Puts closures into the cache with a signature that no host believes."""
        self.nix("nix-store", "--generate-binary-cache-key", "others-1", "/root/other.key", "/root/other.pub")
        self.nix("nix", "copy", "--to", "file:///cache?secret-key=/root/other.key&compression=none", *paths)

    def freeze(self):
        """Returns the layers for hosts to stand on; later builds reach them through the cache only."""
        layers = self.root.freeze()
        self._open(layers)
        return layers

    def serve(self, log):
        """Starts the cache's server in the namespace `cache` and returns its process."""
        command = ["ip", "netns", "exec", "cache", sys.executable, "-m", "http.server", "8080",
                   "--bind", f"{NETWORK}.{CACHE_NUMBER}", "--directory", self._cache()]
        return subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
