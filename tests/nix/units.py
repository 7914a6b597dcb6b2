"""Keeps the modules' units and settings as golden files that other tests use: units.py UNITS.json SETTINGS.json [--bless].

What differs between versions of NixOS is left out: the environment, and the order of settings. The programs' own
store paths become `@bin@`, to be replaced by the folder that holds them.
"""

import difflib
import json
import pathlib
import re
import sys

FIXTURES = pathlib.Path("tests/fixtures/units")
UNITS = [
    "convoy-agent.service",
    "convoy-activator.socket",
    "convoy-activator@.service",
    "convoy-boot-guard.service",
    "convoy-cp.service",
]
LEFT_OUT = ("Environment=", "X-Restart-Triggers=")


def golden(text):
    """Gives a unit's text as its golden file holds it."""
    sections = {}
    for line in filter(None, text.splitlines()):
        if line.startswith("["):
            lines = sections.setdefault(line, [])
        elif not line.startswith(LEFT_OUT):
            lines.append(re.sub(r"/nix/store/[^/ ]+/bin/", "@bin@/", line))
    parts = [[name, *sorted(lines, key=lambda line: line.split("=")[0])] for name, lines in sections.items()]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def texts(units_file, settings_file):
    """Gives each golden file's path and what it should hold."""
    units = json.loads(pathlib.Path(units_file).read_text())
    yield from ((FIXTURES / name, golden(units[name])) for name in UNITS)
    for name, settings in json.loads(pathlib.Path(settings_file).read_text()).items():
        yield FIXTURES / name, json.dumps(settings, indent=2, sort_keys=True) + "\n"


def main(units_file, settings_file, *flags):
    """Returns the exit code."""
    wrong = 0
    for path, text in texts(units_file, settings_file):
        if "--bless" in flags:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        known = path.read_text() if path.exists() else ""
        wrong |= known != text
        sys.stdout.writelines(
            difflib.unified_diff(known.splitlines(True), text.splitlines(True), str(path), "evaluated")
        )
    return wrong


sys.exit(main(*sys.argv[1:]))
