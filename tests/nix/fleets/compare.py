"""Compares evaluated fleets with their golden files: compare.py GOOD.json BAD.json [--bless]."""

import difflib
import json
import pathlib
import sys

FIXTURES = pathlib.Path("tests/fixtures/fleet")
BAD = pathlib.Path("tests/nix/fleets/bad")


def texts(good_file, bad_file):
    """Gives each golden file's path and what it should hold."""
    for name, fleet in json.loads(pathlib.Path(good_file).read_text()).items():
        yield FIXTURES / f"{name}.json", json.dumps(fleet, indent=2, sort_keys=True) + "\n"
    for name, mistakes in json.loads(pathlib.Path(bad_file).read_text()).items():
        yield BAD / f"{name}.txt", "".join(line + "\n" for line in mistakes)


def main(good_file, bad_file, *flags):
    """Returns the exit code."""
    wrong = 0
    golden = dict(texts(good_file, bad_file))
    for path, text in golden.items():
        if not text:
            print(f"{path}: the fleet has no mistake")
            wrong = 1
        if "--bless" in flags:
            path.write_text(text)
        known = path.read_text() if path.exists() else ""
        if known != text:
            wrong = 1
            sys.stdout.writelines(
                difflib.unified_diff(known.splitlines(True), text.splitlines(True), str(path), "evaluated")
            )
    for path in [*FIXTURES.glob("*.json"), *BAD.glob("*.txt")]:
        if path not in golden:
            print(f"{path}: no fleet of this name")
            wrong = 1
    return wrong


sys.exit(main(*sys.argv[1:]))
