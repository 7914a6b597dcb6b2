"""What this machine must have before anything is tried."""

import os
import shutil

# Each program, and the package that has it.
PROGRAMS = {
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "nix": "nix-bin",
    "nsenter": "util-linux",
    "unshare": "util-linux",
}


def missing():
    """Returns what to do before the machine tests can run, one line each; nothing when all is there."""
    lines = []
    if os.geteuid() != 0:
        lines.append("run this as root: it boots containers and makes network namespaces")
    packages = sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None})
    if packages:
        lines.append(f"apt-get install --no-install-recommends {' '.join(packages)}")
    if shutil.which("cargo") is None:
        lines.append("install Rust: no cargo is on PATH")
    return lines
