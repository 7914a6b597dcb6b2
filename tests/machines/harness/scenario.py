"""Scenario files: one for each claim, named after it."""

import importlib.util
from dataclasses import dataclass

from harness.paths import SCENARIOS

# Seconds for a scenario that sets no LIMIT of its own.
LIMIT = 300


@dataclass(frozen=True)
class Scenario:
    """What its file says of it."""

    name: str
    shows: str
    core: bool
    emulated: bool
    limit: int
    # Which of Convoy's programs its hosts run: none, "plain", or "twin" with a guard left out.
    programs: str
    guard: str


def load(name):
    """Loads a scenario's file."""
    spec = importlib.util.spec_from_file_location(name, SCENARIOS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def describe(name):
    """Reads what a scenario says of itself."""
    module = load(name)
    shows = (module.__doc__ or "").strip()
    if not shows or "\n" in shows:
        raise ValueError(f"{name}: its docstring must be one line that says what it shows")
    guard = getattr(module, "LEFT_OUT", "")
    programs = "twin" if guard else "plain" if getattr(module, "CONVOY", False) else ""
    return Scenario(name, shows, getattr(module, "CORE", False), getattr(module, "EMULATED", False),
                    getattr(module, "LIMIT", LIMIT), programs, guard)


def every():
    """Returns all scenarios, in the order of their names."""
    return [describe(path.stem) for path in sorted(SCENARIOS.glob("*.py"))]
