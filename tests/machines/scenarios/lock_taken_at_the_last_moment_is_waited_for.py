"""Another switch that takes the lock after the checks is waited for; the attempt converges."""

from harness.claims import committed

CONVOY = True
EMULATED = True


def run(fleet):
    web1 = fleet.add("web1")
    fleet.start()
    second = fleet.offer(web1, "2")
    web1.hold_switch("begin", "2")
    release = fleet.plane.publish("2", {web1: second})
    web1.wait_held("begin", "2")
    web1.exec("systemd-run --unit=holder flock /run/nixos/switch-to-configuration.lock sleep 8")
    web1.let_go("begin", "2")
    committed(fleet, web1, release, second)
