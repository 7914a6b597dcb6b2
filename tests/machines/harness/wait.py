"""Waiting, always with a limit, and saying what did not hold."""

import time

# Seconds between two looks.
EVERY = 0.1
# Seconds that something small may take on a busy machine.
SOON = 30


class Unmet(Exception):
    """What a scenario asks for does not hold."""


def expect(holds, what):
    """Fails the scenario unless something holds."""
    if not holds:
        raise Unmet(what)


def same(found, wanted, what):
    """Fails the scenario unless a value is the wanted one."""
    if found != wanted:
        raise Unmet(f"{what}: {found!r} instead of {wanted!r}")


def until(what, probe, limit=SOON):
    """Looks until a probe is true and returns what it gave; fails the scenario at the limit."""
    end = time.monotonic() + limit
    while True:
        last = probe()
        if last:
            return last
        if time.monotonic() > end:
            raise Unmet(f"not within {limit} s: {what} (last seen: {last!r})")
        time.sleep(EVERY)


def always(what, probe, seconds):
    """Fails the scenario when a probe is false at any look of a span."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        expect(probe(), what)
        time.sleep(EVERY)
