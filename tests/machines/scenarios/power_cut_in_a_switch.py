"""Power cut in the middle of the switch: the prior boots, and the host is tried again and converges."""

from harness.claims import committed, runs_prior

CONVOY = True
CORE = True
EMULATED = True


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    second = fleet.offer(web1, "2")
    web1.hold_switch("activated", "2")
    release = fleet.plane.publish("2", {web1: second})
    web1.wait_held("activated", "2")
    web1.power_cut()
    web1.let_go("activated", "2")
    web1.power_on()
    runs_prior(web1)
    committed(fleet, web1, release, second)
