"""The prepared tree: Debian with systemd and Nix, made once and shared by all hosts as their lowest layer."""

import hashlib
import inspect
import os
import shutil
import sys

from harness.command import Failed, run
from harness.paths import CACHE

SUITE = "trixie"
BASE = ["systemd", "systemd-sysv", "dbus", "iproute2", "ca-certificates", "procps"]
# Not for debootstrap's own resolver, which stumbles over virtual packages.
LATER = ["nix-bin", "python3", "nftables"]
# Seconds; most of it is downloading.
PREPARE_LIMIT = 900


def mirror():
    """Returns the Debian mirror of this machine's own apt sources."""
    lines = run(["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages"]).stdout
    for line in lines.splitlines():
        label, _, address = line.partition(" ")
        if label == "Debian":
            return address
    raise Failed("no Debian mirror among the apt sources: run apt-get update, or add one")


def shape(root):
    """Gives the tree what NixOS has where Debian has something else."""
    units = root / "etc/systemd/system"
    shutil.rmtree(units)
    units.symlink_to("/etc/static/systemd/system")
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/machine-id").write_text("")
    (root / "etc/hostname").unlink(missing_ok=True)
    for timer in ("apt-daily.timer", "apt-daily-upgrade.timer", "fstrim.timer", "dpkg-db-backup.timer"):
        (root / "usr/lib/systemd/system" / timer).unlink(missing_ok=True)


def prepared():
    """Returns the tree, made first when its recipe is new."""
    recipe = inspect.getsource(sys.modules[__name__])
    root = CACHE / f"tree-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}"
    if root.is_dir():
        return root
    print("preparing the tree, once for this recipe: about two minutes", flush=True)
    draft = CACHE / f"draft-{os.getpid()}"
    CACHE.mkdir(parents=True, exist_ok=True)
    try:
        run(["debootstrap", "--variant=minbase", f"--include={','.join(BASE)}", SUITE, draft, mirror()], PREPARE_LIMIT)
        shutil.copy("/etc/resolv.conf", draft / "etc/resolv.conf")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        install = ["apt-get", "install", "-q", "-y", "--no-install-recommends", *LATER]
        run(["chroot", draft, *install], PREPARE_LIMIT, env=environment)
        run(["chroot", draft, "apt-get", "clean"])
        shape(draft)
        for old in CACHE.glob("tree-*"):
            shutil.rmtree(old)
        draft.rename(root)
    finally:
        if draft.exists():
            shutil.rmtree(draft)
    return root
