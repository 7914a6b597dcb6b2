"""Where things are in the repository."""

from pathlib import Path

MACHINES = Path(__file__).resolve().parent.parent
REPO = MACHINES.parent.parent
GUEST = MACHINES / "guest"
SCENARIOS = MACHINES / "scenarios"
# Git ignores it; all of it can be made again.
CACHE = REPO / ".cache" / "machines"
TABLE = REPO / "docs" / "operations" / "machine-tests.md"
