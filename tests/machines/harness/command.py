"""Runs programs of this machine, each with a limit."""

import os
import signal
import subprocess
import tempfile
from dataclasses import dataclass

# Seconds that a small program gets; anything longer says so itself.
SHORT = 60


class Failed(Exception):
    """A program did not do what it was started for."""


@dataclass(frozen=True)
class Done:
    """How a program ended and what it said."""

    returncode: int
    stdout: str
    stderr: str


def run(arguments, limit=SHORT, check=True, **more):
    """Runs a program to its end, or ends it and all it started at the limit; returns what it said."""
    words = [str(word) for word in arguments]
    # Files and not pipes: what a program leaves behind must not hold its reader.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True,
                                   **more)
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired as late:
            raise Failed(f"{' '.join(words)}: no end within {limit} s\n{text(out)}{text(err)}".rstrip()) from late
        finally:
            # Also when this run is interrupted: a session of its own hears of no interrupt.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        done = Done(process.returncode, text(out), text(err))
    if check and done.returncode != 0:
        raise Failed(f"{' '.join(words)}: exit status {done.returncode}\n{done.stdout}{done.stderr}".rstrip())
    return done


def text(file):
    """Returns all that a file holds."""
    file.seek(0)
    return file.read().decode(errors="replace")
