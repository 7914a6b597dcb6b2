"""The table of scenarios: printed by each run, and written for the documentation."""

import time

HEAD = """# Machine tests
What was seen to hold on real systemd and Nix hosts, booted side by side in systemd-nspawn. Written by
`tests/machines/run --table FILE`; each scenario is one file in `tests/machines/scenarios`.

*emulated*: nspawn has no boot loader. A boot partition with systemd-boot's files stands in for one: the real argument
lists write to it, and it picks what boots. GRUB's menu and environment block do in one scenario.

A *twin* runs programs of a test-only build that leaves one guard out, and passes when the harm is seen. With
`--guarded` the twins run with their guards in place, and pass when they fail.

"""


def row(result):
    """Returns a result as a row of Markdown."""
    scenario = result.scenario
    mark = "*emulated*" if scenario.emulated else ""
    outcome = "FAILED" if result.error else "passed"
    return f"| {scenario.name} | {scenario.shows.rstrip('.')} | {outcome} | {result.seconds:.0f} | {mark} |"


def table(results):
    """Returns all results as a table of Markdown."""
    rows = [row(result) for result in sorted(results, key=lambda result: result.scenario.name)]
    return "\n".join(["| scenario | shows | result | seconds | |", "|---|---|---|---:|---|", *rows])


def page(results):
    """Returns the page of the documentation."""
    passed = sum(1 for result in results if not result.error)
    return f"{HEAD}Run of {time.strftime('%Y-%m-%d')}: {passed} of {len(results)} passed.\n\n{table(results)}\n"
