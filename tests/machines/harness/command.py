"""Runs programs of this machine, each with a limit."""

import subprocess

# Seconds that a small program gets; anything longer says so itself.
SHORT = 60


class Failed(Exception):
    """A program did not do what it was started for."""


def run(arguments, limit=SHORT, check=True, **more):
    """Runs a program to its end and returns what it said."""
    words = [str(word) for word in arguments]
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                              timeout=limit, check=False, **more)
    except subprocess.TimeoutExpired as late:
        raise Failed(f"{' '.join(words)}: no end within {limit} s") from late
    if check and done.returncode != 0:
        raise Failed(f"{' '.join(words)}: exit status {done.returncode}\n{done.stdout}{done.stderr}".rstrip())
    return done
