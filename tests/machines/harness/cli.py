"""The command line of the machine tests."""

import argparse
import signal
import sys
from dataclasses import replace
from pathlib import Path

from harness import needs, pool, programs, scenario, table, tree
from harness.command import Failed

INTERRUPTED = 130


def parse(arguments):
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="tests/machines/run", description="Boots real systemd and Nix hosts and "
                                     "runs scenarios on them, side by side. Leaves nothing behind.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="scenarios to run; all when left out")
    parser.add_argument("--list", action="store_true", help="list the scenarios and what each shows")
    parser.add_argument("--core", action="store_true", help="run the core set, as CI does")
    parser.add_argument("--guarded", action="store_true",
                        help="run the twins with no guard left out: each has to fail, and passes when it does")
    parser.add_argument("--keep", action="store_true", help="keep the logs of scenarios that fail")
    parser.add_argument("--jobs", type=int, metavar="N",
                        help="run N at once; as many as this machine carries if not given")
    parser.add_argument("--table", type=Path, metavar="FILE", help="write the table of results to FILE")
    return parser.parse_args(arguments)


def chosen(options):
    """Returns the scenarios that the command line asks for."""
    known = scenario.every()
    unknown = sorted(set(options.names) - {one.name for one in known})
    if unknown:
        raise Failed(f"no scenario is called {', '.join(unknown)}: see --list")
    if options.names and not options.guarded:
        return [one for one in known if one.name in options.names]
    if options.guarded:
        return [replace(one, guard="") for one in known if one.guard]
    return [one for one in known if one.core or not options.core]


def report(result):
    """Prints one result as it comes."""
    outcome = "FAILED" if result.error else "passed"
    print(f"{outcome} {result.scenario.name} ({result.seconds:.0f} s)", flush=True)
    if result.error:
        print("".join(f"    {line}\n" for line in result.error.splitlines()), end="", flush=True)


def turned(result, options):
    """Returns a twin's result turned round, when its guard was not left out."""
    if not options.guarded:
        return result
    # So that a reader sees that it failed for the guard, and not for anything else.
    print(f"{result.scenario.name}: {result.error}", flush=True)
    return replace(result, error="" if result.error else "it passes with its guard in place: it shows nothing")


def interrupt(*_):
    """Turns a wish to end into the exception that cleans up."""
    raise KeyboardInterrupt


def run(options):
    """Runs what was asked for and returns the exit status."""
    scenarios = chosen(options)
    if options.list:
        for one in scenarios:
            marks = " ".join(["core"] * one.core + ["emulated"] * one.emulated)
            print(f"{one.name:44} {one.shows}{f' [{marks}]' if marks else ''}")
        return 0
    lacking = needs.missing()
    if lacking:
        raise Failed("the machine tests can't run here:\n" + "\n".join(f"  {line}" for line in lacking))
    results = []
    kinds = {one.programs for one in scenarios} - {""}
    built = {kind: programs.built(twin=kind == "twin") for kind in sorted(kinds)}
    machines = pool.Pool(tree.prepared(), built, options.keep, options.jobs)
    machines.run(scenarios, lambda result: (results.append(turned(result, options)), report(results[-1])))
    print(f"\n{table.table(results)}")
    if options.table:
        options.table.parent.mkdir(parents=True, exist_ok=True)
        options.table.write_text(table.page(results))
    failed = sum(1 for result in results if result.error)
    if failed:
        print(f"\n{failed} of {len(results)} failed", file=sys.stderr)
    return 1 if failed else 0


def main(arguments):
    """Runs the machine tests and returns the exit status: 0 only when all passed."""
    for wish in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(wish, interrupt)
    try:
        return run(parse(arguments))
    except Failed as why:
        print(f"error: {why}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: all that ran was ended", file=sys.stderr)
        return INTERRUPTED
