"""A forward switch that is killed half way is rolled back; what it had stopped runs again."""

from harness.claims import FINE, back
from harness.wait import same

CONVOY = True
CORE = True
EMULATED = True


def run(fleet):
    web1 = fleet.add("web1", units={"changed.service": FINE})
    fleet.start()
    second = fleet.offer(web1, "2", units={"changed.service": FINE.replace("/bin/true", "/usr/bin/env"),
                                           "added.service": FINE})
    web1.hold_switch("units", "2")
    release = fleet.plane.publish("2", {web1: second})
    web1.wait_held("units", "2")
    web1.exec("systemctl kill --signal=SIGKILL convoy-switch.service")
    web1.let_go("units", "2")
    back(fleet, web1, release)
    same(web1.unit("changed.service"), "active", "the unit that the killed switch had stopped")
