"""Convoy's programs, built from this repository: as released, and with guards that a twin may leave out."""

import hashlib
import os
import shutil

from harness.command import run
from harness.paths import CACHE, REPO

NAMES = ["convoy", "convoy-cp", "convoy-agent", "convoy-activator"]
# Seconds; a first build compiles all that they stand on.
BUILD_LIMIT = 1800
# The feature with which a named guard can be left out; a released program has no such code.
TWIN_FEATURE = "leave-out-guards"


def target_folder():
    """Returns where cargo builds for everybody else."""
    return os.environ.get("CARGO_TARGET_DIR", REPO / "target")


def built(twin):
    """Builds the programs and returns the folder that hosts get: `bin` with all of them, without debugging marks."""
    kind, target = ("twin", CACHE / "target") if twin else ("plain", target_folder())
    features = ["--features", TWIN_FEATURE] if twin else []
    print(f"building the {kind} programs", flush=True)
    run(["cargo", "build", "--bins", "--target-dir", target, *features], BUILD_LIMIT, cwd=REPO)
    made = [REPO / target / "debug" / name for name in NAMES if (REPO / target / "debug" / name).exists()]
    stamp = hashlib.sha256("".join(f"{path} {path.stat().st_mtime_ns}\n" for path in made).encode()).hexdigest()[:12]
    folder = CACHE / "programs" / kind
    if (folder / stamp).exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "bin").mkdir(parents=True)
    for path in made:
        run(["strip", "--strip-all", "-o", folder / "bin" / path.name, path])
    (folder / stamp).touch()
    return folder
