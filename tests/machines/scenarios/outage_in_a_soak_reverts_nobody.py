"""The control plane is away for longer than a soak: nobody reverts, the commit waits for it, all converge."""

from harness.claims import committed, reaches
from harness.wait import always

CONVOY = True
CORE = True
EMULATED = True


def run(fleet):
    hosts = [fleet.add("web1"), fleet.add("web2")]
    fleet.start()
    closures = {host: fleet.offer(host, "2") for host in hosts}
    release = fleet.plane.publish("2", closures, policy={"isolationLimitMs": 120_000, "soakMs": 12_000})
    for host in hosts:
        reaches(fleet, host, release, "Soaking")
    fleet.plane.kill()
    always("the target runs, and is not the default",
           lambda: all((host.running(), host.default()) == (closures[host], host.closure) for host in hosts), 20)
    fleet.plane.start()
    for host in hosts:
        committed(fleet, host, release, closures[host])
