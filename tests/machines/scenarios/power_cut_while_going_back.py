"""Power cut while a host goes back: the prior boots, and the attempt ends as reverted all the same."""

from harness.claims import FAILING, back
from harness.wait import same

CONVOY = True
CORE = True
EMULATED = True


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    second = fleet.offer(web1, "2", units={"broken.service": FAILING})
    web1.hold_switch("activated", "1")
    release = fleet.plane.publish("2", {web1: second})
    web1.wait_held("activated", "1")
    web1.power_cut()
    web1.let_go("activated", "1")
    web1.power_on()
    same(web1.booted(), web1.closure, "the prior boots")
    back(fleet, web1, release)
    same(web1.failed(), [], "no failed units")
