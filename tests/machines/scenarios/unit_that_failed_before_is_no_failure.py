"""A unit that failed before the switch, and fails again, does not bring the host back."""

from harness.claims import FAILING, committed
from harness.wait import same

CONVOY = True
CORE = True
EMULATED = True


def run(fleet):
    web1 = fleet.add("web1", units={"broken.service": FAILING})
    fleet.start()
    same(web1.failed(), ["broken.service"], "failed before")
    second = fleet.offer(web1, "2")
    web1.fetch(second)
    release = fleet.plane.publish("2", {web1: second})
    committed(fleet, web1, release, second)
    same(web1.failed(), ["broken.service"], "failed still")
