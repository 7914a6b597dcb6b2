"""Twin: with a held lock not tried again, another switch makes an attempt fail."""

from harness.claims import reaches
from harness.wait import same

LEFT_OUT = "lock-retry"


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    second = fleet.offer(web1, "2")
    web1.hold_switch("begin", "2")
    release = fleet.plane.publish("2", {web1: second})
    web1.wait_held("begin", "2")
    web1.exec("systemd-run --unit=holder flock /run/nixos/switch-to-configuration.lock sleep 8")
    web1.let_go("begin", "2")
    reaches(fleet, web1, release, "Reverted")
    same(web1.running(), web1.closure, "nothing was switched")
