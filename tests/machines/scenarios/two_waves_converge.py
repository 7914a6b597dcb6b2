"""A release goes through two waves: each host converges, the second wave after the first, the boot default last."""

from harness.claims import committed, reaches
from harness.wait import same

CONVOY = True
CORE = True
EMULATED = True


def run(fleet):
    web1, web2 = fleet.add("web1"), fleet.add("web2")
    fleet.start()
    closures = {host: fleet.offer(host, "2") for host in (web1, web2)}
    release = fleet.plane.publish("2", closures, waves=[[web1], [web2]])
    reaches(fleet, web1, release, "Soaking")
    same((web1.running(), web1.default()), (closures[web1], web1.closure), "in the soak the default is the prior")
    same(web2.running(), web2.closure, "the second wave waits")
    for host in (web1, web2):
        committed(fleet, host, release, closures[host])
        same(host.failed(), [], f"{host.name} has no failed units")
    same(fleet.plane.rollout_state(release), "Completed", "the rollout")
    web1.power_cycle()
    same(web1.booted(), closures[web1], "what was committed boots")
