"""`convoy release build` takes a flake to converged hosts: it builds, says what changes, copies, signs and publishes."""

import json

from harness import flake
from harness.claims import FINE, committed
from harness.wait import expect, same

CONVOY = True
CORE = True
EMULATED = True
CACHE = "file:///cache?secret-key=/root/cache.key&compression=none"
PAGE = "[Service]\nExecStart=/bin/sleep infinity\nEnvironment=VERSION={}\n[Install]\nWantedBy=multi-user.target\n"


def run(fleet):
    web1, web2 = (fleet.add(name, units={"page.service": PAGE.format(1)}) for name in ("web1", "web2"))
    fleet.start()
    changed = {"page.service": PAGE.format(2), "extra.service": FINE}
    systems = {web1: web1.system.next("2", units=changed), web2: web2.system.next("2", units=changed)}
    source = flake.write(fleet, "2", systems, [[web1], [web2]])

    dry = json.loads(flake.build(fleet, source, "--dry-run", "--json").stdout)
    same((dry["dryRun"], dry["published"], fleet.plane.rollout_state("stable@2")), (True, None, None), "a dry run")
    closures = {host: entry["closure"] for host in systems for entry in dry["hosts"] if entry["host"] == host.name}

    built = flake.build(fleet, source, "--copy-to", CACHE)
    expect("published stable@2: 2 waves" in built.stdout, f"it is published: {built.stdout}")
    expect("no release before it" in built.stdout, f"there was none before: {built.stdout}")
    again = flake.build(fleet, source, "--copy-to", CACHE)
    expect("stable@2 was there already" in again.stdout, f"the same release twice is no error: {again.stdout}")
    for host in systems:
        committed(fleet, host, "stable@2", closures[host])
        same((host.version(), host.unit_runs("extra.service")), ("2", True), f"{host.name} runs what was built")

    third = {host: system.next("3", units={"page.service": PAGE.format(3), "extra.service": None},
                               triggers={"kernel": "kernel-2"}) for host, system in systems.items()}
    source = flake.write(fleet, "3", third, [[web1, web2]])
    dry = json.loads(flake.build(fleet, source, "--dry-run", "--json").stdout)
    same(dry["against"], "stable@2", "it is compared with what was published")
    for entry in dry["hosts"]:
        differs, units = entry["differs"], entry["differs"]["units"]
        same((units["stopped"], units["restarted"]), (["extra.service"], ["page.service"]), "units")
        same(differs["reboot"], ["kernel"], "a reboot")
        expect(0 < entry["downloadBytes"] < entry["closureBytes"], f"only a part is fetched: {entry}")
    wrong = flake.build(fleet, source, "--channel", "stabel", check=False)
    expect("no channel stabel" in wrong.stderr and "it has stable" in wrong.stderr, f"known channels: {wrong.stderr}")
