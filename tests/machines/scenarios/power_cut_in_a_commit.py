"""Power cut in a commit, before or after the boot loader was written: finished or tried again, never in between."""

from harness.claims import committed

CONVOY = True
CORE = True
EMULATED = True


def run(fleet):
    hosts = {point: fleet.add(point) for point in ("loader", "installed")}
    fleet.start()
    closures = {host: fleet.offer(host, "2") for host in hosts.values()}
    for point, host in hosts.items():
        host.hold_switch(point, "2")
    release = fleet.plane.publish("2", closures)
    for point, host in hosts.items():
        host.wait_held(point, "2")
        host.power_cut()
        host.let_go(point, "2")
        host.power_on()
    for host in hosts.values():
        committed(fleet, host, release, closures[host])
