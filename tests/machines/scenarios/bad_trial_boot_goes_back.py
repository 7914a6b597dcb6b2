"""A trial boot that does not come up healthy: the next boot is the prior."""

from harness.claims import END_LIMIT, FAILING, back
from harness.wait import same

CONVOY = True
EMULATED = True


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    second = fleet.offer(web1, "2", triggers={"kernel": "kernel-2"}, units={"broken.service": FAILING})
    release = fleet.plane.publish("2", {web1: second}, reboot="trial")
    back(fleet, web1, release, END_LIMIT + 90)
    same(web1.booted(), web1.closure, "the prior is booted")
