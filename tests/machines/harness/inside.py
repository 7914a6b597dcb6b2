"""Runs one scenario in namespaces of its own: mounts, processes and networks end with it, whatever happens."""

import faulthandler
import json
import sys
import traceback
from pathlib import Path

from harness.command import Failed, run
from harness.fleet import Fleet
from harness.scenario import describe, load
from harness.wait import Unmet

PLACE = Path("/run/machines")


def private_run():
    """Hides the machine's /run behind memory that ends with the namespace."""
    run(["mount", "--make-rprivate", "/"])
    run(["mount", "-t", "tmpfs", "-o", "mode=755,size=75%", "run", "/run"])
    for folder in ("/run/netns", "/run/systemd/nspawn", "/run/lock", PLACE):
        Path(folder).mkdir(parents=True)


def main(name, tree, logs, programs, guard):
    """Runs a scenario and writes its result beside its logs."""
    logs = Path(logs)
    # Says where it hangs, shortly before it is ended.
    faulthandler.dump_traceback_later(max(describe(name).limit - 10, 1))
    private_run()
    error, fleet = "", None
    try:
        fleet = Fleet(PLACE, logs, Path(tree), Path(programs) if programs else None, guard)
        load(name).run(fleet)
    except (Unmet, Failed) as unmet:
        at = traceback.extract_tb(unmet.__traceback__)
        lines = [frame for frame in at if "scenarios" in frame.filename]
        error = f"{f'line {lines[0].lineno}: ' if lines else ''}{unmet}"
    except BaseException:  # The result must say so, whatever it was.
        error = traceback.format_exc()
    if error and fleet:
        fleet.keep_journals()
    (logs / "result.json").write_text(json.dumps({"error": error}))
    # Threads that watch machines must not hold the end up; the namespace ends all else.
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
