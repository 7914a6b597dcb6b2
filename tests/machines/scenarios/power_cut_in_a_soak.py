"""Power cut in the soak: the prior boots, and the host is tried again and converges."""

from harness.claims import committed, reaches
from harness.wait import same

CONVOY = True
CORE = True
EMULATED = True


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    second = fleet.offer(web1, "2")
    release = fleet.plane.publish("2", {web1: second}, policy={"soakMs": 10_000})
    reaches(fleet, web1, release, "Soaking")
    web1.power_cycle()
    same(web1.booted(), web1.closure, "the prior boots")
    committed(fleet, web1, release, second)
